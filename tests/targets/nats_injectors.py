"""Streams and consumers, spoiled while the fleet runs; in the end the orchestrator makes them as they were."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import nats
from nats.js import JetStreamContext
from nats.js.api import StorageType, StreamConfig, StreamSource
from nats.js.errors import NotFoundError

from fixtures.clusters.base import Component
from fixtures.clusters.embedded import probes
from fixtures.clusters.embedded.replica import LaunchSpec
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile.components import Nats as NatsProfile
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import FileChange, restarted
from tests.targets.ray_injectors import end_agents
from tests.targets.target import Change

RESULTS = "orchestrator-deliberations"  # the bucket of the shipped profiles
ORIGIN = "ORIGIN"  # the stream that others copy
THEIRS = "another.team"  # a subject that has nothing to do with agents

Spoiling = Callable[[JetStreamContext, NatsProfile], Awaitable[None]]


@asynccontextmanager
async def seen_anew(target: EmbeddedTarget) -> AsyncIterator[None]:
    """In the end the orchestrator starts again: it finds, or makes, its streams, consumers and buckets."""
    try:
        yield
    finally:
        await target.fleet.start_again(*target.members(Component.ORCHESTRATOR))


def settled(inject: Change) -> Change:
    """In the end, wait until the consumers have nothing unacknowledged.

    Replicas are killed to be healed. What one of them had in hand at that moment stays unacknowledged for the
    consumer's ack_wait, whatever the sound ones do: longer than a check waits here.
    """

    @asynccontextmanager
    async def injected(target: EmbeddedTarget) -> AsyncIterator[None]:
        async with inject(target):
            yield
        names = target.cluster.profile.nats
        async with await nats.connect(target.cluster.endpoints.nats) as client:
            for durable in names.consumers.names:
                await _nothing_in_hand(client.jetstream(), names.stream, durable)

    return injected


async def _nothing_in_hand(js: JetStreamContext, stream: str, durable: str) -> None:
    ack_wait = (await js.consumer_info(stream, durable)).config.ack_wait or 0.0

    async def settled() -> bool:
        return bool((await js.consumer_info(stream, durable)).num_ack_pending == 0)

    await wait_until(settled, f"the end of what {durable} has unacknowledged", ack_wait + TIMEOUTS.settle)


def spoiled(spoil: Spoiling, *others: str) -> Change:
    """In the end the stream is removed, and these others that were made for it."""

    @asynccontextmanager
    async def injected(target: EmbeddedTarget) -> AsyncIterator[None]:
        names = target.cluster.profile.nats
        async with seen_anew(target), await nats.connect(target.cluster.endpoints.nats) as client:
            js = client.jetstream()
            try:
                await spoil(js, names)
                yield
            finally:
                for stream in (names.stream, *others):
                    with suppress(NotFoundError):
                        await js.delete_stream(stream)

    return injected


def without_stream() -> Change:
    async def spoil(js: JetStreamContext, names: NatsProfile) -> None:
        await js.delete_stream(names.stream)

    return spoiled(spoil)


def stream_is(*, with_consumers: bool = True, messages: int = 0, **other: Any) -> Change:
    """The stream of the agents' answers is made anew with another configuration, and its consumers as they were.

    It gets so many messages, on a subject that no consumer reads.
    """

    async def spoil(js: JetStreamContext, names: NatsProfile) -> None:
        config = (await js.stream_info(names.stream)).config
        consumers = [info.config for info in await js.consumers_info(names.stream) if info.config.durable_name]
        await js.delete_stream(names.stream)
        await js.add_stream(config.evolve(**other))
        for consumer in consumers if with_consumers else ():
            await js.add_consumer(names.stream, consumer)
        for _ in range(messages):
            await js.publish(names.subjects[0].replace(">", "nobody"), b"{}")

    return spoiled(spoil)


def sealed_stream() -> Change:
    """Only a stream that is there can be sealed."""

    async def spoil(js: JetStreamContext, names: NatsProfile) -> None:
        config = (await js.stream_info(names.stream)).config
        await js.update_stream(config.evolve(**{"sealed": True}))

    return spoiled(spoil)


def stream_mirrors(*subjects: str, with_consumers: bool = False) -> Change:
    """The stream of the agents' answers is a mirror of another one, which captures these subjects."""

    async def spoil(js: JetStreamContext, names: NatsProfile) -> None:
        consumers = [info.config for info in await js.consumers_info(names.stream) if info.config.durable_name]
        await js.delete_stream(names.stream)
        await js.add_stream(StreamConfig(name=ORIGIN, subjects=list(subjects), storage=StorageType.FILE))
        mirror = StreamSource(name=ORIGIN)
        await js.add_stream(StreamConfig(name=names.stream, mirror=mirror, storage=StorageType.FILE))
        for consumer in consumers if with_consumers else ():
            await js.add_consumer(names.stream, consumer)

    return spoiled(spoil, ORIGIN)


