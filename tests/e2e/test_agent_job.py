"""JOB: an agent job does what it promises on every worker, and says so when it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from fixtures.checks import contract
from fixtures.checks.declaration import MUST, SHOULD, Disruption, Link, check
from fixtures.checks.remedy import ENDPOINTS, KUBERNETES, do, kubectl, shell, steps
from fixtures.clusters.base import Cluster, Component, Feature
from fixtures.core.errors import Inconclusive
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.diagnostics.evidence import Evidence
from fixtures.exercises.agent_jobs import AgentJobs, AgentRun, AgentRuns, Scenario
from fixtures.exercises.residue import actors_that_stay
from fixtures.probes.census import Census, delivered, run_job
from fixtures.probes.packaging import document_in
from fixtures.profile.model import Profile
from fixtures.services.nats import Nats
from fixtures.services.ray import Actor, Ray
from fixtures.services.vllm import FaultProxy
from tests.e2e.repairs import image, in_worker, ray_cli

AGENTS = (Component.RAY_HEAD, Component.RAY_WORKER, Component.NATS)


def described(runs: Iterable[AgentRun]) -> str:
    return "; ".join(run.summary for run in runs)


def show(evidence: Evidence, runs: Iterable[AgentRun]) -> None:
    """Keep what the submitter saw and what was published."""
    for run in runs:
        evidence.attach(
            f"{run.name}.json",
            {
                "task_id": run.task_id,
                "returned": run.result,
                "error": run.error,
                "cause": run.cause,
                "seconds": run.seconds,
                "actor": vars(run.actor) if run.actor else None,
                "published": [
                    {"subject": m.subject, "sequence": m.sequence, "message": m.document} for m in run.messages
                ],
            },
        )


@check(
    "JOB-01",
    MUST,
    "a Ray job imports nats and nats.js",
    remedy=image(),
    concerns=AGENTS,
    cuts=(Link.IMPORTS, Link.PUBLISH, Link.COLLECT),
    impact="Every agent job dies on its first import of NATS: no result is published, and no failure event.",
    follows=("INF-10", "DEP-04", "DEP-05"),
    package="nats",
    supports=("works",),
)
async def test_job_imports_nats(census: Census, agent_runs: AgentRuns) -> None:
    """Inside a Ray job, in the interpreter that runs the agents, nats and nats.js import, and no agent dies on them."""
    wrong = [
        f"{worker.name}: {worker.modules[module]['error']}"
        for worker in census.workers
        for module in ("nats", "nats.js")
        if not worker.modules[module]["ok"]
    ]
    wrong += [run.summary for run in agent_runs.healthy if run.missing_module.split(".")[0] == "nats"]
    assert not wrong, f"nats cannot be imported in a Ray job: {'; '.join(wrong)}"


@check(
    "JOB-02",
    MUST,
    "an agent actor starts on every worker",
    remedy=steps(
        do("See why it is not placed, or of what it died:", KUBERNETES, ENDPOINTS),
        ray_cli("list actors --detail --filter state=DEAD"),
    ),
    concerns=AGENTS,
    cuts=(Link.JOB,),
    impact="No agent runs on these workers: tasks wait for a worker, or fail before they begin.",
    follows=("INF-06", "INF-07", "INF-10", "DEP-07"),
    supports=("works",),
)
async def test_actor_starts(agent_runs: AgentRuns, evidence: Evidence) -> None:
    """The actor's constructor runs on every worker: a process starts there, the class is there, and a CPU is free."""
    show(evidence, agent_runs.healthy)
    wrong = {
        run.name.removeprefix("worker "): f"{run.summary} ({run.actor.state if run.actor else 'no actor'})"
        for run in agent_runs.healthy
        if not (run.actor and run.actor.started)
    }
    assert not wrong, f"no agent actor started on {', '.join(wrong)}: {'; '.join(wrong.values())}"


