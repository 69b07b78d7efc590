"""The messages that an agent job publishes (JSON, UTF-8, on `agent.response.*`)."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Dict


def completed(
    task_id: str, agent_id: str, role: str, proposal: Dict[str, Any], duration_ms: int, model: str, diversity: bool
) -> Dict[str, Any]:
    """What goes out on `agent.response.completed`."""
    return {
        "task_id": task_id,
        "agent_id": agent_id,
        "role": role,
        "status": "completed",
        "proposal": proposal,
        "duration_ms": duration_ms,
        "timestamp": _now(),
        "model": model,
        "diversity": diversity,
    }


def failed(task_id: str, agent_id: str, role: str, error: BaseException, duration_ms: int) -> Dict[str, Any]:
    """What goes out on `agent.response.failed`."""
    return {
        "task_id": task_id,
        "agent_id": agent_id,
        "role": role,
        "status": "failed",
        "error": str(error) or type(error).__name__,
        "error_type": type(error).__name__,
        "duration_ms": duration_ms,
        "timestamp": _now(),
    }


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
