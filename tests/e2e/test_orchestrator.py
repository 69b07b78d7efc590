"""ORC: the orchestrator starts agents, receives what they publish, and loses nothing on the way."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import AsyncExitStack

from fixtures.checks.declaration import MUST, SHOULD, Disruption, Link, check
from fixtures.checks.remedy import ENDPOINTS, KUBERNETES, do, kubectl, shell, steps
from fixtures.clusters.base import Cluster, Component, Feature
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.diagnostics import operator_evidence
from fixtures.diagnostics.evidence import Evidence
from fixtures.exercises.agent_jobs import AgentRuns
from fixtures.exercises.deliberations import DeliberationRun, Deliberations
from fixtures.exercises.outages import all_requests_held, all_results_published, replicas_down
from fixtures.profile.model import Profile
from fixtures.services.nats import Message, Nats
from fixtures.services.orchestrator import Orchestrator, Refused
from fixtures.services.ray import Ray
from fixtures.services.vllm import FaultProxy
from tests.e2e.repairs import LOGS, nats_cli, nats_reached, restart_orchestrator, set_variable

GRPC = "grpcurl {grpc_tls} -import-path images/orchestrator/proto -proto orchestrator/v1/orchestrator.proto "

FLEET = (Component.ORCHESTRATOR, Component.RAY_HEAD, Component.RAY_WORKER, Component.NATS)
ANSWERS = ("JOB-03", "JOB-04", "JOB-05")
CHAIN = ("INF-11", "INF-12", "CFG-01", "CFG-02", "CFG-03", "CFG-04", "CFG-05", "CFG-06", "DEP-04", "DEP-07", *ANSWERS)


def described(trips: list[DeliberationRun]) -> str:
    return "; ".join(trip.summary for trip in trips)


def show(evidence: Evidence, trips: list[DeliberationRun]) -> None:
    """Keep what was started, published and reported of each deliberation."""
    for trip in trips:
        evidence.attach(
            f"{trip.marker}.json",
            {
                "role": trip.role,
                "started": vars(trip.started) if trip.started else None,
                "error": trip.error,
                "seconds": trip.seconds,
                "legs": trip.phases(),
                "seen": {name: seen if isinstance(seen, str) else repr(seen) for name, seen in trip.seen.items()},
                "published": [
                    {"subject": m.subject, "sequence": m.sequence, "message": m.document} for m in trip.messages
                ],
                "actors": [vars(actor) for actor in trip.actors],
            },
        )


@check(
    "ORC-01",
    MUST,
    "GetStatus is healthy on every replica",
    remedy=steps(do("See what the replicas say:", KUBERNETES), LOGS),
    concerns=FLEET,
    cuts=(Link.ORCHESTRATOR,),
    impact="The orchestrator itself reports that it lacks NATS or Ray: deliberations fail or are refused.",
    follows=("INF-11", "CFG-04", "CFG-05"),
)
async def test_status(orchestrator: Orchestrator) -> None:
    """Each replica says of itself that it is healthy, which it may only while it reaches NATS and Ray."""

    async def healthy() -> bool:
        seen.update({replica.name: (await replica.status()).status for replica in orchestrator.replicas})
        return all(status.lower() in ("healthy", "ok", "serving") for status in seen.values())

    seen: dict[str, str] = {}
    await wait_until(healthy, "healthy on every replica", TIMEOUTS.ray_client, detail=lambda: str(seen))


@check(
    "ORC-02",
    MUST,
    "councils for all roles exist, as configured",
    remedy=steps(
        "Create the councils that are missing, one for each role.",
        do("Forward the orchestrator's port in a second terminal:", KUBERNETES),
        kubectl("-n {namespace} port-forward service/{orchestrator_service} {orchestrator_port}:{orchestrator_port}"),
        do("List the councils, then create the one of ROLE:", KUBERNETES, ENDPOINTS),
        shell(GRPC + "{orchestrator} orchestrator.v1.OrchestratorService/ListCouncils", KUBERNETES, ENDPOINTS),
        shell(
            GRPC + """-d '{"role": "'"${ROLE:?}"'", "num_agents": {agents}}' {orchestrator} """
            "orchestrator.v1.OrchestratorService/CreateCouncil",
            KUBERNETES,
            ENDPOINTS,
        ),
    ),
    concerns=FLEET,
    cuts=(Link.ORCHESTRATOR,),
    impact="Deliberations for these roles are refused: there is no council to run them.",
    follows=("INF-11",),
)
async def test_councils(councils: dict[str, str], orchestrator: Orchestrator, profile: Profile) -> None:
    """A council with its agents and the profile's model exists for every role; without one, Deliberate is refused.

    Where disruption is allowed the suite creates what is missing before it looks.
    """
    wrong = []
    for replica in orchestrator.replicas:
        found = await replica.councils()
        for role in profile.agent.roles:
            council = found.get(role)
            if council is None:
                reason = f", and none can be made: {councils[role]}" if role in councils else ""
                wrong.append(f"{replica.name}: {role} has no council{reason}")
            elif council.num_agents < 1 or (council.agents and len(council.agents) != council.num_agents):
                wrong.append(f"{replica.name}: {role} has {len(council.agents)} agents, says {council.num_agents}")
            elif council.model and council.model != profile.vllm.model:
                wrong.append(f"{replica.name}: {role} uses {council.model}, not {profile.vllm.model}")
    assert not wrong, "; ".join(wrong)


@check(
    "ORC-03",
    MUST,
    "Deliberate returns within 1 s, with a task id",
    remedy="Deliberate must only accept the task; submit to Ray in the background and return metadata.execution_id",
    concerns=FLEET,
    cuts=(Link.ORCHESTRATOR,),
    impact="Callers of Deliberate are refused, or wait until the agents are done, and run into their own timeouts.",
    follows=("INF-11", "ORC-02"),
)
async def test_deliberate_returns_at_once(round_trips: list[DeliberationRun], profile: Profile) -> None:
    """The caller is not held until the agents are done: five calls at once each come back within a second."""
    wrong = [f"{trip.description}: {trip.error}" for trip in round_trips if not trip.started]
    slow = {trip.description: f"{trip.started.seconds:.2f} s" for trip in round_trips if trip.started}
    slow = {label: took for label, took in slow.items() if float(took.split()[0]) > TIMEOUTS.deliberate}
    versions = {trip.started.version for trip in round_trips if trip.started} - {profile.orchestrator.version, ""}
    assert not wrong, f"Deliberate is refused: {'; '.join(wrong)}"
    assert not slow, f"Deliberate must return within {TIMEOUTS.deliberate:g} s: {slow}"
    assert not versions, f"the orchestrator says it is version {versions}, the profile {profile.orchestrator.version}"


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
        ),
        do("And what the replicas say:", KUBERNETES),
        LOGS,
    ),
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Deliberations never complete: results do not come back to the caller.",
    follows=(*CHAIN, "ORC-02", "ORC-03"),
)
async def test_results_arrive(round_trips: list[DeliberationRun], evidence: Evidence) -> None:
    """COMPLETED, with one non-empty proposal of each of N distinct authors, and the winner among them."""
    show(evidence, round_trips)
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
        elif trip.outcome.winner not in authors:
            wrong.append(
                f"{trip.description}: the winner {trip.outcome.winner!r} is none of the authors {sorted(authors)}"
            )
    assert not wrong, f"results do not reach the orchestrator: {'; '.join(wrong)}"


@check(
    "ORC-05",
    MUST,
    "what the orchestrator reports is what was published",
    remedy=steps("Key collected answers by task_id and agent_id, never by order of arrival.", LOGS),
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Callers get answers that no agent of their task gave.",
    follows=("CFG-05", "ORC-04"),
)
async def test_reports_what_was_published(round_trips: list[DeliberationRun], profile: Profile) -> None:
    """Proposal by proposal, the orchestrator's answer equals the message on NATS of the same task and agent."""
    wrong, compared = [], 0
    for trip in round_trips:
        published = {
            message.value(str, "agent_id"): message.value(str, "proposal", "content")
            for message in trip.messages
            if message.subject == profile.nats.completed
        }
        for proposal in trip.proposals if trip.outcome else ():
            compared += 1
            if published.get(proposal.author) != proposal.content:
                wrong.append(
                    f"{trip.description}, {proposal.author}: reports {proposal.content[:80]!r}, "
                    f"published {str(published.get(proposal.author))[:80]!r}"
                )
    assert compared, f"no proposal was reported that could be compared: {described(round_trips)}"
    assert not wrong, "; ".join(wrong)


