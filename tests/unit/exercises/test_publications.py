"""Which messages of a stream are those that the suite published."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive
from fixtures.core.timeouts import Timeouts
from fixtures.exercises import publications
from fixtures.exercises.publications import stored_sequences
from fixtures.services.stream_messages import Message, Ours

DONE, FAILED = "answers.done", "answers.failed"


class Stream:
    """Stands in for a connection to NATS, to a stream that has one message more each time it is read."""

    def __init__(self, *rows: tuple[int, str, bytes]) -> None:
        self.rows, self.read = rows, 0

    async def messages(self, _stream: str, after: int, *, subjects: list[str], ours: Ours) -> list[Message]:
        self.read += 1
        there = [Message(number, on, data, None, datetime.now(UTC)) for number, on, data in self.rows[: self.read]]
        return [one for one in there if one.sequence > after and one.subject in subjects and ours(one.data)]


async def test_they_are_waited_for_and_told_from_others() -> None:
    nats: Any = Stream((3, DONE, b"[]"), (4, DONE, b"[]"), (5, DONE, b"{}"), (6, FAILED, b"["), (7, FAILED, b"[]"))
    assert await stored_sequences(nats, "S", 3, {DONE: [b"[]"], FAILED: [b"["]}) == {DONE: [4], FAILED: [6]}
    assert nats.read == 4


async def test_of_what_is_stored_twice_both_are_the_suites() -> None:
    nats: Any = Stream((4, DONE, b"[]"), (5, DONE, b"[]"))
    nats.read = 1
    assert await stored_sequences(nats, "S", 3, {DONE: [b"[]"]}) == {DONE: [4, 5]}


async def test_what_does_not_come_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publications, "TIMEOUTS", Timeouts(settle=0.01))
    nats: Any = Stream((4, DONE, b"[]"))
    with pytest.raises(
        Inconclusive, match=r"the 2 messages .*; last seen: 1 of them: whoever collects from it was not"
    ):
        await stored_sequences(nats, "S", 3, {DONE: [b"[]"], FAILED: [b"[]"]})
