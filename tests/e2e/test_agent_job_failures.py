"""JOB: an agent job that fails says so, and one that ends leaves nothing behind."""

import asyncio
import builtins
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fixtures.checks.contract import MessageContract
from fixtures.checks.declaration import MUST, SHOULD, Disruption, Link, check
from fixtures.checks.remedy import ENDPOINTS, KUBERNETES, do, steps
from fixtures.checks.requirement import require_none
from fixtures.clusters.base import Cluster, Component, Feature
from fixtures.core.errors import Inconclusive
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.diagnostics.evidence import Evidence
from fixtures.exercises.agent_jobs import AgentJobs, Scenario
from fixtures.exercises.agent_run import AgentRun, AgentRuns
from fixtures.exercises.residue import actors_that_stay, placement_groups_that_stay
from fixtures.probes.census import run_job
from fixtures.probes.delivery import delivered
from fixtures.probes.packaging import document_in
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.services.nats import Nats
from fixtures.services.ray import Actor, Ray
from fixtures.services.vllm import FaultProxy
from tests.e2e.repairs import ray_cli
from tests.e2e.runs import AGENTS, DEPENDENCIES, keep_agent_jobs


def raise_if_held_up(run: AgentRun) -> None:
    """Raises Inconclusive where the agent never started because others hold what it needs, on every node, or was ready
    only after nobody waited for it any more: what it says then came too late for the suite, not for the agent."""
    if run.held_up:
        raise Inconclusive(f"{run.name}: no node took the agent, so its failure was not seen: {run.held_up}")
    if run.silent and run.ready is None and run.messages:
        raise Inconclusive(
            f"{run.name}: the agent was not ready {run.seconds:.0f} s after its submission, and ran later; "
            "a place, its environment or a free processor came too late for its failure to be seen"
        )


@dataclass(frozen=True)
class Failure:
    """What a failed job says of itself."""

    error: str
    error_type: str  # "" where it says none


def assert_in_time(run: AgentRun, what: str, within: float, own: float | None = None) -> None:
    """The job took no longer, by its `own` message, else from when its actor was ready to the end of the call.

    Raises Inconclusive where that is not known, and it took longer from its submission: it may have waited for a CPU,
    or for its environment.
    """
    seconds = run.seconds_of_call if own is None else own
    if seconds is None and run.seconds > within:
        raise Inconclusive(
            f"{run.name}: {what} {run.seconds:.1f} s after its submission; since when its actor was ready is not known"
        )
    assert seconds is None or seconds <= within, (
        f"{run.name}: {what} after {seconds:.1f} s; at most {within:g} s are allowed"
    )


def reported_failure(run: AgentRun, profile: Profile, evidence: Evidence, grace: float = 0.0) -> Failure:
    """What a failed job says, which published that one message alone, conformant and in time, and raised.

    Where the contract has it so, it returned its failure instead; where failures are not published, the Ray call alone
    says it.

    `grace`: seconds beyond the job's own timeout, which begins with its call.
    """
    keep_agent_jobs(evidence, [run])
    within = TIMEOUTS.agent_fault + grace
    returns = profile.contract.agent.failure == "returned"
    instead = "that it failed" if returns else "instead of raising"
    if returns:
        run.require_result()
    assert not run.ok, f"{run.name}: the job returned {run.result!r} {'and not ' if returns else ''}{instead}"
    raise_if_held_up(run)
    assert not run.silent, f"{run.name}: the job neither returned nor raised"
    assert run.returned_failure or not returns, (
        f"{run.name}: the job raised instead of returning {instead}: {run.reason}"
    )
    assert not run.completed, f"{run.name}: a failed job published a completed message"
    messages = MessageContract(profile.contract.messages)
    if messages.failed is None:
        assert_in_time(run, "ended", within)
        kind, _, text = (run.cause or run.reason).partition(": ")
        return Failure(text, kind)
    subject = messages.failed.section.subject
    assert len(run.failed) == 1, f"{run.name}: {len(run.failed)} messages on {subject}, not one ({run.summary})"
    failed = run.failed[0]
    broken = messages.problems(failed)
    require_none(broken, f"{run.name}: the failed message breaks the contract")
    assert_in_time(run, "reported", within, failed.seconds)
    return Failure(failed.text("error"), failed.text("error_type"))


