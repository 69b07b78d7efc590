"""Which end of a deliberation is read from NATS, and with which answers."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.polling import StateNotReached
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.exercises.nats_results import NatsResults
from fixtures.profile.contract_messages import Messages, OutcomeMessage
from fixtures.services.orchestrator import Started
from tests.unit.exercises.votes import CONTRACT, Stream, a_trip, results_of


@pytest.fixture
def stream() -> Stream:
    return Stream()


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


def with_outcome(**values: Any) -> Messages:
    """The contract's messages with a section outcome that has these values, too."""
    assert CONTRACT.messages.outcome
    outcome = CONTRACT.messages.outcome.model_dump(by_alias=True, exclude_unset=True) | values
    return CONTRACT.messages.model_copy(update={"outcome": OutcomeMessage.model_validate(outcome)})


async def test_what_else_is_published_where_ends_are_is_none(stream: Stream) -> None:
    """Of a round, in the same form: a constant tells them apart."""
    results = await results_of(stream, with_outcome(constants={"/type": "ballot.closed"}))
    data = {"ballot": "b-1", "result": "decided", "winner": "v-1"}
    await stream.publish("ballots.closed", {"type": "round.closed", "data": data})
    with pytest.raises(StateNotReached, match=r"1 messages name it and are no end of it \(/type is 'round.closed'"):
        await results.ended(a_trip(), 0.0, 0.01)
    await stream.publish("ballots.closed", {"type": "ballot.closed", "data": {**data, "winner": "v-2"}})
    assert (await results.end_of(a_trip())).winner == "v-2"


async def test_what_the_schema_refuses_is_no_end(stream: Stream, tmp_path: Path) -> None:
    schema = tmp_path / "closed.json"
    schema.write_text(json.dumps({"required": ["result", "winner"]}), encoding="utf-8")
    results = await results_of(stream, with_outcome(schema=str(schema)))
    await stream.close(result="decided")
    with pytest.raises(StateNotReached, match=r"no end of it \(.*'winner' is a required property.*outcome\.schema"):
        await results.ended(a_trip(), 0.0, 0.01)
    await stream.close(result="decided", winner="v-2")
    assert (await results.end_of(a_trip())).winner == "v-2"


async def answers_with_clocks(stream: Stream, ahead: float) -> list[str]:
    """Whose answers belong to an end, where those are stored by a clock that is so many seconds ahead of the end's."""
    stream.stream_by_subject, stream.ahead = {"ballots.closed": "ENDS"}, {"VOTES": ahead}
    results = await results_of(stream)
    await stream.vote("v-1")
    await stream.vote("v-2")
    await stream.close(result="decided", winner="v-2")
    for _ in range(3):
        await stream.vote("v-1")
    await stream.vote("v-3")
    return [proposal.author for proposal in (await results.end_of(a_trip())).proposals]


@pytest.mark.parametrize("ahead", [0.0, -0.9, 0.9, 1.9])
async def test_clocks_of_two_streams_need_not_agree(stream: Stream, ahead: float) -> None:
    """Servers that lead them differ by milliseconds, and an answer is stored a second before the end here."""
    assert await answers_with_clocks(stream, ahead) == ["v-1", "v-2"]


async def test_on_one_stream_the_order_says_which_answers_came_first(stream: Stream) -> None:
    """Whatever the clocks of the servers said that have led it."""
    results = await results_of(stream)
    await stream.vote("v-1")
    stream.ahead = {"VOTES": -5.0}
    await stream.close(result="decided", winner="v-1")
    await stream.vote("v-2")
    assert [proposal.author for proposal in (await results.end_of(a_trip())).proposals] == ["v-1"]
