"""Loads on a fleet while its checks run, as in two of the variants.

Somebody's Ray job keeps half of the CPUs busy with agents of three seconds (`users-agents-come-and-go`), and answers to
tasks of somebody else come 20 times a second (`neighbours-publish-all-the-time`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from fixtures.clusters.base import Cluster, Timeline
from tests.targets.target import Change
from tests.variants.catalogue.machine import fleet_is_used
from tests.variants.catalogue.messaging import neighbours_publish

LOADS: tuple[Change, ...] = (fleet_is_used, neighbours_publish)


@dataclass(frozen=True)
class LoadedFleet:
    """What a load knows of the fleet."""

    cluster: Cluster


def with_loads(cluster: Cluster, loads: Sequence[Change]) -> Cluster:
    """The cluster, with these loads from the end of its start to its stop."""
    under_way, start, stop = AsyncExitStack(), cluster.start, cluster.stop

    async def start_with_loads(timeline: Timeline) -> None:
        await start(timeline)
        try:
            for load in loads:
                with timeline.step(f"load beside the checks: {load.__name__}"):
                    await under_way.enter_async_context(load(LoadedFleet(cluster)))
        except BaseException:
            await asyncio.shield(cluster.stop())
            raise

    async def stop_with_loads() -> None:
        try:
            await under_way.aclose()
        finally:
            await stop()

    vars(cluster).update(start=start_with_loads, stop=stop_with_loads)
    return cluster
