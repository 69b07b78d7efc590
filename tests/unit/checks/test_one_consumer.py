"""One durable consumer for several subjects: what is looked at, and what is pasted to mend it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.contract import MessageContract
from fixtures.checks.declaration import CATALOGUE
from fixtures.checks.remedy import filled
from fixtures.core.polling import StateNotReached
from fixtures.core.timeouts import Timeouts, applied
from fixtures.exercises.acknowledgement import RunStart
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.profile.collection import by_consumer
from fixtures.profile.model import Profile, load
from fixtures.profile.remedy_values import remedy_values
from fixtures.services.jetstream import Consumer, Place
from fixtures.services.orchestrator import Outcome, Started
from fixtures.services.stream_messages import Message
from tests.e2e.test_orchestrator_results import test_all_acknowledged as all_acknowledged
from tests.e2e.test_orchestrator_survival import test_poison_pill as poison_pill
from tests.support.profiles import with_consumers
from tests.unit.profile.test_parts import with_contract

PROFILE, REVIEWS = load("swe-ai-fleet"), load("swe-ai-fleet-d-envelope")
CLERK = with_consumers(PROFILE, completed="clerk", failed="clerk")
assert PROFILE.contract.messages.failed
COMPLETED, FAILED = PROFILE.contract.messages.completed.subject, PROFILE.contract.messages.failed.subject
BOTH = f"--filter {COMPLETED} --filter {FAILED}"
START = 100


class Clerk:
    """NATS with one consumer of both subjects, that had so many deliveries of this run's two messages."""

    def __init__(self, deliveries: int) -> None:
        self._deliveries = deliveries

    @staticmethod
    def state(sequence: int, deliveries: int) -> Consumer:
        place = {"stream_seq": sequence, "consumer_seq": deliveries}
        config = {"filter_subjects": [COMPLETED, FAILED]}
        return Consumer.of({"config": config, "delivered": place, "ack_floor": place})

    async def consumer(self, _stream: str, name: str) -> Consumer:
        assert name == "clerk"
        return self.state(START + 2, 40 + self._deliveries)

    async def messages(self, _stream: str, after: int, **_: Any) -> list[Message]:
        at = datetime.now(UTC)
        return [
            Message(after + place, subject, b"fc-1", None, at) for place, subject in enumerate((COMPLETED, FAILED), 1)
        ]


async def acknowledged(deliveries: int) -> None:
    start, unused = RunStart(START, {"clerk": Clerk.state(START, 40)}), cast(Any, None)
    await all_acknowledged([], unused, cast(Any, Clerk(deliveries)), CLERK, "fc-1", start)


async def test_what_one_consumer_delivers_again_is_seen() -> None:
    await acknowledged(2)
    words = "clerk had 2 messages of this run to deliver, and delivered 3 times"
    with pytest.raises(AssertionError, match=rf"(?m)messages were delivered again: {words}$"):
        await acknowledged(3)


def test_each_consumer_has_all_that_it_collects() -> None:
    assert by_consumer(CLERK) == {"clerk": [COMPLETED, FAILED]}
    reviewed = REVIEWS.contract.messages.completed.deliberation_subject
    assert by_consumer(with_consumers(REVIEWS, completed="a", failed="b", deliberations="")) == {
        "a": [COMPLETED, reviewed],
        "b": [FAILED],
    }


def commands(profile: Profile, word: str) -> list[str]:
    """The commands of the remedy for consumers that have this word, from it on."""
    load_catalogue()
    remedy = filled(CATALOGUE["INF-12"].remedy, remedy_values(profile, "attach", None))
    lines = [step.text for step in remedy if step.is_command]
    return [line[line.index(word) :] for line in lines if word in line]


@pytest.mark.parametrize("word", ["consumer add", "consumer edit"])
def test_one_command_gives_a_consumer_all_of_its_subjects(word: str) -> None:
    """A second one would replace what the first has set."""
    (command,) = commands(CLERK, word)
    assert command.startswith(f"{word} {PROFILE.nats.stream} clerk {BOTH}")


@pytest.mark.parametrize("word", ["consumer add", "consumer edit", "consumer rm", "consumer info", "consumer resume"])
@pytest.mark.parametrize(
    "profile",
    [
        with_consumers(PROFILE, completed="clerk", failed=""),
        with_contract(with_consumers(PROFILE, completed="clerk", failed="idle"), "messages", failed=None),
    ],
    ids=["nobody collects failures", "none are published"],
)
def test_no_command_is_about_a_consumer_that_collects_nothing(profile: Profile, word: str) -> None:
    (command,) = commands(profile, word)
    assert command.startswith(f"{word} {PROFILE.nats.stream} clerk")
    assert command.count("--filter") == (word in ("consumer add", "consumer edit"))


def test_a_subject_of_both_kinds_is_filtered_once() -> None:
    """Constants tell them apart; NATS refuses filters that overlap."""
    assert CLERK.contract.messages.failed
    failed = CLERK.contract.messages.failed.model_copy(update={"subject": COMPLETED})
    (command,) = commands(with_contract(CLERK, "messages", failed=failed), "consumer add")
    assert command.count("--filter") == 1


class Collecting(Clerk):
    """A stream that takes what is published, and a deliberation that completes. `unfinished`: of the last messages, how
    many are not acknowledged."""

    run_id = "fc-1"
    contract = MessageContract(CLERK.contract.messages)

    def __init__(self, unfinished: int) -> None:
        super().__init__(0)
        self.published, self._bodies, self._unfinished = list[str](), list[bytes](), unfinished

    async def publish(self, subject: str, data: bytes) -> int:
        self.published.append(subject)
        self._bodies.append(data)
        return START + len(self.published)

    async def last_sequence(self, _stream: str) -> int:
        return START + len(self.published)

    async def consumer(self, _stream: str, name: str) -> Consumer:
        assert name == "clerk"
        last = await self.last_sequence(_stream)
        floor = last - self._unfinished if self.published else last
        return self.state(last, last).model_copy(
            update={"ack_floor": Place(stream_seq=floor), "num_ack_pending": last - floor}
        )

    async def messages(self, _stream: str, after: int, **_: Any) -> list[Message]:
        assert after == START
        at = datetime.now(UTC)
        stored = enumerate(zip(self.published, self._bodies, strict=True), 1)
        return [Message(START + place, subject, data, None, at) for place, (subject, data) in stored]

    def new(self) -> DeliberationRun:
        outcome = Outcome("b-1", "COMPLETED", (), "", "")
        return DeliberationRun("DEV", 1, "b", None, Started("b-1", "", 0.0, 0.0), outcome)

    async def run(self, trips: list[DeliberationRun]) -> list[DeliberationRun]:
        return trips


async def test_malformed_messages_of_one_consumer_are_awaited_together() -> None:
    """Three of each subject; the last one is of failures."""
    evidence: Any = SimpleNamespace(attach=lambda *_: None)
    with applied(Timeouts(settle=0.01)):
        sound, stuck = Collecting(unfinished=0), Collecting(unfinished=1)
        await poison_pill(cast(Any, sound), cast(Any, sound), CLERK, evidence)
        assert sound.published == [COMPLETED] * 3 + [FAILED] * 3
        with pytest.raises(StateNotReached, match=r"clerk: 1 unacknowledged, .* up to 105 of 106; no more than 0"):
            await poison_pill(cast(Any, stuck), cast(Any, stuck), CLERK, evidence)
