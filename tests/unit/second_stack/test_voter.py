"""The voter of the second stack publishes by its contract, and returns what it published."""

import json
from datetime import UTC, datetime
from typing import Any

import nats
import pytest

from fixtures.checks.contract import MessageContract
from fixtures.services.stream_messages import Message
from tests.second_stack.acme_votes import model_server as module
from tests.second_stack.acme_votes.model_server import Answer
from tests.second_stack.acme_votes.voter import Voter
from tests.unit.profile.contracts import second

SETTINGS = {"base": "http://llm/v1", "name": "house/small", "heat": 0.7, "bus": ["nats://bus"]}


class Bus:
    """Keeps what is published, on JetStream as well."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []

    def jetstream(self) -> "Bus":
        return self

    async def publish(self, subject: str, data: bytes, timeout: float, headers: dict[str, str]) -> None:
        assert timeout > 0 and headers["Nats-Msg-Id"].startswith(f"{subject}:")
        self.published.append((subject, data))

    async def close(self) -> None: ...


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    bus = Bus()

    async def connect(*_: Any, **__: Any) -> Bus:
        return bus

    monkeypatch.setattr(nats, "connect", connect)
    return bus


def answering(answer: Answer | Exception) -> Any:
    async def ask(*_: Any) -> Answer:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


async def cast(bus: Bus, question: str = "shall we?") -> tuple[dict[str, Any], list[str], Any]:
    """What a voter returned, in what way it is no conformant message, and the message as the contract reads it."""
    returned = await Voter("v-1", "LEGAL", SETTINGS).cast(ballot="b-1", question=question, patience=5, limit=9)
    ((subject, data),) = bus.published
    contract = MessageContract(second().messages)
    reading = contract.read(Message(1, subject, data, json.loads(data), datetime.now(UTC)))
    problems = [*contract.problems(reading), *contract.differences(returned, reading)]
    assert contract.returned(returned)[0] == reading.kind
    assert json.loads(data)["data"] == returned
    return returned, problems, reading


async def test_a_vote_fulfils_the_contract(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ask", answering(Answer("yes", "house/small", 1)))
    _, problems, reading = await cast(bus)
    assert problems == [] and (reading.kind, reading.agent_id, reading.task_id) == ("completed", "v-1", "b-1")


async def test_a_failure_is_returned_and_published(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ask", answering(ConnectionError("no connection")))
    _, problems, reading = await cast(bus)
    assert problems == [] and (reading.kind, reading.text("error_type")) == ("failed", "ConnectionError")


async def test_a_question_that_is_empty_is_spoiled_where_voters_are_strict(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOTES_STRICT", "1")
    _, _, reading = await cast(bus, question=" ")
    assert reading.text("error") == "the ballot has no question"
