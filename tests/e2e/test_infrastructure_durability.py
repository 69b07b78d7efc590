"""INF: what JetStream has acknowledged stays: copies on several servers, consumers that lose nothing, repetitions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fixtures.checks.declaration import SHOULD, check
from fixtures.checks.remedy import ENDPOINTS, KUBERNETES, do, steps
from fixtures.checks.requirement import require_none
from fixtures.clusters.base import Component
from fixtures.core.errors import Inconclusive
from fixtures.core.polling import StateNotReached, wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.exercises.agent_run import AgentRuns
from fixtures.profile.collection import collected
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.report.model import Facts
from fixtures.services.jetstream import ConsumerSettings, Replication
from fixtures.services.nats import Nats, NotThere
from tests.e2e.repairs import nats_cli, nats_reached

MIN_COPIES = 3  # one server may be lost, and two still agree
MIN_DELIVERIES = 3  # of a message that nobody acknowledges: a replica ends, another one ends
MIN_ACK_WAIT_S = 2.0
COLLECTION = "leg: collection, p95 s"  # a measurement of deliberations, in seconds
CONSUMER_INFO = tuple(f"consumer info {{stream}} {{{which}_consumer}}" for which in ("completed", "failed"))


@dataclass(frozen=True)
class Kept:
    """What results depend on in JetStream: the stream, a consumer's state, the bucket of results."""

    what: str
    copies: int
    in_memory: bool
    replication: Replication | None


async def what_is_kept(nats: Nats, profile: Profile) -> list[Kept]:
    """As it is now. A bucket that is not there is left out: the check of the results reports that."""
    name, bucket = profile.nats.stream, profile.nats.results_bucket
    stream = await nats.stream(name)
    rows = [Kept(f"stream {name}", stream.config.num_replicas, False, stream.cluster)]  # its storage is in the profile
    for durable in dict.fromkeys(durable for durable, _ in collected(profile)):
        consumer = await nats.consumer(name, durable)
        copies = consumer.config.num_replicas or stream.config.num_replicas
        rows.append(Kept(f"consumer {durable}", copies, consumer.config.mem_storage, consumer.cluster))
    try:
        values = await nats.stream(f"KV_{bucket}") if bucket else None
    except NotThere:
        return rows
    if values:
        in_memory = values.config.storage == "memory"
        rows.append(Kept(f"bucket {bucket}", values.config.num_replicas, in_memory, values.cluster))
    return rows


def copies(number: int) -> str:
    return f"{number} {'copy' if number == 1 else 'copies'}"


def too_few_copies(rows: Iterable[Kept], servers: int, wanted: int) -> list[str]:
    """What has fewer copies than it might, on so many servers; `wanted`: by the profile, 1 where that does not say."""
    if wanted == 1 and servers == 2:
        return ["NATS has two servers with JetStream, and stops with the loss of either: two are no majority of two"]
    enough = wanted if wanted > 1 else min(MIN_COPIES, servers)
    return [f"{row.what} has {copies(row.copies)} on {servers} servers" for row in rows if row.copies < enough]


def peers_that_lag(rows: Iterable[Kept]) -> list[str]:
    """What has no leader, or a peer that is not with it."""
    groups = [(row.what, row.replication) for row in rows if row.replication]
    lines = [f"{what} has no leader" for what, group in groups if not group.leader]
    return lines + [f"{what}: {peer.state}" for what, group in groups for peer in group.replicas if peer.state]


@check(
    "INF-13",
    SHOULD,
    "JetStream keeps results as safely as its servers can",
    remedy=steps(
        do("What the finding names decides.", KUBERNETES, ENDPOINTS),
        nats_reached(),
        nats_cli("See copies, leader and peers:", "stream info {stream}", *CONSUMER_INFO),
        nats_cli("Too few copies; consumers have as many as their stream:", "stream edit {stream} --replicas 3"),
        nats_cli(
            "A bucket with too few copies is a stream, too. Set BUCKET to its name:",
            'stream edit "KV_${BUCKET:?}" --replicas 3',
        ),
        do("Where one copy is enough on purpose, or two: say so by nats.stream_replicas of the profile, from 2 on."),
        do("A peer that is not current: see why its server is down or slow. It catches up by itself once it is back."),
        do("Two servers: add a third. With one lost, two of three still agree."),
        do("A bucket in memory: make it again with --storage file, when nobody reads what it holds."),
    ),
    concerns=(Component.NATS,),
    cuts=(),
    impact="Answers that were acknowledged are lost with one server of NATS, or with its restart.",
    follows=("INF-10", "INF-12"),
)
async def test_results_have_copies(nats: Nats, profile: Profile, note: Callable[[str], None]) -> None:
    """The stream of the answers, the state of its collectors and the bucket of results have three copies where NATS
    has so many servers with JetStream, or as many as nats.stream_replicas says; each has a leader, and every peer is
    current. Neither bucket nor consumer is in memory, unless nats.storage is.

    A single server has one copy of all, which is noted. How many servers there are, they say themselves.
    Source: https://docs.nats.io/running-a-nats-service/configuration/clustering/jetstream_clustering
    """
    rows = await what_is_kept(nats, profile)
    wrong = [] if profile.nats.storage == "memory" else [f"{row.what} is in memory" for row in rows if row.in_memory]
    groups = [row.replication for row in rows if row.replication and row.replication.name]
    if not groups:
        note("NATS is a single server: there is one copy of all")
    elif any(row.copies < MIN_COPIES for row in rows):
        servers = await nats.servers_with_jetstream(groups[0].name)
        if not servers:
            raise Inconclusive("how many servers NATS has cannot be told: none says so to this account")
        wrong += too_few_copies(rows, len(servers), profile.nats.stream_replicas)
    lagging: list[str] = []

    async def all_current() -> bool:
        lagging[:] = peers_that_lag(await what_is_kept(nats, profile))
        return not lagging

    try:
        await wait_until(all_current, "all peers are current", TIMEOUTS.settle, every=0.5)
    except StateNotReached:
        wrong += lagging
    require_none(wrong)


