"""What was published is looked for in the stream that collects it, which counts for itself where it copies another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from nats.js.api import StreamConfig, StreamSource

from fixtures.core.errors import Inconclusive
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import Timeouts
from fixtures.exercises import publications
from fixtures.exercises.publications import stored_sequences
from fixtures.services.nats import Nats
from tests.support.tls_services import secured_nats

EDGE, CENTRE, DONE, FAILED, OTHER = "EDGE", "CENTRE", "answers.done", "answers.failed", "answers.other"
POISON = [b"{not json", b"[]"]


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Nats]:
    """A stream that captures, and one that copies what is done from it."""
    with secured_nats(tmp_path, "") as address:
        client = Nats(f"nats://{address}", "test")
        js = await client.jetstream()
        await js.add_stream(StreamConfig(name=EDGE, subjects=["answers.>"]))
        for number in range(7):
            await client.publish(OTHER, {"number": number})
        await js.add_stream(StreamConfig(name=CENTRE, sources=[StreamSource(name=EDGE, filter_subject=DONE)]))
        yield client
        await client.close()


async def test_the_stream_that_collects_has_sequences_of_its_own(nats: Nats) -> None:
    await nats.publish(DONE, POISON[1])  # of somebody else, before
    start = await wait_until(partial(nats.last_sequence, CENTRE), "that it is copied", 5)
    assert [await nats.publish(DONE, data) for data in (POISON[0], b"{}", POISON[1])] == [9, 10, 11]
    assert await stored_sequences(nats, CENTRE, start, {DONE: POISON}) == {DONE: [2, 4]}
    assert await stored_sequences(nats, EDGE, 8, {DONE: POISON}) == {DONE: [9, 11]}


async def test_what_does_not_get_there_was_given_to_nobody(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publications, "TIMEOUTS", Timeouts(settle=0.3))
    for subject in (DONE, FAILED):
        await nats.publish(subject, POISON[0])
    with pytest.raises(Inconclusive, match=r"CENTRE has the 2 messages .* within 0\.3 s; last seen: 1 of them"):
        await stored_sequences(nats, CENTRE, 0, {DONE: POISON[:1], FAILED: POISON[:1]})
