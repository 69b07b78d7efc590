"""A council that a run makes stays: it is listed in the report, and one that was there before is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.exercises.councils import UNTIL, make_councils
from fixtures.exercises.residual_item import ResidualItem
from fixtures.profile import model as profiles
from fixtures.profile.model import Profile
from fixtures.services.orchestrator import Refused
from tests.unit.profile.test_parts import with_contract

PROFILE = profiles.load("embedded").replaced("deliberations", roles=("DEV", "QA", "DATA"), agents=3)


def refused_with(code: grpc.StatusCode) -> Refused:
    error: Any = SimpleNamespace(code=lambda: code, details=lambda: "")
    return Refused("orchestrator-1", "ListCouncils", error)


class Replica:
    name = "orchestrator-1"

    def __init__(
        self,
        *present: str,
        refuses: str = "",
        silent: NonConformance | None = None,
        lost_at: str = "",
        profile: Profile = PROFILE,
    ) -> None:
        self.present, self.refuses, self.silent, self.lost_at = present, refuses, silent, lost_at
        self.contract = SimpleNamespace(section=profile.contract.grpc)
        self.made: list[str] = []

    async def councils(self) -> dict[str, object]:
        if self.silent:
            raise self.silent
        return dict.fromkeys(self.present)

    async def create_council(self, role: str, agents: int) -> None:
        assert agents == 3
        if role == self.lost_at:
            raise Inconclusive("the way to it is cut")
        if role == self.refuses:
            raise NonConformance("NOT_FOUND: no such role")
        self.made.append(role)


async def councils_of(replica: Replica, made: list[ResidualItem], profile: Profile = PROFILE) -> dict[str, str]:
    orchestrator: Any = SimpleNamespace(any=replica)
    return await make_councils(orchestrator, profile, "kind", made)


async def test_what_is_made_is_listed() -> None:
    replica = Replica("DEV", refuses="DATA")
    made: list[ResidualItem] = []
    refused = await councils_of(replica, made)
    assert replica.made == ["QA"]
    assert made == [ResidualItem("council QA of 3 agents", "orchestrator orchestrator-1", 1, UNTIL)]
    assert refused == {"DATA": "NOT_FOUND: no such role"}


async def test_where_all_are_there_nothing_is_made_or_listed() -> None:
    replica = Replica("DEV", "QA", "DATA")
    made: list[ResidualItem] = []
    assert await councils_of(replica, made) == {}
    assert not made and not replica.made


async def test_an_orchestrator_that_is_not_reached_is_undecided() -> None:
    for code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        with pytest.raises(Inconclusive, match=f"councils cannot be looked up: .*{code.name}"):
            await councils_of(Replica(silent=refused_with(code)), [])


@pytest.mark.parametrize("silent", [refused_with(grpc.StatusCode.UNIMPLEMENTED), NonConformance("no such list")])
async def test_an_orchestrator_that_answers_with_no_list_may_run_deliberations_all_the_same(
    silent: NonConformance,
) -> None:
    replica = Replica(silent=silent)
    why = f"councils cannot be looked up: {silent}"
    assert await councils_of(replica, []) == dict.fromkeys(PROFILE.deliberations.roles, why)
    assert not replica.made


@pytest.mark.parametrize(
    "profile",
    [
        PROFILE.replaced("features", councils=False),
        with_contract(PROFILE, "grpc", councils=None),
        with_contract(PROFILE, grpc=None),
    ],
)
async def test_a_fleet_without_councils_is_asked_for_none_and_gets_none(profile: Profile) -> None:
    replica = Replica(silent=refused_with(grpc.StatusCode.UNIMPLEMENTED))
    assert await councils_of(replica, [], profile) == {}
    assert not replica.made


async def test_councils_that_no_call_makes_are_missing_and_nothing_else() -> None:
    profile = with_contract(PROFILE, "grpc", create_council=None)
    replica = Replica("DEV", "QA", profile=profile)
    assert await councils_of(replica, [], profile) == {"DATA": "the contract has no grpc.create_council"}
    assert not replica.made


async def test_what_was_made_before_the_way_was_cut_is_listed() -> None:
    made: list[ResidualItem] = []
    with pytest.raises(Inconclusive, match="cut"):
        await councils_of(Replica(lost_at="QA"), made)
    assert [item.what for item in made] == ["council DEV of 3 agents"]
