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
from fixtures.profile.model import load
from fixtures.services.orchestrator import Started
from fixtures.services.ray import Actor


class Scene:
    """Cluster, deliberations and vLLM's proxy in one: notes what is done, in its order."""

    def __init__(self, back: int = 0) -> None:
        """`back`: how many replicas somebody brings back that were killed."""
        self.done: list[str] = []
        self.ray = self
        self.profile = load("embedded")
        self.up, self.back = 2, back
        self.actors = [Actor(id="1", name="task-1-agent", class_name=self.profile.agent.name, job_id="01")]

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

    async def living_actors(self) -> list[Actor]:
        return self.actors

    async def jobs(self) -> list[Any]:
        return []

    async def kill(self, *replicas: Replica) -> None:
        self.done.append(f"kill {len(replicas)}")
        self.up += self.back - len(replicas)

    async def workload(self, component: Component) -> Workload:
        pods = [Replica(f"orchestrator-{n}", component, "", "", "", False, running=n <= self.up) for n in (1, 2, 3)]
        return Workload("orchestrator", component, 2, "", "", tuple(pods))

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


async def outage(scene: Any) -> AsyncIterator[None]:
    trip = DeliberationRun("DEV", 2, "marker", SimpleNamespace(name="orchestrator-1"))  # type: ignore[arg-type]
    replica: Any = SimpleNamespace(name="orchestrator-1")
    async with killed_while_agents_work(scene, scene, scene, trip, replica):
        yield


@pytest.mark.parametrize("back", [1, 2])
async def test_replicas_that_are_brought_back_decide_nothing(back: int) -> None:
    scene: Any = Scene(back)
    words = f"{1 + back} replicas .* run where 1 should: something brings replicas back"
    with pytest.raises(Inconclusive, match=words):
        async for _ in outage(scene):
            pytest.fail("the replica is not down")
    assert scene.done[-1] == "revive 1"


async def test_replicas_that_are_brought_back_later_decide_nothing() -> None:
    scene: Any = Scene()
    with pytest.raises(Inconclusive, match="something brings replicas back"):
        async for _ in outage(scene):
            scene.up += 1
    assert scene.done[-1] == "revive 1"


async def test_agents_whose_drivers_are_not_known_decide_nothing() -> None:
    """They may answer before Ray ends them with their driver: what is published then is no answer of an agent left."""
    scene: Any = Scene()
    scene.actors = []
    with pytest.raises(Inconclusive, match=r"which drivers own the agents of DEV .* is not known"):
        async for _ in outage(scene):
            pytest.fail("the replica is down")
    assert not [step for step in scene.done if step.startswith("kill")]


def test_a_replica_that_was_replaced_is_none_of_the_workload_any_more() -> None:
    replica = Replica("orchestrator-7f", Component.ORCHESTRATOR, "orchestrator", "image:1", "", True)
    workload = Workload("orchestrator", Component.ORCHESTRATOR, 1, "image:1", "", (replica,))
    assert replica_of(workload, "orchestrator-7f") is replica
    with pytest.raises(Inconclusive, match=r"orchestrator-2c is no replica .* any more.*orchestrator-7f"):
        replica_of(workload, "orchestrator-2c")
