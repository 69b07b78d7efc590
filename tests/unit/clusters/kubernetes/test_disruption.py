"""Which replicas can be left down, by what keeps them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Replica, Workload
from fixtures.clusters.kubernetes.changes import COST, Change
from fixtures.clusters.kubernetes.client.api import DAEMONSETS, DEPLOYMENTS, PODS, STATEFULSETS, AnyResource
from fixtures.clusters.kubernetes.disruption import LAST, Disruption, ordinal
from fixtures.core.errors import Inconclusive
from fixtures.profile.model import load

REPLICAS = tuple(
    Replica(f"orchestrator-{number}", Component.ORCHESTRATOR, "orchestrator", "o:1", "", True) for number in (9, 10, 11)
)


class Lookup:
    """An orchestrator of three replicas, kept by a workload of one kind. Notes what is asked of the API."""

    profile = load("swe-ai-fleet")
    awaits_replicas = False

    def __init__(self, kind: AnyResource) -> None:
        self.kind, self.done, self.size = kind, list[str](), 3
        self.left = list(REPLICAS)

    def namespace(self, _component: Component) -> str:
        return "fleet"

    async def kind_of(self, _name: str, _namespace: str) -> AnyResource:
        return self.kind

    async def workload(self, component: Component) -> Workload:
        return Workload("orchestrator", component, self.size, "o:1", "", tuple(self.left))

    async def pods(self, _component: Component) -> list[Any]:
        return [SimpleNamespace(metadata=SimpleNamespace(name=replica.name, annotations={})) for replica in self.left]

    async def patch(self, resource: AnyResource, name: str, body: dict[str, Any], _namespace: str) -> None:
        assert resource is PODS and body["metadata"]["annotations"] == {COST: LAST}
        self.done.append(f"cheap {name}")

    async def scale(self, resource: AnyResource, _name: str, replicas: int, _namespace: str) -> None:
        self.size = replicas
        self.done.append(f"{replicas} {resource.name}")

    async def note(self, _change: Change) -> None:
        """What is changed is noted elsewhere."""

    async def forget(self, *_keys: tuple[str, str, str]) -> None:
        """It is as it was."""

    async def delete(self, _resource: AnyResource, name: str, _namespace: str, *, grace_s: int) -> None:
        assert grace_s
        self.left = [replica for replica in self.left if replica.name != name]
        self.done.append(f"end {name}")


def disruption(lookup: Any) -> Disruption:
    return Disruption(lookup, lookup, lookup, lookup)


async def test_a_stateful_set_gives_up_its_highest_ordinals() -> None:
    lookup = Lookup(STATEFULSETS)
    await disruption(lookup).kill([REPLICAS[2]])
    assert lookup.done == ["2 statefulsets", "end orchestrator-11"] and lookup.awaits_replicas
    await disruption(lookup).kill(REPLICAS[:2])
    assert lookup.done[2:] == ["0 statefulsets", "end orchestrator-10", "end orchestrator-9"]


@pytest.mark.parametrize("victim", REPLICAS[:2], ids=lambda replica: replica.name)
async def test_it_cannot_leave_another_one_down(victim: Replica) -> None:
    lookup = Lookup(STATEFULSETS)
    with pytest.raises(Inconclusive, match=f"can leave orchestrator-11 down, not {victim.name}"):
        await disruption(lookup).kill([victim])
    assert lookup.done == []


async def test_a_daemon_set_can_leave_none_down() -> None:
    with pytest.raises(Inconclusive, match="a replica on each node: none can be left down"):
        await disruption(Lookup(DAEMONSETS)).kill([REPLICAS[0]])


async def test_a_deployment_gives_up_whom_it_is_told_to() -> None:
    lookup = Lookup(DEPLOYMENTS)
    await disruption(lookup).kill([REPLICAS[0]])
    assert lookup.done == ["cheap orchestrator-9", "2 deployments", "end orchestrator-9"]


def test_the_ordinal_is_the_number_at_the_end() -> None:
    assert [ordinal(name) for name in ("o-9", "o-10", "o-x", "")] == [9, 10, -1, -1]
