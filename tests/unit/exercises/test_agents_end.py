"""The agents of a deliberation have ended when Ray knows all of them, as dead."""

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.core.polling import StateNotReached
from fixtures.core.timeouts import Timeouts, applied
from fixtures.exercises.deliberations import DeliberationRun, agents_ended
from fixtures.services.orchestrator import Started


class Table:
    """Ray's table of actors, by their states."""

    def __init__(self, *states: str) -> None:
        self.rows = [SimpleNamespace(name=f"task-1/agent-{n}", state=state) for n, state in enumerate(states, 1)]

    async def actors(self, _task_id: str) -> list[Any]:
        return self.rows


async def ended(*states: str) -> None:
    asked: Any = SimpleNamespace(name="orchestrator-1")
    trip = DeliberationRun("DEV", 2, "marker", asked, started=Started("task-1", "0.8.1", 0.1, 0.0))
    table: Any = Table(*states)
    with applied(Timeouts(settle=0.01)):
        await agents_ended(table, trip)


async def test_all_are_dead() -> None:
    await ended("DEAD", "DEAD")


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
        await ended(*states)
