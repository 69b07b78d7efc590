"""NATS servers, streams and consumers that differ."""

from __future__ import annotations

import nats

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


VARIANTS = (
    Variant(
        name="stream-captures-more",
        description="one stream keeps all that agents say, on agent.>",
        apply=stream_is(subjects=["agent.>"]),
        is_present=stream_has(subjects=["agent.>"]),
        stretches=("INF-10", "INF-12", "JOB-05", "ORC-10"),
    ),
)
