"""Results of deliberations that replicas no longer have, asked of stand-ins for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from fixtures.core.errors import NonConformance
from fixtures.core.timeouts import TIMEOUTS, Timeouts, applied
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.profile.model import load
from fixtures.services.orchestrator import Outcome, Proposal, Refused, Started
from fixtures.watch.fleet import Fleet
from fixtures.watch.results import unreadable_results

PROFILE = load("embedded")
END = Outcome("t1", "COMPLETED", (Proposal("a", "DEV", "yes", 1.0, 1),), "a", "")


def refused(code: grpc.StatusCode) -> Refused:
    error = SimpleNamespace(code=lambda: code, details=lambda: "no such task")
    return Refused("orchestrator-2", "GetResult", cast(grpc.aio.AioRpcError, error))


class Replica:
    """Answers with what a test says, one after the other, and then with the last one again."""

    def __init__(self, name: str, *answers: Any) -> None:
        self.name, self.answers = name, list(answers)

    async def result(self, _task_id: str) -> Outcome:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return cast(Outcome, answer)


async def texts(*replicas: Replica, profile: Any = PROFILE) -> list[str]:
    trip = DeliberationRun("DEV", 1, "m", None, Started("t1", "", 0.0, 0.0))
    trip.outcome = END
    fleet = SimpleNamespace(profile=profile, orchestrator=SimpleNamespace(replicas=list(replicas)))
    with applied(Timeouts(settle=0.6)):
        assert TIMEOUTS.settle == 0.6
        return [finding.text for finding in await unreadable_results(cast(Fleet, fleet), [trip])]


async def test_a_result_that_all_replicas_have_is_readable() -> None:
    assert await texts(Replica("orchestrator-1", END), Replica("orchestrator-2", END)) == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refused(grpc.StatusCode.NOT_FOUND), "NOT_FOUND"),
        (NonConformance("the answer is none"), "the answer is none"),
        (Outcome("t1", "FAILED", (), "", "lost"), "FAILED, not COMPLETED"),
    ],
)
async def test_one_that_a_replica_no_longer_has_is_not(answer: Any, words: str) -> None:
    (text,) = await texts(Replica("orchestrator-1", END), Replica("orchestrator-2", answer))
    assert "orchestrator-2" in text and words in text and "orchestrator-1" not in text


async def test_a_replica_that_is_late_has_it_in_the_end() -> None:
    late = Replica("orchestrator-2", refused(grpc.StatusCode.NOT_FOUND), END)
    assert await texts(Replica("orchestrator-1", END), late) == []


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
async def test_a_replica_that_does_not_answer_says_nothing_of_it(code: grpc.StatusCode) -> None:
    assert await texts(Replica("orchestrator-1", END), Replica("orchestrator-2", refused(code))) == []


async def test_where_results_are_not_shared_none_is_missed() -> None:
    profile = PROFILE.replaced("features", results_shared=False)
    assert await texts(Replica("orchestrator-2", refused(grpc.StatusCode.NOT_FOUND)), profile=profile) == []
