"""In a GitHub job the output of a run stands between the two commands that keep its lines from being commands."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.harness.workflow_commands import pytest_sessionstart


def session(lines: list[str], cleanups: list[Callable[[], None]]) -> Any:
    reporter = SimpleNamespace(ensure_newline=lambda: None, write_line=lines.append)
    manager = SimpleNamespace(get_plugin={"terminalreporter": reporter}.get)
    return SimpleNamespace(config=SimpleNamespace(pluginmanager=manager, add_cleanup=cleanups.append))


def test_lines_of_the_fleet_are_no_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    cleanups: list[Callable[[], None]] = []
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    pytest_sessionstart(session(lines, cleanups))
    (stop,), (resume,) = lines, cleanups
    token = re.fullmatch(r"::stop-commands::([0-9a-f]{32})", stop)
    assert token, stop
    resume()
    assert capsys.readouterr().out == f"::{token[1]}::\n"


def test_elsewhere_nothing_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    pytest_sessionstart(session(lines, []))
    assert not lines