@check(
    "ORC-06",
    MUST,
    "the result is readable from every replica",
    remedy="Keep results where every replica reads them (a JetStream key-value bucket), not in one process's memory",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Half of the answers cannot be found: it depends on which replica is asked.",
    follows=("CFG-05", "ORC-04"),
)
async def test_readable_everywhere(round_trips: list[DeliberationRun]) -> None:
    """The service balances calls over replicas: each must give the same answer, whichever collected the messages."""
    wrong = []
    for trip in round_trips:
        if trip.outcome is None:
            wrong.append(trip.summary)
        for replica, seen in trip.seen.items():
            if isinstance(seen, str):
                wrong.append(f"{trip.description}: {replica}: {seen}")
            elif trip.outcome and (seen.status, seen.proposals) != (trip.outcome.status, trip.proposals):
                wrong.append(f"{trip.description}: {replica} says {seen.status} with {len(seen.proposals)} proposals")
    assert not wrong, f"replicas disagree: {'; '.join(wrong)}"


@check(
    "ORC-07",
    MUST,
    "one of N agents fails: COMPLETED with N-1, the failure shown",
    remedy="Count failures as answers; name them in metadata.tags or error_message of GetDeliberationResult",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="One failed agent holds up its whole deliberation, or nobody learns that it failed.",
    needs=(Feature.FAULT_PROXY,),
    disrupts=Disruption.MESSAGES,
    follows=("ORC-04",),
)
async def test_one_agent_fails(
    deliberations: Deliberations, fault_proxy: FaultProxy, profile: Profile, evidence: Evidence
) -> None:
    """A deliberation does not wait for an agent that has failed, and does not hide that it did."""
    trip = deliberations.new(profile.agent.roles[0])
    broken = {"error": {"message": "injected by the conformance suite", "type": "InternalServerError", "code": 500}}
    async with fault_proxy.fault(action="status", code=500, body=broken, contains=trip.marker, times=1):
        await deliberations.run([trip])
    show(evidence, [trip])
    assert trip.completed and trip.outcome, f"expected COMPLETED with {trip.agents - 1} proposals: {trip.summary}"
    assert len(trip.proposals) == trip.agents - 1, f"expected {trip.agents - 1} proposals: {trip.summary}"
    assert re.search(r"injected|\b500\b", trip.outcome.whole_text), (  # not a part of some id
        f"the failed agent is not shown: error_message and tags are {trip.outcome.whole_text!r}"
    )


