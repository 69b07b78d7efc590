"""ORC: no result is lost or counted twice while messages, replicas or Ray fail."""

import json
import time
from collections import Counter

import pytest

from fixtures.checks.contract import AgentMessage
from fixtures.checks.declaration import MUST, Disruption, Link, check
from fixtures.checks.requirement import by_place, require_none
from fixtures.clusters.base import Cluster, Feature, front_of
from fixtures.core.errors import Inconclusive
from fixtures.core.polling import StateNotReached, wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.diagnostics import operator_evidence
from fixtures.diagnostics.evidence import Evidence
from fixtures.exercises.acknowledgement import Awaited, start_of, wait_until_acknowledged
from fixtures.exercises.agent_actors import groups_of
from fixtures.exercises.deliberations import Deliberations
from fixtures.exercises.outages import (
    all_results_published,
    killed_while_agents_work,
    raise_if_agents_gave_up,
    raise_if_agents_wait_for_room,
    raise_if_its_time_was_up,
    replica_of,
)
from fixtures.exercises.proxied import raise_if_bypassed
from fixtures.exercises.publications import stored_sequences
from fixtures.harness.outcome import skip_unsupported
from fixtures.profile.collection import by_consumer
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.services.nats import Nats
from fixtures.services.ray import Ray
from fixtures.services.stream_messages import mentions
from fixtures.services.vllm import FaultProxy
from tests.e2e.repairs import restart_orchestrator
from tests.e2e.runs import FLEET, described, keep_deliberations


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
    needs=(
        Part.CONSUMERS,
        Part.DELIBERATIONS,
        Part.BACKGROUND,
        Feature.REPLICAS,
        Feature.DISRUPTION,
        Feature.FAULT_PROXY,
    ),
    disrupts=Disruption.REPLICA,
    follows=("INF-09", "ORC-04", "INF-12"),
)
async def test_results_survive_downtime(
    cluster: Cluster, deliberations: Deliberations, fault_proxy: FaultProxy, evidence: Evidence
) -> None:
    """All replicas are killed while the agents wait for vLLM; the agents answer; the restarted replicas collect it.

    Of an orchestrator and an executor those are killed that have the deliberations: who serves gRPC (grpc.at).
    """
    trip = deliberations.new()
    replicas = (await cluster.workload(front_of(cluster.profile))).replicas
    async with deliberations.observed(trip) as before:
        async with killed_while_agents_work(cluster, deliberations, fault_proxy, trip, *replicas):
            await all_results_published(deliberations, trip, before)
        since = time.monotonic()
        await deliberations.finish(trip)
        waited = time.monotonic() - since
    keep_deliberations(evidence, [trip])
    raise_if_agents_gave_up(trip)
    raise_if_its_time_was_up(deliberations.profile, trip, waited)
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
    needs=(Part.DELIBERATIONS, Part.ENDS, Part.SEVERAL_AGENTS, Feature.FAULT_PROXY),
    disrupts=Disruption.MESSAGES,
    follows=("INF-09", "ORC-04"),
)
async def test_duplicate_counts_once(
    deliberations: Deliberations, fault_proxy: FaultProxy, nats: Nats, profile: Profile, evidence: Evidence
) -> None:
    """While one agent is still at work, another's message is published again: no proposal is counted twice.

    An agent that was not held may have been the last, after which nothing is counted any more.
    """
    if deliberations.mode.holds_callers:
        skip_unsupported(
            "the call that starts a deliberation lasts until its end, and only then its task id is known: none of its "
            "messages can be published again before (deliberations.mode)"
        )
    trip = deliberations.new()
    async with deliberations.observed(trip) as before:

        async def first_answer() -> AgentMessage | None:
            messages = await nats.messages(profile.nats.stream, before, ours=mentions(trip.task_id))
            return next(iter(deliberations.contract.answers_to(messages, trip.task_id)), None)

        async with fault_proxy.fault(action="hold", contains=trip.marker, times=1) as hold:
            await deliberations.begin(trip)
            assert trip.started, f"the start failed: {trip.summary}"
            what = "the first agent's answer on NATS"
            try:
                message = await wait_until(first_answer, what, TIMEOUTS.deliberation)
            except StateNotReached as error:
                await raise_if_agents_wait_for_room(deliberations, trip, str(error))
                raise
            held = await fault_proxy.hits(hold)
            for _ in range(trip.agents if held else 0):
                await nats.publish(message.subject, message.data)
        await deliberations.finish(trip)
    keep_deliberations(evidence, [trip])
    raise_if_bypassed(trip, held)
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
    needs=(Part.CONSUMERS, Part.DELIBERATIONS, Feature.DISRUPTION),
    follows=("INF-09", "ORC-04", "ORC-10"),
)
async def test_poison_pill(deliberations: Deliberations, nats: Nats, profile: Profile, evidence: Evidence) -> None:
    """Bytes that are no JSON, JSON without fields, and a wrong type are published; the next deliberation completes."""
    wrong_types = deliberations.contract.completed.with_wrong_types({"run": deliberations.run_id})
    poison = [b"{not json", b"[]", json.dumps(wrong_types).encode()]
    start = await start_of(nats, profile.nats)
    consumers = by_consumer(profile)
    subjects = list(dict.fromkeys(subject for collected in consumers.values() for subject in collected))
    for subject in subjects:
        for data in poison:
            await nats.publish(subject, data)
    since = time.monotonic()
    trip = (await deliberations.run([deliberations.new()]))[0]
    keep_deliberations(evidence, [trip])
    assert trip.completed, f"a malformed message stalls the next deliberation: {trip.summary}"
    published = await stored_sequences(nats, profile.nats.stream, start.sequence, dict.fromkeys(subjects, poison))
    own = {
        subject: [*published[subject], *(m.sequence for m in trip.messages if m.subject == subject)]
        for subject in subjects
    }
    awaited = [
        Awaited(name, frozenset(n for subject in collected for n in own[subject]), start.of(name), may_give_up=True)
        for name, collected in consumers.items()
    ]
    last = max(number for sequences in published.values() for number in sequences)
    what = f"that no malformed message (up to sequence {last}) waits for acknowledgement"
    await wait_until_acknowledged(nats, profile.nats.stream, awaited, what, time.monotonic() - since)


