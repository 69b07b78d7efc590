"""Lengths of time in options."""

from __future__ import annotations

import pytest

from fixtures.core.durations import seconds_in


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("5m", 300.0), ("2h", 7200.0), ("7", 7.0), ("0s", 0.0)])
def test_a_duration_has_a_number_and_maybe_a_unit(text: str, seconds: float) -> None:
    assert seconds_in(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "1.5m", "-5s", "5 s", "1d", "999999s", "5mm", "٣s"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds_in(text)