@check(
    "ORC-08",
    MUST,
    "all agents fail: FAILED, and the message names the cause",
    remedy="When every awaited agent has failed, end as FAILED and put their errors into error_message",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="A deliberation in which every agent failed waits until it times out, or ends without the reason.",
    follows=(*CHAIN, "ORC-02", "JOB-09"),
)
async def test_all_agents_fail(deliberations: Deliberations, profile: Profile, evidence: Evidence) -> None:
    """A task longer than the model's context is refused by vLLM for every agent: FAILED, naming what vLLM said."""
    trip = deliberations.new(profile.agent.roles[1 % len(profile.agent.roles)], agents=2)
    words = "word " * (profile.vllm.max_model_len * 3 // 2)
    await deliberations.finish(await deliberations.begin(trip, task=f"{trip.marker} {words}"))
    show(evidence, [trip])
    assert trip.outcome is not None, f"the deliberation did not end: {trip.summary}"
    assert trip.outcome.status == "FAILED", f"expected FAILED, since vLLM refuses every agent: {trip.summary}"
    said = trip.outcome.whole_text
    assert re.search(r"context|token|too long|\b400\b", said, re.IGNORECASE), (
        f"the error does not name the cause, that the prompt exceeds the model's context: {said[:400]!r}"
    )


@check(
    "ORC-09",
    MUST,
    "unknown role and unknown task are refused properly",
    remedy="Answer NOT_FOUND or FAILED_PRECONDITION; INTERNAL says that the server is at fault",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Callers take their own mistake for a broken server, and retry requests that can never succeed.",
    follows=("INF-11",),
)
async def test_unknown_things(orchestrator: Orchestrator, deliberations: Deliberations) -> None:
    """NOT_FOUND or FAILED_PRECONDITION on every replica: the caller sees that the mistake is its own."""
    allowed, wrong = ("NOT_FOUND", "FAILED_PRECONDITION"), []
    for replica in orchestrator.replicas:
        for what, call in (
            ("an unknown role", replica.deliberate("x", f"NO-SUCH-ROLE-{deliberations.run_id}", 1)),
            ("an unknown task", replica.result(f"no-such-task-{deliberations.run_id}")),
        ):
            try:
                answer = await call
                wrong.append(f"{replica.name} accepts {what}: {answer}")
            except Refused as refused:
                if refused.code not in allowed:
                    wrong.append(f"{replica.name} answers {what} with {refused.code}: {refused.details[:200]}")
    assert not wrong, f"expected {' or '.join(allowed)}: {'; '.join(wrong)}"


@check(
    "ORC-10",
    MUST,
    "nothing is pending, unacknowledged or redelivered after the run",
    remedy=steps(
        "Acknowledge every message once it is stored, unknown tasks too.",
        nats_reached(),
        nats_cli("See what is pending:", "consumer info {stream} {completed_consumer}"),
    ),
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Results are delivered again and again, or never finished: the backlog grows and new results queue up.",
    follows=("INF-12", "ORC-04"),
)
async def test_all_acknowledged(
    round_trips: list[DeliberationRun], agent_runs: AgentRuns, nats: Nats, profile: Profile, run_start_sequence: int
) -> None:
    """Both consumers have passed this run's last message, with nothing left to acknowledge or to deliver again."""
    messages = await nats.messages(profile.nats.stream, run_start_sequence)
    seen: dict[str, str] = {}

    async def settled() -> bool:
        for name, subject in (
            (profile.nats.completed_consumer, profile.nats.completed),
            (profile.nats.failed_consumer, profile.nats.failed),
        ):
            info = await nats.consumer(profile.nats.stream, name)
            last = max((message.sequence for message in messages if message.subject == subject), default=0)
            floor = info.ack_floor.stream_seq
            seen[name] = (
                f"{info.num_ack_pending} unacknowledged, {info.num_redelivered} redelivered, "
                f"acknowledged up to {floor} of {last}"
            )
            done[name] = floor >= last and not info.num_ack_pending and not info.num_redelivered
        return all(done.values())

    done: dict[str, bool] = {}
    assert messages, "no message of this run is on the stream: nothing could have been acknowledged"
    await wait_until(settled, "the acknowledgement of this run's messages", TIMEOUTS.settle, detail=lambda: str(seen))


@check(
    "ORC-11",
    MUST,
    "results published while every replica is down arrive after the restart",
    remedy="Collect with durable consumers (deliver policy all), not with a core subscription, "
    "and leave agents running",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Every restart of the orchestrator loses the results that arrive meanwhile: "
    "those deliberations never complete.",
    needs=(Feature.REPLICAS, Feature.DISRUPTION, Feature.FAULT_PROXY),
    disrupts=Disruption.REPLICA,
    follows=("ORC-04", "INF-12"),
)
async def test_results_survive_downtime(
    cluster: Cluster,
    deliberations: Deliberations,
    fault_proxy: FaultProxy,
    nats: Nats,
    profile: Profile,
    evidence: Evidence,
) -> None:
    """All replicas are killed while the agents wait for vLLM; the agents answer; the restarted replicas collect it."""
    trip = deliberations.new(profile.agent.roles[0])
    before = await nats.last_sequence(profile.nats.stream)
    replicas = (await cluster.workload(Component.ORCHESTRATOR)).replicas
    async with AsyncExitStack() as downtime:
        async with fault_proxy.fault(action="hold", contains=trip.marker) as held:
            await deliberations.begin(trip)
            await all_requests_held(deliberations, fault_proxy, held, trip)
            await downtime.enter_async_context(replicas_down(cluster, deliberations, trip, *replicas))
        await all_results_published(deliberations, trip, before)
    await deliberations.finish(trip)
    await deliberations.observe([trip], before)
    show(evidence, [trip])
    assert trip.completed, f"results published during the downtime were lost: {trip.summary}"
    assert len(trip.proposals) == trip.agents, f"expected {trip.agents} proposals: {trip.summary}"


@check(
    "ORC-12",
    MUST,
    "the same message twice counts once",
    remedy="Count answers by agent_id, not by message",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="A message that is delivered twice counts as two agents: deliberations complete without all of their "
    "answers.",
    needs=(Feature.FAULT_PROXY,),
    disrupts=Disruption.MESSAGES,
    follows=("ORC-04",),
)
async def test_duplicate_counts_once(
    deliberations: Deliberations, fault_proxy: FaultProxy, nats: Nats, profile: Profile, evidence: Evidence
) -> None:
    """While one agent is still at work, another's message is published again: no proposal is counted twice."""
    trip = deliberations.new(profile.agent.roles[0])
    before = await nats.last_sequence(profile.nats.stream)
    async with fault_proxy.fault(action="hold", contains=trip.marker, times=1):
        await deliberations.begin(trip)

        async def first_answer() -> Message | None:
            messages = await nats.messages(profile.nats.stream, before)
            mine = [m for m in messages if m.document and m.document.get("task_id") == trip.task_id]
            return mine[0] if mine else None

        message = await wait_until(first_answer, "the first agent's answer on NATS", TIMEOUTS.deliberation)
        for _ in range(trip.agents):
            await nats.publish(message.subject, message.data)
    await deliberations.finish(trip)
    await deliberations.observe([trip], before)
    show(evidence, [trip])
    assert trip.completed, f"the deliberation did not complete: {trip.summary}"
    authors = Counter(proposal.author for proposal in trip.proposals)
    assert len(authors) == trip.agents and set(authors.values()) == {1}, (
        f"expected one proposal of each of {trip.agents} agents, got {dict(authors)}"
    )


@check(
    "ORC-13",
    MUST,
    "a malformed message is set aside and stalls nothing",
    remedy="Terminate what cannot be parsed (msg.term()), log it and go on; never let it be redelivered forever",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="One malformed message stops the collector: no deliberation completes until it is removed.",
    disrupts=Disruption.MESSAGES,
    needs=(Feature.DISRUPTION,),
    follows=("ORC-04", "ORC-10"),
)
async def test_poison_pill(deliberations: Deliberations, nats: Nats, profile: Profile, evidence: Evidence) -> None:
    """Bytes that are no JSON, JSON without fields, and a wrong type are published; the next deliberation completes."""
    poison = [b"{not json", b"[]", json.dumps({"run": deliberations.run_id, "task_id": 7, "proposal": "x"}).encode()]
    last = 0
    for subject in (profile.nats.completed, profile.nats.failed):
        for data in poison:
            last = await nats.publish(subject, data)
    trip = (await deliberations.run([deliberations.new(profile.agent.roles[0])]))[0]
    show(evidence, [trip])
    assert trip.completed, f"a malformed message stalls the next deliberation: {trip.summary}"
    seen: dict[str, int] = {}

    async def set_aside() -> bool:
        for name in (profile.nats.completed_consumer, profile.nats.failed_consumer):
            seen[name] = (await nats.consumer(profile.nats.stream, name)).num_ack_pending
        return not any(seen.values())

    await wait_until(
        set_aside,
        f"that no malformed message (up to sequence {last}) waits for acknowledgement",
        TIMEOUTS.settle,
        detail=lambda: f"unacknowledged: {seen}",
    )


@check(
    "ORC-14",
    SHOULD,
    "an approved plan starts one deliberation per role",
    remedy="Subscribe durably to {plan_approved} and start the deliberation STORY-ROLE-deliberation for each of its "
    "roles",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Approved plans start nothing: their deliberations have to be started by hand.",
    needs=(Feature.DISRUPTION,),
    disrupts=Disruption.MESSAGES,
    follows=("ORC-04",),
)
async def test_auto_dispatch(
    deliberations: Deliberations, orchestrator: Orchestrator, nats: Nats, profile: Profile
) -> None:
    """planning.plan.approved leads to a completed deliberation of each role, under the agreed task ids."""
    roles, story = profile.agent.roles[:2], f"{deliberations.run_id}-story"
    await nats.publish(
        profile.nats.plan_approved,
        {
            "story_id": story,
            "plan_id": f"{story}-plan",
            "roles": list(roles),
            "approved_by": "conformance-suite",
            "timestamp": "2025-10-15T00:00:00Z",
        },
    )
    wrong: dict[str, str] = {}

    async def dispatched() -> bool:
        for role in roles:
            task_id = f"{story}-{role}-deliberation"
            try:
                outcome = await orchestrator.any.result(task_id)
                wrong[role] = f"{task_id}: {outcome.status} {outcome.error}" if not outcome.ended else ""
                done[role] = outcome.status
            except Refused as refused:
                wrong[role] = f"{task_id}: {refused.code}"
        return not any(wrong.values())

    done: dict[str, str] = {}
    await wait_until(dispatched, "a deliberation for each role", TIMEOUTS.deliberation, detail=lambda: str(wrong))
    assert set(done.values()) == {"COMPLETED"}, f"the dispatched deliberations ended as {done}"


@check(
    "ORC-15",
    MUST,
    "a replica killed in mid-deliberation loses nothing",
    remedy="Keep the deliberation's state where another replica can go on with it, and the agents detached",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Each deliberation whose replica dies is lost: a rolling restart loses all that are under way.",
    needs=(Feature.REPLICAS, Feature.DISRUPTION, Feature.FAULT_PROXY),
    disrupts=Disruption.REPLICA,
    follows=("ORC-04", "ORC-06"),
)
async def test_replica_killed(
    cluster: Cluster,
    deliberations: Deliberations,
    fault_proxy: FaultProxy,
    nats: Nats,
    profile: Profile,
    evidence: Evidence,
) -> None:
    """The replica that started a deliberation is killed while its agents work: another one completes and shows it."""
    trip = deliberations.new(profile.agent.roles[0])
    before = await nats.last_sequence(profile.nats.stream)
    workload = await cluster.workload(Component.ORCHESTRATOR)
    victim = next(replica for replica in workload.replicas if replica.name == trip.replica)
    others = [replica for replica in deliberations.orchestrator.replicas if replica is not trip.asked]
    assert others, "the orchestrator has a single replica: nobody can go on when it is killed"
    async with AsyncExitStack() as downtime:
        async with fault_proxy.fault(action="hold", contains=trip.marker) as held:
            await deliberations.begin(trip)
            await all_requests_held(deliberations, fault_proxy, held, trip)
            await downtime.enter_async_context(replicas_down(cluster, deliberations, trip, victim))
        await deliberations.finish(trip, at=others[0])
    await deliberations.observe([trip], before)
    show(evidence, [trip])
    assert trip.completed and len(trip.proposals) == trip.agents, (
        f"{others[0].name} does not complete what {trip.replica} began: {trip.summary}"
    )
    unreadable = {name: seen for name, seen in trip.seen.items() if isinstance(seen, str) or seen.status != "COMPLETED"}
    assert not unreadable, f"after the restart the result is not readable everywhere: {unreadable}"


@check(
    "ORC-16",
    MUST,
    "a deliberation without answers ends after its timeout",
    remedy="Give every deliberation a deadline of its own (timeout_seconds) that any replica enforces",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Deliberations without answers never end: callers wait forever, and their agents keep CPUs.",
    needs=(Feature.FAULT_PROXY,),
    disrupts=Disruption.MESSAGES,
    follows=("ORC-02",),
)
async def test_deliberation_times_out(
    deliberations: Deliberations, fault_proxy: FaultProxy, profile: Profile, ray: Ray, evidence: Evidence
) -> None:
    """vLLM never answers: TIMEOUT or FAILED after timeout_seconds, and the agents are ended."""
    trip, limit = deliberations.new(profile.agent.roles[0], agents=2), TIMEOUTS.deliberation_limit
    async with fault_proxy.fault(action="hang", contains=trip.marker):
        await deliberations.begin(trip, timeout_seconds=int(limit))
        await deliberations.finish(trip, timeout=limit + TIMEOUTS.settle)
        show(evidence, [trip])
        assert trip.outcome is not None, f"still not ended {TIMEOUTS.settle:g} s after its timeout: {trip.summary}"
        assert trip.outcome.status in ("TIMEOUT", "FAILED"), f"expected TIMEOUT or FAILED: {trip.summary}"
        early = trip.seconds < limit - 1 and trip.outcome.status == "TIMEOUT"
        assert not early, f"TIMEOUT after {trip.seconds:.1f} s, before its {limit:g} s were over"

        async def ended() -> bool:
            return all(actor.state == "DEAD" for actor in await ray.actors(trip.task_id))

        await wait_until(ended, "the end of the agents of a deliberation that timed out", TIMEOUTS.settle)


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
    follows=("CFG-01", "CFG-04", "ORC-03", "ORC-04"),
)
async def test_agents_ran_here(round_trips: list[DeliberationRun], ray: Ray, profile: Profile) -> None:
    """For each deliberation Ray's own actor table has its agents, on nodes of this cluster and not on the head."""
    nodes = {node.id: node for node in await ray.nodes()}
    wrong = []
    for trip in round_trips:
        agents = [actor for actor in trip.actors if actor.class_name == profile.agent.name]
        if len(agents) < trip.agents:
            wrong.append(f"{trip.description}: Ray knows {len(agents)} of its {trip.agents} agents")
        if idle := [f"{actor.name} {actor.state}" for actor in agents if not actor.node_id]:
            wrong.append(f"{trip.description}: {idle} ran nowhere")
        if strangers := [actor.name for actor in agents if actor.node_id and actor.node_id not in nodes]:
            wrong.append(f"{trip.description}: {strangers} ran on nodes that are not of this cluster")
    assert not wrong, f"not every agent ran in this cluster: {'; '.join(wrong)}"


