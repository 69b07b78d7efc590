"""The Allure site: what stands above the app, what Allure is told, its history,
and what is missing where it cannot be rendered.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from fixtures.checks.declaration import MUST, Check
from fixtures.checks.remedy import shell, steps
from fixtures.core.errors import UsageError
from fixtures.redaction.redact import Redactor
from fixtures.report.diagnosis import diagnose
from fixtures.report.export import command
from fixtures.report.export.allure import banner as allure_banner
from fixtures.report.export.allure import command_line as allure_command
from fixtures.report.export.allure import history as allure_history
from fixtures.report.export.allure import site as allure_site
from fixtures.report.export.completed_run import CompletedRun
from fixtures.report.model import ClusterInfo, DependencyFact, Result, Run, Status
from fixtures.report.results import allure_results, conformance
from fixtures.report.texts import Texts

ODD = "<script>alert(1)</script> & \"quoted\" 'too'"
PAGE = """<!DOCTYPE html>
<html><head>
<title>x</title></head>
<body>
<div id="app"></div>
<script async src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>
<script>
  gtag('config', 'G-1', {});
</script>
<script>window.data = 1</script>
</body></html>
"""


def run_of(*statuses: Status, words: str = "words", run_id: str = "fc-1", day: int = 1) -> Run:
    run = Run(f"2026-01-{day:02}T00:00:00+00:00", "0", "", run_id, ClusterInfo("embedded", "embedded", "stub"))
    for number, status in enumerate(statuses, 1):
        check = Check(f"DEP-{number:02}", MUST, f"title {words}", ())
        detail = "" if status is Status.PASSED else words
        run.results.append(Result(check, status, 0.1, detail, steps(words, shell(f"kubectl get {words}"))))
    return run


def banner(run: Run, language: str = "en", page: str = "") -> str:
    return allure_banner.render(run, diagnose(run), language, page)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A report folder: one check failed, one passed."""
    return reports(tmp_path / "reports", run_of(Status.FAILED, Status.PASSED))


def reports(folder: Path, run: Run) -> Path:
    folder.mkdir(parents=True)
    conformance.write(run, folder / "conformance.json", Redactor())
    allure_results.reconcile(folder / "allure-results", run, Redactor(), diagnose(run))
    return folder


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


# -- the banner -----------------------------------------------------------------------------------------------


def test_the_banner_says_verdict_cause_and_remedy() -> None:
    run = run_of(Status.FAILED, Status.PASSED)
    run.facts.dependencies = [DependencyFact("worker-1", "words", "1.0", "", False)]
    shown = banner(run, page="../status.md")
    for part in ("not conformant", "1 passed, 1 failed", "DEP-01 (MUST) title words", "words on worker-1"):
        assert part in shown
    assert "kubectl get words</pre>" in shown
    assert '<a href="../status.md">' in shown
    assert "<details open>" in shown


def test_a_green_run_is_one_line() -> None:
    assert "<details>" in banner(run_of(Status.PASSED))


def test_further_causes_are_named() -> None:
    assert "Fix these, too: DEP-02–03" in banner(run_of(Status.FAILED, Status.FAILED, Status.BROKEN))


def test_a_run_that_ended_early_says_why() -> None:
    run = run_of(Status.BROKEN, Status.BROKEN)
    run.aborted = "no cluster\nmore of it"
    shown = banner(run)
    assert "The run ended early: no cluster" in shown
    assert "inconclusive" in shown


@pytest.mark.parametrize("language", ["en", "es"])
def test_nothing_of_the_system_is_taken_for_markup(language: str) -> None:
    run = run_of(Status.FAILED, words=ODD)
    run.aborted = ODD
    shown = banner(run, language, page=ODD)
    assert "<script>alert" not in shown
    assert shown.count("&lt;script&gt;") >= 4


# -- the page -------------------------------------------------------------------------------------------------


def test_the_page_asks_nobody_and_begins_with_the_banner() -> None:
    page = allure_site.dressed(PAGE, "<i>banner</i>")
    assert "googletagmanager" not in page
    assert "gtag(" not in page
    assert "window.data = 1" in page
    assert "<body>\n<i>banner</i>" in page
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert "http" not in policy[1]


