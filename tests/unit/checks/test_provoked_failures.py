"""What the suite provokes in a deliberation, or demands of it: what passes, what fails, what decides nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.checks.contract import MessageContract
from fixtures.core.errors import Inconclusive
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.profile.model import Profile, load
from fixtures.services.orchestrator import Outcome, Proposal, Started
from fixtures.services.stream_messages import Message
from tests.e2e.test_deliberation import test_constraints_reach_the_prompt as constraints_reach_the_prompt
from tests.e2e.test_orchestrator_survival import test_duplicate_counts_once as duplicate_counts_once
from tests.unit.profile.test_parts import without_values

PROFILE = load("embedded")
EVIDENCE: Any = SimpleNamespace(attach=lambda *_: None)
AGENTS = PROFILE.deliberations.agents


class Scene:
    """Deliberations, NATS and the suite's proxy in one: a deliberation that completes with so many answers."""

    def __init__(self, hits: int = 1, answers: int = AGENTS, profile: Profile = PROFILE) -> None:
        self.profile, self._hits = profile, hits
        self.mode = SimpleNamespace(holds_callers=False)
        self.contract = MessageContract(profile.contract.messages)
        self.trip = DeliberationRun("DEV", AGENTS, "fc-1-task-1", None)
        proposals = tuple(Proposal(f"agent-{n}", "DEV", "a name", 1.0, n) for n in range(answers))
        self.end = Outcome("task-1", "COMPLETED", proposals, "", "")
        self.stored: list[Message] = []
        self.published: list[str] = []
        self.asked: dict[str, Any] = {}
        self.refusal = ""  # of the start
        self.requests: list[str] = []
        for kind in ("plan", "completed"):  # the plan is on the stream of the answers
            self.store(kind, {"task_id": "task-1", "agent_id": "agent-1"})

    def store(self, kind: str, document: dict[str, Any]) -> None:
        data, subject = json.dumps(document).encode(), getattr(self.profile.contract.messages, kind).subject
        self.stored.append(Message(len(self.stored) + 1, subject, data, document, datetime.now(UTC)))

    def new(self, *_: Any) -> DeliberationRun:
        return self.trip

    async def begin(self, trip: DeliberationRun, **values: Any) -> None:
        self.asked = values
        trip.started, trip.error = (None, self.refusal) if self.refusal else (Started("task-1", "", 0.1, 0.0), "")

    async def finish(self, trip: DeliberationRun) -> None:
        trip.outcome = self.end

    @asynccontextmanager
    async def observed(self, _: DeliberationRun) -> AsyncIterator[int]:
        yield 0

    @asynccontextmanager
    async def fault(self, **_: Any) -> AsyncIterator[str]:
        yield "rule"

    async def hits(self, _rule: str) -> int:
        return self._hits

    async def messages(self, _stream: str, _after: int, **_: Any) -> list[Message]:
        return self.stored

    async def publish(self, subject: str, _data: bytes) -> None:
        self.published.append(subject)

    async def prompts(self, _contains: str) -> list[dict[str, Any]]:
        return [{"messages": text} for text in self.requests]


async def repeated(scene: Any) -> None:
    await duplicate_counts_once(scene, scene, scene, scene.profile, EVIDENCE)


async def test_an_answer_is_repeated_while_an_agent_is_held() -> None:
    scene = Scene()
    await repeated(scene)
    assert scene.published == [PROFILE.contract.messages.completed.subject] * AGENTS


async def test_where_nothing_was_started_nothing_is_repeated() -> None:
    scene = Scene()
    scene.refusal = "RESOURCE_EXHAUSTED: come again"
    with pytest.raises(AssertionError, match=r"the start failed: .*RESOURCE_EXHAUSTED: come again"):
        await repeated(scene)
    assert not scene.published


async def test_where_nobody_is_held_nothing_is_repeated_and_nothing_decided() -> None:
    scene = Scene(hits=0)
    with pytest.raises(Inconclusive, match=f"has seen none of the requests of {AGENTS} agents"):
        await repeated(scene)
    assert not scene.published


async def test_a_deliberation_that_lacks_answers_is_judged_though_nobody_was_held() -> None:
    with pytest.raises(AssertionError, match=f"expected one proposal of each of {AGENTS} agents"):
        await repeated(Scene(hits=0, answers=1))


async def constrained(scene: Any) -> None:
    await constraints_reach_the_prompt(scene, scene, scene.profile, EVIDENCE)


def marks(*parts: str) -> str:
    return " ".join(f"{part}-fc-1-task-1" for part in parts)


async def test_constraints_are_in_each_request() -> None:
    scene = Scene()
    scene.requests = [marks("rubric", "requirement", "key", "value")] * AGENTS
    await constrained(scene)
    scene.requests[1] = marks("rubric", "key", "value")
    with pytest.raises(AssertionError, match=r"requirement \(missing in 1 of 3 requests\)"):
        await constrained(scene)


async def test_only_what_a_request_has_a_place_for_is_looked_for() -> None:
    scene = Scene(profile=without_values("requirements", "metadata"))
    scene.requests = [marks("rubric")] * AGENTS
    await constrained(scene)
    scene.requests[0] = marks("key")
    with pytest.raises(AssertionError, match=r"agents: rubric \(missing in 1 of 3 requests\)$"):
        await constrained(scene)


async def test_requests_that_the_proxy_has_not_seen_decide_nothing() -> None:
    with pytest.raises(Inconclusive, match=f"has seen none of the requests of {AGENTS} agents"):
        await constrained(Scene())
    with pytest.raises(AssertionError, match="no request of this task reached vLLM"):
        await constrained(Scene(answers=1))
