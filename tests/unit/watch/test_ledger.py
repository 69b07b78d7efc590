"""What the reader of the stream enters, with a stand-in for NATS."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.profile.model import load
from fixtures.services.jetstream import Consumer, Stream
from fixtures.services.nats import Nats, NotThere
from fixtures.services.stream_messages import Message, Ours
from fixtures.watch.ledger import StreamReader, hashed

PROFILE = load("embedded")
COMPLETED = PROFILE.contract.messages.completed.subject
BEGAN = 1_700_000_000.0


class Server:
    """A stream, its consumers, and what may go wrong."""

    def __init__(self) -> None:
        self.stored_messages: dict[int, tuple[str, bytes]] = {}
        self.last = 0
        self.error: Exception | None = None
        self.limits: dict[str, int] = {}
        self.stored_at = datetime.fromtimestamp(BEGAN, UTC)
        self.clock = ""  # what NATS says that the time is

    def add(self, task: str, agent: str = "a", **more: str) -> None:
        self.last += 1
        document = {"task_id": task, "agent_id": agent, "status": "completed", **more}
        self.stored_messages[self.last] = COMPLETED, json.dumps(document).encode()

    async def stream(self, name: str, subjects: str = "") -> Stream:
        if self.error:
            raise self.error
        first = min(self.stored_messages, default=self.last + 1)
        counts: dict[str, int] = {}
        for subject, _ in self.stored_messages.values() if subjects else ():
            counts[subject] = counts.get(subject, 0) + 1
        state = {"first_seq": first, "last_seq": self.last, "messages": len(self.stored_messages), "subjects": counts}
        return Stream.of({"config": {"name": name, **self.limits}, "state": state, "created": "then", "ts": self.clock})

    async def consumer(self, stream: str, name: str) -> Consumer:
        if name.endswith("failed"):
            raise NotThere(f"no {name} of {stream}")
        return Consumer.of({"config": {}, "created": "c", "ack_floor": {"stream_seq": self.last}})

    async def messages(self, stream: str, after: int, *, ours: Ours | None = None) -> list[Message]:
        assert stream == PROFILE.nats.stream
        return [
            Message(sequence, subject, data, json.loads(data), self.stored_at)
            for sequence, (subject, data) in self.stored_messages.items()
            if sequence > after and (ours is None or ours(data))
        ]

    async def stream_of(self, _subject: str) -> str:
        return ""

    async def stored(self, stream: str, sequence: int) -> bytes:
        if sequence not in self.stored_messages:
            raise NotThere(f"no message {sequence} in {stream}")
        return self.stored_messages[sequence][1]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def reader(server: Server) -> StreamReader:
    return StreamReader(cast(Nats, server), PROFILE, "fc-run", BEGAN)


async def test_own_messages_are_entered_once_without_their_payload(server: Server, reader: StreamReader) -> None:
    server.add("fc-run-before")
    await reader.begin()
    reader.follow("task-of-the-orchestrator", deliberation=True)
    server.add("fc-run-agents-1-00001", content="secret words")
    server.add("somebody-else")
    server.add("task-of-the-orchestrator")
    await reader.read(5.0)
    await reader.read(10.0)
    assert [(row.sequence, row.task, row.kind) for row in reader.entries] == [
        (2, "fc-run-agents-1-00001", "completed"),
        (4, "task-of-the-orchestrator", "completed"),
    ]
    assert reader.entries[0].stored_s == 5.0, "when it was read: NATS does not say what time it is"
    assert reader.entries[0].sha256 == hashed(server.stored_messages[2][1])
    assert "secret words" not in reader.ledger().model_dump_json()
    assert reader.is_read


async def test_what_was_stored_when_is_by_natss_clock_where_that_is_known(server: Server) -> None:
    reader = StreamReader(cast(Nats, server), PROFILE, "fc-run", time.time())
    server.clock = (datetime.now(UTC) + timedelta(seconds=100)).isoformat().replace("+00:00", "Z")
    await reader.begin()
    server.add("fc-run-1")
    server.stored_at = datetime.now(UTC) + timedelta(seconds=103)
    await reader.read(50.0)
    assert reader.entries[0].stored_s == pytest.approx(3.0, abs=1.0)


async def test_looks_have_the_stream_and_its_collectors(server: Server, reader: StreamReader) -> None:
    await reader.begin()
    server.add("x")
    await reader.read(5.0)
    first, second = reader.looks
    assert (first.last, second.last, second.messages, second.created) == (0, 1, 1, "then")
    assert [(row.name, row.floor, row.created) for row in second.collectors] == [
        (PROFILE.nats.consumers.completed, 1, "c")
    ], "one that is not there is for the checks to report"


async def test_what_is_no_longer_there_is_seen_by_its_sequence(server: Server, reader: StreamReader) -> None:
    await reader.begin()
    for number in range(3):
        server.add(f"fc-run-{number}")
    await reader.read(5.0)
    del server.stored_messages[2]
    server.stored_messages[3] = COMPLETED, b"something else"
    there = await reader.still_there()
    assert there == {1: reader.entries[0].sha256, 2: None, 3: hashed(b"something else")}


async def test_a_stream_that_does_not_answer_is_read_on_later(server: Server, reader: StreamReader) -> None:
    await reader.begin()
    server.add("fc-run-1")
    server.error = NonConformance("NATS is down")
    await reader.read(5.0)
    assert (reader.entries, reader.is_read, reader.unread) == ([], False, "")
    server.error = None
    await reader.read(10.0)
    assert len(reader.entries) == 1


async def test_a_stream_that_is_more_than_can_be_read_is_followed_no_more(server: Server, reader: StreamReader) -> None:
    await reader.begin()
    server.add("fc-run-1")
    server.error = Inconclusive("holds more than the suite reads")
    await reader.read(5.0)
    server.error = None
    await reader.read(10.0)
    assert reader.unread == "holds more than the suite reads"
    assert reader.entries == []


async def test_messages_of_an_older_store_are_read_from_where_it_ends(server: Server, reader: StreamReader) -> None:
    for _ in range(5):
        server.add("before")
    await reader.begin()
    server.add("fc-run-1")
    await reader.read(5.0)
    server.stored_messages, server.last = {1: server.stored_messages[1]}, 1
    await reader.read(10.0)
    server.add("fc-run-2")
    await reader.read(15.0)
    assert [(row.sequence, row.task) for row in reader.entries] == [(6, "fc-run-1"), (2, "fc-run-2")]


async def test_subjects_are_counted_where_they_are_limited(server: Server, reader: StreamReader) -> None:
    await reader.begin()
    server.add("x")
    assert await reader.on_subjects() == {}
    server.limits = {"max_msgs_per_subject": 3}
    await reader.read(5.0)
    assert await reader.on_subjects() == {COMPLETED: 1}


def test_a_stream_that_drops_what_was_collected_is_not_followed() -> None:
    profile = PROFILE.replaced("nats", retention="workqueue")
    reader = StreamReader(cast(Nats, Server()), profile, "fc-run", time.time())
    assert "workqueue" in reader.unread


def test_what_is_read_has_its_types(reader: StreamReader) -> None:
    empty: Any = reader.ledger()
    assert (empty.stream, empty.entries, empty.looks) == ("AGENT_RESPONSES", (), ())
