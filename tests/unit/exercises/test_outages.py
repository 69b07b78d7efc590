"""A replica is killed while the agents of its deliberation wait for vLLM, and is back in the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.checks.contract import MessageContract
from fixtures.clusters.base import Component, Replica, Workload
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.polling import StateNotReached
from fixtures.core.timeouts import Timeouts, applied
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.exercises.outages import (
    all_results_published,
    killed_while_agents_work,
    raise_if_agents_gave_up,
    raise_if_agents_wait_for_room,
    raise_if_its_time_was_up,
    replica_of,
)
from fixtures.profile.model import Profile, load
from fixtures.services.orchestrator import Outcome, Proposal, Started
from fixtures.services.ray import Actor, Listing
from tests.support.agent_messages import agent_message
from tests.unit.profile.test_parts import without_values


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


async def test_what_is_no_answer_is_not_waited_for_as_one() -> None:
    scene: Any = Scene()
    messages = scene.profile.contract.messages
    answer, plan = ({"task_id": "task-1", "agent_id": "dev-1"} for _ in range(2))
    stored = [
        agent_message(messages, kind, document).message for kind, document in (("plan", plan), ("completed", answer))
    ]
    scene.contract = MessageContract(messages)
    scene.nats = SimpleNamespace(messages=lambda *_, **__: asyncio.sleep(0, stored))
    trip = trip_with()
    with applied(Timeouts(deliberation=0.05)), pytest.raises(StateNotReached, match=r"answers of 2 agents .*1 answers"):
        await all_results_published(scene, replace(trip, agents=2), 0)
    await all_results_published(scene, replace(trip, agents=1), 0)


async def held_until_the_end(asked: int, answers: int) -> None:
    """A deliberation of two agents that completes with so many answers after so many requests were held."""
    scene: Any = Scene()
    proposals = tuple(Proposal(f"agent-{n}", "DEV", "a name", 1.0, n) for n in range(answers))
    outcome = Outcome("task-1", "COMPLETED", proposals, "", "")
    scene.mode = SimpleNamespace(state=lambda _: asyncio.sleep(0, outcome))
    scene.hits = lambda _: asyncio.sleep(0, asked)
    async for _ in outage(scene):
        pytest.fail("the replica is down")


async def test_agents_that_cannot_be_held_decide_nothing() -> None:
    for asked, seen in ((0, "none"), (1, "1")):
        with pytest.raises(
            Inconclusive, match=f"has seen {seen} of the requests of 2 agents, .* and all have answered"
        ):
            await held_until_the_end(asked, answers=2)


async def test_an_end_without_the_agents_that_are_held_is_a_failure() -> None:
    with pytest.raises(NonConformance, match=r"only 1 of 2 agents asked vLLM before the end: .*COMPLETED with 1 of 2"):
        await held_until_the_end(1, answers=1)


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


SHORT_OF_TIME = without_values("timeout_seconds")


def ended(status: str, error: str = "") -> DeliberationRun:
    trip = trip_with()
    trip.outcome = Outcome("task-1", status, (), "", error)
    return trip


@pytest.mark.parametrize("trip", [ended("TIMEOUT"), ended("FAILED", "timed out after 60 s")])
def test_a_deliberation_that_could_not_be_given_time_and_ran_out_of_it_decides_nothing(trip: DeliberationRun) -> None:
    with pytest.raises(Inconclusive, match=r"has no place for a deadline, .* shorter than the outage: .*task-1"):
        raise_if_its_time_was_up(SHORT_OF_TIME, trip, waited=0.1)


@pytest.mark.parametrize(
    ("profile", "trip", "waited"),
    [
        (load("embedded"), ended("TIMEOUT"), 0.1),
        (SHORT_OF_TIME, ended("TIMEOUT"), 31.0),
        (SHORT_OF_TIME, ended("FAILED", "no proposal"), 0.1),
        (SHORT_OF_TIME, trip_with(), 120.0),
    ],
    ids=["it had the time", "long after the outage", "another end", "no end"],
)
def test_what_became_of_all_others_is_judged(profile: Profile, trip: DeliberationRun, waited: float) -> None:
    raise_if_its_time_was_up(profile, trip, waited)


async def test_a_deliberation_whose_time_is_up_before_its_agents_are_held_decides_nothing() -> None:
    scene: Any = Scene()
    scene.profile = SHORT_OF_TIME
    scene.mode = SimpleNamespace(state=lambda _: asyncio.sleep(0, Outcome("task-1", "TIMEOUT", (), "", "")))
    scene.hits = lambda _: asyncio.sleep(0, 1)
    with pytest.raises(Inconclusive, match="has no place for a deadline"):
        async for _ in outage(scene):
            pytest.fail("the replica is down")
