"""Timeouts that the profile changes are in every report; a report of a run without such says nothing of them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fixtures.checks.declaration import MUST, Check
from fixtures.checks.remedy import steps
from fixtures.redaction.redact import Redactor
from fixtures.report.model import ClusterInfo, Result, Run, Status
from fixtures.report.pages import status
from fixtures.report.pages.html_report import HtmlReport
from fixtures.report.results import allure_results, conformance, junit
from fixtures.report.texts import Texts

CHANGED = "deliberation 300 s, settle 2.5 s"


def run_with(**timeouts: float) -> Run:
    return Run(
        "2026-01-01T00:00:00+00:00", "0", "", "fc-0a1b2c", ClusterInfo("attach", "mine", timeouts=dict(timeouts))
    )


@pytest.fixture
def run() -> Run:
    return run_with(deliberation=300.0, settle=2.5)


@pytest.mark.parametrize(
    ("language", "title"),
    [("en", "Timeouts that are not the default"), ("es", "Tiempos de espera distintos de los predeterminados")],
)
def test_on_the_pages(run: Run, language: str, title: str) -> None:
    for page in (status.markdown_page, status.html_page):
        assert f"{title}: {CHANGED}" in page(run, [], language)
        assert title not in page(run_with(), [], language)


def test_in_report_html(run: Run, tmp_path: Path) -> None:
    def environment(one: Run) -> dict[str, object]:
        return HtmlReport(one, Redactor(), tmp_path, "en")._environment()

    assert environment(run)["Timeouts"] == CHANGED
    assert "Timeouts" not in environment(run_with())


def test_in_conformance_json_and_read_back(run: Run) -> None:
    document = json.loads(json.dumps(run.to_json()))
    assert document["cluster"]["timeouts"] == {"deliberation": 300.0, "settle": 2.5}
    assert conformance.run_of(document, {}).cluster.timeouts == run.cluster.timeouts
    del document["cluster"]["timeouts"]  # as earlier versions wrote it
    assert conformance.run_of(document, {}).cluster.timeouts == {}


def test_in_junit_and_allure(run: Run, tmp_path: Path) -> None:
    allure_results.reconcile(tmp_path, run, Redactor())
    assert "Timeout.deliberation=300 s" in (tmp_path / "environment.properties").read_text("latin-1").replace("\\", "")
    run.results.append(Result(Check("INF-01", MUST, "answers", steps("start it")), Status.PASSED))
    written = ElementTree.tostring(junit.document(run, tmp_path, Texts("en")), "unicode")
    assert '<property name="timeout.settle" value="2.5 s"' in written
