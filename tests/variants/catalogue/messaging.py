"""NATS servers, streams and consumers that differ."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count

import nats
from nats.js import JetStreamContext

from fixtures.core.polling import StateNotReached, wait_until
from fixtures.core.timeouts import TIMEOUTS
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.nats_injectors import stream_is
from tests.variants.model import Presence, Variant


def stream_has(**config: object) -> Presence:
    """Whether the stream of the agents' answers is configured so."""

    async def present(target: EmbeddedTarget) -> bool:
        async with await nats.connect(target.cluster.endpoints.nats) as client:
            info = await client.jetstream().stream_info(target.cluster.profile.nats.stream)
        return all(getattr(info.config, key) == value for key, value in config.items())

    return present


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
        publisher = asyncio.create_task(_publish_for_ever(client.jetstream(), target.cluster.profile.nats.completed))
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


VARIANTS = (
    Variant(
        name="stream-captures-more",
        description="one stream keeps all that agents say, on agent.>",
        apply=stream_is(subjects=["agent.>"]),
        is_present=stream_has(subjects=["agent.>"]),
        stretches=("INF-10", "INF-12", "JOB-05", "ORC-10"),
    ),
    Variant(
        name="neighbours-publish-all-the-time",
        description="20 answers a second to tasks of somebody else, on the same stream and subject",
        apply=neighbours_publish,
        is_present=stream_grows,
        stretches=("JOB-05", "ORC-05", "ORC-10", "ORC-12", "ORC-13", "LOAD-02", "LOAD-03"),
    ),
)