def purged_stream() -> Change:
    """The stream had messages and has none: its next one does not have the number one."""

    async def spoil(js: JetStreamContext, names: NatsProfile) -> None:
        for _ in range(3):
            await js.publish(names.subjects[0].replace(">", "nobody"), b"{}")
        await js.purge_stream(names.stream)

    return spoiled(spoil)


def stream_takes_from_another() -> Change:
    """The stream of the agents' answers has its subjects, and copies besides what another team's stream captures."""

    async def spoil(js: JetStreamContext, names: NatsProfile) -> None:
        await js.add_stream(StreamConfig(name=ORIGIN, subjects=[THEIRS], storage=StorageType.FILE))
        for number in range(3):
            await js.publish(THEIRS, b'{"number": %d}' % number)
        config = (await js.stream_info(names.stream)).config
        await js.update_stream(config.evolve(sources=[StreamSource(name=ORIGIN)]))

    return spoiled(spoil, ORIGIN)


def bucket_in_memory() -> Change:
    """The bucket of results is made anew, empty, and in memory."""
    stream = f"KV_{RESULTS}"

    async def spoil(js: JetStreamContext, _names: NatsProfile) -> None:
        config = (await js.stream_info(stream)).config
        await js.delete_stream(stream)
        await js.add_stream(config.evolve(storage=StorageType.MEMORY))

    return spoiled(spoil, stream)


def without_consumer() -> Change:
    """That of the proposals."""

    async def spoil(js: JetStreamContext, names: NatsProfile) -> None:
        await js.delete_consumer(names.stream, names.consumers.completed)

    return spoiled(spoil)


def consumer_is(**other: Any) -> Change:
    """The consumer of the proposals is made anew with another configuration."""

    async def spoil(js: JetStreamContext, names: NatsProfile) -> None:
        config = (await js.consumer_info(names.stream, names.consumers.completed)).config
        await js.delete_consumer(names.stream, names.consumers.completed)
        await js.add_consumer(names.stream, config.evolve(**other))

    return spoiled(spoil)


def paused_consumer() -> Change:
    """That of the proposals, for an hour: in the end it is made anew, with the stream."""

    async def spoil(js: JetStreamContext, names: NatsProfile) -> None:
        until = datetime.now(UTC) + timedelta(hours=1)
        await js.pause_consumer(names.stream, names.consumers.completed, until.isoformat())

    return spoiled(spoil)


@asynccontextmanager
async def served(target: EmbeddedTarget, launch: Callable[[LaunchSpec], LaunchSpec]) -> AsyncIterator[None]:
    """NATS is started again with other arguments, on the same storage."""
    (server,) = target.members(Component.NATS)
    async with seen_anew(target), restarted(target, [server.name], launch=launch):
        yield


def port_of(launch: LaunchSpec) -> int:
    return int(launch.arguments[launch.arguments.index("-p") + 1])


def plain(launch: LaunchSpec) -> LaunchSpec:
    """NATS without JetStream."""
    start = launch.arguments.index("-a")  # before it stand -js and the storage
    return replace(launch, arguments=launch.arguments[start:], probe=lambda: probes.tcp_open(port_of(launch)))


def without_jetstream(target: EmbeddedTarget) -> AbstractAsyncContextManager[None]:
    return served(target, plain)


@asynccontextmanager
async def configured(
    target: EmbeddedTarget, configuration: str, *changes: FileChange, **environment: str
) -> AsyncIterator[None]:
    """NATS has this configuration file, too; the orchestrator starts again, with these changes, and makes its streams
    where they are missing. Deliberations of that time are known there alone: their agents are ended.
    """
    file = target.fleet.factory.run.path / "nats-server.conf"
    file.write_text(configuration, encoding="utf-8")

    def with_file(launch: LaunchSpec) -> LaunchSpec:
        return replace(launch, arguments=[*launch.arguments, "-c", str(file)])

    try:
        async with (
            served(target, with_file),
            restarted(target, target.orchestrators, *changes, environment=environment),
        ):
            yield
    finally:
        await end_agents(target)


def of_accounts(*accounts: str) -> str:
    """A configuration with these accounts; who gives no credentials is user `fleet`."""
    return f"accounts {{ {', '.join(accounts)} }}\nno_auth_user: fleet\n"


@asynccontextmanager
async def small_account(target: EmbeddedTarget, room: str) -> AsyncIterator[None]:
    """Everybody is in an account that may store only so much on disk (`room` as NATS writes sizes)."""
    account = f"FLEET {{ jetstream {{ max_file: {room} }}, users: [{{ user: fleet, password: fleet }}] }}"
    async with configured(target, of_accounts(account)):
        yield


@asynccontextmanager
async def another_account(target: EmbeddedTarget) -> AsyncIterator[str]:
    """The URL of a second account of the fleet's own NATS."""
    users = {"TENANT": "fleet", "OTHER": "other"}
    accounts = [
        f"{account} {{ jetstream: enabled, users: [{{ user: {user}, password: {user} }}] }}"
        for account, user in users.items()
    ]
    async with configured(target, of_accounts(*accounts)):
        yield target.cluster.endpoints.nats.replace("nats://", "nats://other:other@")
