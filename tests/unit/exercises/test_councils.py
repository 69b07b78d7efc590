"""A council that a run makes stays: it is listed in the report, and one that was there before is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.exercises.councils import UNTIL, councils_made
from fixtures.exercises.residual_item import ResidualItem
from fixtures.profile import model as profiles

AGENT = profiles.load("embedded").agent.model_copy(update={"roles": ("DEV", "QA", "DATA"), "agents": 3})


class Replica:
    name = "orchestrator-1"

    def __init__(self, *present: str, refuses: str = "", silent: bool = False) -> None:
        self.present, self.refuses, self.silent = present, refuses, silent
        self.made: list[str] = []

    async def councils(self) -> dict[str, object]:
        if self.silent:
            raise NonConformance("it does not answer")
        return dict.fromkeys(self.present)

    async def call(self, method: str, role: str, num_agents: int) -> None:
        assert (method, num_agents) == ("CreateCouncil", 3)
        if role == self.refuses:
            raise NonConformance("NOT_FOUND: no such role")
        self.made.append(role)


def orchestrator(replica: Replica) -> Any:
    return SimpleNamespace(any=replica)


async def test_what_is_made_is_listed() -> None:
    replica = Replica("DEV", refuses="DATA")
    made, refused = await councils_made(orchestrator(replica), AGENT)
    assert replica.made == ["QA"]
    assert made == [ResidualItem("council QA of 3 agents", "orchestrator orchestrator-1", 1, UNTIL)]
    assert refused == {"DATA": "NOT_FOUND: no such role"}


async def test_where_all_are_there_nothing_is_made_or_listed() -> None:
    replica = Replica("DEV", "QA", "DATA")
    assert await councils_made(orchestrator(replica), AGENT) == ([], {})
    assert not replica.made


async def test_an_orchestrator_that_lists_none_is_undecided() -> None:
    with pytest.raises(Inconclusive, match="councils cannot be looked up: it does not answer"):
        await councils_made(orchestrator(Replica(silent=True)), AGENT)
