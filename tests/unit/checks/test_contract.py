"""The contract's models: what they accept, and how they say what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.checks import contract

COMPLETED: dict[str, Any] = {
    "task_id": "t",
    "agent_id": "a",
    "role": "DEV",
    "status": "completed",
    "proposal": {"content": "x", "author_id": "a", "author_role": "DEV", "model": "m", "temperature": 0.7, "tokens": 3},
    "duration_ms": 12,
    "timestamp": "2025-10-15T10:00:00+00:00",
    "model": "m",
    "diversity": False,
}
FAILED: dict[str, Any] = {
    key: COMPLETED[key] for key in ("task_id", "agent_id", "role", "duration_ms", "timestamp")
} | {"status": "failed", "error": "boom", "error_type": "ValueError"}


def test_conformant_messages() -> None:
    assert contract.problems(contract.AgentCompleted, COMPLETED) == []
    assert contract.problems(contract.AgentFailed, FAILED) == []
    assert contract.problems(contract.AgentCompleted, COMPLETED | {"further": "fields are tolerated"}) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"task_id": 7}, "task_id"),
        ({"status": "done"}, "status"),
        ({"diversity": "false"}, "diversity"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": 1760500000}, "timestamp"),
        ({"duration_ms": -1}, "duration_ms"),
        ({"proposal": {**COMPLETED["proposal"], "content": ""}}, "proposal.content"),
        ({"proposal": {**COMPLETED["proposal"], "content": None}}, "proposal.content"),
        ({"proposal": {**COMPLETED["proposal"], "tokens": 0}}, "proposal.tokens"),
        ({"proposal": "text"}, "proposal"),
    ],
)
def test_every_break_is_named(change: dict[str, Any], named: str) -> None:
    found = contract.problems(contract.AgentCompleted, COMPLETED | change)
    assert len(found) == 1
    assert found[0].startswith(f"{named}: ")


@pytest.mark.parametrize("field", sorted(COMPLETED))
def test_every_field_is_required(field: str) -> None:
    document = {key: value for key, value in COMPLETED.items() if key != field}
    assert [line.partition(":")[0] for line in contract.problems(contract.AgentCompleted, document)] == [field]


@pytest.mark.parametrize("document", [None, [], "text", 7])
def test_not_even_an_object(document: object) -> None:
    assert contract.problems(contract.AgentFailed, document)
