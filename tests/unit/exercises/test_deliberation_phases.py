"""The legs of a round trip are of one clock, also where NATS's and this machine's differ by minutes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fixtures.checks.contract import AgentMessage, MessageContract
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.profile.model import load
from fixtures.services.jetstream import Stream
from fixtures.services.orchestrator import Outcome, Started
from fixtures.services.stream_messages import Message

BEGAN = 1767225600.0  # by this machine
MESSAGES = load("embedded").contract.messages
CONTRACT = MessageContract(MESSAGES)
ANSWER = {"duration_ms": 400}


def message(subject: str, ahead: float, document: dict[str, Any]) -> AgentMessage:
    """One that NATS, whose clock is so far ahead, has stored one second after the start."""
    return CONTRACT.read(Message(1, subject, b"", document, datetime.fromtimestamp(BEGAN + 1.0 + ahead, UTC)))


def trip(ahead: float | None) -> DeliberationRun:
    """One of two seconds whose last answer NATS stored one second after its start."""
    asked: Any = None
    outcome = Outcome("t", "COMPLETED", (), "", "")
    run = DeliberationRun("DEV", 1, "m", asked, started=Started("t", "", 0.1, BEGAN), outcome=outcome, seconds=2.0)
    run.messages, run.nats_ahead = [message(MESSAGES.completed.subject, ahead or 0.0, ANSWER)], ahead
    return run


@pytest.mark.parametrize("ahead", [0.0, 180.0, -180.0])
def test_legs_do_not_depend_on_this_machines_clock(ahead: float) -> None:
    assert trip(ahead).phases() == pytest.approx(
        {"submit": 0.1, "agents' start": 0.5, "agents' work": 0.4, "collection": 1.0}
    )


def test_what_is_no_answer_is_in_no_leg_and_is_not_counted() -> None:
    """A plan and an end may be on the stream of the answers, and name the task."""
    plan, late = MESSAGES.plan, 0.9
    assert plan is not None
    run = trip(0.0)
    run.messages += [message(plan.subject, late, ANSWER), message("elsewhere", late, ANSWER)]
    assert run.phases() == trip(0.0).phases()
    run.outcome, run.seen = Outcome("t", "TIMEOUT", (), "", ""), {"orchestrator-1": "under way"}
    assert "; on NATS there are 1 answers to it; 1 messages of it on elsewhere are of no kind" in run.summary
    assert plan.subject not in run.summary


def test_where_nats_does_not_say_its_time_there_are_no_legs() -> None:
    assert trip(None).phases() == {}


@pytest.mark.parametrize(
    ("ts", "seconds"),
    [
        ("2026-01-01T00:00:00.25Z", BEGAN + 0.25),
        ("2026-01-01T01:00:00.123456789+01:00", BEGAN + 0.123456789),
        ("2026-01-01T00:00:00Z", BEGAN),
        ("", None),
        ("yesterday", None),
        ("2026-13-01T00:00:00Z", None),
    ],
)
def test_the_time_of_a_streams_state(ts: str, seconds: float | None) -> None:
    stream = Stream.of({"config": {"name": "S"}, "state": {"last_seq": 0}, "ts": ts})
    assert stream.gathered == (seconds if seconds is None else pytest.approx(seconds, abs=1e-6))