@check(
    "ORC-15",
    MUST,
    "a replica killed in mid-deliberation loses nothing",
    remedy="Keep the deliberation's state where another replica can go on with it, and the agents detached",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Each deliberation whose replica dies is lost: a rolling restart loses all that are under way.",
    needs=(
        Part.RESULTS_SHARED,
        Part.DELIBERATIONS,
        Part.BACKGROUND,
        Part.SEVERAL_REPLICAS,
        Feature.REPLICAS,
        Feature.DISRUPTION,
        Feature.FAULT_PROXY,
    ),
    disrupts=Disruption.REPLICA,
    follows=("INF-09", "ORC-04", "ORC-06"),
)
@pytest.mark.usefixtures("several_replicas")
async def test_replica_killed(
    cluster: Cluster, deliberations: Deliberations, fault_proxy: FaultProxy, evidence: Evidence, profile: Profile
) -> None:
    """The replica that started a deliberation is killed while its agents work: another one completes and shows it.

    It is the last one by name: a StatefulSet cannot leave another down. Where an event starts deliberations, which
    replica took it cannot be seen: the last one is killed, and the end must come. Of an orchestrator and an executor it
    is one of who has the deliberations (grpc.at).
    """
    workload, asked = await cluster.workload(front_of(profile)), deliberations.orchestrator.replicas
    if asked and profile.front.url:
        named = f"{profile.front_name}.url"
        skip_unsupported(f"which replica is behind an address of the profile ({named}) is not known")
    last = max((replica.name for replica in asked or workload.replicas), key=lambda name: (len(name), name))
    trip = deliberations.new(replica=next((replica for replica in asked if replica.name == last), None))
    others = [replica for replica in asked if replica is not trip.asked]
    if asked and not others and len(workload.replicas) > 1:
        raise Inconclusive(f"of {len(workload.replicas)} replicas {last} alone can be asked: others came while it ran")
    only = f"{trip.replica} is the {profile.front_name}'s only replica"
    assert others or not asked, f"{only}: nobody can go on when it is killed"
    victim = replica_of(workload, last)
    killed = killed_while_agents_work(cluster, deliberations, fault_proxy, trip, victim)
    async with deliberations.observed(trip), killed:
        since = time.monotonic()
        await deliberations.finish(trip, at=others[0] if others else None)
        waited = time.monotonic() - since
    keep_deliberations(evidence, [trip])
    raise_if_agents_gave_up(trip)
    raise_if_its_time_was_up(deliberations.profile, trip, waited)
    assert trip.completed and len(trip.proposals) == trip.agents, (
        f"{others[0].name if others else 'no other replica'} does not complete what {last} began: {trip.summary}"
    )
    unreadable = {name: seen for name, seen in trip.seen.items() if isinstance(seen, str) or seen.status != "COMPLETED"}
    text = f"after the restart the result is not readable everywhere: {unreadable}"
    require_none(by_place(unreadable), "after the restart the result is not readable", text=text)


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
    needs=(Part.DELIBERATIONS, Feature.REPLICAS, Feature.DISRUPTION),
    disrupts=Disruption.CLUSTER,
    follows=("INF-09", "ORC-04", "ORC-17"),
    supports=("head_recreated",),
)
async def test_ray_restart(
    cluster: Cluster, deliberations: Deliberations, ray: Ray, profile: Profile, evidence: Evidence
) -> None:
    """The head comes back as a new cluster: every replica notices, connects again and runs its agents there.

    Where an event starts deliberations, as many are started as there are replicas: which takes one, nobody can say.
    """
    old = {node.id for node in await ray.nodes()}
    await operator_evidence.leave(evidence, operator_evidence.BEFORE["head"], cluster.ray_objects())
    await cluster.restart_ray()
    await operator_evidence.leave(evidence, operator_evidence.AFTER["head"], cluster.ray_objects())
    trips = deliberations.one_of_each_replica(agents=1)
    await deliberations.run(trips)
    keep_deliberations(evidence, trips)
    unfinished = [trip.summary for trip in trips if not trip.completed]
    require_none(unfinished, "after the restart of Ray", text=f"after the restart of Ray: {described(trips)}")
    nodes = {node.id for node in await ray.nodes()} - old
    groups = groups_of(trips, profile.agent.product_class)
    elsewhere = {group.description: sum(actor.node_id not in nodes for actor in group.actors) for group in groups}
    wrong = [
        group.description
        for group in groups
        if not (group.actors or group.cut) or elsewhere[group.description] > group.surplus
    ]
    text = f"the agents of {wrong} did not run in the restarted cluster"
    require_none(wrong, "agents that did not run in the restarted cluster", text=text)
    unlisted = [group for group in groups if group.cut and len(group.actors) < group.expected]
    if unlisted:
        lines = [f"{group.description}: {group.cut}, {len(group.actors)} of its agents" for group in unlisted]
        raise Inconclusive(f"where agents ran is not known: {'; '.join(lines)}")
