"""ORC: the orchestrator starts agents, and receives, reports and acknowledges what they publish."""

from collections.abc import Iterable, Mapping

import pytest

from fixtures.checks.contract import MessageContract
from fixtures.checks.declaration import MUST, Gate, Link, check
from fixtures.checks.remedy import KUBERNETES, about, do, steps
from fixtures.checks.requirement import by_place, require_none
from fixtures.core.errors import Inconclusive
from fixtures.core.timeouts import TIMEOUTS
from fixtures.core.versions import names_another_release
from fixtures.diagnostics.evidence import Evidence
from fixtures.exercises.acknowledgement import Awaited, RunStart, repeated, wait_until_acknowledged
from fixtures.exercises.agent_actors import AgentGroup, groups_of, label
from fixtures.exercises.agent_run import AgentRuns
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.profile.collection import by_consumer
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.profile.remedy_values import About
from fixtures.services.nats import Nats
from fixtures.services.orchestrator import Outcome, Started
from fixtures.services.ray import Node, Ray
from fixtures.services.stream_messages import mentions
from fixtures.services.vllm import ModelNames
from tests.e2e.messages import in_another_unit, of_another_agent
from tests.e2e.repairs import LOGS, nats_cli, nats_reached, set_variable
from tests.e2e.runs import CHAIN, FLEET, described, keep_deliberations


@check(
    "ORC-03",
    MUST,
    "Deliberate returns within 1 s, with a task id",
    remedy="Deliberate must only accept the task; submit to Ray in the background and return metadata.execution_id",
    concerns=FLEET,
    cuts=(Link.ORCHESTRATOR,),
    impact="Callers of Deliberate are refused, or wait until the agents are done, and run into their own timeouts.",
    needs=(Part.DELIBERATIONS, Part.CALLS, Part.BACKGROUND),
    follows=("INF-09", "INF-10", "INF-11", "ORC-01", "ORC-02"),
    gate=Gate.ALWAYS,
)
async def test_deliberate_returns_at_once(round_trips: list[DeliberationRun], profile: Profile) -> None:
    """The caller is not held until the agents are done: calls made at once each come back within a second.

    `limits.deliberate_s` allows longer, where each task is checked before it is accepted.

    Where the profile names a version, each replica reports one of its release; one that names no release, as a commit,
    proves nothing.
    """
    wrong = [f"{trip.description}: {trip.error}" for trip in round_trips if not trip.started]
    seconds = {trip.description: trip.started.seconds for trip in round_trips if trip.started}
    slow = {label: f"{took:.2f} s" for label, took in seconds.items() if took > TIMEOUTS.deliberate}
    version = profile.front.version
    reported = versions_of(round_trips)
    accepting = {trip.replica for trip in round_trips if trip.started}
    silent = [name for name, answers in reported.items() if name in accepting and not answers]
    others = [
        f"{name} says {answer}"
        for name, answers in reported.items()
        for answer in sorted(answers)
        if version and names_another_release(answer, version)
    ]
    require_none(wrong, "Deliberate is refused")
    limit = f"Deliberate must return within {TIMEOUTS.deliberate:g} s"
    require_none(by_place(slow), limit, text=f"{limit}: {slow}")
    require_none(others, f"the {profile.front_name}'s version must be {version}")
    if version and (grpc := profile.contract.grpc) and grpc.reports("version"):
        path = grpc.paths["version"].text
        empty = f"no version is reported ({path} is empty) by"
        require_none(silent, empty, text=f"{empty} {', '.join(silent)}")


def versions_of(trips: Iterable[DeliberationRun]) -> dict[str, set[str]]:
    """What each replica reports as its version, in answers of both methods, by its name."""
    reported: dict[str, set[str]] = {}
    for trip in trips:
        answers: dict[str, Started | Outcome | str | None] = {**trip.seen, "": trip.started}
        for name, answer in answers.items():
            if isinstance(answer, Started | Outcome):
                reported.setdefault(name or trip.replica, set()).update({answer.version} - {""})
    return reported


@check(
    "ORC-04",
    MUST,
    "the orchestrator receives the results",
    remedy=steps(
        nats_reached(),
        nats_cli(
            "Follow one task: what was published, and what was collected:",
            "stream view {stream}",
            "consumer info {stream} {completed_consumer}",
            "consumer info {stream} {deliberations_consumer}",
        ),
        about(About.ORCHESTRATOR, do("And what the replicas say:", KUBERNETES)),
        LOGS,
    ),
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Deliberations never complete: results do not come back to the caller.",
    needs=(Part.DELIBERATIONS,),
    follows=(*CHAIN, "ORC-02", "ORC-03"),
    never_excused=True,
    gate=Gate.ALWAYS,
)
async def test_results_arrive(round_trips: list[DeliberationRun], profile: Profile, evidence: Evidence) -> None:
    """COMPLETED, with one non-empty proposal of each of N distinct authors, and the winner among them."""
    keep_deliberations(evidence, round_trips)
    wrong = []
    for trip in round_trips:
        if not (trip.completed and trip.outcome):
            wrong.append(trip.summary)
            continue
        authors = {proposal.author for proposal in trip.proposals}
        empty = [proposal.author for proposal in trip.proposals if not proposal.content.strip()]
        if len(trip.proposals) != trip.agents or len(authors) != trip.agents:
            wrong.append(f"{trip.summary}; authors {sorted(authors)}")
        elif empty:
            wrong.append(f"{trip.description}: empty proposals of {empty}")
        elif profile.reports("winner") and trip.outcome.winner not in authors:
            wrong.append(
                f"{trip.description}: the winner {trip.outcome.winner!r} is none of the authors {sorted(authors)}"
            )
    require_none(wrong, "results do not reach the orchestrator")


