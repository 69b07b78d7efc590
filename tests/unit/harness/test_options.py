"""What the suite's own options take."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace

import pytest

from fixtures.harness.options import _duration, _minutes, adopt_renamed


@pytest.mark.parametrize(("text", "minutes"), [("2", 2.0), ("0.5", 0.5), ("10080", 10080.0)])
def test_minutes_of_a_soak(text: str, minutes: float) -> None:
    assert _minutes(text) == minutes


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "10081", "1e300", "", "two", "1 min"])
def test_what_are_no_minutes(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="a number of minutes above 0, at most 10080"):
        _minutes(text)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("45", 45)])
def test_durations(text: str, seconds: float) -> None:
    assert _duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "3h", "-5m", "5 m", "5min", "1.5m", "m", "99999m", "٥m"])
def test_what_are_no_durations(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="a duration such as 90s or 5m, at most 2h"):
        _duration(text)


def test_the_former_name_of_an_option_works_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    option = Namespace(load_at_once=3, load_concurrency=0)
    adopt_renamed(option)
    assert option.load_concurrency == 3
    assert capsys.readouterr().err == "warning: --load-at-once is now called --load-concurrency\n"


def test_the_new_name_goes_before_the_former_one(capsys: pytest.CaptureFixture[str]) -> None:
    option = Namespace(load_at_once=3, load_concurrency=5)
    adopt_renamed(option)
    assert option.load_concurrency == 5
    assert "warning" in capsys.readouterr().err


def test_without_the_former_name_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    option = Namespace(load_at_once=0, load_concurrency=5)
    adopt_renamed(option)
    assert option.load_concurrency == 5
    assert capsys.readouterr().err == ""
