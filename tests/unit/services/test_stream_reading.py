"""Where the reading of a stretch of a stream ends: at its end, or at the last message that the stream still holds."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import nats.errors
import pytest

from fixtures.core.errors import NonConformance
from fixtures.services.stream_messages import read_stretch


class Subscription:
    """Stands in for a reader of sequences 1 to `has`, where `pending` more are to come as its consumer says then."""

    def __init__(self, has: int, pending: int, delivered: int | None = None) -> None:
        self.has, self.pending, self.read = has, pending, 0
        self.delivered = has if delivered is None else delivered

    async def next_msg(self, **_: float) -> Any:
        if self.read == self.has:
            raise nats.errors.TimeoutError
        self.read += 1
        sequence = SimpleNamespace(stream=self.read, consumer=self.read)
        place = SimpleNamespace(sequence=sequence, num_pending=9, timestamp=datetime(2026, 1, 1))
        return SimpleNamespace(metadata=place, subject="answers.done", data=b"{}", headers=None)

    async def consumer_info(self) -> Any:
        return SimpleNamespace(num_pending=self.pending, delivered=SimpleNamespace(consumer_seq=self.delivered))


async def read(subscription: Subscription) -> list[int]:
    client: Any = None
    return [message.sequence for message in await read_stretch(subscription, client, "ANSWERS", 0, 5, None)]


async def test_a_stream_that_is_purged_meanwhile_holds_no_more() -> None:
    assert await read(Subscription(has=3, pending=0)) == [1, 2, 3]


async def test_a_stream_that_holds_nothing() -> None:
    assert await read(Subscription(has=0, pending=0)) == []


@pytest.mark.parametrize("silent", [Subscription(3, pending=2), Subscription(3, pending=0, delivered=5)])
async def test_what_is_held_or_was_sent_and_does_not_come(silent: Subscription) -> None:
    with pytest.raises(NonConformance, match="holds sequences up to 5, yet delivers nothing after 3 within"):
        await read(silent)
