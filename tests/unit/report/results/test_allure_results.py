"""What Allure is given: labels, links and steps of each check, and what it needs beside the results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.checks.declaration import MUST, SHOULD, Check, Disruption
from fixtures.checks.remedy import shell, steps
from fixtures.redaction.redact import Redactor
from fixtures.report.diagnosis import diagnose
from fixtures.report.model import ClusterInfo, Phase, Result, Run, Status
from fixtures.report.results.allure_results import CATEGORIES, GLOBALS, LABEL, reconcile

BEGAN = 1_767_225_600  # 2026-01-01T00:00:00Z
F, P, B = Status.FAILED, Status.PASSED, Status.BROKEN

#: What allure-pytest wrote of one check: a result, and its fixtures in containers.
RESULT = {
    "uuid": "r1",
    "name": "test_one",
    "status": "failed",
    "statusDetails": {"message": "AssertionError: no", "trace": "def test_one(): …"},
    "attachments": [{"name": "seen.json", "source": "a1-attachment.json", "type": "application/json"}],
    "labels": [{"name": LABEL, "value": "DEP-04"}, {"name": "tag", "value": "asyncio"}, {"name": "host", "value": "h"}],
    "start": (BEGAN + 3) * 1000,
    "stop": (BEGAN + 4) * 1000,
}
LOG = {"name": "ray-head.log", "source": "a2-attachment.txt", "type": "text/plain"}


def fixture(name: str, start: float, stop: float | None, **more: Any) -> dict[str, Any]:
    times = {"start": int((BEGAN + start) * 1000), **({"stop": int((BEGAN + stop) * 1000)} if stop else {})}
    return {"name": name, "status": "passed", **times, **more}


CONTAINERS = {
    "c1": {"children": ["r0", "r1"], "befores": [fixture("profile", -9, -8)], "afters": []},
    "c2": {"children": ["r1"], "befores": [fixture("agent_runs", 1, 2.5)], "afters": [fixture("x::<lambda>", 9, None)]},
    "c3": {"children": ["r1"], "befores": [fixture("evidence", 2.5, 2.501)], "afters": []},
    "c4": {"children": ["r1"], "afters": [fixture("collect_diagnostics::finalizer", 4, 4.5, attachments=[LOG])]},
}


def result(check_id: str, status: Status, *follows: str, **more: Any) -> Result:
    check = Check(check_id, more.pop("level", MUST), f"title of {check_id}", (), meaning="It matters.", follows=follows)
    return Result(check, status, detail="seen this", remedy=steps("Do this:", shell("kubectl get pods")), **more)


@pytest.fixture
def run() -> Run:
    run = Run("2026-01-01T00:00:00+00:00", "0.1.0", "abc123", "fc-1", ClusterInfo("embedded", "embedded", "stub"))
    phases = [
        Phase("setup", BEGAN + 1, BEGAN + 3, P),
        Phase("call", BEGAN + 3, BEGAN + 4, F),
        Phase("teardown", BEGAN + 4, BEGAN + 5, P),
    ]
    run.results = [
        result("DEP-04", F, phases=phases, nodeid="tests/e2e/test_dependencies.py::test_package[nats]"),
        result("JOB-01", F, "DEP-04", level=SHOULD),
        result("INF-01", B),
        result("NET-07", Status.UNSUPPORTED),
        result("IMG-06", Status.DISABLED),
    ]
    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "r1-result.json").write_text(json.dumps(RESULT))
    for name, container in CONTAINERS.items():
        (tmp_path / f"{name}-container.json").write_text(json.dumps({"uuid": name, **container}))
    return tmp_path


def documents(folder: Path) -> dict[str, dict[str, Any]]:
    read = [json.loads(path.read_text("utf-8")) for path in folder.glob("*-result.json")]
    return {document["fullName"]: document for document in read}


def written(folder: Path, run: Run, *links: tuple[str, str]) -> dict[str, dict[str, Any]]:
    reconcile(folder, run, Redactor(), diagnose(run), links)
    return documents(folder)


def labels(document: dict[str, Any], name: str) -> list[str]:
    return [label["value"] for label in document["labels"] if label["name"] == name]


def test_checks_are_grouped_by_area_and_weighed_by_level(folder: Path, run: Run) -> None:
    found = written(folder, run)
    assert {check_id: labels(found[check_id], "severity") for check_id in ("DEP-04", "JOB-01")} == {
        "DEP-04": ["critical"],
        "JOB-01": ["normal"],
    }
    assert labels(found["DEP-04"], "feature") == ["Dependencies of the workers"]
    assert [labels(found[each], "tag") for each in ("DEP-04", "NET-07", "IMG-06")] == [
        ["MUST"],
        ["MUST", "unsupported"],
        ["MUST", "disabled"],
    ]


def test_a_disruptive_check_is_one_in_allure_too(folder: Path, run: Run) -> None:
    run.results.append(Result(Check("ORC-15", MUST, "title", (), disrupts=Disruption.CLUSTER), P))
    assert labels(written(folder, run)["ORC-15"], "tag") == ["MUST", "disruptive"]


def test_a_check_that_never_ran_has_the_time_of_the_run(folder: Path, run: Run) -> None:
    found = written(folder, run)["IMG-06"]
    assert (found["status"], found["start"], found["stop"]) == ("skipped", BEGAN * 1000, BEGAN * 1000)
    assert found["statusDetails"]["message"] == "disabled: seen this"
    assert found["steps"] == []


def test_the_phases_are_steps_with_what_was_waited_for(folder: Path, run: Run) -> None:
    found = written(folder, run)["DEP-04"]
    steps = [(step["name"], step["status"], [each["name"] for each in step["steps"]]) for step in found["steps"]]
    assert steps == [
        ("setup", "passed", ["agent runs"]),
        ("call", "failed", []),
        ("teardown", "passed", ["collect diagnostics"]),
    ]
    assert (found["start"], found["stop"]) == ((BEGAN + 1) * 1000, (BEGAN + 5) * 1000)


def test_evidence_of_fixtures_stands_with_that_of_the_check(folder: Path, run: Run) -> None:
    assert [each["name"] for each in written(folder, run)["DEP-04"]["attachments"]] == ["seen.json", "ray-head.log"]
    assert not list(folder.glob("*-container.json"))


def test_containers_of_other_tests_stay(folder: Path, run: Run) -> None:
    (folder / "o1-result.json").write_text(json.dumps({"uuid": "o1", "labels": [], "fullName": "mine", "name": "n"}))
    (folder / "c9-container.json").write_text(json.dumps({"uuid": "c9", "children": ["o1", "r1"], "befores": []}))
    assert written(folder, run)["mine"]["name"] == "n"
    assert [path.name for path in folder.glob("*-container.json")] == ["c9-container.json"]


def test_the_description_explains_and_mends(folder: Path, run: Run) -> None:
    found = written(folder, run)
    assert found["JOB-01"]["description"] == (
        "It matters.\n\n**When it fails:** Do this:\n\n```sh\nkubectl get pods\n```\n\n"
        "**May be a consequence of:** DEP-04"
    )


def test_links_follow_the_patterns(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_SHA", raising=False)
    found = written(folder, run, ("tms", "https://tests.example/{}"), ("issue", "https://issues.example/?q={}"))
    assert [(link["type"], link["url"]) for link in found["DEP-04"]["links"]] == [
        ("tms", "https://tests.example/DEP-04"),
        ("issue", "https://issues.example/?q=DEP-04"),
    ]


@pytest.mark.parametrize(("commit", "linked"), [("abc123def", True), ("fed321", False)])
def test_a_job_of_the_suites_own_repository_links_to_the_source(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, commit: str, linked: bool
) -> None:
    for name, value in {"SHA": commit, "SERVER_URL": "https://git.example", "REPOSITORY": "a/b"}.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    urls = [link["url"] for link in written(folder, run)["DEP-04"]["links"]]
    assert urls == (["https://git.example/a/b/blob/abc123def/tests/e2e/test_dependencies.py"] if linked else [])


def test_causes_and_what_could_not_be_told_are_global_errors(folder: Path, run: Run) -> None:
    written(folder, run)
    messages = [error["message"] for error in json.loads((folder / GLOBALS).read_text())["errors"]]
    assert [message.partition("\n")[0] for message in messages] == [
        "DEP-04 (MUST) failed: title of DEP-04",
        "INF-01 (MUST) broken: title of INF-01",
    ]
    assert all("What to do: Do this:\nkubectl get pods" in message for message in messages)


def test_a_run_that_ended_early_says_so_once(tmp_path: Path, run: Run) -> None:
    run.aborted, run.results = "no cluster", [result("INF-01", B), result("INF-02", B)]
    written(tmp_path, run)
    errors = json.loads((tmp_path / GLOBALS).read_text())["errors"]
    assert [error["message"] for error in errors] == ["The run ended early: no cluster"]


def test_every_status_but_passed_has_its_category() -> None:
    assert [(each["matchedStatuses"], each.get("messageRegex")) for each in CATEGORIES] == [
        (["failed"], None),
        (["broken"], None),
        (["skipped"], r"known [\s\S]*"),
        (["skipped"], r"not applicable: [\s\S]*"),
        (["skipped"], r"unsupported: [\s\S]*"),
        (["skipped"], r"disabled: [\s\S]*"),
    ]
