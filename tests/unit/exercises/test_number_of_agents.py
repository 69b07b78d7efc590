"""How many agents a deliberation of the suite has: as many as can be asked for."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.exercises.deliberations import Deliberations
from fixtures.profile.model import Profile, load
from tests.unit.profile.test_parts import without_values

PROFILE = load("embedded").replaced("deliberations", agents=3)


@pytest.mark.parametrize(
    ("profile", "asked", "number"),
    [
        (PROFILE, 2, 2),
        (PROFILE, 0, 3),
        (PROFILE, 5, 3),
        (without_values("num_agents"), 2, 3),
        (without_values("num_agents"), 0, 3),
    ],
)
def test_fewer_agents_than_the_council_has_are_those_that_a_request_can_ask_for(
    profile: Profile, asked: int, number: int
) -> None:
    nothing: Any = None
    replica: Any = object()
    deliberations = Deliberations(nothing, nothing, nothing, profile, "fc-1")
    assert deliberations.new(agents=asked, replica=replica).agents == number