#: How the libraries of Python call a connection that was not made: ConnectionRefusedError, ClientConnectorError,
#: APIConnectionError, NewConnectionError, "[Errno 111]", "All connection attempts failed", "cannot be reached".
NO_CONNECTION = re.compile(r"connect|refused|unreach|(cannot|can't|could not) (be )?reach|errno 111", re.IGNORECASE)
#: How servers, gateways and clients call a model that is not there: vLLM's "does not exist" with 404 and NotFoundError,
#: "Invalid model name" with 400, "is not a valid model ID", "no model X", "X is not served".
NOT_SERVED = re.compile(
    r"\b(400|404|422)\b|bad request|not[ _]?found|unknown|unsupported|invalid[ _]model|\bno (such )?model|exists not"
    r"|(not|n't|never|cannot) (be )?(exist|found|find|served?|available|known|supported|loaded|there|deployed|hosted"
    r"|registered|configured|recogni[sz]ed|a (valid )?model)",
    re.IGNORECASE,
)
TIMED_OUT = re.compile(r"timed?[ _-]?out|deadline exceeded", re.IGNORECASE)
#: Built-in errors, with those derived from them, of which no request ends that got no connection.
OWN_ERRORS = (ValueError, TypeError, AttributeError, ImportError, NameError, LookupError)


def is_own_error(name: str, *kinds: type[Exception]) -> bool:
    """Whether the name of an error's type is that of one of these built-in kinds."""
    kind = getattr(builtins, name.strip().rpartition(".")[2], None)
    return isinstance(kind, type) and issubclass(kind, kinds)


def assert_not_connected(run: AgentRun, failure: Failure) -> None:
    """What the job reports, or raises, is that it got no connection, or that its time ran out: it may have tried again
    until then. A built-in error that says neither went wrong in the job itself, before any request.

    Raises Inconclusive for any other error: a client can wrap the refusal in words of its own.
    """
    reported = f"{failure.error_type}: {failure.error}"
    if NO_CONNECTION.search(f"{reported} {run.cause}"):
        return
    types = (failure.error_type, run.cause.partition(":")[0])
    timed_out = bool(TIMED_OUT.search(f"{reported} {run.cause}"))
    failed = any(is_own_error(name, *OWN_ERRORS, *(() if timed_out else (RuntimeError,))) for name in types)
    assert not failed, f"{run.name}: the job does not report that vLLM refused the connection, but {reported[:300]}"
    if not timed_out:
        raise Inconclusive(f"{run.name}: whether the job met the refused connection was not seen: {reported[:300]}")


def assert_not_served(run: AgentRun, failure: Failure, model: str) -> None:
    """What the job reports, or raises, of the model that it `asked` for is that nobody serves it, in vLLM's words, a
    gateway's or its own. A built-in error that does not say so went wrong in the job itself.

    Raises Inconclusive for any other error: it may be of whatever else names the model.
    """
    reported = f"{failure.error_type}: {failure.error} {run.cause}".replace(model, "")
    if NOT_SERVED.search(reported):
        return
    types = (failure.error_type, run.cause.partition(":")[0])
    own = any(is_own_error(name, *OWN_ERRORS) for name in types)
    assert not own, f"{run.name}: the job names the model, and not that vLLM does not serve it: {failure.error[:300]!r}"
    raise Inconclusive(f"{run.name}: whether vLLM refused the model was not seen: {failure.error[:300]!r}")


def assert_hung(run: AgentRun) -> None:
    """The job's request reached the server that never answers. Raises Inconclusive where it did not: a firewall or a
    mesh refused it, and how the job ends where vLLM hangs was not seen."""
    if not run.connections_held:
        raise Inconclusive(
            f"{run.name}: {run.connections_held or 0} connections reached the server that never answers, on the node "
            f"of the suite's Ray job: the agent's node cannot reach a free port there ({run.summary})"
        )


