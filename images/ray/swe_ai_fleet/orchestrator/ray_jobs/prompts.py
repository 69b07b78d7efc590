"""Prompts of the agents: who they are by role, what binds them by the task's constraints."""

from __future__ import annotations

from typing import Any, Dict, List

ROLES = {
    "DEV": "You are a senior software developer. You write clear, tested code.",
    "QA": "You are a quality engineer. You find what can break and say how to test it.",
    "ARCHITECT": "You are a software architect. You weigh structures and their consequences.",
    "DEVOPS": "You are a DevOps engineer. You care about delivery, operation and recovery.",
    "DATA": "You are a data engineer. You care about schemas, quality and migration.",
}
ANY_ROLE = "You are a software engineer."


def system_prompt(role: str, constraints: Dict[str, Any]) -> str:
    """The role and every constraint: `rubric` (text), `requirements` (list of text), `metadata` (text to text)."""
    lines: List[str] = [ROLES.get(role.upper(), ANY_ROLE), "Propose one concrete solution to the task."]
    if constraints.get("rubric"):
        lines += ["", f"Rubric: {constraints['rubric']}"]
    if constraints.get("requirements"):
        lines += ["", "Requirements:"] + [f"- {requirement}" for requirement in constraints["requirements"]]
    if constraints.get("metadata"):
        lines += ["", "Context:"] + [f"- {key}: {value}" for key, value in sorted(constraints["metadata"].items())]
    return "\n".join(lines)
