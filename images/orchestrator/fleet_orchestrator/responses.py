"""Reading what agents and planners publish; whatever does not fulfil the contract is `Malformed`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

from fleet_orchestrator.deliberation import Answer


class Malformed(ValueError):
    """The message can never be used, however often it is delivered."""


@dataclass(frozen=True)
class PlanApproved:
    """`planning.plan.approved`: the story, and the roles that are to deliberate about it."""

    story_id: str
    plan_id: str
    roles: List[str]
    approved_by: str


def agent_answer(data: bytes, now_ms: int) -> Tuple[str, Answer]:
    """Task id and answer from a message on `agent.response.completed` or `.failed`. Raises `Malformed`."""
    message = _object(data)
    task_id, agent_id = _text(message, "task_id"), _text(message, "agent_id")
    status = _text(message, "status")
    if status == "failed":
        error = _text(message, "error")
        return task_id, Answer(agent_id, now_ms, error=error, error_type=str(message.get("error_type") or "Error"))
    if status != "completed":
        raise Malformed(f"status is {status!r}")
    proposal = message.get("proposal")
    if not isinstance(proposal, dict):
        raise Malformed("proposal is not an object")
    return task_id, Answer(agent_id, now_ms, content=_text(proposal, "content"))


def plan_approved(data: bytes) -> PlanApproved:
    """The event of an approved plan. Raises `Malformed`."""
    message = _object(data)
    roles = message.get("roles")
    if not isinstance(roles, list) or not roles or not all(isinstance(role, str) and role for role in roles):
        raise Malformed("roles is not a list of names")
    unique = list(dict.fromkeys(roles))
    return PlanApproved(
        _text(message, "story_id"), _text(message, "plan_id"), unique, str(message.get("approved_by") or "")
    )


def _object(data: bytes) -> Dict[str, Any]:
    try:
        message = json.loads(data)
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise Malformed("not a JSON object")
    return message


def _text(message: Dict[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Malformed(f"{name} is not a non-empty text")
    return value