@check(
    "JOB-03",
    MUST,
    "the agent job connects to NATS from every worker",
    remedy=steps(
        do("Compare nats_url with the service:", KUBERNETES),
        kubectl("-n {namespace} get service {nats_service}"),
        "A job that returned all the same published elsewhere, or not to JetStream: js.publish on {completed} waits "
        "for the stream.",
        image("The image may lack nats-py."),
    ),
    concerns=AGENTS,
    cuts=(Link.PUBLISH, Link.COLLECT),
    impact="Agents on these workers work in vain: neither their results nor their failures reach NATS.",
    follows=("INF-09", "NET-04", "DEP-04", "DEP-05", "JOB-02"),
)
async def test_job_connects_to_nats(agent_runs: AgentRuns, profile: Profile) -> None:
    """From every worker at least one message of its agent job arrived on NATS, of success or of failure."""
    mute = [run for run in agent_runs.healthy if not run.messages]
    assert not mute, (
        f"nothing of the agent job is on the stream {profile.nats.stream} from {len(mute)} workers: {described(mute)}"
    )


@check(
    "JOB-04",
    MUST,
    "vLLM generates a proposal for the agent job",
    remedy=steps(
        "A model with a reasoning parser leaves content null while max_tokens is small: give it room, "
        "or turn thinking off.",
        do("Ask vLLM as the agent does, from a worker:", KUBERNETES),
        in_worker(
            "import json, urllib.request as u; "
            "body = json.dumps({'model': '{model}', 'messages': [{'role': 'user', 'content': 'hello'}], 'max_tokens': "
            "512}); kind = {'Content-Type': 'application/json'}; "
            "print(u.urlopen(u.Request('{vllm_url}/v1/chat/completions', body.encode(), kind)).read())"
        ),
        do("Ask vLLM as the agent does:", ENDPOINTS),
        shell(
            "curl -sS {vllm_reached}/v1/chat/completions -H 'Content-Type: application/json' -d '"
            '{"model": "{model}", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 512}\'',
            ENDPOINTS,
        ),
        "{vllm_key}",
    ),
    concerns=(Component.VLLM, Component.RAY_HEAD, Component.RAY_WORKER, Component.NATS),
    cuts=(Link.VLLM,),
    impact="Agents end without a usable proposal: deliberations fail or are decided by fewer agents.",
    follows=("INF-02", "INF-03", "NET-03", "DEP-03", "DEP-04", "DEP-05", "JOB-02", "JOB-03"),
    supports=("works",),
)
async def test_job_generates(agent_runs: AgentRuns, profile: Profile) -> None:
    """Each job comes back with a non-empty proposal, of counted tokens, from the model that was asked for."""
    wrong = []
    for run in agent_runs.healthy:
        proposal = run.answer.get("proposal")
        if not run.ok:
            wrong.append(run.summary)
        elif not isinstance(proposal, dict):
            wrong.append(f"{run.name}: returned {str(run.result)[:200]!r}, in which there is no proposal")
        elif not (isinstance(proposal.get("content"), str) and proposal["content"].strip()):
            wrong.append(f"{run.name}: content is {proposal.get('content')!r}")
        elif not (isinstance(proposal.get("tokens"), int) and proposal["tokens"] > 0):
            wrong.append(f"{run.name}: tokens is {proposal.get('tokens')!r}")
        elif proposal.get("model") != profile.vllm.model:
            wrong.append(f"{run.name}: model is {proposal.get('model')!r}, asked for {profile.vllm.model}")
    assert not wrong, f"no proposal: {'; '.join(wrong)}"


@check(
    "JOB-05",
    MUST,
    "exactly one completed message per job, stored by JetStream",
    remedy="Publish with JetStream and wait for its acknowledgement (js.publish, not nc.publish), once, on {completed}",
    concerns=AGENTS,
    cuts=(Link.PUBLISH, Link.COLLECT),
    impact="Results are lost, or counted more than once: deliberations time out or are decided on wrong numbers.",
    follows=("INF-10", "DEP-04", "DEP-05", "JOB-02", "JOB-03", "JOB-04"),
    supports=("works",),
)
async def test_one_message(agent_runs: AgentRuns, profile: Profile) -> None:
    """The stream holds one agent.response.completed of each job, under a sequence number, and no failure of it."""
    wrong = []
    for run in agent_runs.healthy:
        completed, failed = run.on(profile.nats.completed), run.on(profile.nats.failed)
        if len(completed) != 1 or failed or completed[0].sequence < 1:
            sequences = [message.sequence for message in completed]
            wrong.append(f"{len(completed)} completed (sequences {sequences}), {len(failed)} failed of {run.summary}")
    assert not wrong, f"one stored message per job is expected: {'; '.join(wrong)}"


