"""A replica is killed while the agents of its deliberation wait for vLLM, and is back in the end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Replica, Workload
from fixtures.core.errors import Inconclusive
from fixtures.exercises.deliberations import DeliberationRun
from fixtures.exercises.outages import killed_while_agents_work, replica_of
from fixtures.services.orchestrator import Started


class Scene:
    """Cluster, deliberations and vLLM's proxy in one: notes what is done, in its order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.ray = self

    @asynccontextmanager
    async def fault(self, action: str, contains: str) -> AsyncIterator[str]:
        self.done.append(f"{action} {contains}")
        yield "rule"
        self.done.append("answer")

    async def hits(self, _rule: str) -> int:
        return 2

    async def begin(self, trip: DeliberationRun) -> None:
        self.done.append("begin")
        trip.started = Started("task-1", "0.8.1", 0.1, 0.0)

    async def living_actors(self) -> list[Any]:
        return []

    async def jobs(self) -> list[Any]:
        return []

    async def kill(self, *replicas: Replica) -> None:
        self.done.append(f"kill {len(replicas)}")

    async def revive(self, *replicas: Replica) -> None:
        self.done.append(f"revive {len(replicas)}")


@pytest.mark.parametrize("fails", [False, True])
async def test_agents_are_answered_while_the_replica_is_down(fails: bool) -> None:
    scene: Any = Scene()
    trip = DeliberationRun("DEV", 2, "marker", SimpleNamespace(name="orchestrator-1"))  # type: ignore[arg-type]
    replica: Any = SimpleNamespace(name="orchestrator-1")
    try:
        async with killed_while_agents_work(scene, scene, scene, trip, replica):
            scene.done.append("body")
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert scene.done == ["hold marker", "begin", "kill 1", "answer", "body", "revive 1"]


def test_a_replica_that_was_replaced_is_none_of_the_workload_any_more() -> None:
    replica = Replica("orchestrator-7f", Component.ORCHESTRATOR, "orchestrator", "image:1", "", True)
    workload = Workload("orchestrator", Component.ORCHESTRATOR, 1, "image:1", "", (replica,))
    assert replica_of(workload, "orchestrator-7f") is replica
    with pytest.raises(Inconclusive, match=r"orchestrator-2c is no replica .* any more.*orchestrator-7f"):
        replica_of(workload, "orchestrator-2c")
