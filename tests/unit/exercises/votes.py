"""A stream of votes, for tests of what is read from NATS of deliberations."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.exercises.nats_results import NatsResults
from fixtures.profile.contract_messages import Messages
from fixtures.services.orchestrator import Started
from fixtures.services.stream_messages import Message
from tests.unit.profile.contracts import second

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
CONTRACT = second()


class Stream:
    """Stands in for NATS with a stream that captures everything; messages of others are numbered with its own."""

    def __init__(self) -> None:
        self.stored: list[Message] = []
        self.looks = 0
        self.stream_by_subject: dict[str, str] = {}  # VOTES captures all others
        self.ahead: dict[str, float] = {}  # seconds, by stream: the clock of the server that leads it
        self.written: Callable[[Any], str] = json.dumps  # as a publisher writes a document

    @property
    def streams(self) -> set[str]:
        return {"VOTES", *self.stream_by_subject.values()}

    async def stream_of(self, subject: str) -> str:
        return self.stream_by_subject.get(subject, "VOTES") if subject else ""

    async def last_sequence(self, stream: str) -> int:
        assert stream in self.streams
        return len(self.stored)

    async def messages(
        self, stream: str, after: int, *, subjects: Sequence[str], ours: Callable[[bytes], bool]
    ) -> list[Message]:
        assert stream in self.streams
        self.looks += 1
        return [m for m in self.stored if m.sequence > after and m.subject in subjects and ours(m.data)]

    async def publish(self, subject: str, document: dict[str, Any]) -> int:
        number = len(self.stored) + 1
        data = self.written(document).encode()
        at = BEGAN + timedelta(seconds=number + self.ahead.get(await self.stream_of(subject), 0.0))
        self.stored.append(Message(number, subject, data, document, at))
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


def a_trip() -> DeliberationRun:
    return DeliberationRun("LEGAL", 2, "b", asked=None, started=Started("b-1", "", 0.0, 0.0))


async def results_of(stream: Stream, messages: Messages = CONTRACT.messages) -> NatsResults:
    results = NatsResults(stream, "VOTES", messages)  # type: ignore[arg-type]
    await results.begin()
    results.follow("b-1")
    return results
