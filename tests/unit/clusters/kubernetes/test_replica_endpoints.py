"""Each replica of the orchestrator is reached where it is now, at its pod's port, as long as there is one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Replica, Workload
from fixtures.clusters.kubernetes import replica_endpoints
from fixtures.clusters.kubernetes.client.portforward import Place, ResolveTarget
from fixtures.clusters.kubernetes.replica_endpoints import LiveTargets, ReplicaEndpoints
from fixtures.core.errors import AccessFailure, NonConformance
from fixtures.core.polling import wait_until
from fixtures.profile.model import load

PROFILE = load("swe-ai-fleet")


def pod(name: str, address: str = "10.0.0.1", *, ready: bool = True) -> Replica:
    return Replica(name, Component.ORCHESTRATOR, "orchestrator", "o:1", "", ready, address=address)


class Fleet:
    """Stands in for the lookup and for the ways. The service leads to the pods' `port`, as far as they are ready."""

    profile = PROFILE

    def __init__(self, *pods: Replica, inside: bool = False) -> None:
        self.pods, self.desired, self.rollout, self.port = list(pods), 2, "", 50055
        self.api = SimpleNamespace(inside=inside)
        self.ways: list[ResolveTarget] = []
        self.retired: list[str] = []
        self.denied: Exception | None = None
        self.strangers: list[Place] = []

    def namespace(self, _component: Component) -> str:
        return "fleet"

    def service(self, _component: Component) -> tuple[str, str, int]:
        return "orchestrator", "fleet", PROFILE.orchestrator.port

    async def workload(self, component: Component) -> Workload:
        return Workload("orchestrator", component, self.desired, "o:1", "", tuple(self.pods), self.rollout)

    async def ready_endpoints(self, *_service: Any) -> list[Place]:
        if self.denied:
            raise self.denied
        return self.strangers + [(pod.name, self.port) for pod in self.pods if pod.ready]

    async def to_pod(self, *asked: Any) -> str:
        self.ways.append(asked[2])
        return f"127.0.0.1:{len(self.ways)}"

    def retire(self, address: str) -> None:
        self.retired.append(address)


async def opened(fleet: Any) -> ReplicaEndpoints:
    endpoints = ReplicaEndpoints(fleet, fleet)
    await endpoints.open()
    await endpoints.close()
    return endpoints


async def becomes(state: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return state()

    await wait_until(holds, "the renewal", 5, every=0.001)


async def test_inside_an_address_of_ipv6_is_in_brackets() -> None:
    endpoints = await opened(Fleet(pod("a", "fd00::1"), pod("b", "10.0.0.2"), inside=True))
    assert dict(endpoints.targets) == {"a": "[fd00::1]:50055", "b": "10.0.0.2:50055"}


async def test_inside_the_address_is_the_one_of_now() -> None:
    """A StatefulSet's pod comes back under its name and with another address; one that waits has none yet."""
    fleet = Fleet(pod("o-0", "10.0.0.1"), pod("o-1", "", ready=False), inside=True)
    endpoints = await opened(fleet)
    targets = LiveTargets(lambda: endpoints.targets)
    assert dict(targets) == {"o-0": "10.0.0.1:50055"} and len(targets) == 1
    fleet.pods = [pod("o-0", "10.0.0.7"), pod("o-1", "10.0.0.8")]
    await endpoints.renew()
    assert dict(targets) == {"o-0": "10.0.0.7:50055", "o-1": "10.0.0.8:50055"}


async def test_inside_they_are_renewed_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_endpoints, "RENEWAL_S", 0.001)
    fleet: Any = Fleet(pod("o-0", "10.0.0.1"), inside=True)
    endpoints = ReplicaEndpoints(fleet, fleet)
    await endpoints.open()
    fleet.pods = [pod("o-0", "10.0.0.7")]
    await becomes(lambda: endpoints.targets["o-0"] == "10.0.0.7:50055")
    await endpoints.close()


async def surged() -> tuple[Fleet, ReplicaEndpoints]:
    """Opened in the middle of a roll-out, which has ended since."""
    fleet = Fleet(pod("old-1"), pod("old-2"), pod("new-1"))
    fleet.rollout = "1 of 2 updated"
    endpoints = await opened(fleet)
    assert list(endpoints.targets) == ["old-1", "old-2", "new-1"]
    fleet.pods, fleet.rollout = [pod("new-1"), pod("new-2")], ""
    return fleet, endpoints


async def test_a_place_that_nobody_takes_after_a_roll_out_is_given_up() -> None:
    fleet, endpoints = await surged()
    await endpoints.renew()
    assert dict(endpoints.targets) == {"new-2": "127.0.0.1:1", "new-1": "127.0.0.1:3"}
    assert fleet.retired == ["127.0.0.1:2"]
    with pytest.raises(NonConformance, match="old-2 of the orchestrator is gone"):
        await fleet.ways[1]()


async def test_from_outside_too_it_is_given_up_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_endpoints, "RENEWAL_S", 0.001)
    fleet: Any = Fleet(pod("old-1"), pod("old-2"), pod("new-1"))
    endpoints = ReplicaEndpoints(fleet, fleet)
    await endpoints.open()
    fleet.pods = [pod("new-1"), pod("new-2")]
    await becomes(lambda: len(endpoints.targets) == 2)
    await endpoints.close()


@pytest.mark.parametrize("why", ["the roll-out goes on", "a replica is missing", "a check holds it down"])
async def test_a_place_that_may_be_taken_again_stays(why: str) -> None:
    fleet, endpoints = await surged()
    fleet.rollout = "1 of 2 updated" if "roll-out" in why else ""
    fleet.pods = fleet.pods[:1] if "missing" in why else fleet.pods
    endpoints.awaits_replicas = "check" in why
    await endpoints.renew()
    assert len(endpoints.targets) == 3 and not fleet.retired


async def test_a_pod_is_asked_at_its_own_port_and_not_at_the_services() -> None:
    fleet = Fleet(pod("a"), pod("b"))
    fleet.port, fleet.strangers = 7001, [("a-job", 1)]
    await opened(fleet)
    assert [await way() for way in fleet.ways] == [("a", 7001), ("b", 7001)]
    within = Fleet(pod("a"), inside=True)
    within.port = 7001
    assert dict((await opened(within)).targets) == {"a": "10.0.0.1:7001"}


async def test_a_port_that_is_not_known_yet_is_looked_for_again() -> None:
    fleet = Fleet(pod("a", ready=False), pod("b", ready=False))
    fleet.port = 7001
    await opened(fleet)
    assert [await way() for way in fleet.ways] == [("a", 50055), ("b", 50055)]
    fleet.pods = [pod("a"), pod("b", ready=False)]
    assert [await way() for way in fleet.ways] == [("a", 7001), ("b", 7001)]


@pytest.mark.parametrize("denied", [AccessFailure("may not list endpointslices"), NonConformance("no such service")])
async def test_where_the_service_says_nothing_its_own_port_is_taken(denied: Exception) -> None:
    fleet = Fleet(pod("a"))
    fleet.denied = denied
    await opened(fleet)
    assert await fleet.ways[0]() == ("a", 50055)