@check(
    "JOB-06",
    MUST,
    "the completed message fulfils the contract",
    remedy="Compare with fixtures/checks/contract.py: every field, its type, and the ids that the job was given",
    concerns=AGENTS,
    cuts=(Link.COLLECT,),
    impact="The orchestrator cannot read the agents' results, or assigns them to the wrong task or agent.",
    follows=("JOB-04", "JOB-05"),
)
async def test_message_contract(agent_runs: AgentRuns, profile: Profile) -> None:
    """Every field of the contract is there with its type, and task, agent, role and author are those of the job."""
    wrong, checked = [], 0
    for run in agent_runs.healthy:
        for message in run.on(profile.nats.completed):
            checked += 1
            found, document = contract.problems(contract.AgentCompleted, message.document), message.document or {}
            if not found:
                expected = {"agent_id": run.agent_id, "role": profile.agent.roles[0], "diversity": False}
                found = [f"{k} is {document[k]!r}, not {v!r}" for k, v in expected.items() if document[k] != v]
                if document["proposal"]["author_id"] != run.agent_id:
                    found.append(f"proposal.author_id is {document['proposal']['author_id']!r}, not {run.agent_id!r}")
            wrong += [f"{run.name}: {problem}" for problem in found]
    assert checked, f"no completed message to look at: {described(agent_runs.healthy)}"
    assert not wrong, f"the message breaks the contract: {'; '.join(wrong)}"


@check(
    "JOB-07",
    MUST,
    "the job's return value equals what it published",
    remedy="Return the very document that was published from run()",
    concerns=AGENTS,
    cuts=(Link.PUBLISH,),
    impact="Two readers of the same job see different results: what is stored is not what the caller was given.",
    follows=("JOB-04", "JOB-05"),
)
async def test_returns_what_it_published(agent_runs: AgentRuns, profile: Profile) -> None:
    """Who waits for the Ray call and who listens on NATS learn the same."""
    wrong, compared = [], 0
    for run in agent_runs.healthy:
        for message in run.on(profile.nats.completed):
            compared += 1
            document = message.document or {}
            keys = sorted(set(document) | set(run.answer))
            wrong += [
                f"{run.name}: {key}: returned {run.answer.get(key)!r}, published {document.get(key)!r}"
                for key in keys
                if run.answer.get(key) != document.get(key)
            ]
    assert compared, f"nothing was published that could be compared: {described(agent_runs.healthy)}"
    assert not wrong, "; ".join(wrong)[:1500]


def assert_reported(run: AgentRun, profile: Profile, within: float) -> dict[str, Any]:
    """A failed job has published exactly one conformant failure, in time, and raised. Returns the message."""
    assert not run.ok, f"{run.name}: the job returned {run.result!r} instead of raising"
    assert not run.silent, f"{run.name}: the job neither returned nor raised"
    failed, completed = run.on(profile.nats.failed), run.on(profile.nats.completed)
    assert not completed, f"{run.name}: a failed job published a completed message"
    assert len(failed) == 1, f"{run.name}: {len(failed)} messages on {profile.nats.failed}, not one ({run.summary})"
    broken = contract.problems(contract.AgentFailed, failed[0].document)
    assert not broken, f"{run.name}: the failed message breaks the contract: {'; '.join(broken)}"
    document = failed[0].document or {}
    seconds = document["duration_ms"] / 1000
    assert seconds <= within, f"{run.name}: reported after {seconds:.1f} s; at most {within:g} s are allowed"
    return document


FAILURES_FOLLOW = ("INF-10", "NET-04", "DEP-03", "DEP-04", "DEP-05", "JOB-03")


