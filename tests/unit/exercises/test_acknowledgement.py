"""What is known of this run's messages from a consumer that others use, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.polling import StateNotReached
from fixtures.core.timeouts import Timeouts
from fixtures.exercises import acknowledgement
from fixtures.exercises.acknowledgement import (
    Awaited,
    Before,
    Open,
    repeated,
    start_of,
    still_open,
    wait_until_acknowledged,
)
from fixtures.profile.model import load
from fixtures.services.jetstream import Consumer
from fixtures.services.nats import NotThere
from fixtures.services.stream_messages import Message

START = 100  # the stream's last sequence before the run
OWN = frozenset({101, 103, 105})
NAMES, MESSAGES = load("swe-ai-fleet").nats, load("swe-ai-fleet").contract.messages
assert MESSAGES.failed
COMPLETED, FAILED = MESSAGES.completed.subject, MESSAGES.failed.subject


def consumer(
    floor: int, delivered: int = 105, pending: int = 0, redelivered: int = 0, max_deliver: int = -1, unread: int = 0
) -> Consumer:
    return Consumer.of(
        {
            "config": {"filter_subject": COMPLETED, "max_deliver": max_deliver},
            "delivered": {"stream_seq": delivered, "consumer_seq": delivered},
            "ack_floor": {"stream_seq": floor, "consumer_seq": floor},
            "num_ack_pending": pending,
            "num_redelivered": redelivered,
            "num_pending": unread,
        }
    )


def judged(now: Consumer, others: Collection[int] = (), before: Consumer | None = None, **awaited: Any) -> Open | None:
    return still_open(Awaited("collector", OWN, Before.of(before, START), **awaited), now, others)


#: Nothing of the run is open -> the consumer, others' messages since the run began, and the consumer before it.
ACKNOWLEDGED: dict[str, tuple[Consumer, Collection[int], Consumer | None]] = {
    "all of an idle consumer": (consumer(105), (), consumer(99)),
    "others' later ones are on their way": (consumer(110, 130, pending=7), range(106, 131), None),
    "an old poison is beyond max_deliver": (
        consumer(105, redelivered=1, max_deliver=5),
        (),
        consumer(40, redelivered=1, max_deliver=5),
    ),
    "an old poison holds the floor back": (consumer(40, redelivered=1), (), consumer(40, redelivered=1)),
    "an old message is refused for ever": (
        consumer(40, pending=1, redelivered=1),
        (),
        consumer(40, pending=1, redelivered=1),
    ),
    "one of the others is slow": (consumer(101, pending=1), (102,), None),
    "the last one from before is finished, and one of the others is slow": (
        consumer(99, pending=1),
        (100, 104),
        consumer(95, pending=1),
    ),
    "others are delivered again": (consumer(105, 120, pending=3, redelivered=2), range(106, 121), None),
}


@pytest.mark.parametrize("name", ACKNOWLEDGED)
def test_nothing_of_the_run_is_open(name: str) -> None:
    now, others, before = ACKNOWLEDGED[name]
    assert judged(now, others, before) is None


#: Something of the run is open -> as above, and words.
OPEN: dict[str, tuple[Consumer, Collection[int], Consumer | None, str]] = {
    "none was acknowledged": (consumer(99, pending=3), (), None, "no more than 0 of them are others'"),
    "nor were others": (consumer(99, pending=5), (102, 104), None, "no more than 2 of them are others'"),
    "nor were those before": (
        consumer(90, pending=5),
        (),
        consumer(90, pending=2),
        "no more than 2 of them are others' messages",
    ),
    "the first is refused, among others": (
        consumer(99, 130, pending=1, redelivered=1),
        range(106, 131),
        None,
        "sequence 101 is unacknowledged",
    ),
    "a later one is refused": (consumer(102, 130, pending=1), (102, *range(106, 131)), None, "sequence 103 is"),
    "it does not come to the last": (consumer(103, 103), (), None, "sequence 105 was not delivered yet"),
    "one was given up": (
        consumer(105, redelivered=1, max_deliver=3),
        (),
        consumer(99, max_deliver=3),
        "1 messages were given up",
    ),
    "more were given up than others' and those from before": (
        consumer(105, redelivered=4, max_deliver=3),
        (102,),
        consumer(90, pending=2, max_deliver=3),
        "4 messages were given up",
    ),
    "the one from before is acknowledged, the floor rests on it": (
        consumer(98, pending=1),
        (),
        consumer(95, pending=1),
        "no more than 0 of them are others'",
    ),
    "the same, and others are on their way": (
        consumer(98, 130, pending=1),
        range(106, 131),
        consumer(95, pending=1),
        "sequence 101 is unacknowledged",
    ),
    "one from before was given up, and more are open than others'": (
        consumer(40, pending=2, redelivered=1, max_deliver=5),
        (102,),
        consumer(40, redelivered=1, max_deliver=5),
        "no more than 1 of them are others'",
    ),
}


@pytest.mark.parametrize("name", OPEN)
def test_a_message_of_the_run_is_open(name: str) -> None:
    now, others, before, words = OPEN[name]
    answer = judged(now, others, before)
    assert answer is not None and answer.certain and words in answer.why


@pytest.mark.parametrize(
    ("now", "others", "before", "words"),
    [
        (consumer(101, pending=2), (102, 104), None, "sequence 102 is unacknowledged and not this run's"),
        (consumer(40, pending=2), (), consumer(40, pending=2), "one from before is unacknowledged"),
        (consumer(105, redelivered=1, max_deliver=3), (102,), None, "1 messages were given up"),
        (consumer(105, redelivered=1, max_deliver=3), (), consumer(90, pending=1, max_deliver=3), "1 messages were"),
        (consumer(97, pending=1), (), consumer(95, pending=2), "up to 1 from before may be unacknowledged"),
        (
            consumer(40, 130, pending=1, redelivered=1, max_deliver=5),
            range(106, 131),
            consumer(40, redelivered=1, max_deliver=5),
            "one that was given up may be the first after 40",
        ),
        (
            consumer(40, pending=1, redelivered=1, max_deliver=5),
            (),
            consumer(40, pending=1, redelivered=1, max_deliver=5),
            "one that was given up may be the first after 40",
        ),
    ],
)
def test_where_others_messages_may_be_open_it_is_not_known(
    now: Consumer, others: Collection[int], before: Consumer | None, words: str
) -> None:
    answer = judged(now, others, before)
    assert answer is not None and not answer.certain and words in answer.why


def test_what_was_given_up_is_set_aside() -> None:
    now = consumer(105, redelivered=3, max_deliver=3)
    assert judged(now, before=consumer(99, max_deliver=3), may_give_up=True) is None


ELDERS, LATER = (1, 2), (4, 5, 6, 7)  # sequences that the consumer reads; it reads 3 not, the last one before the run
MINE = frozenset({4, 6})
STATES = ("acknowledged", "open", "given up")


def state_of(messages: Mapping[int, str], max_deliver: int, rests: bool) -> Consumer:
    """A consumer to which these were delivered. `rests`: its floor is the last that it acknowledged, not the last
    before the first that is not."""
    unfinished = [sequence for sequence, state in messages.items() if state != "acknowledged"]
    floor = min(unfinished, default=max(messages) + 1) - 1
    if rests:
        floor = max((sequence for sequence in messages if sequence <= floor), default=0)
    states = Counter(messages.values())
    return consumer(floor, max(messages), states["open"], states["given up"], max_deliver)


@pytest.mark.parametrize("rests", [False, True])
@pytest.mark.parametrize("may_give_up", [False, True])
@pytest.mark.parametrize("max_deliver", [-1, 3])
def test_no_open_message_of_the_run_passes_and_no_other_s_fails(
    max_deliver: int, may_give_up: bool, rests: bool
) -> None:
    """Every course of two messages from before, two of the run and two of others."""
    states = STATES if max_deliver > 0 else STATES[:2]
    for old in product(states, repeat=len(ELDERS)):
        before = Before.of(state_of(dict(zip(ELDERS, old, strict=True)), max_deliver, rests), 3)
        awaited = Awaited("collector", MINE, before, may_give_up)
        for new in product(states, repeat=len(ELDERS) + len(LATER)):
            if any(then not in ("open", now) for then, now in zip(old, new, strict=False)):
                continue
            messages = dict(zip((*ELDERS, *LATER), new, strict=True))
            is_open = any(messages[sequence] == "open" for sequence in MINE)
            is_given_up = any(messages[sequence] == "given up" for sequence in MINE) and not may_give_up
            answer = still_open(awaited, state_of(messages, max_deliver, rests), {5, 7})
            assert answer or not (is_open or is_given_up), (old, messages)
            assert not (answer and answer.certain) or is_open or is_given_up, (old, messages, answer)


class Stream:
    """Stands in for a connection to NATS: a stream with these messages and a consumer of it, or none."""

    def __init__(self, state: Consumer | None, others: Collection[int] = ()) -> None:
        self.state, self.others = state, others

    async def last_sequence(self, _stream: str) -> int:
        return START

    async def consumer(self, _stream: str, name: str) -> Consumer:
        if self.state is None:
            raise NotThere(f"no consumer {name}")
        return self.state

    async def messages(self, _stream: str, after: int, **_: Any) -> list[Message]:
        assert after == START
        now = datetime.now(UTC)
        sequences = sorted({*OWN, *self.others})
        return [
            *(Message(sequence, COMPLETED, b"", None, now) for sequence in sequences),
            Message(106, FAILED, b"", None, now),
        ]


async def waited(nats: Any, before: Before | None = None) -> dict[str, Consumer]:
    awaited = Awaited("collector", OWN, before or Before(START))
    return await wait_until_acknowledged(nats, "S", [awaited], "the acknowledgement of this run's messages")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledgement, "TIMEOUTS", Timeouts(settle=0.01))


async def test_the_state_is_returned_once_all_are_acknowledged() -> None:
    state = consumer(105)
    assert await waited(Stream(state)) == {"collector": state}


async def test_a_message_of_the_run_that_stays_open_is_a_failure(impatient: None) -> None:
    words = "1 unacknowledged, 1 redelivered .2 before this run., acknowledged up to 99 of 105; sequence 101 is"
    with pytest.raises(StateNotReached, match=words):
        await waited(Stream(consumer(99, 130, 1, 1), range(106, 131)), Before(START, 0, 2))


async def test_what_others_hold_open_is_no_failure(impatient: None) -> None:
    state = consumer(101, pending=1)
    assert await waited(Stream(state, (102,))) == {"collector": state}


async def test_what_cannot_be_told_apart_is_said(impatient: None) -> None:
    with pytest.raises(Inconclusive, match="sequence 102 is unacknowledged and not this run's"):
        await waited(Stream(consumer(101, pending=2), (102, 104)))


def refusing(**settings: Any) -> Consumer:
    """It has six messages of this run to give up."""
    state = consumer(99, pending=6, max_deliver=5)
    return state.model_copy(update={"config": state.config.model_copy(update=settings)})


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"ack_wait": 30_000_000_000}, 150.0),
        ({"ack_wait": 30_000_000_000, "backoff": [1_000_000_000, 5_000_000_000]}, 21.0),
        ({"backoff": [1_000_000_000] * 9}, 5.0),
        ({"max_deliver": -1, "ack_wait": 30_000_000_000}, None),
    ],
)
def test_when_a_message_is_given_up(settings: dict[str, Any], seconds: float | None) -> None:
    assert refusing(**settings).config.gives_up_after_s == seconds


async def giving_up(nats: Any) -> dict[str, Consumer]:
    awaited = Awaited("collector", OWN, Before(START), may_give_up=True)
    return await wait_until_acknowledged(nats, "S", [awaited], "that no malformed message waits")


class GivesUp(Stream):
    """The consumer has given all up when it was asked a few times."""

    async def consumer(self, stream: str, name: str) -> Consumer:
        now = await super().consumer(stream, name)
        self.asked = getattr(self, "asked", 0) + 1
        return now if self.asked < 4 else now.model_copy(update={"num_ack_pending": 0})


async def test_a_consumer_has_the_time_that_giving_up_takes_it(impatient: None) -> None:
    assert await giving_up(GivesUp(refusing(ack_wait=2_000_000_000)))
    with pytest.raises(StateNotReached, match=r"did not happen within 0\.01 s"):
        await giving_up(Stream(refusing(max_deliver=-1)))


async def test_of_two_each_has_its_time(impatient: None) -> None:
    """One that takes too long leaves the other what that needs."""
    slow, quick = GivesUp(refusing(ack_wait=60_000_000_000)), GivesUp(refusing(ack_wait=2_000_000_000))
    both: Any = SimpleNamespace(messages=slow.messages)
    both.consumer = lambda stream, name: (slow if name == "slow" else quick).consumer(stream, name)
    awaited = [Awaited(name, OWN, Before(START), may_give_up=True) for name in ("slow", "quick")]
    assert await wait_until_acknowledged(both, "S", awaited, "that no malformed message waits")


async def test_one_that_takes_too_long_to_give_up_decides_nothing(impatient: None) -> None:
    with pytest.raises(Inconclusive, match=r"given up after 300 s there, and timeouts\.give_up grants it less"):
        await giving_up(Stream(refusing(ack_wait=60_000_000_000)))


def deliveries(times: int, before: Before, others: Collection[int] = (), delivered: int = 105) -> str:
    """What is said when there were so many deliveries in all, of this run's messages and these others'."""
    place = {"stream_seq": delivered, "consumer_seq": times}
    now = Consumer.of({"config": {}, "delivered": place, "ack_floor": place})
    return repeated(Awaited("collector", OWN, before), now, {*OWN, *others})


def test_messages_that_were_delivered_again_are_counted() -> None:
    before = Before(START, deliveries=40)
    assert deliveries(43, before) == ""
    assert deliveries(43, before, others=(107,)) == "", "it was not delivered yet"
    assert deliveries(46, before) == "collector had 3 messages of this run to deliver, and delivered 6 times"


def test_what_may_be_others_deliveries_is_not_counted() -> None:
    assert deliveries(46, Before(START, deliveries=40), others=(102,)) == ""
    assert deliveries(46, Before(START, unfinished=1, deliveries=40)) == ""
    assert deliveries(46, Before(START)) == "", "how often it had delivered before is not known"


async def test_a_consumer_that_is_gone_is_a_failure() -> None:
    with pytest.raises(NonConformance, match="no consumer collector"):
        await waited(Stream(None))


async def test_the_start_of_a_run_has_the_consumers_that_are_there() -> None:
    nats: Any = Stream(consumer(40, pending=2, unread=3, redelivered=1))
    assert (await start_of(nats, NAMES)).of(NAMES.consumers.completed) == Before(START, 5, 1, 40, 105)
    nobody: Any = Stream(None)
    assert (await start_of(nobody, NAMES)).of(NAMES.consumers.completed) == Before(START)