FAILURES_FOLLOW = ("INF-09", "INF-10", "NET-04", "DEP-03", "DEP-04", "DEP-05", "DEP-08", DEPENDENCIES, "JOB-03")


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
    """A job whose vLLM refuses connections publishes agent.response.failed within its timeout, and raises.

    What counts is an error that names the connection, or a timeout: a job may try again until its own has passed, and
    reports that at most five seconds later. A built-in error such as a ValueError, without a word of a connection,
    arose before any request: the job has failed of itself. Where a client wraps the cause in words of its own, whether
    it was refused cannot be seen.
    """
    run = agent_runs.runs["vllm unreachable"]
    assert_not_connected(run, reported_failure(run, profile, evidence, grace=TIMEOUTS.agent_fault_grace))


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
    """The failure that a job publishes for a model that vLLM does not serve names that model, and says that it is not
    served.

    An agent knows the name without asking anybody: an error that has it and not a word of vLLM's answer may be of
    another cause, and a built-in one, such as a ValueError, is.
    """
    run = agent_runs.runs["unknown model"]
    failure = reported_failure(run, profile, evidence)
    asked = f"{profile.vllm.model}-does-not-exist"
    assert asked in failure.error, f"the error does not name the model {asked}: {failure.error[:300]!r}"
    assert_not_served(run, failure, asked)


@check(
    "JOB-10",
    MUST,
    "vLLM hangs: the job reports it within its timeout and 5 s",
    remedy="Bound the whole of run() by the job's timeout (asyncio.wait_for), not only single reads",
    concerns=AGENTS,
    cuts=(Link.COLLECT,),
    impact="An agent whose vLLM hangs blocks its CPU and its deliberation far beyond its timeout.",
    follows=(*FAILURES_FOLLOW, "JOB-04"),  # whose agents may hold every CPU for as long
    run_last=True,
)
async def test_vllm_hangs(hanging_runs: AgentRuns, profile: Profile, evidence: Evidence) -> None:
    """A vLLM that accepts the request and never answers does not hold the job beyond its timeout and five seconds."""
    run = hanging_runs.runs["vllm hangs"]
    reported_failure(run, profile, evidence, grace=TIMEOUTS.agent_fault_grace)
    assert_hung(run)


@contextmanager
def kept(undecided: list[Inconclusive]) -> Iterator[None]:
    """What cannot be decided in the body is kept for the end: a failure counts before it."""
    try:
        yield
    except Inconclusive as error:
        undecided.append(error)


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
    follows=("INF-10", "JOB-02", "JOB-04", "JOB-10"),  # whose agent ends late, or at no time, lives on
    run_last=True,
)
async def test_agents_end(agent_runs: AgentRuns, hanging_runs: AgentRuns, ray: Ray, jobs: AgentJobs) -> None:
    """After the jobs nothing of them is left: a fleet that leaks a CPU or a connection
    per agent stops one day.

    CPUs are held by actors and placement groups; those of others, who use the fleet meanwhile, do not count.
    """
    every = [*agent_runs.runs.values(), *hanging_runs.runs.values()]
    stay, held = list[str](), list[str]()
    undecided: list[Inconclusive] = []
    job_ids = (agent_runs.job_id, hanging_runs.job_id)
    with kept(undecided):
        stay = await actors_that_stay(ray, jobs.run_id, *job_ids)
    with kept(undecided):
        held = await placement_groups_that_stay(ray, *job_ids)
    late = [*agent_runs.actors_left, *hanging_runs.actors_left]
    ended = [run for run in every if not run.silent]
    leaks = [f"{run.name}: {run.open_connections}" for run in ended if run.open_connections]
    wrong = {
        f"actors live on after the agents' end ({len(stay)})": stay,
        f"placement groups hold resources after the agents' end ({len(held)})": held,
        "agents lived on although nobody held them": late,
        "connections to NATS are still open after run()": leaks,
    }
    require_none(
        [f"{what}: {line}" for what, lines in wrong.items() for line in lines],
        text="\n".join(f"{what}: {'; '.join(lines)}" for what, lines in wrong.items() if lines),
    )
    if undecided:
        raise undecided[0]
    unknown = [f"{run.name}: {run.connections_unknown}" for run in every if run.open_connections is None]
    unknown += [f"{run.name}: run() had not ended" for run in every if run.silent and run.open_connections]
    if unknown:
        raise Inconclusive(f"the agents' open connections to NATS were not counted: {'; '.join(unknown)}")


async def living_agent(ray: Ray, name: str) -> Actor:
    """The actor of an agent that has asked vLLM. Raises Inconclusive where Ray lists none that lives."""
    actors = await ray.actors(name, state="ALIVE")
    if not actors:
        raise Inconclusive(f"Ray lists no living actor {name}, whose request waits for vLLM: no process can be killed")
    return actors[0]