@check(
    "JOB-08",
    MUST,
    "vLLM unreachable: the job reports it and raises",
    remedy="Catch the error in run(), publish it on {failed} with error and error_type, and raise it again",
    concerns=AGENTS,
    cuts=(Link.COLLECT,),
    impact="When vLLM is down no error is reported: deliberations wait until they time out.",
    follows=FAILURES_FOLLOW,
)
async def test_vllm_unreachable(agent_runs: AgentRuns, profile: Profile, evidence: Evidence) -> None:
    """A job whose vLLM refuses connections publishes agent.response.failed within its timeout, and raises."""
    run = agent_runs.runs["vllm unreachable"]
    show(evidence, [run])
    assert_reported(run, profile, TIMEOUTS.agent_fault)


@check(
    "JOB-09",
    MUST,
    "model unknown to vLLM: the job reports it and names the model",
    remedy="Put vLLM's own message (error.message of its 404) into the error that is published",
    concerns=AGENTS,
    cuts=(Link.COLLECT,),
    impact="When an agent asks for a model that is not served, its error does not say so: the cause has to be guessed.",
    follows=(*FAILURES_FOLLOW, "JOB-04"),
)
async def test_unknown_model(agent_runs: AgentRuns, profile: Profile, evidence: Evidence) -> None:
    """The failure that a job publishes for a model that vLLM does not serve names that model."""
    run = agent_runs.runs["unknown model"]
    show(evidence, [run])
    document = assert_reported(run, profile, TIMEOUTS.agent_fault)
    asked = f"{profile.vllm.model}-does-not-exist"
    assert asked in document["error"], f"the error does not name the model {asked}: {document['error'][:300]!r}"


@check(
    "JOB-10",
    MUST,
    "vLLM hangs: the job reports it within its timeout and 5 s",
    remedy="Bound the whole of run() by the job's timeout (asyncio.wait_for), not only single reads",
    concerns=AGENTS,
    cuts=(Link.COLLECT,),
    impact="An agent whose vLLM hangs blocks its CPU and its deliberation far beyond its timeout.",
    follows=FAILURES_FOLLOW,
    run_last=True,
)
async def test_vllm_hangs(hanging_runs: AgentRuns, profile: Profile, evidence: Evidence) -> None:
    """A vLLM that accepts the request and never answers does not hold the job beyond its timeout and five seconds."""
    run = hanging_runs.runs["vllm hangs"]
    show(evidence, [run])
    assert_reported(run, profile, TIMEOUTS.agent_fault + TIMEOUTS.agent_fault_grace)


@check(
    "JOB-11",
    MUST,
    "agents end: CPUs, actors and NATS connections are back",
    remedy=steps(
        "Close the NATS connection in run() whatever happens, and end actors when their answer is collected.",
        do("See which are alive:", KUBERNETES, ENDPOINTS),
        ray_cli("list actors --filter state=ALIVE"),
    ),
    concerns=AGENTS,
    cuts=(Link.JOB,),
    impact="Each agent leaves a CPU, an actor or a connection: after some hours no agent can be started.",
    follows=("JOB-02",),
    run_last=True,
)
async def test_agents_end(agent_runs: AgentRuns, hanging_runs: AgentRuns, ray: Ray, jobs: AgentJobs) -> None:
    """After the jobs nothing of them is left: a fleet that leaks a CPU or a connection
    per agent stops one day.
    """
    before, after = agent_runs.cpus_before, agent_runs.cpus_after
    if before is None or after is None:
        raise Inconclusive("the free CPUs were not counted")
    every = [*agent_runs.runs.values(), *hanging_runs.runs.values()]
    wrong = []
    if stay := await actors_that_stay(ray, jobs.run_id, f"{jobs.run_id}-jobs", f"{jobs.run_id}-hanging"):
        wrong.append(f"actors live on after the agents' end ({len(stay)}): {'; '.join(stay)}")
    if late := [*agent_runs.actors_left, *hanging_runs.actors_left]:
        wrong.append(f"agents lived on although nobody held them: {', '.join(late)}")
    if leaks := {run.name: run.open_connections for run in every if run.open_connections}:
        wrong.append(f"connections to NATS are still open after run(): {leaks}")
    if after < before:
        wrong.append(f"{before:g} CPUs were free before the jobs, {after:g} are after them")
    assert not wrong, "\n".join(wrong)


