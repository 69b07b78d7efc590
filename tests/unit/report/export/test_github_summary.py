"""The summary of a GitHub job: what stands in it, what is folded, and what is left out below the limit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures.redaction.redact import Redactor
from fixtures.report.diagnosis import diagnose
from fixtures.report.export import command, github
from fixtures.report.export.completed_run import CompletedRun
from fixtures.report.model import Run
from fixtures.report.results import conformance
from tests.unit.report.history.test_outcome_diff import night, nights


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "FLEET_LINK"):
        monkeypatch.delenv(name, raising=False)


def broken_fleet() -> Run:
    run = nights(night(1, "ppppp"), night(2, "fpfff"))
    run.facts.measurements = {"round trip p50 s": 1.0}
    return run


def summary(run: Run, link: str = "", room: int = github.LIMIT, language: str = "en") -> str:
    return github.summary(CompletedRun(Path("reports"), run, diagnose(run), language), link, room)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    conformance.write(broken_fleet(), tmp_path / "conformance.json", Redactor())
    return tmp_path


@pytest.mark.parametrize(("language", "title"), [("en", "Checklist"), ("es", "Lista de comprobación")])
def test_what_counts_is_open_and_the_rest_folded(language: str, title: str) -> None:
    page = summary(broken_fleet(), "https://reports.example/1", language=language)
    open_part = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    for words in ("DEP-04 (MUST): nats imports", "](https://reports.example/1)", "2026-01-01 03:15", "| · |"):
        assert words in open_part
    assert f"<details><summary>{title}</summary>\n\n" in page and f"## {title}" not in page
    assert page.index("### ❌ DEP-04") < page.index("NE" if language == "en" else "NUEVO")
    assert page.count("<details>") == page.count("</details>")
    assert "trends.png" not in page, "a summary has no files beside it"


def test_headings_in_code_part_nothing() -> None:
    run = broken_fleet()
    run.results[2].detail = "seen\n## Checklist\n```\n## Timeline"
    page = summary(run)
    assert "\n## Checklist\n```\n## Timeline" in page
    assert page.count("<summary>Checklist</summary>") == 1


def test_below_the_limit_what_matters_least_goes_first() -> None:
    run = broken_fleet()
    whole = summary(run)
    folded = re.findall(r"<summary>(.*?)</summary>", whole)
    assert folded[0] == "Checklist" and folded[-1] == "Where the time went"
    run.results[1].detail, room = "", len(whole.encode()) + github.SPARE - 10
    page = summary(run, room=room)
    assert len(page.encode()) <= room
    assert re.findall(r"<summary>(.*?)</summary>", page) == folded[:-1]
    assert "Left out, to stay below what GitHub shows of a step: Where the time went." in page


def test_what_is_too_large_even_so_is_cut_at_a_line() -> None:
    run = broken_fleet()
    run.results[2].detail = "\n".join(["a line of much"] * 100_000)
    page = summary(run)
    assert len(page.encode()) <= github.LIMIT
    assert "Left out" in page and "…" in page and "### ❌ DEP-04" in page
    assert len(re.findall(r"^```", page, re.MULTILINE)) % 2 == 0, "a block of code is open"


def test_it_is_appended_and_what_stands_there_counts(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = reports / "summary"
    target.write_text("x" * (github.LIMIT - 6500) + "\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    assert command.main(["--reports", str(reports), "--github-summary"]) == 0
    said = target.read_text()
    assert said.startswith("xxx") and "Fleet conformance" in said and "Left out" in said
    assert target.stat().st_size <= github.LIMIT


def test_annotations_are_for_jobs(
    reports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--reports", str(reports), "--github-summary", str(reports / "summary")]
    assert command.main(asked) == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert command.main(asked) == 0
    assert capsys.readouterr().out.splitlines() == [
        "::error title=NEW%3A DEP-04%3A nats imports::seen%0ARemedy: remedy",
        "::warning title=NEW%3A NET-02%3A latency::seen%0ARemedy: remedy",
    ]


def test_it_can_be_printed(reports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert command.main(["--reports", str(reports), "--github-summary", "-"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("# ❌ Fleet conformance: not conformant") and "::error" not in said


@pytest.mark.parametrize(("target", "status"), [(None, 4), ("no/such/folder/summary", 1)])
def test_nowhere_to_write_is_one_line(
    reports: Path, capsys: pytest.CaptureFixture[str], target: str | None, status: int
) -> None:
    named = [str(reports / target)] if target else []
    assert command.main(["--reports", str(reports), "--github-summary", *named]) == status
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_no_secret_is_told() -> None:
    run = broken_fleet()
    run.results[2].detail = "refused: nats://user:hunter2hunter2@nats:4222"
    assert "hunter2" not in summary(run)