async def kill_agent(cluster: Cluster, ray: Ray, actor: Actor) -> None:
    """Kill the process of an agent, in the replica where it runs. Raises Inconclusive when it cannot be found."""
    node = next((node for node in await ray.nodes() if node.id == actor.node_id), None)
    if node is None:
        raise Inconclusive(f"Ray does not list the node {actor.node_id or '(none)'} of the agent {actor.name}")
    workers = (await cluster.workload(Component.RAY_WORKER)).replicas
    worker = next((one for one in workers if one.is_node(node.name, node.address)), None)
    if worker is None:
        raise Inconclusive(f"the agent runs on node {node.name}, which is no replica of this cluster")
    killed = await cluster.exec(worker, ["sh", "-c", f"kill -9 {actor.pid}"], timeout=TIMEOUTS.exec)
    if killed.returncode:
        raise Inconclusive(f"the agent's process {actor.pid} cannot be killed: {killed.stderr}")


async def asked_or_ended(fault_proxy: FaultProxy, held: str, job: asyncio.Future[str]) -> bool:
    """Whether the agent's request waits in the proxy; False where its Ray job ended before."""
    asked = 0

    async def either() -> bool:
        nonlocal asked
        asked = await fault_proxy.hits(held)
        return asked > 0 or job.done()

    await wait_until(either, "the agent's request to vLLM", TIMEOUTS.job)
    return asked > 0


@check(
    "JOB-12",
    SHOULD,
    "a worker process that crashes during the job is survived or reported",
    remedy="Declare the actor with max_restarts and max_task_retries, or report RayActorError to the orchestrator",
    concerns=AGENTS,
    cuts=(Link.JOB,),
    impact="When a worker process crashes, its agent's answer is missing and the deliberation waits until it times "
    "out.",
    needs=(Part.AGENT_CLASS, Feature.REPLICAS, Feature.DISRUPTION, Feature.FAULT_PROXY),
    disrupts=Disruption.REPLICA,
    follows=("INF-09", "JOB-04", "JOB-05"),
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
    """The process of an agent is killed while it waits for vLLM: the job runs again or its submitter gets an error.

    A job that ends before it asks vLLM is not waited for: there is no process left that could be killed.
    """
    batch = "crash"
    (scenario,) = await jobs.pinned([Scenario("crashing", vllm_url=cluster.inside.fault_proxy)])
    task_id = jobs.task_id(batch, scenario)
    before = await nats.last_sequence(profile.nats.stream)
    entrypoint, environment = jobs.entrypoint(batch, [scenario]), await delivered(ray, profile.agent)
    async with fault_proxy.fault(action="hold", contains=task_id) as held:
        job = asyncio.ensure_future(run_job(ray, entrypoint, f"{jobs.run_id}-{batch}", environment, TIMEOUTS.job))
        try:
            asked = await asked_or_ended(fault_proxy, held, job)
            if asked:
                await kill_agent(cluster, ray, await living_agent(ray, task_id))
        except BaseException:
            job.cancel()
            raise
    output = await job
    runs = await jobs.collect(batch, [scenario], document_in(output, "the crashing agent job"), before)
    run = runs.runs[scenario.name]
    keep_agent_jobs(evidence, [run])
    if not asked:
        raise Inconclusive(f"the agent ended before it asked vLLM, so that no process could be killed: {run.summary}")
    assert not run.silent, "the worker crashed silently: neither a result nor an error reached the submitter"
    assert not run.ok or len(run.completed) == 1, (
        f"the job was restarted and published {len(run.completed)} completed messages, not one"
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
    package="nats",
    follows=("JOB-02", "JOB-14"),
)
async def test_missing_nats_is_reported(run_without_nats: AgentRun, evidence: Evidence) -> None:
    """The missing-nats-py incident: without nats-py the job can report nothing over NATS,
    so the Ray call itself must say it.
    """
    keep_agent_jobs(evidence, [run_without_nats])
    assert not run_without_nats.ok, f"the job returned without nats: {run_without_nats.result!r}"
    raise_if_held_up(run_without_nats)
    said = f"{run_without_nats.missing_module} {run_without_nats.cause} {run_without_nats.error}"
    assert run_without_nats.missing_module.split(".")[0] == "nats" or "No module named 'nats'" in said, (
        f"the submitter does not get the error that the module nats is missing, but: {run_without_nats.summary}"
    )
