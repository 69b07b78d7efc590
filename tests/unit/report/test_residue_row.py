"""What a run leaves behind is said in every report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.exercises.residual_item import ResidualItem
from fixtures.redaction.redact import Redactor
from fixtures.report.model import ClusterInfo, Run
from fixtures.report.pages import status
from fixtures.report.pages.html_report import HtmlReport

LEFT = [
    ResidualItem("messages agent.response.completed", "stream AGENT_RESPONSES, sequences 12 to 57", 46, "7 days old"),
    ResidualItem("this run's messages and results", "NATS (unknown: gone)", None, ""),
]


@pytest.fixture
def run() -> Run:
    made = Run("2026-01-01T00:00:00+00:00", "0", "", "fc-0a1b2c", ClusterInfo("attach", "mine"))
    made.facts.left = LEFT
    return made


@pytest.mark.parametrize(
    ("language", "title"), [("en", "## What this run left"), ("es", "## Lo que deja esta ejecución")]
)
def test_on_the_status_page(run: Run, language: str, title: str) -> None:
    page = status.markdown_page(run, [], language)
    assert title in page
    assert "fc-0a1b2c" in page
    row = "| messages agent.response.completed | stream AGENT_RESPONSES, sequences 12 to 57 | 46 | 7 days old |"
    assert row.replace("_", r"\_") in page or row in page
    run.facts.left = []
    assert title not in status.markdown_page(run, [], language)


def test_in_the_other_reports(run: Run, tmp_path: Path) -> None:
    page = HtmlReport(run, Redactor(), tmp_path, "en")._head()
    assert "messages agent.response.completed: 46; stream AGENT_RESPONSES, sequences 12 to 57" in page
    assert json.loads(json.dumps(run.to_json()))["facts"]["left"][1]["how_many"] is None
