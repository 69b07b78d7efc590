"""The page shows evidence in itself: text folded, pictures as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.checks.declaration import MUST, Check
from fixtures.checks.remedy import shell, steps
from fixtures.redaction.redact import Redactor
from fixtures.report.model import ClusterInfo, Result, Run, Status
from fixtures.report.pages.html_report import HtmlReport


@pytest.fixture
def page(tmp_path: Path) -> HtmlReport:
    run = Run("2026-01-01T00:00:00+00:00", "0", "", "fc-1", ClusterInfo("embedded", "embedded"))
    return HtmlReport(run, Redactor(), tmp_path, "en")


def row(page: HtmlReport, evidence: str) -> str:
    check = Check("INF-01", MUST, "all is there", steps("Mend it:", shell("kubectl get pods")))
    return page._details(Result(check, Status.FAILED, detail="a < b", remedy=check.remedy, evidence=[evidence]))


def test_a_picture_needs_no_file_beside_the_page(page: HtmlReport, tmp_path: Path) -> None:
    (tmp_path / "seen.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert '<img alt="seen.png" src="data:image/png;base64,iVBORw0KGgo=">' in row(page, "seen.png")


@pytest.mark.parametrize("name", ["a<b.png", "a<b.txt"])
def test_what_cannot_be_read_says_so(page: HtmlReport, name: str) -> None:
    shown = row(page, name)
    assert "not shown: " in shown
    assert "<img" not in shown
    assert "a<b" not in shown


def test_text_is_folded(page: HtmlReport, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("c < d")
    assert "<details><summary>log.txt</summary><pre>c &lt; d</pre></details>" in row(page, "log.txt")


def test_a_red_row_has_its_remedy_ready_to_paste(page: HtmlReport) -> None:
    shown = row(page, "none.txt")
    assert "<pre>a &lt; b</pre>" in shown
    assert "<p>Mend it:</p>" in shown and "<code>kubectl get pods</code>" in shown