def test_the_app_waits_for_data_that_the_browser_has_not_read_yet() -> None:
    page = allure_site.dressed(PAGE, "")
    assert page.index("window.allureReportDataReady = false") < page.index("<body>")


@pytest.mark.parametrize("without", ["<head>", "<body>", "googletagmanager"])
def test_a_page_of_another_version_is_refused(without: str) -> None:
    with pytest.raises(UsageError, match="not as that of the pinned version"):
        allure_site.dressed(PAGE.replace(without, "other"), "")


def test_allure_is_told_verdict_language_and_categories(folder: Path) -> None:
    told = allure_site.configuration(command.load(folder, "es"), Texts("es"), Path("out"), Path("h"))
    options = told["plugins"]["awesome"]["options"]
    assert told["name"] == "Conformidad de la flota: no conforme"
    assert (options["reportLanguage"], options["singleFile"]) == ("es", True)
    assert len({each["name"] for each in told["categories"]}) == 6
    assert told["globalAttachments"] == [str((folder / "conformance.json").resolve())]


def test_the_status_page_is_linked_to_from_where_the_site_is(tmp_path: Path) -> None:
    assert allure_site._status_page(tmp_path, tmp_path / "site") == ""
    (tmp_path / "status.md").touch()
    assert allure_site._status_page(tmp_path, tmp_path / "site") == "../status.md"
    (tmp_path / "status.html").touch()
    assert allure_site._status_page(tmp_path, tmp_path / "site") == "../status.html"


def test_results_of_another_run_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next((folder / "allure-results").glob("*-result.json")).unlink()
    assert command.main(["--reports", str(folder), "--site", str(folder / "site")]) == 4
    assert "needs the results of the same run" in said(capsys)
    assert not (folder / "site").exists()


# -- the history ----------------------------------------------------------------------------------------------


def rendered(path: Path, run: Run, tmp_path: Path, mark: str = "") -> list[str]:
    """As --site does, with a point as Allure appends one; the marks of the points that Allure saw."""
    before = allure_history.before(path, run)
    copy = tmp_path / "copy.jsonl"
    appended = {"uuid": "random", "timestamp": 9_999_999_999_999, "name": mark or run.run_id, "testResults": {}}
    allure_history.write(copy, [*before, appended])
    allure_history.keep(path, run, copy)
    return [point["name"] for point in before]


def kept(path: Path) -> list[str]:
    return [json.loads(line)["name"] for line in path.read_text().splitlines()]


def test_a_run_is_in_the_history_once_and_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "nights" / "history.jsonl"
    first, second, third = (run_of(Status.PASSED, run_id=f"fc-{day}", day=day) for day in (1, 2, 3))
    assert rendered(path, first, tmp_path) == []
    assert rendered(path, third, tmp_path) == ["fc-1"]
    assert rendered(path, second, tmp_path) == ["fc-1"]
    assert rendered(path, third, tmp_path, mark="again") == ["fc-1", "fc-2"]
    assert kept(path) == ["fc-1", "fc-2", "again"]
    assert len({json.loads(line)["uuid"] for line in path.read_text().splitlines()}) == 3


def test_the_history_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allure_history, "LIMIT", 2)
    for day in (1, 2, 3):
        rendered(tmp_path / "h", run_of(Status.PASSED, run_id=f"fc-{day}", day=day), tmp_path)
    assert kept(tmp_path / "h") == ["fc-2", "fc-3"]


@pytest.mark.parametrize(("folder", "where"), [("2026-01-31T03-15-00Z", "."), ("reports", "reports")])
def test_nights_share_a_history(tmp_path: Path, folder: str, where: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / "latest").symlink_to(folder)
    for way in (folder, "latest"):
        assert allure_history.default(tmp_path / way) == (tmp_path / where / "allure-history.jsonl").resolve()


@pytest.mark.parametrize("content", ["{", "[]", '{"uuid": "x"}', "[" * 100_000, "\ud800"])
def test_what_is_no_history_is_left_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    path = folder / "mine.txt"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert command.main(["--reports", str(folder), "--site", str(folder / "s"), "--history", str(path)]) == 4
    assert "--history names another file" in said(capsys)
    assert path.read_bytes() == content.encode("utf-8", "surrogatepass")


