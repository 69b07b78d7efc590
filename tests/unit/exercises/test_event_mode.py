"""Deliberations that an event starts: what is published, and which end is read from NATS."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.core.polling import StateNotReached
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.exercises.modes import RpcAsync, RpcThenNats, mode_of
from fixtures.exercises.nats_results import NatsResults
from fixtures.profile.contract_messages import Messages
from fixtures.profile.model import Profile, load
from fixtures.services.nats import Message
from fixtures.services.orchestrator import Started
from tests.unit.profile.contracts import second

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
CONTRACT = second()


class Stream:
    """A stand-in for a stream that captures everything."""

    def __init__(self) -> None:
        self.stored: list[Message] = []
        self.looks = 0
        self.written: Callable[[Any], str] = json.dumps  # as a publisher writes a document

    async def stream_of(self, subject: str) -> str:
        return "VOTES" if subject else ""

    async def last_sequence(self, stream: str) -> int:
        assert stream == "VOTES"
        return len(self.stored)

    async def messages(
        self, stream: str, after: int, *, subjects: Sequence[str], ours: Callable[[bytes], bool]
    ) -> list[Message]:
        assert stream == "VOTES"
        self.looks += 1
        return [m for m in self.stored if m.sequence > after and m.subject in subjects and ours(m.data)]

    async def publish(self, subject: str, document: dict[str, Any]) -> int:
        number = len(self.stored) + 1
        data = self.written(document).encode()
        self.stored.append(Message(number, subject, data, document, BEGAN + timedelta(seconds=number)))
        return number

    async def vote(self, agent: str, task: str = "b-1") -> None:
        vote = {"text": f"yes, says {agent}", "usage": {"completion": 3}, "model": "m"}
        data = {"ballot": task, "voter": {"id": agent, "office": "LEGAL"}, "vote": vote, "took": 0.1}
        await self.publish("votes.cast", {"type": "vote.cast", "time": 1, "data": data})

    async def fail(self, agent: str) -> None:
        data = {"ballot": "b-1", "voter": {"id": agent}, "reason": {"text": "no model", "kind": "ValueError"}}
        await self.publish("votes.spoiled", {"data": data})

    async def close(self, **data: Any) -> None:
        await self.publish("ballots.closed", {"data": {"ballot": "b-1", **data}})


@pytest.fixture
def stream() -> Stream:
    return Stream()


def a_trip() -> DeliberationRun:
    return DeliberationRun("LEGAL", 2, "b", asked=None, started=Started("b-1", "", 0.0, 0.0))


async def results_of(stream: Stream, messages: Messages = CONTRACT.messages) -> NatsResults:
    results = NatsResults(stream, "VOTES", messages)  # type: ignore[arg-type]
    await results.begin()
    results.follow("b-1")
    return results


async def test_the_end_is_what_is_published_of_it_with_the_answers_until_then(stream: Stream) -> None:
    results = await results_of(stream)
    await stream.vote("v-1")
    await stream.vote("v-1")
    await stream.vote("v-9", task="another")
    await stream.vote("v-2")
    assert not (await results.end_of(a_trip())).ended
    await stream.close(result="decided", winner="v-2")
    await stream.vote("v-3")
    outcome = await results.end_of(a_trip())
    assert (outcome.status, outcome.winner) == ("COMPLETED", "v-2")
    assert [(one.author, one.content) for one in outcome.proposals] == [
        ("v-1", "yes, says v-1"),
        ("v-2", "yes, says v-2"),
    ]


@pytest.mark.parametrize(("word", "status"), [("void", "FAILED"), ("expired", "TIMEOUT")])
async def test_another_end_has_its_reason(stream: Stream, word: str, status: str) -> None:
    results = await results_of(stream)
    await stream.close(result=word, reason="nobody voted")
    outcome = await results.end_of(a_trip())
    assert (outcome.status, outcome.error, outcome.proposals) == (status, "nobody voted", ())


async def test_without_an_end_it_is_said_what_there_is(stream: Stream) -> None:
    results = await results_of(stream)
    await stream.vote("v-1")
    with pytest.raises(StateNotReached, match=r"on ballots\.closed, .*: nothing, 1 answers of 2 agents"):
        await results.ended(a_trip(), 0.0, 0.01)
    await stream.publish("ballots.closed", {"ballot": "b-1", "result": "decided"})
    with pytest.raises(StateNotReached, match=r"1 messages name it and are no end of it \(.*data is missing"):
        await results.ended(a_trip(), 0.0, 0.01)
    await stream.close(result="adjourned")
    with pytest.raises(StateNotReached, match=r"adjourned \(none of messages\.outcome\.states\)"):
        await results.ended(a_trip(), 0.0, 0.01)


async def test_where_no_end_is_published_the_last_agent_s_answer_is_it(stream: Stream) -> None:
    results = await results_of(stream, CONTRACT.messages.model_copy(update={"outcome": None}))
    await stream.vote("v-1")
    assert not (await results.end_of(a_trip())).ended
    await stream.fail("v-2")
    outcome = await results.end_of(a_trip())
    assert (outcome.status, outcome.error, len(outcome.proposals)) == ("COMPLETED", "v-2: no model", 1)


@pytest.mark.parametrize("written", [json.dumps, partial(json.dumps, ensure_ascii=False)])
async def test_a_task_is_found_however_its_publisher_writes_it(stream: Stream, written: Callable[[Any], str]) -> None:
    stream.written = written
    results, task = NatsResults(stream, "VOTES", CONTRACT.messages), "b-1:JURÍDICO"  # type: ignore[arg-type]
    await results.begin()
    results.follow(task)
    trip = DeliberationRun("JURÍDICO", 1, "b", asked=None, started=Started(task, "", 0.0, 0.0))
    await stream.vote("v-1", task=task)
    await stream.publish("ballots.closed", {"ballot": task})
    with pytest.raises(StateNotReached, match=r"1 messages name it and are no end of it .*, 1 answers of 1 agents"):
        await results.ended(trip, 0.0, 0.01)
    await stream.publish("ballots.closed", {"data": {"ballot": task, "result": "decided"}})
    outcome = await results.end_of(trip)
    assert (outcome.status, len(outcome.proposals)) == ("COMPLETED", 1)


async def test_what_agents_say_before_their_end_is_no_answer(stream: Stream) -> None:
    messages = CONTRACT.messages
    assert messages.failed is not None
    one_subject = {"subject": messages.completed.subject, "constants": {"/type": "vote.spoiled"}}
    failed = messages.failed.model_copy(update=one_subject)
    results = await results_of(stream, messages.model_copy(update={"outcome": None, "failed": failed}))
    for agent in ("v-1", "v-2"):
        data = {"ballot": "b-1", "voter": {"id": agent}}
        await stream.publish("votes.cast", {"type": "vote.begun", "data": data})
    with pytest.raises(StateNotReached, match="0 answers of 2 agents"):
        await results.ended(a_trip(), 0.0, 0.01)


async def test_what_was_there_before_is_not_read_and_each_message_once(stream: Stream) -> None:
    await stream.close(result="void")
    results = await results_of(stream)
    assert not (await results.end_of(a_trip())).ended
    assert stream.looks == 0, "nothing is new"
    await stream.close(result="decided")
    assert results.ends is not None
    for _ in range(3):
        await results.ends.read()
    assert (stream.looks, len(results.ends.messages)) == (1, 1)


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
