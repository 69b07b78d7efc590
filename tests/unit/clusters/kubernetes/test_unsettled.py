"""What `--wait` waits for in Kubernetes: replicas, addresses, an upgrade of a RayService; not what cannot be listed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Replica, Unsupported, Workload
from fixtures.clusters.kubernetes.client.errors import Forbidden, Unreachable
from fixtures.clusters.kubernetes.cluster import AttachOptions, KubernetesCluster
from fixtures.core.errors import NonConformance
from fixtures.profile.model import load

PROFILE = load("swe-ai-fleet")


def whole(component: Component) -> Workload:
    replica = Replica(f"{component}-a", component, "it", "it:1", "sha256:1", ready=True)
    return Workload(component.value, component, 1, "it:1", "sha256:1", (replica,))


class Lookup:
    """What there is of a fleet; each part may be something else, an error included."""

    cluster_name = "agents-x7"

    def __init__(self, changed: dict[Component, Any], pending: str, addresses: int) -> None:
        self.changed, self.pending, self.addresses = changed, pending, addresses

    async def workload(self, component: Component) -> Workload:
        there = self.changed.get(component, whole(component))
        if isinstance(there, Exception):
            raise there
        assert isinstance(there, Workload)
        return there

    async def ray_groups(self) -> tuple[Workload, ...]:
        return (await self.workload(Component.RAY_HEAD), await self.workload(Component.RAY_WORKER))

    async def ray_cluster_to_come(self) -> str:
        return self.pending

    def service(self, component: Component) -> tuple[str, str, int]:
        return (component.value, "agents", 80)

    async def ready_endpoints(self, _name: str, _namespace: str, _port: int) -> list[str]:
        return ["10.0.0.1"] * self.addresses


async def seen(changed: dict[Component, Any] | None = None, pending: str = "", addresses: int = 1) -> str:
    lookup: Any = Lookup(changed or {}, pending, addresses)
    cluster = KubernetesCluster(AttachOptions(PROFILE, None, None, "fc-1", False))
    attached: Any = SimpleNamespace(lookup=lookup, endpoints=SimpleNamespace(access=lookup))
    cluster._attached = attached
    return await cluster.unsettled()


async def test_of_a_fleet_that_is_as_specified_nothing_is_missing() -> None:
    assert await seen() == ""


@pytest.mark.parametrize("component", [Component.RAY_HEAD, Component.RAY_WORKER, Component.VLLM, Component.NATS])
async def test_a_part_with_too_few_replicas_is_named(component: Component) -> None:
    few = replace(whole(component), desired=2)
    of_ray = component in (Component.RAY_HEAD, Component.RAY_WORKER)
    name = f"ray: {component}" if of_ray else component.value
    assert await seen({component: few}) == f"{name}: 1 of 2 replicas do not exist"


async def test_so_is_one_that_is_not_there_yet_and_a_service_without_addresses() -> None:
    missing = NonConformance("there is no Deployment orchestrator")
    assert await seen({Component.ORCHESTRATOR: missing}) == "orchestrator: there is no Deployment orchestrator"
    assert await seen(addresses=0) == "nats: no address is behind its service"


async def test_an_upgrade_of_a_rayservice_is_waited_for() -> None:
    assert await seen(pending="agents-x8") == "ray: RayCluster agents-x8 is to take the place of agents-x7"


@pytest.mark.parametrize("refused", [Unsupported("nats.url of the profile"), Forbidden("may not list pods")])
async def test_what_cannot_be_listed_is_not_waited_for(refused: Exception) -> None:
    assert await seen({Component.NATS: refused}) == ""


async def test_an_api_server_that_restarts_is_waited_for() -> None:
    assert await seen({Component.VLLM: Unreachable("nobody listens")}) == "vllm: nobody listens"