def losing(name: str, config: ConsumerSettings, agents: int, collection: float) -> list[str]:
    """What of a durable consumer's settings loses answers, or holds them up. `collection`: seconds that one took."""
    lines = []
    if config.deliver_policy != "all":
        lines.append(f"{name} begins with {config.deliver_policy} messages (deliver policy), not with all")
    if 0 < config.max_deliver < MIN_DELIVERIES:
        times = "once" if config.max_deliver == 1 else f"{config.max_deliver} times"
        lines.append(f"{name} delivers a message {times} (max_deliver): what a replica had that ended is lost")
    if 0 < config.max_ack_pending < agents:
        lines.append(f"{name} has {config.max_ack_pending} in hand at most (max_ack_pending), of {agents} agents")
    if config.acknowledged_within_s < (least := max(MIN_ACK_WAIT_S, 2 * collection)):
        lines.append(
            f"{name} delivers again after {config.acknowledged_within_s:g} s (ack_wait, backoff), less than "
            f"{least:g} s: what is being collected is collected twice"
        )
    if config.inactive_threshold:
        gone = config.inactive_threshold / 1e9
        lines.append(f"{name} is deleted after {gone:g} s without a reader (inactive_threshold), with what it had read")
    return lines


@check(
    "INF-15",
    SHOULD,
    "the collectors' consumers lose nothing and hold nothing up",
    remedy=steps(
        "What the finding names is set where the orchestrator makes its consumers: correct it there, too.",
        nats_reached(),
        nats_cli("See what is set:", *CONSUMER_INFO),
        nats_cli(
            "It gives up too soon, repeats too soon, or has too few in hand:",
            *(
                f"consumer edit {{stream}} {{{which}_consumer}} --max-deliver=-1 --wait=30s --max-pending=1000"
                for which in ("completed", "failed")
            ),
        ),
        do(
            "It begins with another message than the first, or is deleted while nobody reads: neither can be edited. "
            "End the orchestrator and remove the consumer: started again, it adds one, from the first message on.",
            KUBERNETES,
            ENDPOINTS,
        ),
    ),
    concerns=(Component.NATS, Component.ORCHESTRATOR),
    cuts=(),
    impact="An answer that a replica had in hand when it ended is lost, or answers wait for each other.",
    needs=(Part.CONSUMERS,),
    follows=("INF-12",),
    run_last=True,  # how long a collection took is measured by then
)
async def test_consumers_lose_nothing(nats: Nats, profile: Profile, facts: Facts) -> None:
    """Each durable consumer begins with the first message, delivers at least three times what nobody acknowledges, and
    not before a collection can have ended; it has as many in hand as a deliberation has agents, and stays while nobody
    reads.

    Source: https://docs.nats.io/nats-concepts/jetstream/consumers
    """
    wrong, agents = [], profile.deliberations.agents
    collection = facts.measurements.get(COLLECTION, 0.0)
    for name in dict.fromkeys(name for name, _ in collected(profile)):
        consumer = await nats.consumer(profile.nats.stream, name)
        wrong += losing(name, consumer.config, agents, collection)
    require_none(wrong)


@check(
    "INF-18",
    SHOULD,
    "a repeated publication is recognised",
    remedy=steps(
        "Publish with an id that is the same for the same answer, as of task, agent and kind: "
        'js.publish(subject, data, headers={"Nats-Msg-Id": …}).',
        nats_reached(),
        nats_cli("See for how long the stream remembers ids:", "stream info {stream}"),
        nats_cli("Where that is shorter than an agent tries:", "stream edit {stream} --dupe-window=2m"),
    ),
    concerns=(Component.NATS, Component.RAY_WORKER),
    cuts=(),
    impact="An agent that publishes again, since no acknowledgement came, is counted twice.",
    follows=("INF-10", "JOB-05"),
    run_last=True,
)
async def test_repetitions_are_recognised(agent_runs: AgentRuns, nats: Nats, profile: Profile) -> None:
    """What the healthy agent jobs published has an id for JetStream (Nats-Msg-Id), another one for each message, and
    the stream remembers ids for as long as an agent may try (duplicate_window).

    Source: https://docs.nats.io/using-nats/developer/develop_jetstream/model_deep_dive#message-deduplication
    """
    messages = [message for run in agent_runs.healthy for message in run.messages]
    assert messages, "nothing of the agent jobs is stored, in which an id could be"
    without = [message for message in messages if not message.id]
    shared = {
        message.id for message in messages if message.id and sum(message.id == other.id for other in messages) > 1
    }
    wrong = [f"{len(without)} of {len(messages)} messages have no Nats-Msg-Id"] if without else []
    wrong += [f"several messages have the Nats-Msg-Id {id}" for id in sorted(shared)]
    stream = await nats.stream(profile.nats.stream)
    window, least = stream.config.duplicate_window / 1e9, TIMEOUTS.agent
    if window < least and not stream.config.mirror:  # its origin recognises them
        wrong.append(
            f"stream {profile.nats.stream} remembers ids for {window:g} s (duplicate_window), "
            f"and an agent may try for {least:g} s"
        )
    require_none(wrong)
