"""What the terminal says of checks: lines for areas and failures, how it is shown,
and a summary that fits the screen.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.checks.declaration import MUST, SHOULD, Check
from fixtures.checks.remedy import shell, steps
from fixtures.report.diagnosis import diagnose
from fixtures.report.model import ClusterInfo, DependencyFact, Result, Run, Status
from fixtures.report.pages import terminal
from fixtures.report.pages.live import Mode, mode_of
from fixtures.report.pages.progress_table import WIDTH, Board, failure_lines

LONG = "a title that goes on about workers, their interpreters, and every package that an agent needs " * 2


def declared(id: str, level: Any = MUST, title: str = "is well", follows: tuple[str, ...] = ()) -> Check:
    return Check(id, level, title, steps("Do this:", shell("kubectl get pods -A")), follows=follows)


def test_an_area_counts_its_checks_not_its_tests() -> None:
    one, two = declared("DEP-01"), declared("DEP-02")
    board = Board([(one, "Dependencies"), (one, "Dependencies"), (two, "Dependencies")])
    board.begin(one)
    assert not board.end(one, Status.PASSED).finished
    area = board.end(one, Status.FAILED)
    assert (area.done, area.total) == (1, 2)
    assert area.line()[0].split() == ["Dependencies", "1/2", "1", "failed", "0", "s"]
    assert board.end(two, Status.UNSUPPORTED).finished
    assert area.line()[0].split() == ["Dependencies", "2/2", "1", "failed", "1", "skipped", "0", "s"]


@pytest.mark.parametrize(
    ("level", "status", "colour"),
    [
        (MUST, Status.PASSED, "green"),
        (MUST, Status.FAILED, "red"),
        (SHOULD, Status.FAILED, "yellow"),
        (MUST, Status.BROKEN, "yellow"),
        (MUST, Status.DISABLED, "green"),
    ],
)
def test_an_area_has_the_colour_of_its_worst(level: Any, status: Status, colour: str) -> None:
    check = declared("INF-01", level)
    assert Board([(check, "x")]).end(check, status).line()[1] == {colour: True}


def test_no_line_is_wider_than_the_terminal() -> None:
    checks = [declared(f"DEP-{number:02}", title=LONG) for number in range(1, 22)]
    board = Board((check, "Dependencies of the workers") for check in checks)
    statuses = (Status.PASSED, Status.FAILED, Status.BROKEN, Status.DISABLED)
    for number, check in enumerate(checks[:-1]):
        board.end(check, statuses[number % 4])
    board.areas[checks[0].area].seconds = 9999
    board.begin(checks[-1])
    for width in (80, 60):
        assert len(board.lines(width)[-1][0]) <= width
    assert max(len(text) for text, _ in board.lines()) <= WIDTH
    assert board.lines()[0][0].startswith("> Dependencies of the workers 20/21 5 passed 5 failed 5 broken 5 skipped")
    assert board.lines()[-1][0].endswith("… 0 s")


def test_a_failure_is_told_with_the_first_line_of_its_detail() -> None:
    lines = failure_lines(declared("DEP-04", title=LONG), Status.FAILED, "no module nats " * 40 + "\nTraceback")
    text = [line for line, _ in lines]
    assert text[0].startswith("FAILED DEP-04 a title")
    assert text[-1].endswith("…")
    assert "Traceback" not in "".join(text)
    assert all(len(line) <= WIDTH for line in text)
    assert lines[0][1] == {"red": True}


@pytest.mark.parametrize(
    ("options", "tty", "term", "mode"),
    [
        ({}, True, "xterm", Mode.LIVE),
        ({}, False, "xterm", Mode.LINES),
        ({}, True, "dumb", Mode.LINES),
        ({"capture": "no"}, True, "xterm", Mode.LINES),
        ({"usepdb": True}, True, "xterm", Mode.LINES),
        ({"log_cli_level": "INFO"}, True, "xterm", Mode.LINES),
        ({"verbose": 1}, True, "xterm", Mode.VERBOSE),
        ({"verbose": -1}, True, "xterm", Mode.FAILURES),
        ({"verbose": -2}, True, "xterm", Mode.NOTHING),
    ],
)
def test_how_it_is_shown(
    options: dict[str, Any], tty: bool, term: str, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    config: Any = SimpleNamespace(
        get_verbosity=lambda _kind: options.get("verbose", 0),
        getoption={"capture": "fd", **options}.get,
        getini=lambda _name: False,
        pluginmanager=SimpleNamespace(has_plugin=lambda _name: True),
    )
    assert mode_of(config, SimpleNamespace(isatty=lambda: tty)) is mode


def test_whatever_was_found_verdict_cause_and_first_step_are_on_the_last_25_lines() -> None:
    """Six causes of the longest kind, broken checks beside them, and a list of consequences that fills a page."""
    run = Run("2026-01-01T00:00:00Z", "0", "", "fc-1", ClusterInfo("embedded", "embedded", "stub"))
    detail = "expected two replicas of the very part, seen one. " * 20
    causes = [declared(f"{area}-01", title=LONG.strip()) for area in ("DEP", "INF", "CFG", "NET", "JOB", "ORC")]
    run.results = [Result(check, Status.FAILED, detail=detail, remedy=check.remedy) for check in causes]
    followers = [declared(f"E2E-{number:02}", follows=("DEP-01",)) for number in range(1, 60)]
    run.results += [Result(check, Status.FAILED) for check in followers]
    run.results += [Result(declared(f"IMG-{number:02}"), Status.BROKEN, detail=detail) for number in range(1, 60)]
    packages = [f"a{number}" for number in range(5)]
    run.results[0].detail = f"nodes differ in {packages}"
    run.facts.dependencies = [
        DependencyFact(f"ray-worker-{number}", package, "1", "", False) for number in range(40) for package in packages
    ]
    reports = [Path("/reports") / f"report-{number}.html" for number in range(9)]
    lines = [text for text, _ in terminal.summary(run, diagnose(run), reports, [], "en")]
    assert all(len(line) <= WIDTH for line in lines)
    tail = lines[-24:]  # and pytest's last line
    assert any(line.startswith("NOT CONFORMANT") for line in tail)
    cause = next(number for number, line in enumerate(tail) if line.startswith("FAILED DEP-01 (MUST)"))
    step = tail.index("  -> Do this:")
    assert step <= cause + 8
    assert tail[step + 1] == "     kubectl get pods -A", "a command is on a line of its own, to be pasted"
    assert [line for line in tail if line.startswith("and ")] == ["and 4 more: CFG-01, NET-01, JOB-01, ORC-01"]


def test_a_quiet_summary_begins_with_the_verdict() -> None:
    run = Run("2026-01-01T00:00:00Z", "0", "", "fc-1", ClusterInfo("embedded", "embedded", "stub"))
    run.results = [Result(declared("INF-01"), Status.PASSED)]
    lines = terminal.summary(run, [], [], [], "en", quiet=True)
    assert lines[0][0].startswith("CONFORMANT: every MUST check that ran passed (1)")
