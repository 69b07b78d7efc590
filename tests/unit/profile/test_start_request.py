"""What the contract lets a deliberation be started with."""

from __future__ import annotations

import pytest

from fixtures.profile.model import Profile, load
from fixtures.profile.start_request import can_say, start_request
from tests.unit.profile.contracts import second
from tests.unit.profile.test_parts import with_contract

CALLED = load("embedded")
NOT_STARTED = CALLED.replaced("deliberations", mode="none")  # by the suite; a call may be refused all the same
STARTED_BY_AN_EVENT = CALLED.model_copy(update={"contract": second()}).replaced("deliberations", mode="event")


@pytest.mark.parametrize(
    ("profile", "key"), [(CALLED, "task_description"), (NOT_STARTED, "task_description"), (STARTED_BY_AN_EVENT, "data")]
)
def test_it_is_the_request_of_a_call_or_the_body_of_a_plan(profile: Profile, key: str) -> None:
    template = start_request(profile)
    assert isinstance(template, dict) and key in template


def test_values_have_their_places_or_none() -> None:
    assert can_say(CALLED, "agents") and can_say(CALLED, "rubric", "now") and not can_say(CALLED, "now", "marker")
    assert can_say(STARTED_BY_AN_EVENT, "deadline") and not can_say(STARTED_BY_AN_EVENT, "rubric")


def test_where_there_is_no_request_it_lacks_nothing() -> None:
    without = with_contract(CALLED, grpc=None)
    assert start_request(without) is None and can_say(without, "agents")
    without = with_contract(CALLED.replaced("deliberations", mode="event"), "messages", plan=None)
    assert start_request(without) is None and can_say(without, "agents")
