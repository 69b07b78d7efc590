"""Notes of a check: short, few, without secrets, and shown whether or not it passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.checks.declaration import MUST, Check
from fixtures.diagnostics.evidence import Evidence
from fixtures.profile.remedy_values import RemedyValues
from fixtures.redaction.redact import Redactor
from fixtures.report.model import ClusterInfo, Result, Run, Status
from fixtures.report.pages.status import html_page, markdown_page
from fixtures.report.records import MAX_NOTE_CHARS, MAX_NOTES, Record
from fixtures.report.results import conformance

CHECK = Check("INF-01", MUST, "all is there", ())


def record(tmp_path: Path) -> Record:
    return Record(CHECK, Evidence(tmp_path, CHECK.id, Redactor()))


def test_they_are_bounded_and_said_once(tmp_path: Path) -> None:
    noted = record(tmp_path)
    for text in ("two groups were asked\nand a second line", "two groups were asked", "", "x" * 1000):
        noted.note(text)
    for number in range(20):
        noted.note(f"note {number}")
    notes = noted.result(RemedyValues(), (Status.PASSED, "")).notes
    assert notes[0] == "two groups were asked" and len(notes) == MAX_NOTES
    assert len(notes[1]) == MAX_NOTE_CHARS and notes[1].endswith("…")


@pytest.mark.parametrize("status", Status)
def test_they_are_in_the_row_and_on_the_status_page(status: Status) -> None:
    run = Run("2026-01-01T00:00:00Z", "0", "", "r", ClusterInfo("kind", "kind"))
    run.results = [
        Result(CHECK, status, detail="" if status is Status.PASSED else "seen", notes=["one | two", "three"])
    ]
    document = run.to_json()
    assert document["checks"][0]["notes"] == ["one | two", "three"]
    assert conformance.run_of(document, {}).results[0].notes == ["one | two", "three"]
    page = html_page(run, [], "en")
    assert "one | two" in page and "three" in page
    (row,) = [line for line in markdown_page(run, [], "en").splitlines() if "| INF-01 | MUST |" in line]
    assert "one \\| two; three" in row
