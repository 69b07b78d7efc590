"""JOB: an agent job does what it promises on every worker."""

from collections.abc import Sequence
from typing import Any

from fixtures.checks.contract import AgentMessage, MessageContract
from fixtures.checks.declaration import MUST, Link, check
from fixtures.checks.remedy import ENDPOINTS, KUBERNETES, about, do, kubectl, shell, steps
from fixtures.checks.requirement import require_none
from fixtures.clusters.base import Component
from fixtures.core.errors import Inconclusive
from fixtures.diagnostics.evidence import Evidence
from fixtures.exercises.agent_run import AgentRun, AgentRuns
from fixtures.probes.census import Census
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.profile.remedy_values import About
from fixtures.services.vllm import ModelNames
from tests.e2e.messages import in_another_unit
from tests.e2e.repairs import EVIDENCE, image, in_worker, ray_cli
from tests.e2e.runs import AGENTS, DEPENDENCIES, described, keep_agent_jobs


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
    without = [
        (worker.name, worker.modules[module]["error"])
        for worker in census.workers
        for module in ("nats", "nats.js")
        if not worker.modules[module]["ok"]
    ]
    wrong = [f"{name}: {error}" for name, error in without]
    wrong += [run.summary for run in agent_runs.healthy if run.missing_module.split(".")[0] == "nats"]
    finding = f"nats cannot be imported in a Ray job: {'; '.join(wrong)}"
    if len(wrong) == len(without):
        census.raise_if_elsewhere([name for name, _error in without], finding)
    require_none(wrong, "nats cannot be imported in a Ray job")


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
    follows=("INF-06", "INF-07", "INF-10", "DEP-07", "DEP-08", "DEP-12", DEPENDENCIES),
    supports=("works",),
)
async def test_actor_starts(agent_runs: AgentRuns, evidence: Evidence) -> None:
    """The actor's constructor runs on every worker: a process starts there, the class is there, and a CPU is free.

    A worker that offers less than an agent needs is left out, and named in the notes; one that others hold all the
    time, or that leaves the cluster meanwhile, is not decided on.
    """
    keep_agent_jobs(evidence, agent_runs.healthy)
    dead = [run for run in agent_runs.healthy if not (run.actor and run.actor.started)]
    workers = ", ".join(run.name.removeprefix("worker ") for run in dead)
    reasons = [f"{run.summary} ({run.actor.state if run.actor else 'no actor'})" for run in dead]
    require_none(reasons, f"no agent actor started on {workers}")
    if agent_runs.untried:
        raise Inconclusive(f"not every worker could be tried: {'; '.join(agent_runs.untried)}")


def places(runs: Sequence[AgentRun], every: Sequence[AgentRun]) -> str:
    """Where these of all the healthy runs were, in words."""
    if len(runs) == len(every):
        return f"on every worker ({len(runs)})"
    return "on " + ", ".join(run.name.removeprefix("worker ") for run in runs)


@check(
    "JOB-14",
    MUST,
    "run() of a healthy agent job raises nothing that it does not report",
    remedy=steps(
        "Mend what the error names in the agent's run(). An actor with one coroutine method runs in an event loop: "
        "there a plain run() that calls asyncio.run() or run_until_complete() always raises. Make run() a coroutine, "
        "or move the coroutines out of the class.",
        "An error that names NATS comes of the agent's own address: compare its nats_url.",
        do("See what else Ray has of it:", KUBERNETES, ENDPOINTS),
        ray_cli("list actors --detail --filter state=DEAD"),
        EVIDENCE,
    ),
    concerns=AGENTS,
    cuts=(Link.VLLM, Link.PUBLISH, Link.COLLECT),
    impact="Every agent job dies in its own code before it asks vLLM or says anything on NATS: no result and no "
    "failure event ever comes.",
    follows=(
        "INF-09",
        "INF-10",
        "NET-04",
        "DEP-03",
        "DEP-04",
        "DEP-05",
        "DEP-07",
        "DEP-08",
        "DEP-12",
        DEPENDENCIES,
        "JOB-01",
        "JOB-02",
    ),
)
async def test_run_raises_nothing(agent_runs: AgentRuns, profile: Profile, evidence: Evidence) -> None:
    """An agent that was given all that it needs, and started, does not die in its own code.

    What its run() raised is the first thing that is said, and whether it was the same on every worker: then it is the
    code, not a worker. A failure that the agent reported on NATS is judged by what it could not do, as to get a
    proposal from vLLM.
    """
    keep_agent_jobs(evidence, agent_runs.healthy)
    raised: dict[str, list[AgentRun]] = {}
    for run in agent_runs.healthy:
        if run.ended_unreported:
            raised.setdefault(run.reason, []).append(run)
    wrong = [f"{reason} {places(runs, agent_runs.healthy)}" for reason, runs in raised.items()]
    method = f"{profile.contract.agent.method}()"
    require_none(wrong, f"{method} raised", text=f"{method} raised {'; '.join(wrong)}, and nothing of it is on NATS")


