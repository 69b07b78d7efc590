"""NATS servers, streams and consumers that differ."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count

import nats
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType

from fixtures.clusters.base import Component
from fixtures.core.polling import StateNotReached, wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile.components import Nats as NatsProfile
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, restarted
from tests.targets.nats_injectors import (
    THEIRS,
    purged_stream,
    spoiled,
    stream_is,
    stream_mirrors,
    stream_takes_from_another,
)
from tests.variants.model import Presence, Variant


def stream_has(**config: object) -> Presence:
    """Whether the stream of the agents' answers is configured so."""

    async def present(target: EmbeddedTarget) -> bool:
        async with await nats.connect(target.cluster.endpoints.nats) as client:
            info = await client.jetstream().stream_info(target.cluster.profile.nats.stream)
        return all(getattr(info.config, key) == value for key, value in config.items())

    return present


COLLECTOR = "deliberation-collector-completed"
MAX_DELIVER = 5  # deliveries of one message
PACE = 0.05  # seconds between two answers of somebody else's agents


async def _publish_for_ever(js: JetStreamContext, subject: str) -> None:
    for number in count(1):
        task, agent = f"neighbours-task-{number}", f"neighbours-agent-{number}"
        proposal = {"content": "x" * 200, "author_id": agent, "author_role": "DEV"}
        document = {"task_id": task, "agent_id": agent, "role": "DEV", "status": "completed", "proposal": proposal}
        await js.publish(subject, json.dumps(document).encode())
        await asyncio.sleep(PACE)


@asynccontextmanager
async def neighbours_publish(target: EmbeddedTarget) -> AsyncIterator[None]:
    """Answers to tasks that the orchestrator does not know come on all the time."""
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        subject = target.cluster.profile.contract.messages.completed.subject
        publisher = asyncio.create_task(_publish_for_ever(client.jetstream(), subject))
        try:
            yield
        finally:
            publisher.cancel()
            with suppress(asyncio.CancelledError):
                await publisher


async def stream_grows(target: EmbeddedTarget) -> bool:
    """Whether somebody publishes, while no check does."""
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        js, stream = client.jetstream(), target.cluster.profile.nats.stream
        before = (await js.stream_info(stream)).state.last_seq

        async def grown() -> bool:
            return bool((await js.stream_info(stream)).state.last_seq >= before + 2)

        try:
            return await wait_until(grown, "two more messages", TIMEOUTS.settle)
        except StateNotReached:
            return False


