"""The own checks of tests/support/acme on a fleet with two workers: how each ends, and that all reports have them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.support.suite_process import SuiteRun

ACME = Path(__file__).parent / "acme"
STATUSES = {
    **dict.fromkeys(("ACME-02", "ACME-11", "ACME-14", "ACME-15"), "passed"),
    **dict.fromkeys(("ACME-01", "ACME-12"), "failed"),
    **dict.fromkeys(("ACME-13", "ACME-16"), "broken"),
}
#: What each says in its own words, once for each worker.
WORDS = {
    "ACME-01": "no connection to the licence server: ",
    "ACME-12": ": its question has the word ACME-12",
    "ACME-13": ": it did not end within 2 s, and was killed; it wrote last: waiting for a server that never answers",
    "ACME-16": ": it was ended by SIGKILL; it wrote last: the end of it",
}


def assert_reported(run: SuiteRun, **otherwise: str) -> None:
    """Every report of a run with `--checks ACME -k ACME` says of each check how it ended, and in which words.

    `otherwise`: the statuses of those that this fleet cannot be asked, by id with an underscore.
    """
    expected = STATUSES | {id.replace("_", "-"): status for id, status in otherwise.items()}
    assert (run.returncode, run.report.verdict) == (1, "nonconformant"), run.output
    assert re.search(r"^Rules of Acme +[1-9]", run.stdout, re.MULTILINE), run.output
    statuses = {id: status for id, status in run.report.statuses.items() if id.startswith("ACME")}
    assert statuses == expected, run.output
    rows = {row["id"]: row for row in run.report.rows}
    assert [row["source"] for row in rows.values() if row["id"] in STATUSES] == ["acme"] * len(STATUSES)
    assert list(rows)[-len(STATUSES) :] == sorted(STATUSES), "own areas come last"
    for id, words in WORDS.items():
        lines = rows[id]["findings"] or rows[id]["detail"].splitlines()
        assert len(lines) == 2 and all(words in line for line in lines), (id, lines)
        assert rows[id]["remedy"]
    assert rows["ACME-12"]["remedy_steps"][1]["text"] == "Then that."
    assert rows["ACME-11"]["notes"] == [] and rows["ACME-14"]["notes"], "what one place says is a note"
    names = (run.reports / "evidence" / "ACME-14" / "names.txt").read_text()
    assert "PATH" in names and "KUBECONFIG" not in names and "PYTEST" not in names
    measured = run.report.document["facts"]["measurements"]
    assert len([name for name in measured if name.startswith("ACME-11 words, ")]) == 2
    _assert_rendered(run.reports, expected)


def _assert_rendered(reports: Path, expected: dict[str, str]) -> None:
    for page in ("status.md", "status.html", "report.html"):
        text = (reports / page).read_text()
        assert "Rules of Acme" in text, page
        assert all(id in text for id in expected), page
    assert "no connection to the licence server" in (reports / "status.html").read_text()
    junit = {
        case.get("name", ""): [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        for case in ET.parse(reports / "junit.xml").getroot().iter("testcase")
    }
    words = {"passed": [], "failed": ["failure"], "broken": ["error"], "unsupported": ["skipped"]}
    for id, status in expected.items():
        assert [tags for name, tags in junit.items() if id in name] == [words[status]], (id, junit)
    tests = json.loads((reports / "ctrf.json").read_text())["results"]["tests"]
    ctrf = {test["name"].partition(" ")[0]: test["rawStatus"] for test in tests}
    assert {id: ctrf[id] for id in expected} == expected
    allure = [json.loads(file.read_text()) for file in (reports / "allure-results").glob("*-result.json")]
    shown = {test["name"].partition(" ")[0]: test["status"] for test in allure}
    in_allure = {id: "skipped" if status == "unsupported" else status for id, status in expected.items()}
    assert {id: shown[id] for id in expected} == in_allure
