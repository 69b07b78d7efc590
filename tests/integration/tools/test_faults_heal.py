"""A fault is healed when nothing of it is left, not when its processes run again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import nats.errors
import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from fixtures.profile import model as profiles
from fixtures.services.nats import Nats
from tests.support.tls_services import secured_nats
from tests.targets.nats_injectors import settled

ACK_WAIT = 2.0  # seconds
NAMES = profiles.load("embedded").nats
COMPLETED, FAILED = "agent.response.completed", "agent.response.failed"


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    """As faults see it: where its NATS is, and how its profile calls things."""
    with secured_nats(tmp_path, "") as address:
        client = Nats(f"nats://{address}", "test")
        context = await client.jetstream()
        await context.add_stream(name=NAMES.stream, subjects=["agent.response.>"])
        for durable, subject in ((NAMES.consumers.completed, COMPLETED), (NAMES.consumers.failed, FAILED)):
            config = ConsumerConfig(
                durable_name=durable, filter_subject=subject, ack_policy=AckPolicy.EXPLICIT, ack_wait=ACK_WAIT
            )
            await context.add_consumer(NAMES.stream, config)
        cluster = SimpleNamespace(
            profile=SimpleNamespace(nats=NAMES), endpoints=SimpleNamespace(nats=f"nats://{address}")
        )
        yield SimpleNamespace(cluster=cluster, client=client)
        await client.close()


async def test_what_a_killed_replica_had_in_hand_is_settled_before_a_fault_counts_as_healed(
    fleet: SimpleNamespace,
) -> None:
    """A replica that is killed with a message in hand leaves it unacknowledged until the
    consumer's ack_wait is over.
    """
    context = await fleet.client.jetstream()
    reader = await context.pull_subscribe_bind(NAMES.consumers.completed, NAMES.stream)

    async def sound_replica() -> None:
        while True:
            with suppress(nats.errors.TimeoutError):
                (message,) = await reader.fetch(1, timeout=1)
                await message.term()

    @asynccontextmanager
    async def replicas_are_killed_and_started(_fleet: object) -> AsyncIterator[None]:
        yield
        tasks.append(asyncio.ensure_future(sound_replica()))

    tasks: list[asyncio.Future[None]] = []
    async with settled(replicas_are_killed_and_started)(fleet):
        await context.publish(COMPLETED, b"{not json")
        await reader.fetch(1, timeout=5)  # and never settled: its reader is killed
    (replica,) = tasks
    assert (await context.consumer_info(NAMES.stream, NAMES.consumers.completed)).num_ack_pending == 0
    replica.cancel()
    with suppress(asyncio.CancelledError):
        await replica
