"""Whichever report or message is opened has the scope of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.checks.declaration import MUST, Check
from fixtures.redaction.redact import Redactor
from fixtures.report.export.chat import slack, teams
from fixtures.report.export.completed_run import CompletedRun
from fixtures.report.export.github import summary
from fixtures.report.export.message import message_of
from fixtures.report.model import ClusterInfo, Result, Run, Status
from fixtures.report.pages import terminal
from fixtures.report.pages.status import html_page, markdown_page
from fixtures.report.results import junit
from fixtures.report.results.allure_results import reconcile
from fixtures.report.texts import Texts

SENTENCE = "2 of 3 checks apply to votes; absent by profile or kind of fleet: tools; 1 was not asked: CFG-01"


@pytest.fixture
def run() -> Run:
    run = Run("2026-01-01T00:00:00+00:00", "0", "", "fc-1", ClusterInfo("attach", "votes"))
    run.results = [
        Result(Check("INF-01", MUST, "title", ()), Status.PASSED),
        Result(Check("CFG-01", MUST, "title", ()), Status.UNSUPPORTED, detail="no rights"),
        Result(Check("DEP-08", MUST, "title", ()), Status.NOT_APPLICABLE, detail="agents run without", absent="tools"),
    ]
    return run


def test_pages_and_messages(run: Run) -> None:
    finished = CompletedRun(folder=Path(), run=run, causes=[], language="en")
    message = message_of(finished)
    assert SENTENCE in "\n".join(markdown_page(run, [], "en").splitlines()[:6])
    assert SENTENCE in html_page(run, [], "en")
    assert SENTENCE in summary(finished)
    assert SENTENCE in message["texts"]["counts"]
    assert message["scope"] == run.scope.to_json() and message["summary"]["not_applicable"] == 1
    assert SENTENCE in str(slack(message)["blocks"]) and SENTENCE in str(teams(message)["attachments"])
    for quiet in (True, False):
        assert SENTENCE in " ".join(text.strip() for text, _ in terminal.summary(run, [], [], [], "en", quiet))


def test_the_terminals_table_has_a_column_for_it_within_80(run: Run) -> None:
    lines = [text for text, _ in terminal.summary(run, [], [], [], "en")]
    assert lines[0].split() == ["passed", "failed", "broken", "n/a", "unsupported", "disabled"]
    assert max(map(len, lines)) <= 80
    (row,) = [line for line in lines if line.startswith("Dependencies")]
    assert row.split()[-6:] == [".", ".", ".", "1", ".", "."]


def test_what_programs_read(run: Run, tmp_path: Path) -> None:
    suites = junit.document(run, tmp_path, Texts("en")).findall("testsuite")
    assert [suite.find("properties/property[@name='scope']").get("value") for suite in suites] == [SENTENCE] * 3  # type: ignore[union-attr]
    skipped = {suite.get("name"): suite.find("testcase/skipped") for suite in suites}["Dependencies of the workers"]
    assert skipped is not None
    assert (skipped.get("type"), skipped.get("message")) == (
        "fleet.not_applicable",
        "not applicable: agents run without",
    )
    reconcile(tmp_path, run, Redactor())
    environment = (tmp_path / "environment.properties").read_text(encoding="latin-1")
    assert f"Scope={SENTENCE}".replace(": ", "\\: ") in environment
