"""ctrf.json: valid by what the format publishes, and with the numbers of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fixtures.checks.declaration import MUST, SHOULD, Check, Level
from fixtures.checks.remedy import shell, steps
from fixtures.redaction.redact import Redactor
from fixtures.report.model import ClusterInfo, Phase, Result, Run, Status
from fixtures.report.results import ctrf

MEND = steps("Build it:", shell("docker build ."))
TEXT, NUMBER, OBJECT = {"type": "string"}, {"type": "integer"}, {"type": "object"}
COUNTS = ("tests", "passed", "failed", "skipped", "pending", "other", "start", "stop")


def closed(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    """An object that has these keys and no others."""
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


#: The parts of the format that we use. Source: https://github.com/ctrf-io/ctrf/blob/main/schema/ctrf.schema.json
ATTACHMENT = closed(("name", "contentType", "path"), name=TEXT, contentType=TEXT, path=TEXT)
TEST = closed(
    ("name", "status", "duration"),
    id={"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
    name=TEXT,
    status={"enum": ["passed", "failed", "skipped", "pending", "other"]},
    rawStatus=TEXT,
    duration=NUMBER,
    start=NUMBER,
    stop=NUMBER,
    suite={"type": "array", "minItems": 1, "items": TEXT},
    type=TEXT,
    labels={"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
    filePath=TEXT,
    message=TEXT,
    attachments={"type": "array", "items": ATTACHMENT},
    extra=OBJECT,
)
SUMMARY = closed(COUNTS, **dict.fromkeys((*COUNTS, "duration"), NUMBER), extra=OBJECT)
ENVIRONMENT = closed((), appName=TEXT, commit=TEXT, healthy={"type": "boolean"}, extra=OBJECT)
RESULTS = closed(
    ("tool", "summary", "tests"),
    tool=closed(("name",), name=TEXT, version=TEXT),
    summary=SUMMARY,
    tests={"type": "array", "items": TEST},
    environment=ENVIRONMENT,
)
SCHEMA = closed(
    ("results", "reportFormat", "specVersion"),
    reportFormat={"const": "CTRF"},
    specVersion={"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$"},
    reportId=TEXT,
    timestamp=TEXT,
    generatedBy=TEXT,
    results=RESULTS,
)


def result(id: str, status: Status, level: Level = MUST, **more: Any) -> Result:
    check = Check(id, level, f"the title of {id}", MEND, "It matters.")
    return Result(check, status, duration_s=1.25, remedy=MEND, **more)


@pytest.fixture
def run() -> Run:
    """One of each status."""
    made = Run("2026-01-01T00:00:00+00:00", "1.2.3", "abc", "fc-1", ClusterInfo("attach", "votes", "external"), 12.5)
    made.results = [
        result("INF-01", Status.PASSED, phases=[Phase("call", 1767225600.5, 1767225601.75, Status.PASSED)]),
        result("INF-02", Status.BROKEN, detail="KeyError: 'x'"),
        result("NET-01", Status.UNSUPPORTED, detail="no pods here"),
        result("NET-02", Status.DISABLED, SHOULD, detail="not selected"),
        result("NET-07", Status.NOT_APPLICABLE, detail="no cluster DNS"),
        result("DEP-04", Status.FAILED, detail="no nats", evidence=["evidence/DEP-04/census.json"], nodeid="a.py::b"),
        result("JOB-04", Status.FAILED, detail="no proposal", cause="DEP-04"),
    ]
    return made


def test_it_is_valid_and_counts_as_the_run_does(run: Run, tmp_path: Path) -> None:
    ctrf.write(run, tmp_path / "ctrf.json", Redactor())
    document = json.loads((tmp_path / "ctrf.json").read_text())
    jsonschema.validate(document, SCHEMA)
    summary = document["results"]["summary"]
    counted = {name: summary[name] for name in COUNTS[:6]}
    assert counted == {"tests": 7, "passed": 1, "failed": 2, "skipped": 3, "pending": 0, "other": 1}
    assert summary["stop"] - summary["start"] == summary["duration"] == 12500
    assert summary["extra"]["verdict"] == "nonconformant" and not document["results"]["environment"]["healthy"]


def test_each_check_has_our_words_beside_the_formats(run: Run) -> None:
    tests = {test["labels"]["id"]: test for test in ctrf.document(run)["results"]["tests"]}
    raw = {id: (test["status"], test["rawStatus"]) for id, test in tests.items()}
    assert raw["INF-02"] == ("other", "broken") and raw["NET-07"] == ("skipped", "not_applicable")
    assert tests["INF-01"]["stop"] - tests["INF-01"]["start"] == 1250
    assert tests["JOB-04"]["labels"] == {"id": "JOB-04", "level": "MUST", "cause": "DEP-04"}
    failed = tests["DEP-04"]
    assert (failed["message"], failed["filePath"]) == ("no nats", "a.py")
    assert failed["suite"] == ["Dependencies of the workers"]
    assert failed["attachments"] == [
        {"name": "census.json", "contentType": "application/json", "path": "evidence/DEP-04/census.json"}
    ]
    assert [step["kind"] for step in failed["extra"]["remedy"]] == ["prose", "command"]


def test_a_check_has_one_id_in_every_run(run: Run) -> None:
    first = ctrf.document(run)
    run.started, run.run_id = "2026-02-01T00:00:00+00:00", "fc-2"
    second = ctrf.document(run)
    ids = [[test["id"] for test in document["results"]["tests"]] for document in (first, second)]
    assert ids[0] == ids[1] and len(set(ids[0])) == 7
    assert first["reportId"] != second["reportId"]


def test_no_secret_is_in_it(run: Run, tmp_path: Path) -> None:
    run.results[1].detail = "refused: hunter2-of-the-suite"
    redactor = Redactor()
    redactor.add("hunter2-of-the-suite")
    ctrf.write(run, tmp_path / "ctrf.json", redactor)
    assert "hunter2" not in (tmp_path / "ctrf.json").read_text()
