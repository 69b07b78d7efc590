"""A run that is told to end does so with status 2, its clean-up and its reports, whatever it is doing:
no fleet needed.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.interruption import signal_points


@pytest.mark.parametrize(
    ("number", "places"),
    [(signal.SIGINT, signal_points.PLACES), (signal.SIGTERM, signal_points.BODIES)],
    ids=["SIGINT", "SIGTERM"],
)
def test_in_every_hook_and_in_the_clean_up(tmp_path: Path, number: signal.Signals, places: Sequence[str]) -> None:
    ended = signal_points.ended_at(tmp_path / "runs", places, number)
    assert {one.place: one.wrong for one in ended if one.wrong} == {}
    by_place = {one.place: one for one in ended}
    assert by_place["check"].statuses == ("broken",) * 4
    assert by_place["clean-up"].statuses == ("passed",) * 4, "every check had its result"


def test_after_any_number_of_calls(tmp_path: Path) -> None:
    ended = signal_points.at_random(tmp_path, 8, seed=1, number=signal.SIGTERM)
    assert {one.place: one.wrong for one in ended if one.wrong} == {}
