"""What a deliberation is and how it changes: pure functions from a state and an event to the next state.

The number of expected answers comes from the submission. An event that changes nothing returns the same object,
so that the caller, which stores states, sees that there is nothing to store. Times are milliseconds since the epoch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Dict, List, Optional, Tuple

PENDING, IN_PROGRESS = "PENDING", "IN_PROGRESS"
COMPLETED, FAILED, TIMEOUT = "COMPLETED", "FAILED", "TIMEOUT"


@dataclass(frozen=True)
class Answer:
    """What one agent said: a proposal (`content`), or why there is none (`error`, `error_type`)."""

    agent_id: str
    at_ms: int
    content: Optional[str] = None
    error: str = ""
    error_type: str = ""


@dataclass(frozen=True)
class Deliberation:
    """The state of one deliberation, as every replica sees it.

    `owner` is the replica that runs its agents; `closed` says that none of them is left in the Ray cluster.
    """

    task_id: str
    role: str
    agents: Tuple[str, ...]
    owner: str
    created_ms: int
    deadline_ms: int
    status: str = PENDING
    answers: Dict[str, Answer] = field(default_factory=dict)
    finished_ms: int = 0
    error: str = ""
    closed: bool = False

    @property
    def finished(self) -> bool:
        """Whether the outcome is final."""
        return self.status in (COMPLETED, FAILED, TIMEOUT)

    @property
    def unanswered(self) -> List[str]:
        """The agents that are still awaited."""
        return [agent for agent in self.agents if agent not in self.answers]


def record(state: Deliberation, answer: Answer, now_ms: int) -> Deliberation:
    """Count an agent's answer: once, from the agents that were asked, until the outcome is final."""
    if state.finished or answer.agent_id not in state.unanswered:
        return state
    state = replace(state, answers={**state.answers, answer.agent_id: answer}, status=IN_PROGRESS)
    if state.unanswered:
        return state
    if any(a.content for a in state.answers.values()):
        return replace(state, status=COMPLETED, finished_ms=now_ms)
    error = f"all {len(state.agents)} agents failed: {_causes(state)}"
    return replace(state, status=FAILED, finished_ms=now_ms, error=error)


def expire(state: Deliberation, now_ms: int, note: str = "") -> Deliberation:
    """End a deliberation whose time is up. `note` is what the caller knows about the reason."""
    if state.finished:
        return state
    seconds = (state.deadline_ms - state.created_ms) / 1000
    missing = state.unanswered
    reasons = [f"no answer from {len(missing)} of {len(state.agents)} agents within {seconds:g} s"]
    reasons += [text for text in (_causes(state), note) if text]
    return replace(state, status=TIMEOUT, finished_ms=now_ms, error="; ".join(reasons))


def adopt(state: Deliberation, gone: str, owner: str) -> Deliberation:
    """Hand a deliberation from a replica that is gone to another one, unless another replica was faster."""
    return replace(state, owner=owner) if state.owner == gone and not state.closed else state


def close(state: Deliberation) -> Deliberation:
    """Note that no agent of this deliberation is left in the cluster."""
    return state if state.closed else replace(state, closed=True)


@dataclass(frozen=True)
class Ranked:
    """A proposal with its score (0 to 1) and its rank (1 is the winner)."""

    answer: Answer
    score: float
    rank: int


def ranking(state: Deliberation) -> List[Ranked]:
    """The proposals, best first; equal scores keep the order of the agents."""
    proposals = [state.answers[agent] for agent in state.agents if agent in state.answers]
    scored = [(score(answer.content), answer) for answer in proposals if answer.content]
    scored.sort(key=lambda pair: -pair[0])
    return [Ranked(answer, points, rank) for rank, (points, answer) in enumerate(scored, start=1)]


def score(content: str) -> float:
    """A deterministic stand-in for a review: half for substance (up to 200 words), half for variety."""
    words = content.lower().split()
    if not words:
        return 0.0
    return round(0.5 * min(len(words), 200) / 200 + 0.5 * len(set(words)) / len(words), 6)


def _causes(state: Deliberation) -> str:
    """Each distinct failure once, with the agents that met it."""
    agents_by_cause: Dict[str, List[str]] = {}
    for answer in state.answers.values():
        if not answer.content:
            agents_by_cause.setdefault(f"{answer.error_type}: {answer.error}", []).append(answer.agent_id)
    return "; ".join(f"{cause[:1000]} ({', '.join(agents)})" for cause, agents in agents_by_cause.items())


def to_json(state: Deliberation) -> bytes:
    """The form in which a state is stored."""
    return json.dumps(asdict(state)).encode()


def from_json(data: bytes) -> Deliberation:
    """The opposite of `to_json`."""
    fields: Dict[str, Any] = json.loads(data)
    answers = {agent: Answer(**answer) for agent, answer in fields.pop("answers").items()}
    return Deliberation(answers=answers, agents=tuple(fields.pop("agents")), **fields)
