"""Which client asks which replica while pods come, go and get other addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fixtures.core.errors import Inconclusive
from fixtures.services.orchestrator import Orchestrator
from tests.support.orchestrator_messages import GRPC


class Fleet:
    def __init__(self) -> None:
        self.targets = {"a": "127.0.0.1:1", "b": "127.0.0.1:2", "c": "127.0.0.1:3"}
        self.orchestrator = Orchestrator(lambda: self.targets, GRPC)

    @property
    def asked(self) -> dict[str, str]:
        return {replica.name: replica.target for replica in self.orchestrator.replicas}


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    fleet = Fleet()
    yield fleet
    await fleet.orchestrator.close()


async def test_a_successor_takes_over_its_predecessors_client(fleet: Fleet) -> None:
    before = fleet.orchestrator.replicas
    fleet.targets = {"a": "127.0.0.1:1", "z": "127.0.0.1:2", "c": "127.0.0.1:9"}
    assert fleet.asked == fleet.targets
    assert all(now is then for now, then in zip(fleet.orchestrator.replicas, before, strict=True))


async def test_only_as_many_are_asked_as_there_are_targets(fleet: Fleet) -> None:
    first, _second, third = fleet.orchestrator.replicas
    fleet.targets = {"a": "127.0.0.1:1", "c": "127.0.0.1:3"}
    left = fleet.orchestrator.replicas
    assert fleet.asked == fleet.targets and left[0] is first and left[1] is third, "who is left keeps its client"
    assert {fleet.orchestrator.at(number).name for number in range(6)} == {"a", "c"}


async def test_one_that_comes_later_is_asked_too(fleet: Fleet) -> None:
    fleet.targets = {"a": "127.0.0.1:1"}
    assert fleet.asked == fleet.targets
    fleet.targets = {name: f"127.0.0.1:{number}" for number, name in enumerate("wxyz", 10)}
    assert fleet.asked == fleet.targets


async def test_without_a_target_none_can_be_asked(fleet: Fleet) -> None:
    fleet.targets = {}
    with pytest.raises(Inconclusive, match="no replica that could be asked"):
        _ = fleet.orchestrator.any
