"""Deliberations that an event or a call starts: what is published or asked, and where the end is read."""

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.exercises.modes import RpcAsync, RpcThenNats, mode_of
from fixtures.profile.model import Profile, load
from fixtures.services.orchestrator import Started
from tests.unit.exercises.votes import CONTRACT, Stream


@pytest.fixture
def stream() -> Stream:
    return Stream()


def profile(**deliberations: Any) -> Profile:
    votes = load("embedded").replaced("nats", stream="VOTES").model_copy(update={"contract": CONTRACT})
    return votes.replaced("deliberations", **deliberations)


async def test_an_event_starts_one_for_its_role_with_what_it_is_given(stream: Stream) -> None:
    mode = mode_of(profile(mode="event"), orchestrator=None, nats=stream)  # type: ignore[arg-type]
    trip = DeliberationRun("LEGAL", 2, "fc-1-task-1", asked=None)
    trip.started = await mode.start(trip, "shall we?", deadline=7)
    assert (trip.task_id, trip.replica) == ("fc-1-task-1-LEGAL", "NATS")
    (message,) = stream.stored
    assert message.subject == "ballots.opened" and message.document is not None
    assert message.document["data"] == {
        "ballot": trip.task_id,
        "question": "shall we?",
        "office": "LEGAL",
        "voters": 2,
        "closes": 7,
    }
    assert await mode.reports(trip) == {}


class Replica:
    """Starts a deliberation, whose agent answers before the call returns."""

    name = "orchestrator-1"

    def __init__(self, stream: Stream) -> None:
        self.stream, self.given = stream, dict[str, Any]()

    async def deliberate(self, task: str, role: str, agents: int, **values: Any) -> Started:
        self.given = {"task": task, "role": role, "agents": agents, **values}
        await self.stream.vote("v-1")
        await self.stream.vote("v-2")
        return Started("b-1", "", 0.0, 0.0)


async def test_a_call_starts_one_whose_end_is_read_from_nats(stream: Stream) -> None:
    asked: Any = Replica(stream)
    orchestrator: Any = SimpleNamespace(at=lambda _: asked, replicas=[asked])
    task_id = "ceremony-{marker}:role-{role}"
    wanted = profile(mode="rpc-async", results="nats", task_id=task_id)
    mode = mode_of(wanted, orchestrator, stream)  # type: ignore[arg-type]
    assert isinstance(mode, RpcThenNats)
    trip = DeliberationRun("LEGAL", 2, "fc-1-task-1", mode.asked(1))
    trip.started = await mode.start(trip, "shall we?")
    assert asked.given["task_id"] == "ceremony-fc-1-task-1:role-LEGAL"
    await stream.close(result="decided", winner="v-1")
    outcome = await mode.outcome(trip, None, 1.0, 0.01)
    assert (outcome.status, len(outcome.proposals), await mode.reports(trip)) == ("COMPLETED", 2, {})
    assert type(mode_of(load("embedded"), orchestrator, stream)) is RpcAsync  # type: ignore[arg-type]