@check(
    "ORC-05",
    MUST,
    "what the orchestrator reports is what was published",
    remedy=steps("Key collected answers by task_id and agent_id, never by order of arrival.", LOGS),
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Callers get answers that no agent of their task gave.",
    needs=(Part.DELIBERATIONS, Part.REPORTS),
    follows=("INF-09", "INF-10", "CFG-05", "ORC-04"),
)
async def test_reports_what_was_published(round_trips: list[DeliberationRun]) -> None:
    """Proposal by proposal, the orchestrator's answer equals the message on NATS of the same task and agent."""
    wrong, compared = [], 0
    for trip in round_trips:
        published = {m.agent_id: m.text("content") for m in trip.messages if m.kind == "completed"}
        for proposal in trip.proposals if trip.outcome else ():
            compared += 1
            if published.get(proposal.author) != proposal.content:
                wrong.append(
                    f"{trip.description}, {proposal.author}: reports {proposal.content[:80]!r}, "
                    f"published {str(published.get(proposal.author))[:80]!r}"
                )
    assert compared, f"no proposal was reported that could be compared: {described(round_trips)}"
    require_none(wrong)


@check(
    "ORC-06",
    MUST,
    "the result is readable from every replica",
    remedy="Keep results where every replica reads them (a JetStream key-value bucket), not in one process's memory",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Half of the answers cannot be found: it depends on which replica is asked.",
    needs=(Part.RESULTS_SHARED, Part.DELIBERATIONS, Part.BACKGROUND, Part.REPORTS, Part.SEVERAL_REPLICAS),
    follows=("INF-09", "CFG-05", "ORC-04"),
)
@pytest.mark.usefixtures("several_addresses")
async def test_readable_everywhere(round_trips: list[DeliberationRun]) -> None:
    """The service balances calls over replicas: each must give the same answer, whichever collected the messages, with
    the same winner.

    Proposals may come in any order, and a replica may be late by what its copy of the results needs.
    """
    wrong = []
    for trip in round_trips:
        if trip.outcome is None:
            wrong.append(trip.summary)
        for replica, seen in trip.seen.items():
            if isinstance(seen, str):
                wrong.append(f"{trip.description}: {replica}: {seen}")
            elif trip.outcome and (difference := seen.difference_from(trip.outcome)):
                wrong.append(f"{trip.description}: {replica} says {difference}")
    require_none(wrong, "replicas disagree")


@check(
    "ORC-10",
    MUST,
    "nothing is pending, unacknowledged or redelivered after the run",
    remedy=steps(
        "Acknowledge every message once it is stored, unknown tasks too.",
        nats_reached(),
        nats_cli(
            "See what is pending:",
            "consumer info {stream} {completed_consumer}",
            "consumer info {stream} {deliberations_consumer}",
        ),
    ),
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Results are delivered again and again, or never finished: the backlog grows and new results queue up.",
    needs=(Part.CONSUMERS, Part.DELIBERATIONS),
    follows=("INF-10", "INF-12", "ORC-04"),
)
async def test_all_acknowledged(
    round_trips: list[DeliberationRun],
    agent_runs: AgentRuns,
    nats: Nats,
    profile: Profile,
    run_id: str,
    run_start: RunStart,
) -> None:
    """The consumers have passed this run's last message, with nothing of it left to acknowledge or to deliver again.

    What others publish meanwhile, or was given up before this run, may be open. Where nobody else publishes, and the
    stream still has all since the run began, each message was delivered once.
    """
    tasks = {trip.task_id for trip in round_trips if trip.task_id}
    read = await nats.messages(profile.nats.stream, run_start.sequence, ours=mentions(run_id, *tasks))
    readings = MessageContract(profile.contract.messages).read_all(read)
    own = [m for m in readings if m.task_id in tasks or run_id.encode() in m.data]
    awaited = [
        Awaited(name, frozenset(m.sequence for m in own if m.subject in subjects), run_start.of(name))
        for name, subjects in by_consumer(profile).items()
    ]
    assert own, "no message of this run is on the stream: nothing could have been acknowledged"
    what = "the acknowledgement of this run's messages"
    consumers = await wait_until_acknowledged(nats, profile.nats.stream, awaited, what)
    messages = await nats.messages(profile.nats.stream, run_start.sequence, bodies=False)
    again = []
    dropped = not messages or len(messages) < messages[-1].sequence - run_start.sequence
    for expected in () if dropped else awaited:
        consumer = consumers[expected.consumer]
        sequences = {message.sequence for message in messages if consumer.config.reads(message.subject)}
        again.append(repeated(expected, consumer, sequences))
    require_none(filter(None, again), "messages were delivered again")