@check(
    "JOB-03",
    MUST,
    "the agent job connects to NATS from every worker",
    remedy=steps(
        about(
            About.NATS,
            do("Compare nats_url with the service:", KUBERNETES),
            kubectl("-n {nats_namespace} get service {nats_service}"),
            do("Compare nats_url with nats.url of the profile, or its nats.url_inside.", ENDPOINTS),
        ),
        "A job that returned all the same published elsewhere, or not to JetStream: js.publish on {completed} waits "
        "for the stream.",
        image("The image may lack nats-py."),
    ),
    concerns=AGENTS,
    cuts=(Link.PUBLISH, Link.COLLECT),
    impact="Agents on these workers work in vain: neither their results nor their failures reach NATS.",
    follows=("INF-09", "INF-10", "NET-04", "DEP-04", "DEP-05", DEPENDENCIES, "JOB-02", "JOB-14"),
)
async def test_job_connects_to_nats(agent_runs: AgentRuns, profile: Profile) -> None:
    """From every worker at least one message of its agent job arrived on NATS, of success or of failure."""
    mute = [run for run in agent_runs.healthy if not run.messages]
    nothing = f"nothing of the agent job is on the stream {profile.nats.stream}"
    text = f"{nothing} from {len(mute)} workers: {described(mute)}"
    require_none([run.summary for run in mute], nothing, text=text)


def answer_of(run: AgentRun, profile: Profile) -> Any:
    """The document with the proposal: what the agent returned, or, where that is anything, what it published; None
    where neither has a place for one."""
    kind = MessageContract(profile.contract.messages).completed
    if profile.contract.agent.returns == "other":
        forms: list[Any] = [message.document for message in run.completed[:1]]
    else:
        forms = [run.result, kind.wrapped(run.result)]
    return next((form for form in forms if kind.holder_of("content", form) is not None), None)


def proposal_text(run: AgentRun, profile: Profile) -> str:
    """The text of its proposal; "" where there is none."""
    kind, document = MessageContract(profile.contract.messages).completed, answer_of(run, profile)
    return "" if document is None else str(kind.paths["content"].read(document) or "")


def proposal_problem(run: AgentRun, profile: Profile) -> tuple[str, Any]:
    """In what way an agent came back without a usable proposal, in words, "" where it did not; and the model that the
    proposal names, the profile's where the contract has no place for it."""
    kind, document = MessageContract(profile.contract.messages).completed, answer_of(run, profile)
    if not run.ok:
        return run.summary, None
    if document is None:
        published = profile.contract.agent.returns == "other"
        what = "published nothing" if published else f"returned {str(run.result)[:200]!r}"
        return f"{run.name}: {what}, in which there is no proposal", None
    read = {role: path.read(document) for role, path in kind.paths.items()}
    if not (isinstance(read["content"], str) and read["content"].strip()):
        return f"{run.name}: content is {read['content']!r}", None
    if "tokens" in read and not (type(read["tokens"]) is int and read["tokens"] > 0):
        return f"{run.name}: tokens is {read['tokens']!r}", None
    named = next((role for role in ("author_model", "model") if role in read), "")
    return "", read[named] if named else profile.vllm.model


