"""The recorder in a real pytest: every way in which a check can end, and what each report makes of it."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.suite_process import SuiteRun
from tests.support.suite_project import ALL, Project

Everything = tuple[Project, SuiteRun]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Everything:
    project = Project(tmp_path_factory.mktemp("everything")).write(all=ALL)
    return project, project.run("-m", "e2e")


def test_every_outcome_becomes_its_status(everything: Everything) -> None:
    project, done = everything
    assert project.statuses == {
        "INF-01": "passed",
        "INF-02": "failed",
        "INF-03": "failed",
        "INF-04": "broken",
        "INF-05": "broken",
        "INF-06": "broken",
        "INF-07": "broken",
        "INF-08": "broken",
        "INF-09": "unsupported",
        "INF-10": "disabled",
        "INF-11": "failed",
        "INF-12": "failed",
        "CFG-01": "failed",
        "CFG-02": "failed",
        "CFG-03": "not_applicable",
    }, done.stdout
    assert done.returncode == 1


def test_details_speak_to_the_operator(everything: Everything) -> None:
    project, _ = everything
    assert project.detail("INF-02") == "expected two replicas, seen one"
    assert project.detail("INF-05") == "ConnectionError: no kubeconfig"
    assert project.detail("INF-06") == "in its teardown: RuntimeError: cannot clean up"
    assert "Timeout" in project.detail("INF-07")
    assert project.detail("INF-08") == "skipped by itself: no idea"
    assert project.detail("INF-12") == "the real finding"
    assert project.detail("CFG-02") == "QA has no council"


def test_the_remedy_is_filled_and_the_cause_named(everything: Everything) -> None:
    project, _ = everything
    checks = {check["id"]: check for check in project.conformance["checks"]}
    assert checks["INF-02"]["remedy"] == "Use fleet/ray-custom:2.49.2"
    assert checks["INF-11"]["cause"] == "INF-02"
    assert checks["INF-02"]["nodeid"] == "tests/e2e/test_all.py::test_fails"
    assert checks["INF-02"]["evidence"] == ["evidence/INF-02/traceback.txt"]
    assert (project.reports / "evidence/INF-01/seen.json").is_file()
    assert checks["INF-01"]["notes"] == ["seen with 32 tokens"]


def test_all_reports_agree_in_every_number(everything: Everything) -> None:
    project, _ = everything
    summary = project.conformance["summary"]
    skipped = summary["not_applicable"] + summary["unsupported"] + summary["disabled"]

    junit = project.junit
    assert junit.get("name") == "fleet-conformance"
    assert {key: int(junit.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": 15,
        "failures": summary["failed"],
        "errors": summary["broken"],
        "skipped": skipped,
    }
    assert len(junit.findall("testsuite/testcase/properties/property[@name='id']")) == 15

    allure = Counter(document["status"] for document in project.allure.values())
    assert allure == {"passed": 1, "failed": summary["failed"], "broken": summary["broken"], "skipped": skipped}

    rows = Counter(row["result"] for row in project.html_rows)
    assert rows == {
        "Passed": 1,
        "Failed": summary["failed"],
        "Error": summary["broken"],
        "XPassed": summary["not_applicable"],
        "Skipped": summary["unsupported"],
        "XFailed": summary["disabled"],
    }

    page = (project.reports / "status.md").read_text()
    assert "1 passed, 6 failed, 5 broken, 1 not applicable, 1 unsupported, 1 disabled" in page
    assert page.count("\n| ❌ |") + page.count("\n| ⚠️ |") == summary["failed"]
    assert page.count("\n| ❓ |") == summary["broken"]
    assert page.count("\n| ➖ |") == skipped


def test_allure_knows_area_severity_and_category(everything: Everything) -> None:
    project, _ = everything
    document = project.allure["INF-11"]
    labels = {label["name"]: label["value"] for label in document["labels"]}
    assert labels["severity"] == "normal"
    assert labels["epic"] == "Fleet conformance"
    assert labels["feature"] == "Infrastructure"
    assert document["statusDetails"]["message"].startswith("follows from INF-02\n")
    assert project.allure["INF-09"]["statusDetails"]["message"] == "unsupported: no rights to look at pods"
    assert project.allure["CFG-03"]["statusDetails"]["message"] == "not applicable: no Kubernetes here"
    assert "All is well." in project.allure["INF-01"]["description"]
    assert project.allure["INF-01"]["attachments"][0]["name"] == "seen.json"
    assert [step["name"] for step in project.allure["INF-01"]["steps"]] == ["setup", "call", "teardown"]
    results = project.reports / "allure-results"
    assert [category["name"] for category in json.loads((results / "categories.json").read_text())]
    assert "vLLM=stub" in (results / "environment.properties").read_text()
    assert not (results / "executor.json").exists()
    assert not list(results.glob("*-container.json"))
    assert "INF-02" in json.loads((results / "fleet-globals.json").read_text())["errors"][0]["message"]


def test_the_html_page_says_verdict_cause_and_cluster(everything: Everything) -> None:
    project, _ = everything
    page = (project.reports / "report.html").read_text()
    head = page[: page.index("data-jsonblob")]
    for words in (
        "not conformant",
        "14 of 15 checks apply to embedded",
        "expected two replicas, seen one",
        "fleet/ray-custom:2.49.2",
        "stub",
    ):
        assert words in head, words
    noted = next(row for row in project.html_rows if row["check"] == "INF-01")
    assert "seen with 32 tokens" in noted["extras"][0]["content"]
    row = next(row for row in project.html_rows if row["check"] == "INF-02")
    assert (row["level"], row["area"]) == ("MUST", "Infrastructure")
    assert "traceback.txt" in row["extras"][0]["content"]


def test_the_terminal_fits_80_columns_without_colour(everything: Everything) -> None:
    _, done = everything
    summary = done.stdout[done.stdout.index("= fleet conformance =") :]
    summary = summary[: summary.index("/reports/")]
    assert "\x1b[" not in done.stdout
    assert all(len(line) <= 80 for line in summary.splitlines() if "reports" not in line and "/" not in line)
    assert "NOT CONFORMANT: expected two replicas, seen one" in summary
    assert "  vLLM stub; 14 of 15 checks apply to embedded; 2 were not asked: INF-09–10" in summary
    assert "FAILED INF-02 (MUST) fails" in summary
    assert "-> Use fleet/ray-custom:2.49.2" in summary


@pytest.mark.parametrize("options", [(), ("-v",), ("-v", "--tb=long", "-rA"), ("--tb=native",)])
def test_a_fleet_that_sends_escape_sequences_moves_no_cursor(tmp_path: Path, options: tuple[str, ...]) -> None:
    """In a message, in what a check prints, in a warning, and in why a run ends early."""
    project = Project(tmp_path).write(
        all="""
@check("INF-01", MUST, "fails", remedy="x")
def test_fails():
    import warnings
    print("captured \\x1b[2J\\x9b31m")
    warnings.warn("warned \\x1b[2J")
    seen = "gone \\x1b]0;title\\x07"
    assert False, seen

@check("INF-02", MUST, "ends the run", remedy="x")
def test_aborts(recorder, request):
    recorder._note_abort("the server says \\x1b[2J\\u202e")
    recorder.writer.problems.append("no report \\x1b[2J")
"""
    )
    ran = project.run("-m", "e2e", "--color=no", *options)
    assert "gone �" in ran.stdout and "no report �" in ran.stdout
    assert "the server says" in ran.stdout and "the server says" in project.conformance["aborted"]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", ran.stdout + project.conformance["aborted"])
