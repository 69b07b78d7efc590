"""What is new since the last run: the rules on made-up nights, and the words for it in every report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.checks.declaration import MUST, SHOULD, Check
from fixtures.checks.remedy import steps
from fixtures.redaction.redact import Redactor
from fixtures.report.diagnosis import diagnose
from fixtures.report.export import alert
from fixtures.report.history import outcome_text
from fixtures.report.history.baseline import Document, document_of
from fixtures.report.history.baseline import changed as changed_since
from fixtures.report.history.outcome_diff import Changes, Row
from fixtures.report.model import ClusterInfo, Result, Run, Status
from fixtures.report.pages import status, terminal
from fixtures.report.pages.html_report import HtmlReport
from fixtures.report.pages.progress_table import WIDTH
from fixtures.report.results import conformance
from fixtures.report.texts import LANGUAGES, Texts

STATUSES = {"p": Status.PASSED, "f": Status.FAILED, "b": Status.BROKEN, "u": Status.UNSUPPORTED, "d": Status.DISABLED}
#: The way of a small fleet: JOB-01 and E2E-01 follow from DEP-04, E2E-01 from NET-04, too; NET-02 is a SHOULD
#: of its own.
CHECKS = (
    Check("NET-02", SHOULD, "latency", steps("remedy"), meaning="m"),
    Check("NET-04", MUST, "workers reach NATS", steps("remedy"), meaning="m"),
    Check("DEP-04", MUST, "nats imports", steps("remedy"), meaning="m"),
    Check("JOB-01", MUST, "a job delivers", steps("remedy"), meaning="m", follows=("DEP-04",)),
    Check("E2E-01", MUST, "a deliberation ends", steps("remedy"), meaning="m", follows=("JOB-01", "NET-04")),
)
CATALOGUE = {check.id: check for check in CHECKS}


def night(day: int, outcomes: str, aborted: str = "", **cluster: Any) -> Run:
    """A run whose checks ended as the letters say, in the order of CHECKS; "." leaves a check out."""
    info = ClusterInfo(**{"kind": "kind", "profile": "kind", "vllm": "stub", **cluster})
    run = Run(f"2026-01-{day:02}T03:15:00+00:00", "0.1.0", "", f"fc-{day}", info, aborted=aborted)
    run.results = [
        Result(check, STATUSES[letter], 1.0, "" if letter == "p" else "seen", steps("remedy"))
        for check, letter in zip(CHECKS, outcomes, strict=True)
        if letter != "."
    ]
    diagnose(run)
    return run


def document(run: Run) -> Document:
    return document_of(json.loads(json.dumps(run.to_json())), f"{run.run_id}.json")


def nights(*runs: Run, keep: int = 14) -> Run:
    """The last of them, each with what is new since those before that are kept."""
    for number, run in enumerate(runs):
        run.changes = changed_since(document(run), [document(each) for each in runs[max(0, number - keep) : number]])
    return runs[-1]


def found(*outcomes: str, keep: int = 14) -> Changes:
    changes = nights(*(night(day, each) for day, each in enumerate(outcomes, 1)), keep=keep).changes
    assert changes is not None
    return changes


def kinds(changes: Changes) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for row in changes.rows:
        groups.setdefault(row.kind, []).append(row.id)
    return groups


def row_of(changes: Changes, check: str) -> Row:
    return next(row for row in changes.rows if row.id == check)


# -- the rules --------------------------------------------------------------------------------------------


def test_one_new_fault_is_one_new_cause_with_its_consequences() -> None:
    changes = found("ppppp", "ppfff")
    (cause,) = changes.new
    assert (cause.id, cause.consequences, cause.newly) == ("DEP-04", ["JOB-01", "E2E-01"], ["JOB-01", "E2E-01"])
    assert kinds(changes) == {"failed": ["DEP-04", "JOB-01", "E2E-01"]}
    assert changes.previous and (changes.previous.started[:10], changes.previous.verdict) == (
        "2026-01-01",
        "conformant",
    )


def test_a_new_cause_beside_a_known_one() -> None:
    changes = found("fpppp", "fppff", "ffpff")
    assert [cause.id for cause in changes.new] == ["NET-04"], "JOB-01 failed before, E2E-01, too"
    assert (changes.new[0].consequences, changes.new[0].newly) == (["E2E-01"], [])
    assert kinds(changes) == {"failed": ["NET-04"], "still": ["NET-02", "JOB-01", "E2E-01"]}


def test_a_known_cause_that_takes_more_with_it() -> None:
    changes = found("ppfpp", "ppffp")
    assert (changes.new, kinds(changes)) == ([], {"failed": ["JOB-01"], "still": ["DEP-04"]})
    assert any(
        "because of DEP-04" in item.text for item in outcome_text.items(changes, Texts("en")) if item.kind == "more"
    )


def test_since_when_it_fails() -> None:
    row = row_of(found("ppppp", "ppfff", "ppfff", "ppfff"), "DEP-04")
    assert (row.kind, row.since, row.nights) == ("still", "2026-01-02T03:15:00+00:00", 3)


def test_since_when_is_known_beyond_the_nights_that_are_kept() -> None:
    row = row_of(found("ppppp", *["ppfff"] * 9, keep=2), "DEP-04")
    assert (row.since, row.nights) == ("2026-01-02T03:15:00+00:00", 9)


def test_what_did_not_run_or_ended_early_says_nothing() -> None:
    runs = [night(1, "ppfff"), night(2, "ppdd."), night(3, "bbbbb", aborted="Ctrl-C"), night(4, "ppfff")]
    changes = nights(*runs).changes
    assert changes and changes.previous and (changes.previous.run_id, changes.ended_early) == ("fc-2", 1)
    row = row_of(changes, "DEP-04")
    assert (row.kind, row.since[:10], row.nights) == ("still", "2026-01-01", 2)


def test_a_run_that_ended_early_itself_has_no_rows() -> None:
    changes = nights(night(1, "ppppp"), night(2, "fbbbb", aborted="Ctrl-C")).changes
    assert changes and (changes.rows, changes.new, changes.flaky, changes.aborted) == ([], [], [], True)
    assert changes.previous and changes.previous.verdict == "conformant"


def test_mended_and_what_followed() -> None:
    changes = found("ppfff", "ppfff", "ppppp")
    assert kinds(changes) == {"mended": ["DEP-04", "JOB-01", "E2E-01"]}
    row = row_of(changes, "DEP-04")
    assert (row.before, row.since[:10], row.nights) == ("failed", "2026-01-01", 2)
    (item,) = outcome_text.items(changes, Texts("en"))
    assert item.kind == "mended"
    assert item.text.startswith("DEP-04 (MUST)") and item.text.endswith("; 2 more with it")


def test_not_checked_any_more_and_checked_again() -> None:
    changes = found("ppfpp", "pudpd")
    assert kinds(changes) == {"unchecked": ["NET-04", "DEP-04", "E2E-01"]}
    was_red, others = (item.text for item in outcome_text.items(changes, Texts("en")))
    assert was_red.startswith("DEP-04") and "NET-04" not in was_red
    assert others == "NET-04, E2E-01"
    assert kinds(found("ppdpp", "ppdpp", "ppppp")) == {"checked": ["DEP-04"]}
    assert kinds(found("pp.pp", "ppdpp")) == {}, "it never ran"
    assert kinds(found("ppppp", "ppdpp", "ppfpp")) == {"failed": ["DEP-04"]}, "news before that it is checked again"


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [("p", "b", "broken"), ("f", "b", "broken"), ("b", "f", "failed"), ("b", "b", "still"), ("b", "p", "mended")],
)
def test_broken_is_another_news_than_failed(before: str, now: str, kind: str) -> None:
    changes = found("ppppp", f"pp{before}pp", f"pp{now}pp")
    row = row_of(changes, "DEP-04")
    assert (row.kind, row.since[:10]) == (kind, "2026-01-03" if before == "p" else "2026-01-02")
    assert [cause.id for cause in changes.new] == (["DEP-04"] if kind == "failed" else [])


@pytest.mark.parametrize(
    ("outcomes", "flaky"),
    [
        ("pfp", None),  # a fault that was mended
        ("pfpf", (2, 0, 3)),
        ("pffpbp", (2, 1, 4)),
        ("pfdpfdp", (2, 0, 4)),  # nights in which it did not run are none
        ("pfbf", None),  # red all the time
    ],
)
def test_flaky_by_history(outcomes: str, flaky: tuple[int, int, int] | None) -> None:
    changes = found(*(f"pp{letter}pp" for letter in outcomes))
    seen = [(each.failed, each.broken, each.changes) for each in changes.flaky]
    assert seen == ([flaky] if flaky else [])
    assert all(each.nights == len(outcomes.replace("d", "")) for each in changes.flaky)


def test_what_follows_from_what_comes_and_goes_is_not_flaky() -> None:
    assert [each.id for each in found(*["ppppp", "ppfff"] * 3).flaky] == ["DEP-04"]


def test_other_fleets_and_later_runs_are_left_out() -> None:
    others = [night(1, "ppppp", kind="attach"), night(2, "ppppp", profile="mine"), night(3, "ppppp", vllm="cpu")]
    tonight = night(4, "ppfff")
    tonight.changes = changed_since(document(tonight), [document(each) for each in (*others, night(5, "ppppp"))])
    assert tonight.changes == Changes()
    assert changed_since(document(tonight), []) is None


# -- the reports ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "title", "line"),
    [
        (
            "en",
            "## What is new since the last run",
            "- **NEW: DEP-04 (MUST): nats imports; 2 more checks fail because of it**",
        ),
        (
            "es",
            "## Qué hay de nuevo",
            "- **NUEVO: DEP-04 (MUST): nats imports; por su causa fallan 2 comprobaciones más**",
        ),
    ],
)
def test_on_the_status_page_below_the_causes(language: str, title: str, line: str) -> None:
    run = nights(night(1, "ppppp"), night(2, "ppfff"))
    page = status.markdown_page(run, diagnose(run), language)
    assert line in page
    assert page.index("### ❌ DEP-04") < page.index(title) < page.index(f"## {Texts(language)('section.components')}")
    assert "2026-01-01 03:15" in page


def test_first_thing_where_all_is_green() -> None:
    page = status.markdown_page(nights(night(1, "ppfff"), night(2, "ppppp")), [], "en")
    assert page.split("\n## ")[1].startswith("What is new since the last run")
    assert "- fixed: DEP-04 (MUST): nats imports; red in the last run (2026-01-01 03:15); 2 more with it" in page


def test_on_the_terminal_and_in_the_html_report(tmp_path: Path) -> None:
    run = nights(*(night(day, "ppfff") for day in range(1, 4)))
    lines = [line for line, _ in terminal.summary(run, [], [], [], "en")]
    assert "  Nothing is new." in lines
    assert "still failing: DEP-04 (MUST): nats imports; 3 runs in a row, since 2026-01-01" in " ".join(lines)
    assert max(map(len, lines)) <= WIDTH
    head = HtmlReport(run, Redactor(), tmp_path, "en")._head()
    whole = status.html_page(run, [], "en")
    assert whole.index("What is new since the last run") < whole.index("<nav")
    assert "still failing:</b> DEP-04" in whole
    assert "<h3>What is new since the last run</h3>" in head and "still failing:</b> DEP-04" in head


def test_the_document_can_be_read_back() -> None:
    run = nights(night(1, "ppppp"), night(2, "fpfbd"), night(3, "ppppp"), night(4, "bpffp"))
    assert conformance.run_of(json.loads(json.dumps(run.to_json())), CATALOGUE).changes == run.changes
    assert run.to_json()["changes"]["new"][0]["id"] == "DEP-04"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_its_words(language: str) -> None:
    runs = [night(day, each) for day, each in enumerate(("ppppp", "bfffd", "fpppp", "bfpbp", "fffpb", "dpfff"), 1)]
    for count in range(1, len(runs) + 1):
        run = nights(*runs[:count])
        if run.changes:
            assert all(line.isprintable() for line in outcome_text.lines(run.changes, Texts(language)))
            assert "{" not in status.markdown_page(run, [], language).partition("## ")[2]


# -- alerts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "red", "new"),
    [
        ("ppppp", "ppppp", False, False),
        ("ppppp", "ppfff", True, True),
        ("ppfff", "ppfff", True, False),
        ("ppfff", "pppff", True, False),  # less than before
        ("ppfpp", "ppffp", True, True),
        ("ppppp", "ppbpp", True, True),
        ("ppfff", "fpfff", True, False),  # a SHOULD, which leaves the suite's status alone, too
        ("ppppp", "fpppp", False, False),
    ],
)
def test_what_is_worth_an_alert(before: str, now: str, red: bool, new: bool) -> None:
    run = nights(night(1, before), night(2, now))
    assert (alert.is_red(run), bool(alert.reason_for_alert(run, Texts("en")))) == (red, new)


def test_a_night_without_another_or_that_ended_early_is_news_once() -> None:
    texts = Texts("en")
    first = night(1, "ppfff")
    assert "No earlier run" in alert.reason_for_alert(first, texts)
    lost = [night(day, "bbbbb", aborted="the cluster did not come up") for day in (2, 3)]
    assert "did not come up" in alert.reason_for_alert(nights(night(1, "ppppp"), lost[0]), texts)
    assert alert.reason_for_alert(nights(night(1, "ppppp"), *lost), texts) == ""
    assert alert.reason_for_alert(nights(*lost), texts) == "", "the first of them told"
    assert "nats imports" in alert.reason_for_alert(nights(night(1, "ppppp"), *lost, night(4, "ppfff")), texts)


def test_a_new_cause_of_known_failures_is_told_to_be_one() -> None:
    changes = found("ppfff", "pppff")
    assert any("before: a consequence of DEP-04" in item.text for item in outcome_text.items(changes, Texts("en")))
    assert replace(row_of(changes, "JOB-01"), since="", nights=0) == Row(
        "still", "JOB-01", "a job delivers", "MUST", "failed", "failed", "", "DEP-04"
    )