@asynccontextmanager
async def one_consumer(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The consumer of the proposals collects the failures, too, for both collectors of each replica."""
    failed_too = Edit("fleet_orchestrator/streams.py", '"deliberation-collector-failed"', f'"{COLLECTOR}"')

    async def replace(js: JetStreamContext, names: NatsProfile) -> None:
        config = (await js.consumer_info(names.stream, names.consumers.completed)).config
        for durable in (names.consumers.completed, names.consumers.failed):
            await js.delete_consumer(names.stream, durable)
        both = config.evolve(filter_subject=None, filter_subjects=["agent.response.completed", "agent.response.failed"])
        await js.add_consumer(names.stream, both)

    async with spoiled(replace)(target), restarted(target, target.orchestrators, failed_too):
        yield


async def has_one_consumer(target: EmbeddedTarget) -> bool:
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        consumers = await client.jetstream().consumers_info(target.cluster.profile.nats.stream)
    return [consumer.name for consumer in consumers if consumer.config.durable_name] == [COLLECTOR]


@asynccontextmanager
async def old_poison(target: EmbeddedTarget) -> AsyncIterator[None]:
    """While the replicas are down, a message is refused as often as the consumer delivers it."""

    async def refuse(js: JetStreamContext, names: NatsProfile) -> None:
        await target.fleet.launcher.end(*target.members(Component.ORCHESTRATOR))
        durable = names.consumers.completed
        config = (await js.consumer_info(names.stream, durable)).config
        await js.add_consumer(names.stream, config.evolve(max_deliver=MAX_DELIVER))
        await js.publish("agent.response.completed", b"{}")
        reader = await js.pull_subscribe_bind(durable, names.stream)
        for _ in range(MAX_DELIVER):
            (message,) = await reader.fetch(1)
            await message.nak()

    async with spoiled(refuse)(target), restarted(target, target.orchestrators):
        yield


async def has_given_up_one(target: EmbeddedTarget) -> bool:
    names = target.cluster.profile.nats
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        consumer = await client.jetstream().consumer_info(names.stream, names.consumers.completed)
    return bool(consumer.config.max_deliver == MAX_DELIVER and consumer.num_redelivered)


async def stream_is_a_mirror(target: EmbeddedTarget) -> bool:
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        info = await client.jetstream().stream_info(target.cluster.profile.nats.stream)
    return info.config.mirror is not None


async def was_purged(target: EmbeddedTarget) -> bool:
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        state = (await client.jetstream().stream_info(target.cluster.profile.nats.stream)).state
    return bool(state.first_seq > 1)


async def has_their_messages(target: EmbeddedTarget) -> bool:
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        js, stream = client.jetstream(), target.cluster.profile.nats.stream

        async def copied() -> bool:
            info = await js.stream_info(stream, subjects_filter=THEIRS)
            return bool(info.config.sources) and bool(info.state.subjects)

        try:
            return await wait_until(copied, "a message of the other stream", TIMEOUTS.settle)
        except StateNotReached:
            return False


VARIANTS = (
    Variant(
        name="stream-captures-more",
        description="one stream keeps all that agents say, on agent.>",
        apply=stream_is(subjects=["agent.>"]),
        is_present=stream_has(subjects=["agent.>"]),
        stretches=("INF-10", "INF-12", "JOB-05", "ORC-10"),
    ),
    Variant(
        name="stream-is-in-memory-as-declared",
        description="results need not outlive NATS: the stream is in memory, and the profile says so",
        apply=stream_is(storage=StorageType.MEMORY),
        is_present=stream_has(storage=StorageType.MEMORY),
        profile={"nats.storage": "memory"},
        stretches=("INF-10", "INF-12", "INF-13", "JOB-05", "ORC-05"),
    ),
    Variant(
        name="stream-keeps-what-interests-as-declared",
        description="messages go once all consumers have them, and the profile says so: nobody can read them later",
        apply=stream_is(retention=RetentionPolicy.INTEREST),
        is_present=stream_has(retention=RetentionPolicy.INTEREST),
        profile={"nats.retention": "interest"},
        stretches=("INF-10", "INF-12"),
        exempt={"JOB-05": ("unsupported", "nats.retention"), "ORC-05": ("unsupported", "nats.retention")},
    ),
    Variant(
        name="neighbours-publish-all-the-time",
        description="20 answers a second to tasks of somebody else, on the same stream and subject",
        apply=neighbours_publish,
        is_present=stream_grows,
        stretches=("JOB-05", "ORC-05", "ORC-10", "ORC-12", "ORC-13", "LOAD-02", "LOAD-03"),
    ),
    Variant(
        name="stream-was-purged",
        description="the stream was emptied before: it holds nothing, and its next message has not the number one",
        apply=purged_stream(),
        is_present=was_purged,
        stretches=("INF-10", "INF-12", "NET-04", "JOB-05", "ORC-05", "ORC-10", "ORC-13"),
    ),
    Variant(
        name="stream-takes-from-another",
        description="beside the agents' answers the stream copies what another team's stream captures",
        apply=stream_takes_from_another(),
        is_present=has_their_messages,
        stretches=("INF-10", "INF-12", "NET-04", "JOB-05", "ORC-05", "ORC-10", "ORC-13"),
    ),
    Variant(
        name="answers-reach-the-stream-by-a-mirror",
        description="the profile's stream mirrors the one that captures the answers",
        apply=stream_mirrors("agent.response.>", with_consumers=True),
        is_present=stream_is_a_mirror,
        stretches=("INF-10", "INF-12", "INF-18", "NET-04", "JOB-04", "JOB-05", "ORC-04", "ORC-05", "ORC-10", "E2E-01"),
    ),
    Variant(
        name="one-consumer-collects-both",
        description="one durable consumer has both subjects, the completed and the failed",
        apply=one_consumer,
        is_present=has_one_consumer,
        profile={"nats.consumers.failed": COLLECTOR},
        stretches=("INF-12", "INF-15", "ORC-05", "ORC-07", "ORC-10", "ORC-13", "LOAD-03"),
    ),
    Variant(
        name="consumer-carries-an-old-poison",
        description="an old message was refused as often as the consumer delivers one: it stays counted as redelivered",
        apply=old_poison,
        is_present=has_given_up_one,
        stretches=("INF-12", "INF-15", "ORC-05", "ORC-10", "ORC-13", "LOAD-03"),
    ),
)
