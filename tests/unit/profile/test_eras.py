"""What each check says of the eras of a deployment: what does not apply is what their profiles say."""

from __future__ import annotations

import pytest

from fixtures.checks.declaration import CATALOGUE
from fixtures.profile.model import load
from tests.unit.profile.eras import LEFT_OUT, STATES, catalogue, eras, ruled_out

DATA = eras()
WITH_A_NOTE = "Ff?"  # what must say why


def test_each_row_is_a_check() -> None:
    """A check that is newer than the table needs no row: what it says of the eras was not looked at."""
    assert list(DATA.checks) == [id for id in catalogue() if id in DATA.checks], "the ids, in the order of reports"
    assert not [id for id in DATA.later if id in CATALOGUE], "they are there now: move them to [checks]"
    assert all(len(cells) == len(DATA.names) for cells in {**DATA.checks, **DATA.later}.values())


def test_states_and_notes_are_known_and_used() -> None:
    cells = [cell for row in {**DATA.checks, **DATA.later}.values() for cell in row]
    assert {cell.state for cell in cells} <= set(STATES)
    assert {cell.note for cell in cells} - {""} == set(DATA.notes)
    assert list(DATA.notes) == sorted(DATA.notes)
    without = [id for id, row in DATA.checks.items() for cell in row if cell.state in WITH_A_NOTE and not cell.note]
    assert not without, "why they fail"


@pytest.mark.parametrize("number", range(len(DATA.names)), ids=DATA.names)
def test_what_is_not_run_is_what_the_profile_says(number: int) -> None:
    """Both ways: nothing is called absent that the fleet has, and nothing is expected of what it has not."""
    profile = load(DATA.names[number])
    derived = {id: ruled_out(profile, check) for id, check in catalogue().items() if id in DATA.checks}
    expected = {id: cells[number].state for id, cells in DATA.checks.items()}
    wrong = {
        id: f"{expected[id]} in eras.toml, {state or 'run'} by {profile.name}"
        for id, state in derived.items()
        if (expected[id] if expected[id] in "NUD" else "") != state
    }
    assert not wrong


def test_a_later_check_is_none_that_is_left_out() -> None:
    assert not [id for id in DATA.later if id.startswith(LEFT_OUT)]
