"""What the suite's own options take."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from fixtures.harness.options import _minutes


@pytest.mark.parametrize(("text", "minutes"), [("2", 2.0), ("0.5", 0.5), ("10080", 10080.0)])
def test_minutes_of_a_soak(text: str, minutes: float) -> None:
    assert _minutes(text) == minutes


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "10081", "1e300", "", "two", "1 min"])
def test_what_are_no_minutes(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="a number of minutes above 0, at most 10080"):
        _minutes(text)
