"""What is made of a replica's answers: a wait for an end, and two ends compared."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from fixtures.core.polling import StateNotReached
from fixtures.core.timeouts import Timeouts, applied
from fixtures.services.orchestrator import OrchestratorReplica, Outcome, Proposal, Refused

IMPATIENT = Timeouts(settle=0.02)


def refused(code: str) -> Refused:
    error: Any = SimpleNamespace(code=lambda: grpc.StatusCode[code], details=lambda: "no deliberation task-1")
    return Refused("orchestrator-1", "GetDeliberationResult", error)


def end(status: str = "COMPLETED", *proposals: Proposal, winner: str = "") -> Outcome:
    return Outcome("task-1", status, proposals, winner, "", 0)


@pytest.fixture
async def replica() -> AsyncIterator[OrchestratorReplica]:
    replica = OrchestratorReplica("orchestrator-1", "127.0.0.1:9")
    yield replica
    await replica.close()


def answering(replica: OrchestratorReplica, *answers: Outcome | Refused) -> None:
    """The last answer is given for ever."""
    left = list(answers)

    async def result(_task_id: str) -> Outcome:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Refused):
            raise answer
        return answer

    replica.result = result  # type: ignore[assignment,method-assign]


@pytest.mark.parametrize("code", ["NOT_FOUND", "UNAVAILABLE", "RESOURCE_EXHAUSTED"])
async def test_a_refusal_that_passes_does_not_end_the_wait(replica: OrchestratorReplica, code: str) -> None:
    answering(replica, refused(code), end("IN_PROGRESS"), refused(code), end())
    assert (await replica.outcome("task-1", every=0.001)).status == "COMPLETED"


async def test_a_refusal_that_lasts_ends_the_wait(replica: OrchestratorReplica) -> None:
    answering(replica, refused("NOT_FOUND"))
    with applied(IMPATIENT), pytest.raises(Refused, match="NOT_FOUND: no deliberation task-1"):
        await replica.outcome("task-1", every=0.001)


async def test_what_cannot_pass_ends_the_wait_at_once(replica: OrchestratorReplica) -> None:
    answering(replica, refused("INTERNAL"), end())
    with pytest.raises(Refused, match="INTERNAL"):
        await replica.outcome("task-1", every=0.001)


async def test_what_was_seen_last_is_shown(replica: OrchestratorReplica) -> None:
    answering(replica, refused("UNAVAILABLE"))
    with pytest.raises(StateNotReached, match=r"last seen: orchestrator-1 answers .* with UNAVAILABLE"):
        await replica.outcome("task-1", timeout=0.01, every=0.001)


FIRST, SECOND = (Proposal(f"agent-{n}", "DEV", f"text {n}", 1.0 / n, n) for n in (1, 2))


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (end("COMPLETED", SECOND, FIRST, winner="agent-1"), ""),
        (end("FAILED", FIRST, SECOND, winner="agent-1"), "COMPLETED, not FAILED"),
        (end("COMPLETED", FIRST, winner="agent-1"), "COMPLETED with 2 proposals, not 1"),
        (end("COMPLETED", FIRST, SECOND, winner="agent-2"), "the winner agent-1, not agent-2"),
        (
            end("COMPLETED", replace(FIRST, rank=2), SECOND, winner="agent-1"),
            "another content, score or rank of the proposals of agent-1",
        ),
    ],
)
def test_replicas_agree_on_the_end_the_proposals_and_the_winner(other: Outcome, difference: str) -> None:
    assert end("COMPLETED", FIRST, SECOND, winner="agent-1").difference_from(other) == difference
