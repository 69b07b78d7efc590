"""The gate: which runs are one, what it asks and in which order, and which failures make it look for a cause."""

from __future__ import annotations

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import MUST, Check, Disruption, Gate
from fixtures.harness import gate
from fixtures.report import output_paths


@pytest.mark.parametrize(
    ("expression", "alone"),
    [
        ("gate", True),
        ("gate and not disruptive", True),
        ("e2e and gate", True),
        ("", False),
        ("e2e", False),
        ("e2e and not gate", False),
        ("gate or load", False),
        ("not gate", False),
        ("gateway", False),
        ("gate and", False),
    ],
)
def test_a_run_is_the_gate_where_it_asks_nothing_else(expression: str, alone: bool) -> None:
    assert gate.is_asked_for(expression) is alone


def test_reports_are_written_of_the_gate() -> None:
    assert output_paths._marks_allow("gate")


def checks(*, of: Gate) -> list[Check]:
    return [check for check in load_catalogue().values() if check.gate is of and not check.source]


def test_what_the_gate_asks_is_a_must_and_disturbs_nothing() -> None:
    asked = checks(of=Gate.ALWAYS)
    assert len(asked) == 15
    assert {(check.level, check.disrupts) for check in asked} == {(MUST, Disruption.NOTHING)}


def test_what_is_asked_for_a_cause_is_what_one_census_answers() -> None:
    assert {check.id.partition("-")[0] for check in checks(of=Gate.FOR_CAUSE)} == {"DEP"}


def test_a_cause_is_sought_of_what_may_follow_from_it() -> None:
    catalogue = load_catalogue()
    row = Check("DEP-11.yaml", MUST, "a row of a family", (), gate=Gate.FOR_CAUSE)
    assert not gate.is_called_for(catalogue["DEP-04"], [], catalogue)
    assert not gate.is_called_for(catalogue["DEP-04"], ["INF-03"], catalogue)
    assert gate.is_called_for(catalogue["DEP-04"], ["INF-03", "ORC-04"], catalogue)
    assert gate.is_called_for(row, ["ORC-04"], catalogue)
    assert gate.is_called_for(catalogue["INF-03"], [], catalogue)


def test_causes_come_last() -> None:
    catalogue = load_catalogue()
    ordered = sorted(checks(of=Gate.ALWAYS) + checks(of=Gate.FOR_CAUSE), key=gate.execution_key)
    assert [check.gate for check in ordered] == sorted((check.gate for check in ordered), key=list(Gate).index)
    assert ordered[0] is catalogue["INF-01"]
