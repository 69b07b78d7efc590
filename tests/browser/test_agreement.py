"""The reports of one run agree in every number."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from fixtures.report.model import Status
from tests.browser.looking import Look, shown
from tests.support.metrics import parsed

Looking = Callable[..., Look]
UNCHECKED = ("not_applicable", "unsupported", "disabled")
STATUSES = ("passed", "failed", "broken", *UNCHECKED)


def document(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "conformance.json").read_text(encoding="utf-8")))


def test_the_status_page_agrees(run: Path, look: Looking) -> None:
    found, page = document(run), look(run / "status.html").page
    expected = shown(found["summary"])
    assert {each: int(page.locator(f"[data-count={each}]").inner_text()) for each in expected} == expected
    assert page.locator("[data-count]").count() == len(expected)
    rows = page.locator("table.checklist tbody tr").evaluate_all("rows => rows.map(row => row.dataset.status)")
    assert Counter(rows) == Counter(row["status"] for row in found["checks"])


def test_the_status_page_in_markdown_agrees(run: Path) -> None:
    found, text = document(run), (run / "status.md").read_text(encoding="utf-8")
    assert ", ".join(f"{found['summary'][each]} {Status(each).words}" for each in STATUSES) in text
    ids = re.findall(r"^\| \S+ \| ([A-Z0-9]+-\d\d) \|", text, flags=re.M)
    assert ids == [row["id"] for row in found["checks"]]


def test_the_html_report_agrees(run: Path, look: Looking) -> None:
    found, page = document(run), look(run / "report.html").page
    expected = shown(found["summary"])
    assert {each: int(page.locator(f"[data-count={each}]").inner_text()) for each in expected} == expected
    assert page.locator("[data-count]").count() == len(expected)
    filters = page.locator(".filters").inner_text()
    for each, count in expected.items():
        assert f"{count} {Status(each).words}" in filters
    rows = page.locator("#results-table tbody .collapsible").evaluate_all(
        "rows => rows.map(row => [row.querySelector('.col-check').innerText, "
        "row.querySelector('.col-result').innerText.trim()])"
    )
    assert dict(rows) == {row["id"]: Status(row["status"]).words for row in found["checks"]}


def test_junit_agrees(run: Path) -> None:
    summary, root = document(run)["summary"], ET.parse(run / "junit.xml").getroot()
    cases = root.findall(".//testcase")
    assert len(cases) == sum(summary.values())
    told = {tag: sum(case.find(tag) is not None for case in cases) for tag in ("failure", "error", "skipped")}
    assert told == {
        "failure": summary["failed"],
        "error": summary["broken"],
        "skipped": sum(summary[status] for status in ("known", *UNCHECKED)),
    }


def test_ctrf_agrees(run: Path) -> None:
    found = document(run)
    tests = json.loads((run / "ctrf.json").read_text(encoding="utf-8"))["results"]["tests"]
    assert Counter(test["rawStatus"] for test in tests) == {name: n for name, n in found["summary"].items() if n}
    assert {test["labels"]["id"] for test in tests} == {row["id"] for row in found["checks"]}


def test_metrics_agree(run: Path) -> None:
    found, metrics = document(run), parsed((run / "metrics.prom").read_text(encoding="utf-8"))
    counts = {dict(row)["status"]: count for row, count in metrics["fleet_conformance_checks"].items()}
    assert counts == found["summary"]
    assert {dict(row)["verdict"] for row, is_it in metrics["fleet_conformance_verdict"].items() if is_it} == {
        found["verdict"]
    }
    causes = {row["id"] for row in found["checks"] if row["status"] == "failed" and not row["cause"]}
    assert {dict(row)["check"] for row in metrics.get("fleet_conformance_cause", {})} == causes


def test_allure_results_agree(run: Path) -> None:
    summary = document(run)["summary"]
    statuses = Counter(
        json.loads(path.read_text(encoding="utf-8"))["status"]
        for path in (run / "allure-results").glob("*-result.json")
    )
    assert statuses == Counter(
        {
            "passed": summary["passed"],
            "failed": summary["failed"],
            "broken": summary["broken"],
            "skipped": sum(summary[status] for status in ("known", *UNCHECKED)),
        }
    )
