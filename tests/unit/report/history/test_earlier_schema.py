"""Documents of fleet-conformance/v1 are read as those of today: what did not apply said so in words."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from fixtures.checks.declaration import MUST, Check
from fixtures.report.history import baseline
from fixtures.report.history.schemas import SCHEMA, SCHEMA_V1, as_current
from fixtures.report.model import ClusterInfo, Result, Run, Status, Verdict
from fixtures.report.results import conformance

OUTCOMES = {
    "INF-01": (Status.PASSED, ""),
    "NET-07": (Status.NOT_APPLICABLE, "embedded runs processes, not pods"),
    "ORC-08": (Status.NOT_APPLICABLE, "the context is longer than a message may be"),
}


def of_today(**more: tuple[Status, str]) -> Run:
    run = Run("2026-01-01T00:00:00+00:00", "0.1.0", "", "fc-1", ClusterInfo("embedded", "embedded", "stub"))
    outcomes = OUTCOMES | {id.replace("_", "-"): outcome for id, outcome in more.items()}
    run.results = [
        Result(Check(id, MUST, "title", ()), *outcome[:1], 1.0, outcome[1]) for id, outcome in outcomes.items()
    ]
    return run


def of_v1(run: Run) -> dict[str, Any]:
    """As v1 wrote it."""
    document = run.to_json()
    document |= {"schema": SCHEMA_V1, "scope": "2 of 4 checks apply to embedded"}
    del document["summary"]["not_applicable"]
    for row in document["checks"]:
        del row["absent"], row["notes"]
        if row["status"] == "not_applicable":
            row |= {"status": "unsupported", "detail": f"does not apply: {row['detail']}"}
    return document


def test_what_did_not_apply_has_the_status_and_nothing_else_changes() -> None:
    run = of_today(CFG_01=(Status.UNSUPPORTED, "nothing is known of replicas; does not apply: no"))
    document = of_v1(run)
    before = copy.deepcopy(document)
    found = conformance.run_of(document, {})
    assert document == before, "what was parsed is left as it is"
    assert [(row.check.id, row.status, row.detail) for row in found.results] == [
        (row.check.id, row.status, row.detail) for row in run.results
    ]
    assert found.verdict is run.verdict is Verdict.PARTIAL
    assert found.scope.applies == 2


def test_a_run_of_v1_is_conformant_as_it_was() -> None:
    assert conformance.run_of(of_v1(of_today()), {}).verdict is Verdict.CONFORMANT


def test_nothing_is_new_between_a_run_of_v1_and_the_same_today(tmp_path: Path) -> None:
    (tmp_path / "conformance.json").write_text(json.dumps(of_v1(of_today())), encoding="utf-8")
    earlier = baseline.read([str(tmp_path)], tmp_path)
    now = of_today()
    now.run_id, now.started = "fc-2", "2026-01-02T00:00:00+00:00"
    current = baseline.document_of(now.to_json())
    changes = baseline.changed(current, earlier)
    assert changes is not None and changes.previous is not None and not changes.rows
    comparison = baseline.judge(current, earlier)
    assert len(comparison.earlier) == 1 and not comparison.skipped


def test_damaged_documents_are_left_to_their_reader() -> None:
    damaged: list[Any] = [3, [3], [{"status": "unsupported", "detail": 3}], [{"status": []}]]
    for checks in damaged:
        assert as_current({"schema": SCHEMA_V1, "checks": checks})["checks"] == checks
    assert as_current({"schema": SCHEMA_V1}) == {"schema": SCHEMA}
    assert as_current({"schema": "other"}) == {"schema": "other"}