@check(
    "JOB-04",
    MUST,
    "vLLM generates a proposal for the agent job",
    remedy=steps(
        "A model with a reasoning parser leaves content null while max_tokens is small: give it room, "
        "or turn thinking off.",
        about(About.RAY, do("Ask vLLM as the agent does, from a worker:", KUBERNETES)),
        in_worker(
            "import json, urllib.request as u; "
            "body = json.dumps({'model': '{model}', 'messages': [{'role': 'user', 'content': 'hello'}], 'max_tokens': "
            "{max_tokens}}); kind = {'Content-Type': 'application/json'}; "
            "print(u.urlopen(u.Request('{vllm_url}/v1/chat/completions', body.encode(), kind)).read())"
        ),
        about(
            About.RAY,
            do("Ask vLLM as the agent does:", ENDPOINTS),
            shell(
                "curl -sS {vllm_reached}/v1/chat/completions -H 'Content-Type: application/json' -d '"
                '{"model": "{model}", "messages": [{"role": "user", "content": "hello"}], '
                '"max_tokens": {max_tokens}}\'',
                ENDPOINTS,
            ),
        ),
        "{vllm_key}",
    ),
    concerns=(Component.VLLM, Component.RAY_HEAD, Component.RAY_WORKER, Component.NATS),
    cuts=(Link.VLLM,),
    impact="Agents end without a usable proposal: deliberations fail or are decided by fewer agents.",
    follows=(
        *("INF-02", "INF-03", "INF-09", "INF-10", "NET-03"),  # what an agent cannot store it does not return either
        *("DEP-03", "DEP-04", "DEP-05", "DEP-08", DEPENDENCIES, "JOB-02", "JOB-03"),
    ),
    supports=("works",),
)
async def test_job_generates(agent_runs: AgentRuns, profile: Profile, model_names: ModelNames) -> None:
    """Each job comes back with a non-empty proposal, of counted tokens, from the model that was asked for.

    A model that is served under several names may answer under any of them; a gateway may not list all. Where one
    server is asked, and counts what it answers (vllm:request_success_total), it has answered as often as there are
    different proposals: else some are not its own. A cache before it gives the same one again.
    """
    wrong, renamed = [], set()
    unread = [run for run in agent_runs.healthy if run.result_left_out and profile.contract.agent.returns != "other"]
    for run in [run for run in agent_runs.healthy if run not in unread]:
        problem, model = proposal_problem(run, profile)
        if problem:
            wrong.append(problem)
        elif model in model_names:
            continue
        elif model and not model_names.complete:
            renamed.add(str(model))
        else:
            wrong.append(f"{run.name}: model is {model!r}, asked for {profile.vllm.model}")
    require_none(wrong, "no proposal")
    texts = {proposal_text(run, profile) for run in agent_runs.healthy} - {""}
    different, counted = len(texts) or 1, agent_runs.requests  # those that are not read are at least one
    assert counted is None or counted >= different, (
        f"{len(agent_runs.healthy)} agent jobs returned {different} different proposals, and vLLM counted {counted} "
        "requests meanwhile: not all that they return is what a model said"
    )
    for run in unread:
        run.require_result()
    if renamed:
        raise Inconclusive(
            f"answers name {', '.join(sorted(renamed))}: what {profile.vllm.model} stands for, the list of models does "
            "not say (a gateway before vLLM)"
        )


@check(
    "JOB-05",
    MUST,
    "exactly one completed message per job, stored by JetStream",
    remedy="Publish with JetStream and wait for its acknowledgement (js.publish, not nc.publish), once, on {completed}",
    concerns=AGENTS,
    cuts=(Link.PUBLISH, Link.COLLECT),
    impact="Results are lost, or counted more than once: deliberations time out or are decided on wrong numbers.",
    follows=("INF-09", "INF-10", "DEP-04", "DEP-05", DEPENDENCIES, "JOB-02", "JOB-03", "JOB-04"),
    supports=("works",),
    never_excused=True,
)
async def test_one_message(agent_runs: AgentRuns) -> None:
    """The stream holds one agent.response.completed of each job, under a sequence number, and no failure of it."""
    wrong = []
    for run in agent_runs.healthy:
        completed, failed = run.completed, run.failed
        if len(completed) != 1 or failed or completed[0].sequence < 1:
            sequences = [message.sequence for message in completed]
            wrong.append(f"{len(completed)} completed (sequences {sequences}), {len(failed)} failed of {run.summary}")
    require_none(wrong, "one stored message per job is expected")


