"""A server's clock, as its answers say it."""

from __future__ import annotations

import pytest

from fixtures.core.server_clock import ServerClock

NEW_YEAR = 1767225600.0


def test_it_runs_on_from_the_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ServerClock()
    assert clock.now() is None
    monkeypatch.setattr("time.monotonic", lambda: 10.0)
    clock.read("Thu, 01 Jan 2026 00:00:00 GMT")
    monkeypatch.setattr("time.monotonic", lambda: 12.5)
    assert clock.now() == NEW_YEAR + 2.5


@pytest.mark.parametrize("header", [None, "", "yesterday", "Thu, 99 Jan 2026 00:00:00 GMT", "\x00"])
def test_what_is_no_date_changes_nothing(header: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 10.0)
    clock = ServerClock()
    clock.read(header)
    assert clock.now() is None
    clock.read("Thu, 01 Jan 2026 00:00:00 GMT")
    clock.read(header)
    assert clock.now() == NEW_YEAR