@check(
    "ORC-17",
    MUST,
    "every agent ran in the Ray cluster that was checked",
    remedy=set_variable(
        "RAY_ENABLE_AUTO_CONNECT", "A lost Ray Client otherwise starts a local Ray in the orchestrator's process."
    ),
    concerns=FLEET,
    cuts=(Link.JOB,),
    impact="Agents run in another Ray, or inside the orchestrator's own process: not on the workers that were checked.",
    needs=(Part.DELIBERATIONS,),
    follows=("INF-07", "CFG-01", "CFG-04", "ORC-03", "ORC-04"),
    gate=Gate.ALWAYS,
)
async def test_agents_ran_here(round_trips: list[DeliberationRun], ray: Ray, profile: Profile) -> None:
    """For each deliberation Ray's own actor table has its agents, on nodes of this cluster and not on the head.

    The head runs what the whole cluster depends on, and ends with it where agents take its memory. A node that has left
    since then was of this cluster, too. Agents need not be named after it: then they are those that are new.
    """
    nodes = {node.id: node for node in await ray.nodes()}
    wrong, unknown = [], []
    for group in groups_of(round_trips, profile.agent.product_class):
        agents = f"{len(group.actors)} of its {group.expected} agents"
        if len(group.actors) < group.expected and group.cut:
            unknown.append(f"{group.description}: {group.cut}, {agents} among them")
        elif len(group.actors) < group.expected:
            wrong.append(f"{group.description}: Ray knows {agents}")
        misplaced = _misplaced(group, nodes)
        lines = [f"{group.description}: {sorted(actors)} {where}" for where, actors in misplaced.items()]
        certain = sum(len(actors) for actors in misplaced.values()) > group.surplus
        (wrong if certain else unknown).extend(lines)
    require_none(wrong, "not every agent ran on a worker of this cluster")
    if unknown:
        raise Inconclusive(f"where agents ran is not known: {'; '.join(unknown)}")


def _misplaced(group: AgentGroup, nodes: Mapping[str, Node]) -> dict[str, list[str]]:
    """The actors that ran on no worker of this cluster, by where they ran."""
    places: dict[str, list[str]] = {}
    for actor in group.actors:
        node = nodes.get(actor.node_id)
        if not actor.node_id:
            places.setdefault("ran nowhere", []).append(f"{label(actor)} {actor.state}")
        elif node is None:
            places.setdefault("ran on nodes that are not of this cluster", []).append(label(actor))
        elif node.head:
            places.setdefault(f"ran on the head {node.name or node.address}", []).append(label(actor))
    return places


@check(
    "ORC-19",
    MUST,
    "what agents of deliberations publish fulfils the contract",
    remedy=steps(
        "The orchestrator starts agents from its own copy of {agent_job}: where what the suite's jobs publish is "
        "right, install the workers' release of it in the orchestrator's image.",
        nats_reached(),
        nats_cli(
            "See what they publish, and compare it with the contract (docs/reference/contract.md):",
            "stream view {stream}",
        ),
    ),
    concerns=FLEET,
    cuts=(Link.PUBLISH, Link.COLLECT),
    impact="Whoever reads the answers of deliberations gets another document than agreed, or assigns it wrongly.",
    needs=(Part.DELIBERATIONS,),
    follows=(*CHAIN, "JOB-06", "ORC-04", "ORC-17"),
)
async def test_messages_of_deliberations(
    round_trips: list[DeliberationRun], profile: Profile, model_names: ModelNames
) -> None:
    """Every answer of a deliberation's agent has each field of the contract with its type, and names one agent, one
    role and the model that was checked. Times are in the contract's units.

    Whoever starts an agent sends the class with it: the orchestrator's copy may be another than the workers have, which
    alone the suite's own jobs show.
    """
    contract = MessageContract(profile.contract.messages.in_deliberations)
    wrong, checked = [], 0
    for trip in round_trips:
        for message in trip.messages:
            if not message.is_answer:
                continue
            checked += 1
            problems = contract.problems(message)
            if not problems and message.kind == contract.completed.name:
                lines = [
                    *of_another_agent(contract.completed, message, profile.contract.agent, model_names),
                    *in_another_unit(contract.completed, message, trip.until(message), "the deliberation until then"),
                ]
                problems = [f"{message.subject}, sequence {message.sequence}: {line}" for line in lines]
            wrong += [f"{trip.description}: {problem}" for problem in problems]
    assert checked, f"no agent of a deliberation has published an answer: {described(round_trips)}"
    require_none(wrong, "an answer breaks the contract")
