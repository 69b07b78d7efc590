"""What ORC-19 makes of messages that agents of deliberations publish."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fixtures.checks.contract import MessageContract
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.profile.model import load
from fixtures.services.orchestrator import Started
from fixtures.services.stream_messages import Message
from fixtures.services.vllm import ModelNames
from tests.e2e.test_orchestrator_results import test_messages_of_deliberations as messages_fulfil_the_contract

PROFILE = load("embedded")
MODEL = PROFILE.vllm.model
NAMES = ModelNames(frozenset([MODEL]), complete=True)
CONTRACT = MessageContract(PROFILE.contract.messages.in_deliberations)
PROPOSAL = {"content": "n", "author_id": "a-1", "author_role": "DEV", "model": MODEL, "temperature": 0.7, "tokens": 3}
ANSWER: dict[str, Any] = {
    "task_id": "t",
    "agent_id": "a-1",
    "role": "DEV",
    "status": "completed",
    "proposal": PROPOSAL,
    "duration_ms": 900,
    "timestamp": "2026-01-01T00:00:00+00:00",
    "model": MODEL,
    "diversity": False,
}
BEGAN, STORED = 1_000.0, 1_002.0  # seconds since the epoch


def trip_with(*documents: dict[str, Any], subject: str = "", ahead: float | None = 0.0) -> DeliberationRun:
    where, stored = subject or CONTRACT.completed.section.subject, datetime.fromtimestamp(STORED, UTC)
    messages = [
        Message(number, where, json.dumps(document).encode(), document, stored)
        for number, document in enumerate(documents, 1)
    ]
    trip = DeliberationRun("DEV", len(documents), "fc-1-task-1", None, Started("t", "", 0.1, BEGAN))
    trip.messages, trip.nats_ahead = CONTRACT.of_tasks(messages, "t"), ahead
    return trip


async def judged(*trips: DeliberationRun, names: ModelNames = NAMES) -> None:
    await messages_fulfil_the_contract(list(trips), PROFILE, names)


async def test_answers_that_fulfil_the_contract_pass() -> None:
    await judged(trip_with(ANSWER, {**ANSWER, "agent_id": "a-2", "proposal": {**PROPOSAL, "author_id": "a-2"}}))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({**ANSWER, "proposal": {**PROPOSAL, "author_id": "DEV"}}, "proposal.author_id is 'DEV', and agent_id 'a-1'"),
        ({**ANSWER, "proposal": {**PROPOSAL, "author_role": "QA"}}, "proposal.author_role is 'QA', and role 'DEV'"),
        ({**ANSWER, "model": "another/model"}, f"model is 'another/model', not {MODEL}"),
        ({**ANSWER, "proposal": {**PROPOSAL, "model": "another/model"}}, "proposal.model .*is 'another/model', not"),
        ({key: value for key, value in ANSWER.items() if key != "model"}, "sequence 2: model is missing"),
        ({**ANSWER, "duration_ms": 9_000}, r"duration_ms .*is 9000 ms .*the deliberation until then took 2\.0 s"),
    ],
)
async def test_an_answer_that_breaks_the_contract_is_told_with_its_deliberation(answer: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=rf"DEV \(t, asked at NATS\): agent\.response\.completed.*{words}"):
        await judged(trip_with(ANSWER, answer))


async def test_what_cannot_be_compared_is_not_judged() -> None:
    """An unknown clock says nothing of a duration, and a gateway may have names that it does not list."""
    await judged(trip_with({**ANSWER, "duration_ms": 9_000}, ahead=None))
    other = {**ANSWER, "model": "gateway/name"}
    await judged(trip_with(other), names=ModelNames(frozenset([MODEL]), complete=False))


async def test_what_others_say_of_the_task_is_no_answer_of_an_agent() -> None:
    progress = trip_with({"task_id": "t", "progress": 0.5}, subject="orchestration.progress")
    await judged(trip_with(ANSWER), progress)
    with pytest.raises(AssertionError, match="no agent of a deliberation has published an answer: DEV"):
        await judged(progress)