@check(
    "ORC-18",
    MUST,
    "after a restart of Ray the next deliberation runs, from every replica",
    remedy=restart_orchestrator(
        "On ConnectionError shut Ray Client down and initialise it again, with RAY_ENABLE_AUTO_CONNECT=0. Restarting "
        "the replicas is a stop-gap."
    ),
    concerns=FLEET,
    cuts=(Link.JOB,),
    impact="After every restart of Ray the orchestrator starts no agents until it is restarted, too.",
    needs=(Feature.REPLICAS, Feature.DISRUPTION),
    disrupts=Disruption.CLUSTER,
    follows=("ORC-04", "ORC-17"),
    supports=("head_recreated",),
)
async def test_ray_restart(
    cluster: Cluster,
    deliberations: Deliberations,
    orchestrator: Orchestrator,
    ray: Ray,
    profile: Profile,
    evidence: Evidence,
) -> None:
    """The head comes back as a new cluster: every replica notices, connects again and runs its agents there."""
    old = {node.id for node in await ray.nodes()}
    await operator_evidence.leave(evidence, operator_evidence.BEFORE["head"], cluster.ray_objects())
    await cluster.restart_ray()
    await operator_evidence.leave(evidence, operator_evidence.AFTER["head"], cluster.ray_objects())
    trips = [deliberations.new(profile.agent.roles[0], agents=1, replica=replica) for replica in orchestrator.replicas]
    await deliberations.run(trips)
    show(evidence, trips)
    assert all(trip.completed for trip in trips), f"after the restart of Ray: {described(trips)}"
    nodes = {node.id for node in await ray.nodes()} - old
    wrong = [
        trip.description
        for trip in trips
        if not trip.actors or any(actor.node_id not in nodes for actor in trip.actors)
    ]
    assert not wrong, f"the agents of {wrong} did not run in the restarted cluster"
