"""The agents of a deliberation have ended when Ray knows all of them, as dead."""

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive
from fixtures.core.polling import StateNotReached
from fixtures.core.timeouts import Timeouts, applied
from fixtures.exercises.agent_actors import ActorsBefore, ProductActors
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.exercises.deliberations import agents_ended
from fixtures.services.orchestrator import Started
from fixtures.services.ray import Actor, Listing

JOB = "VLLMAgentJob"
BEFORE = ActorsBefore(ProductActors(JOB), frozenset(["old"]))
ANONYMOUS = ActorsBefore(ProductActors(JOB, named=False), frozenset(["old"]))


class Table:
    """Ray's table of actors."""

    def __init__(self, *rows: Actor, total: int = 0) -> None:
        self.listing = Listing("actors", list(rows), total or len(rows))

    async def recent_actors(self) -> Listing[Actor]:
        return self.listing


def named(*states: str) -> list[Actor]:
    return [Actor(id=str(n), name=f"task-1/agent-{n}", class_name=JOB, state=s) for n, s in enumerate(states, 1)]


def without_names(*states: str) -> list[Actor]:
    """Those of these states that are new, next to an older one, and an actor of another class."""
    new = [Actor(id=f"{n}-of-the-new", class_name=JOB, state=state) for n, state in enumerate(states, 1)]
    return [*new, Actor(id="old", class_name=JOB, state="ALIVE"), Actor(id="x", class_name="Users", state="ALIVE")]


async def ended(*rows: Actor, total: int = 0, before: ActorsBefore = BEFORE) -> None:
    asked: Any = SimpleNamespace(name="orchestrator-1")
    trip = DeliberationRun("DEV", 2, "marker", asked, started=Started("task-1", "0.8.1", 0.1, 0.0))
    table: Any = Table(*rows, total=total)
    with applied(Timeouts(settle=0.01)):
        await agents_ended(table, trip, before)


async def test_where_agents_have_no_names_their_class_alone_counts() -> None:
    helper = Actor(id="h", name="task-1/counter", class_name="Counter", state="ALIVE")
    await ended(helper, *without_names("DEAD", "DEAD"), before=ANONYMOUS)
    with pytest.raises(StateNotReached, match="Ray knows 3 of 2 agents"):
        await ended(helper, *without_names("DEAD", "DEAD"), *named("ALIVE", "ALIVE"))


async def test_all_are_dead() -> None:
    await ended(*named("DEAD", "DEAD"))
    await ended(*without_names("DEAD", "DEAD"))
    await ended(*without_names("DEAD", "DEAD", "DEAD"))


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ((), "Ray knows 0 of 2 agents"),
        (("DEAD",), "Ray knows 1 of 2 agents: task-1/agent-1 DEAD"),
        (("DEAD", "ALIVE"), "Ray knows 2 of 2 agents: task-1/agent-1 DEAD, task-1/agent-2 ALIVE"),
    ],
)
async def test_unknown_agents_have_not_ended(states: tuple[str, ...], words: str) -> None:
    with pytest.raises(StateNotReached, match=words):
        await ended(*named(*states))


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (("DEAD",), r"Ray knows 1 of 2 agents: an agent without a name \(1-of-the\) DEAD"),
        (("DEAD", "ALIVE"), "Ray knows 2 of 2 agents"),
        (("DEAD", "ALIVE", "ALIVE"), "Ray knows 3 of 2 agents"),
    ],
)
async def test_agents_without_names_have_not_ended(states: tuple[str, ...], words: str) -> None:
    with pytest.raises(StateNotReached, match=words):
        await ended(*without_names(*states))


async def test_agents_without_names_may_be_others() -> None:
    with pytest.raises(Inconclusive, match="1 of them may be others'"):
        await ended(*without_names("DEAD", "DEAD", "ALIVE"))


async def test_a_cut_list_proves_neither_that_agents_ended_nor_that_there_were_none() -> None:
    await ended(*named("DEAD", "DEAD"), total=12_000)
    with pytest.raises(Inconclusive, match="Ray lists 1 of 12000 actors, 1 of the 2 agents of task-1 among them"):
        await ended(*named("DEAD"), total=12_000)
