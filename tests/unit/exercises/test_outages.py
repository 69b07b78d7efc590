"""A replica is killed while the agents of its deliberation wait for vLLM, and is back in the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Replica, Workload
from fixtures.core.errors import Inconclusive
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.exercises.outages import (
    killed_while_agents_work,
    raise_if_agents_gave_up,
    raise_if_agents_wait_for_room,
    replica_of,
)
from fixtures.profile.model import load
from fixtures.services.orchestrator import Outcome, Proposal, Started
from fixtures.services.ray import Actor, Listing
from tests.support.agent_messages import agent_message


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

    async def begin(self, trip: DeliberationRun, **constraints: Any) -> None:
        assert constraints["deadline"] > 60, "agents are kept waiting until Ray has ended their drivers"
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


def agent(state: str, name: str = "task-1-agent") -> Actor:
    return Actor(id="1", name=name, class_name=load("embedded").agent.name, state=state)


def trip_with(*failures: str) -> DeliberationRun:
    profile = load("embedded")
    trip = DeliberationRun("DEV", 3, "marker", SimpleNamespace(name="orchestrator-1"))  # type: ignore[arg-type]
    trip.started = Started("task-1", "0.8.1", 0.1, 0.0)
    documents: list[dict[str, Any]] = [{"task_id": "task-1", "agent_id": "dev-1", "error": error} for error in failures]
    trip.messages = [agent_message(profile.contract.messages, "failed", document) for document in documents]
    return trip


@pytest.mark.parametrize("name", ["task-1-agent", "", "agent-4f1c"])
@pytest.mark.parametrize("state", ["PENDING_CREATION", "DEPENDENCIES_UNREADY"])
async def test_agents_that_come_one_after_the_other_decide_nothing(state: str, name: str) -> None:
    scene: Any = SimpleNamespace(profile=load("embedded"))
    listing = Listing("actors", [agent("ALIVE", name), agent(state, name)], 2)
    scene.ray = SimpleNamespace(recent_actors=lambda: asyncio.sleep(0, listing))
    with pytest.raises(Inconclusive, match=f"only 1 asked, and Ray has no room for .* {state}: not all can be at work"):
        await raise_if_agents_wait_for_room(scene, trip_with(), "only 1 asked")


async def test_agents_that_all_have_a_process_have_no_excuse() -> None:
    scene: Any = SimpleNamespace(profile=load("embedded"))
    others = agent("PENDING_CREATION", "task-2-agent")
    listing = Listing("actors", [agent("ALIVE"), agent("DEAD"), others], 3)
    scene.ray = SimpleNamespace(recent_actors=lambda: asyncio.sleep(0, listing))
    await raise_if_agents_wait_for_room(scene, trip_with(), "only 1 asked")


def test_agents_that_gave_up_while_they_were_held_decide_nothing() -> None:
    raise_if_agents_gave_up(trip_with())
    raise_if_agents_gave_up(trip_with("RuntimeError: vLLM answered 500"))
    tried_again = trip_with("TimeoutError: vLLM gave no answer within 30 s")
    proposals = tuple(Proposal(f"agent-{n}", "DEV", "a name", 1.0, n) for n in range(tried_again.agents))
    tried_again.outcome = Outcome("task-1", "COMPLETED", proposals, "agent-0", "")
    raise_if_agents_gave_up(tried_again)
    with pytest.raises(Inconclusive, match=r"waited for vLLM for less time .*dev-1: TimeoutError: vLLM gave no answer"):
        raise_if_agents_gave_up(trip_with("TimeoutError: vLLM gave no answer within 30 s"))
