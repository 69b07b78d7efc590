"""Where the documentation is published, every report leads from a check to its page; else none has such a link."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fixtures.checks.declaration import MUST, Check
from fixtures.checks.remedy import steps
from fixtures.core import release
from fixtures.redaction.redact import Redactor
from fixtures.report.diagnosis import diagnose
from fixtures.report.export.completed_run import CompletedRun
from fixtures.report.export.message import message_of
from fixtures.report.model import ClusterInfo, Result, Run, Status
from fixtures.report.pages.html_report import HtmlReport
from fixtures.report.pages.status import html_page, markdown_page
from fixtures.report.results import ctrf, junit
from fixtures.report.results.allure_results import reconcile
from fixtures.report.texts import Texts

BASE = "https://docs.example/fleet"
PAGE = f"{BASE}/reference/checks/DEP-11.md"


@pytest.fixture
def run() -> Run:
    run = Run("2026-01-01T00:00:00+00:00", "0", "", "fc-1", ClusterInfo("attach", "votes"))
    remedy = steps("Add it.")
    row, own = Check("DEP-11.httpx", MUST, "title", remedy), Check("INF-01", MUST, "own", remedy, source="acme")
    run.results = [Result(check, Status.FAILED, detail="not there", remedy=remedy) for check in (row, own)]
    return run


def everything(run: Run, folder: Path) -> dict[str, str]:
    """Each report as text, by what it is."""
    causes = diagnose(run)
    page = HtmlReport(run, Redactor(), folder, "en")
    page.causes = causes
    reconcile(folder, run, Redactor())
    texts = {
        "status.md": markdown_page(run, causes, "en"),
        "status.html": html_page(run, causes, "en"),
        "report.html": "".join(page._details(result) for result in run.results),
        "junit.xml": str(ET.tostring(junit.document(run, folder, Texts("en")))),
        "webhook": json.dumps(message_of(CompletedRun(folder, run, causes, "en"))),
        "allure": "".join(file.read_text() for file in folder.glob("*-result.json")),
    }
    documents = {"conformance.json": run.to_json(), "ctrf.json": ctrf.document(run)}
    return texts | {name: json.dumps(document) for name, document in documents.items()}


def test_every_report_has_the_page_of_a_check(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row's is its family's; an own check has none."""
    monkeypatch.setattr(release, "documentation", lambda: BASE)
    for name, text in everything(run, tmp_path).items():
        assert PAGE in text, name
        assert "INF-01.md" not in text, name


def test_without_an_address_nothing_is_linked(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "documentation", lambda: "")
    assert [name for name, text in everything(run, tmp_path).items() if "reference/checks" in text] == []


def test_the_address_is_that_of_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(release, "ROOT", tmp_path)
    for line, address in (("", ""), ('[project.urls]\nDocumentation = "https://docs.example/fleet/"\n', BASE)):
        (tmp_path / "pyproject.toml").write_text(f'[project]\nversion = "1"\n{line}')
        release.documentation.cache_clear()
        assert release.documentation() == address
    release.documentation.cache_clear()
