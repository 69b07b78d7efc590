"""A council that a run makes stays: it is listed in the report, and one that was there before is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.exercises.councils import UNTIL, make_councils
from fixtures.exercises.residual_item import ResidualItem
from fixtures.profile import model as profiles

ASKED = profiles.load("embedded").deliberations.model_copy(update={"roles": ("DEV", "QA", "DATA"), "agents": 3})


class Replica:
    name = "orchestrator-1"

    def __init__(self, *present: str, refuses: str = "", silent: bool = False, lost_at: str = "") -> None:
        self.present, self.refuses, self.silent, self.lost_at = present, refuses, silent, lost_at
        self.made: list[str] = []

    async def councils(self) -> dict[str, object]:
        if self.silent:
            raise NonConformance("it does not answer")
        return dict.fromkeys(self.present)

    async def create_council(self, role: str, agents: int) -> None:
        assert agents == 3
        if role == self.lost_at:
            raise Inconclusive("the way to it is cut")
        if role == self.refuses:
            raise NonConformance("NOT_FOUND: no such role")
        self.made.append(role)


def orchestrator(replica: Replica) -> Any:
    return SimpleNamespace(any=replica)


async def test_what_is_made_is_listed() -> None:
    replica = Replica("DEV", refuses="DATA")
    made: list[ResidualItem] = []
    refused = await make_councils(orchestrator(replica), ASKED, made)
    assert replica.made == ["QA"]
    assert made == [ResidualItem("council QA of 3 agents", "orchestrator orchestrator-1", 1, UNTIL)]
    assert refused == {"DATA": "NOT_FOUND: no such role"}


async def test_where_all_are_there_nothing_is_made_or_listed() -> None:
    replica = Replica("DEV", "QA", "DATA")
    made: list[ResidualItem] = []
    assert await make_councils(orchestrator(replica), ASKED, made) == {}
    assert not made and not replica.made


async def test_an_orchestrator_that_lists_none_is_undecided() -> None:
    with pytest.raises(Inconclusive, match="councils cannot be looked up: it does not answer"):
        await make_councils(orchestrator(Replica(silent=True)), ASKED, [])


async def test_what_was_made_before_the_way_was_cut_is_listed() -> None:
    made: list[ResidualItem] = []
    with pytest.raises(Inconclusive, match="cut"):
        await make_councils(orchestrator(Replica(lost_at="QA")), ASKED, made)
    assert [item.what for item in made] == ["council DEV of 3 agents"]