# -- what is needed -------------------------------------------------------------------------------------------


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but what a test lays there, and an empty cache."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("FLEET_CACHE", str(tmp_path / "cache"))
    return path


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def site(folder: Path) -> int:
    return command.main(["--reports", str(folder), "--site", str(folder / "site")])


def test_without_node_one_line_says_what_to_install(
    folder: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site(folder) == 4
    line = said(capsys).strip().splitlines()[-1]
    assert "needs Node.js 20.19 or newer with npm, found: none" in line
    assert "https://nodejs.org" in line


def test_an_old_node_is_named(folder: Path, programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program(programs / "node", "echo v18.19.0")
    assert site(folder) == 4
    assert "found: version 18.19.0" in said(capsys)


def test_without_npm_one_line_says_what_to_install(
    folder: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(programs / "node", "echo v22.0.0")
    assert site(folder) == 4
    assert "apt-get install npm" in said(capsys)


def test_packages_that_cannot_be_had_leave_nothing(
    folder: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(programs / "node", "echo v22.0.0")
    program(programs / "npm", "echo 'npm error network request failed' >&2; echo 'npm error A complete log'; exit 1")
    assert site(folder) == 4
    assert "npm error network request failed" in said(capsys)
    assert not list((folder.parent / "cache").glob("allure-*/"))


def test_allure_that_fails_leaves_no_page_and_no_history(
    folder: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(programs / "node", 'if [ "$1" = --version ]; then echo v22.0.0; else echo "Error: too bad"; exit 3; fi')
    program(programs / "npm", "exit 0")
    assert site(folder) == 4
    assert "Allure could not render the site (status 3): Error: too bad" in said(capsys)
    assert not list((folder / "site").iterdir())
    assert not (folder / allure_history.NAME).exists()


def test_allure_that_renders_nothing_is_no_success(
    folder: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(programs / "node", 'if [ "$1" = --version ]; then echo v22.0.0; else echo "plugin awesome error"; fi')
    program(programs / "npm", "exit 0")
    assert site(folder) == 4
    assert "Allure rendered no page: plugin awesome error" in said(capsys)


def test_packages_are_installed_once(folder: Path, programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program(programs / "node", "echo v22.0.0")
    program(programs / "npm", "echo installed >> ../npm.log")
    for _ in range(2):
        site(folder)
    assert (folder.parent / "cache" / "npm.log").read_text() == "installed\n"
    assert said(capsys).count("(once)") == 1


def test_a_program_that_does_not_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(allure_command, "EVERY", 0.05)
    status, text = allure_command.run_saying_so(["sleep", "60"], tmp_path, 0.2)
    assert status == 124
    assert "no end after" in text
    assert said(capsys)


# -- the lock file --------------------------------------------------------------------------------------------


def test_the_lock_file_names_no_registry_and_is_that_of_the_package() -> None:
    lock = json.loads((allure_command.PINNED / "package-lock.json").read_text())
    package = json.loads((allure_command.PINNED / "package.json").read_text())
    assert lock["packages"][""]["dependencies"] == package["dependencies"]
    others = {name: each for name, each in lock["packages"].items() if name}
    assert others
    assert all("resolved" not in each and each["integrity"].startswith("sha512-") for each in others.values())
    assert re.fullmatch(r"3\.\d+\.\d+", package["dependencies"]["allure"])


def _versions(engine: str) -> list[str]:
    return re.findall(r"\d+(?:\.\d+)*", engine)


def test_no_package_needs_a_newer_node_than_is_asked_for() -> None:
    lock = json.loads((allure_command.PINNED / "package-lock.json").read_text())
    engines = [each.get("engines", {}).get("node", "") for name, each in lock["packages"].items() if name]
    # "20 || >=22" is content with 20
    oldest = [min(tuple(map(int, each.split("."))) for each in found) for found in map(_versions, engines) if found]
    assert max(oldest) <= allure_command.needed() == (20, 19, 0)


def test_nothing_is_installed_into_the_checkout() -> None:
    assert sorted(path.name for path in allure_command.PINNED.iterdir()) == sorted(allure_command.FILES)
    assert not os.path.exists(allure_command.PINNED.parents[1] / "node_modules")


def test_a_finished_run_can_be_asked_for_its_folder(folder: Path) -> None:
    assert isinstance(command.load(folder, "en"), CompletedRun)