def of_another_job(run: AgentRun, message: AgentMessage, profile: Profile, model_names: ModelNames) -> list[str]:
    """What a conformant completed message names that the job was not given: one line for each role.

    What agents are given by no placeholder is not compared. The model that answered may have any of its names.
    """
    call, kind = profile.contract.agent, MessageContract(profile.contract.messages).completed
    role, model = profile.role, profile.vllm.model
    given = {
        "task_id": ("task_id", run.task_id),
        "agent_id": ("agent_id", run.agent_id),
        "role": ("role", role),
        "model": ("model", model),
        "diversity": ("diversity", False),
        "author_id": ("agent_id", run.agent_id),
        "author_role": ("role", role),
        "author_model": ("model", model),
    }
    answered_by = "author_model" if "author_model" in kind.paths else "model"
    lines = []
    for name, (placeholder, value) in given.items():
        key, seen = call.given_by(placeholder), message.values.get(name)
        is_a_name = name == answered_by and (seen in model_names or not model_names.complete)
        if name in kind.paths and key and seen != value and not is_a_name:
            lines.append(f"{kind.label(name)} is {seen!r}, not {value!r}, which {key} was given")
    return lines


@check(
    "JOB-06",
    MUST,
    "the completed message fulfils the contract",
    remedy="Compare with the contract that the profile names (docs/reference/contract.md; the reference's is "
    "fixtures/profile/shipped/contracts/reference.toml): every field, its type, and the ids that the job was given",
    concerns=AGENTS,
    cuts=(Link.COLLECT,),
    impact="The orchestrator cannot read the agents' results, or assigns them to the wrong task or agent.",
    follows=("JOB-04", "JOB-05"),
)
async def test_message_contract(agent_runs: AgentRuns, profile: Profile, model_names: ModelNames) -> None:
    """Every field of the contract is there with its type, and task, agent, role, author and model are those of the
    job. Times are in the contract's units: no agent works longer than its job.
    """
    contract = MessageContract(profile.contract.messages)
    wrong, checked = [], 0
    for run in agent_runs.healthy:
        for message in run.completed:
            checked += 1
            broken = contract.problems(message)
            took = run.seconds if run.ended else None
            late = in_another_unit(contract.completed, message, took, "the whole job")
            others = [*of_another_job(run, message, profile, model_names), *late]
            wrong += [f"{run.name}: {problem}" for problem in broken or others]
    assert checked, f"no completed message to look at: {described(agent_runs.healthy)}"
    require_none(wrong, "the message breaks the contract")


@check(
    "JOB-07",
    MUST,
    "the job's return value equals what it published",
    remedy="Return the very document that was published from run()",
    concerns=AGENTS,
    cuts=(Link.PUBLISH,),
    impact="Two readers of the same job see different results: what is stored is not what the caller was given.",
    needs=(Part.RETURNED_MESSAGE,),
    follows=("JOB-04", "JOB-05"),
)
async def test_returns_what_it_published(agent_runs: AgentRuns, profile: Profile) -> None:
    """Who waits for the Ray call and who listens on NATS learn the same."""
    contract = MessageContract(profile.contract.messages)
    wrong, compared, unread = [], 0, [run for run in agent_runs.healthy if run.result_left_out]
    for run in agent_runs.healthy:
        for message in run.completed:
            compared += 1
            if run in unread:
                continue
            wrong += [f"{run.name}: {line}" for line in contract.differences(run.result, message)]
    assert compared, f"nothing was published that could be compared: {described(agent_runs.healthy)}"
    require_none(wrong, text="; ".join(wrong)[:1500])
    for run in unread:
        run.require_result()