async def kill_agent(cluster: Cluster, ray: Ray, actor: Actor) -> None:
    """Kill the process of an agent, in the replica where it runs. Raises Inconclusive when it cannot be found."""
    node = next(node for node in await ray.nodes() if node.id == actor.node_id)
    workers = (await cluster.workload(Component.RAY_WORKER)).replicas
    worker = next((one for one in workers if one.is_node(node.name, node.address)), None)
    if worker is None:
        raise Inconclusive(f"the agent runs on node {node.name}, which is no replica of this cluster")
    killed = await cluster.exec(worker, ["sh", "-c", f"kill -9 {actor.pid}"], timeout=TIMEOUTS.exec)
    if killed.returncode:
        raise Inconclusive(f"the agent's process {actor.pid} cannot be killed: {killed.stderr}")


@check(
    "JOB-12",
    SHOULD,
    "a worker process that crashes during the job is survived or reported",
    remedy="Declare the actor with max_restarts and max_task_retries, or report RayActorError to the orchestrator",
    concerns=AGENTS,
    cuts=(Link.JOB,),
    impact="When a worker process crashes, its agent's answer is missing and the deliberation waits until it times "
    "out.",
    needs=(Feature.REPLICAS, Feature.DISRUPTION, Feature.FAULT_PROXY),
    disrupts=Disruption.REPLICA,
    follows=("JOB-04", "JOB-05"),
)
async def test_worker_crash(
    cluster: Cluster,
    jobs: AgentJobs,
    ray: Ray,
    nats: Nats,
    fault_proxy: FaultProxy,
    profile: Profile,
    evidence: Evidence,
) -> None:
    """The process of an agent is killed while it waits for vLLM: the job runs again or its submitter gets an error."""
    batch, scenario = "crash", Scenario("crashing", vllm_url=cluster.inside.fault_proxy)
    task_id = jobs.task_id(batch, scenario)
    before = await nats.last_sequence(profile.nats.stream)
    entrypoint, environment = jobs.entrypoint(batch, [scenario]), await delivered(ray, profile.agent)
    async with fault_proxy.fault(action="hold", contains=task_id) as held:
        job = asyncio.ensure_future(run_job(ray, entrypoint, f"{jobs.run_id}-{batch}", environment, TIMEOUTS.job))
        try:
            await wait_until(lambda: fault_proxy.hits(held), "the agent's request to vLLM", TIMEOUTS.job)
            await kill_agent(cluster, ray, (await ray.actors(task_id))[0])
        except BaseException:
            job.cancel()
            raise
    output = await job
    runs = await jobs.collect(batch, [scenario], document_in(output, "the crashing agent job"), before)
    run = runs.runs[scenario.name]
    show(evidence, [run])
    assert not run.silent, "the worker crashed silently: neither a result nor an error reached the submitter"
    assert not run.ok or len(run.on(profile.nats.completed)) == 1, (
        f"the job was restarted and published {len(run.on(profile.nats.completed))} completed messages, not one"
    )


@check(
    "JOB-13",
    MUST,
    "a job that cannot import nats is reported with the module's name",
    remedy="Import nats where its failure is still reported: inside run(), so that the Ray call raises "
    "ModuleNotFoundError; the submitter must watch its object refs, since no message can come",
    concerns=AGENTS,
    cuts=(Link.COLLECT,),
    impact="A job that cannot import `nats` dies in silence: deliberations wait until they time out, "
    "and nobody knows why.",
    follows=("JOB-02",),
)
async def test_missing_nats_is_reported(run_without_nats: AgentRun, evidence: Evidence) -> None:
    """The missing-nats-py incident: without nats-py the job can report nothing over NATS,
    so the Ray call itself must say it.
    """
    show(evidence, [run_without_nats])
    assert not run_without_nats.ok, f"the job returned without nats: {run_without_nats.result!r}"
    said = f"{run_without_nats.missing_module} {run_without_nats.cause} {run_without_nats.error}"
    assert run_without_nats.missing_module.split(".")[0] == "nats" or "No module named 'nats'" in said, (
        f"the submitter does not get the error that the module nats is missing, but: {run_without_nats.summary}"
    )
