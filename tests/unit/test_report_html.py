"""The page shows evidence in itself: text folded, pictures as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.report.model import ClusterInfo, Run
from fixtures.report.pages.html_report import HtmlReport
from fixtures.report.redaction.redact import Redactor


@pytest.fixture
def page(tmp_path: Path) -> HtmlReport:
    run = Run("2026-01-01T00:00:00+00:00", "0", "", "fc-1", ClusterInfo("embedded", "embedded"))
    return HtmlReport(run, Redactor(), tmp_path, "en")


def test_a_picture_needs_no_file_beside_the_page(page: HtmlReport, tmp_path: Path) -> None:
    (tmp_path / "seen.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert '<img alt="seen.png" src="data:image/png;base64,iVBORw0KGgo=">' in page._evidence("seen.png")


@pytest.mark.parametrize("name", ["a<b.png", "a<b.txt"])
def test_what_cannot_be_read_says_so(page: HtmlReport, name: str) -> None:
    shown = page._evidence(name)
    assert "not shown: " in shown
    assert "<img" not in shown
    assert "a<b" not in shown


def test_text_is_folded(page: HtmlReport, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("a < b")
    assert page._evidence("log.txt") == "<details><summary>log.txt</summary><pre>a &lt; b</pre></details>"
