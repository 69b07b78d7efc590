"""What the second stack's run is held against, and that its list is what the profile says."""

from __future__ import annotations

from typing import Any

from fixtures.checks.applicability import applicability
from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import AREAS, CATALOGUE
from fixtures.profile.model import load
from tests.second_stack.cluster import FOLDER
from tests.second_stack.conformance import NOT_APPLICABLE, complaints

PROFILE = load(str(FOLDER / "votes.toml"))


def document(**changes: str) -> dict[str, Any]:
    """A conformant run, but for the status of some checks."""
    rows = [
        {"id": check, "status": "not_applicable", "absent": part, "detail": ""}
        for check, part in NOT_APPLICABLE.items()
    ]
    rows += [{"id": check, "status": status, "absent": "x", "detail": "why"} for check, status in changes.items()]
    return {"conformant": not changes, "verdict": "nonconformant", "checks": rows}


def test_what_does_not_apply_is_listed() -> None:
    load_catalogue()
    why_not = applicability(PROFILE, "embedded")
    checks = [check for check in CATALOGUE.values() if check.id.partition("-")[0] in AREAS]
    absent = {check.id: absence.part for check in checks if (absence := why_not(check))}
    assert {check: part for check, part in absent.items() if not check.startswith("LOAD")} == NOT_APPLICABLE


def test_a_conformant_run_has_no_complaints() -> None:
    assert complaints(0, document()) == []


def test_each_deviation_is_a_line() -> None:
    assert complaints(1, {}) == [
        "exit status 1, not 0",
        "it is not conformant, but without a report",
        *(f"{check} applies, and is listed for the lack of {part}" for check, part in NOT_APPLICABLE.items()),
    ]
    lines = complaints(0, document(**{"INF-01": "not_applicable", "JOB-06": "failed"}))
    assert "INF-01 does not apply (x), and is not listed" in lines and "JOB-06: failed: why" in lines
    other = document()
    other["checks"][0]["absent"] = "grpc"
    assert complaints(0, other) == ["CFG-01 lacks grpc, not agent_type"]
