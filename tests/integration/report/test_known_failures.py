"""Known failures in a real pytest: what counts as one while the run goes on, and that all reports say the same."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures.report.export import command
from tests.support.suite_process import SuiteRun
from tests.support.suite_project import Project

CHECKS = """
from fixtures.checks.requirement import require_none

@check("INF-01", MUST, "passes", remedy="x")
def test_passes(): ...

@check("INF-02", MUST, "fails on two workers", remedy="Use {image}")
def test_two_workers():
    require_none(["worker-1: the driver is 535", "worker-2: the driver is 535"], "not the driver that was agreed on")

@check("INF-03", MUST, "fails, and a second cause beside", remedy="x")
def test_another_cause():
    require_none(["worker-1: the driver is 535", "worker-2: no driver at all"], "not the driver that was agreed on")

@check("INF-04", MUST, "follows, and is named", remedy="x", follows=("INF-02",))
def test_named(): assert False, "slow"

@check("INF-06", SHOULD, "follows, and is not named", remedy="x", follows=("INF-02",))
def test_not_named(): assert False, "slower"

@check("INF-07", MUST, "passes, although it is known to fail", remedy="x")
def test_mended(): ...
"""
ENTRY = """
[[known]]
check = "{check}"
cause = ["the driver is 535"]
reason = "the nodes get the new driver in March"
owner = "team-nodes"
link = "https://tracker.example/7"
until = 2026-03-31
"""
ONE, TWO = ENTRY.format(check="INF-02") + 'explains = ["INF-04"]\n', ENTRY.format(check="INF-07")
ANOTHER, NOT_NAMED = (f"--deselect=tests/e2e/test_known.py::test_{name}" for name in ("another_cause", "not_named"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("known")).write(known=CHECKS)
    (project.path / "known.toml").write_text(ONE + TWO)
    return project


@pytest.fixture(scope="module")
def excused(project: Project) -> SuiteRun:
    """Without the check that fails of another cause, too."""
    return project.run("--known", "known.toml", "-m", "e2e", ANOTHER)


def test_a_run_with_known_failures_alone_ends_with_0(project: Project, excused: SuiteRun) -> None:
    assert excused.returncode == 0, excused.stdout
    assert project.statuses == {
        "INF-01": "passed",
        "INF-02": "known",
        "INF-03": "disabled",
        "INF-04": "known",
        "INF-06": "failed",
        "INF-07": "passed",
    }
    document = project.conformance
    assert (document["verdict"], document["conformant"]) == ("conformant-with-exceptions", False)
    assert document["summary"]["known"] == 2
    assert [row["standing"] for row in document["exceptions"]["rows"]] == ["used", "stale"]
    (row,) = [row for row in document["checks"] if row["id"] == "INF-04"]
    assert row["known"]["explained_by"] == "INF-02"


def test_the_screen_says_what_is_known_and_whose_it_is(excused: SuiteRun) -> None:
    told = excused.stdout
    assert "CONFORMANT WITH EXCEPTIONS: known failures of MUST checks: INF-02, INF-04" in told
    assert "\nKnown failures\n" in told
    assert "not counted as failed: INF-02, INF-04, the nodes get the new driver" in told
    assert "stale: INF-07 does not fail so any more, remove it (known.toml, line 11)" in told
    assert "2 known" in told.splitlines()[-1]
    assert max(map(len, told.partition("fleet conformance =")[2].splitlines()[1:12])) <= 80


def test_every_report_has_the_same_numbers(project: Project, excused: SuiteRun) -> None:
    assert excused.returncode == 0
    assert project.junit.get("failures") == "1"
    case = next(case for case in project.junit.iter("testcase") if case.get("name", "").startswith("INF-02 "))
    skipped = case.find("skipped")
    assert skipped is not None and skipped.get("type") == "fleet.known"
    assert skipped.get("message", "").startswith(
        "known until 2026-03-31: the nodes get the new driver in March (team-nodes, https://tracker.example/7): not the"
    )
    allure = project.allure["INF-02"]
    assert (allure["status"], allure["statusDetails"]["known"]) == ("skipped", True)
    assert {"type": "issue", "name": "https://tracker.example/7", "url": "https://tracker.example/7"} in allure["links"]
    assert {"name": "tag", "value": "known"} in allure["labels"]
    ctrf = json.loads((project.reports / "ctrf.json").read_text())["results"]
    (test,) = [test for test in ctrf["tests"] if test["name"].startswith("INF-02 ")]
    assert (test["status"], test["rawStatus"], ctrf["summary"]["failed"]) == ("skipped", "known", 1)
    assert ctrf["environment"]["healthy"] is True
    rows = {row["check"]: row["result"] for row in project.html_rows}
    assert (rows["INF-02"], rows["INF-04"], rows["INF-06"]) == ("Rerun", "Rerun", "Failed")
    page = (project.reports / "status.md").read_text()
    assert "| 📌 | INF-02 | MUST |" in page and "2 known" in page
    html = (project.reports / "status.html").read_text()
    assert '<b data-count="known">2</b> known' in html


def test_a_second_cause_of_the_same_check_stays_red(project: Project) -> None:
    known = project.path / "both.toml"
    known.write_text(ONE + ENTRY.format(check="INF-03"))
    done = project.run("--known", "both.toml", "-m", "e2e", "--report-dir", "both")
    assert done.returncode == 1
    document = json.loads((project.path / "both" / "conformance.json").read_text())
    rows = {row["id"]: row for row in document["checks"]}
    assert (rows["INF-02"]["status"], rows["INF-03"]["status"]) == ("known", "failed")
    assert rows["INF-03"]["notes"] == [
        "another cause than the known one (both.toml, line 11): not the driver that was agreed on: worker-2: no driver "
        "at all"
    ]
    told = " ".join(done.stdout.split())
    assert "not matched: INF-03 fails otherwise (both.toml, line 11). Known: the driver is 535. Seen: not the" in told


def test_a_known_failure_ends_no_run_with_x(project: Project) -> None:
    done = project.run("--known", "known.toml", "-m", "e2e", "-x", ANOTHER, NOT_NAMED, "--report-dir", "first")
    assert done.returncode == 0 and "2 passed, 2 deselected, 2 known" in done.stdout


def test_a_finished_run_is_judged_again(project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By the catalogue of the suite, and as of today."""
    assert project.run("-m", "e2e", "--report-dir", "plain", ANOTHER).returncode == 1
    soon = (datetime.now(UTC) + timedelta(days=60)).date().isoformat()
    entries = [ENTRY.replace("2026-03-31", soon).format(check=check) for check in ("INF-02", "INF-04")]
    expected = {1: "not matched: INF-04 fails otherwise", 0: "INF-02, INF-04, the nodes get the new driver in March"}
    for status, text in zip(expected, ("".join(entries), entries[0] + 'explains = ["INF-04"]\n'), strict=True):
        known = tmp_path / "known.toml"
        known.write_text(text)
        assert command.main(["--reports", str(project.path / "plain"), "--known", str(known)]) == status
        told = capsys.readouterr().out
        assert expected[status] in told and told.startswith("conformant with" if not status else "not conformant")


def test_the_reports_of_such_a_run_can_be_read_back(project: Project, excused: SuiteRun, tmp_path: Path) -> None:
    assert excused.returncode == 0
    assert command.main(["--reports", str(project.reports), "--status", str(tmp_path)]) == 0
    assert (tmp_path / "status.md").read_text().count("📌") == 3  # two rows and the legend
