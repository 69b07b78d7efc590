"""Which RayCluster is meant where the profile names a RayService, or labels."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.clusters.kubernetes.client.api import RAY_SERVICES
from fixtures.clusters.kubernetes.client.errors import NotFound
from fixtures.clusters.kubernetes.client.schemas import RayCluster, RayService
from fixtures.clusters.kubernetes.ray_clusters import name_of, pending
from fixtures.core.errors import NonConformance
from fixtures.profile.model import load

RAY = load("swe-ai-fleet").ray
SERVICE = RAY.model_copy(update={"cluster": "", "service": "agents"})
LABELS = RAY.model_copy(update={"cluster": "", "selector": "team=agents"})


def cluster(name: str, made: str, state: str) -> RayCluster:
    template = {"template": {"spec": {"containers": [{"name": "ray", "image": "x"}]}}}
    return RayCluster.of(
        {
            "metadata": {"name": name, "namespace": "ray", "creationTimestamp": made},
            "spec": {"headGroupSpec": template},
            "status": {"state": state},
        }
    )


class Api:
    def __init__(self, *answers: Any) -> None:
        self.answers, self.labels = answers, ""

    async def get(self, resource: object, name: str, namespace: str) -> Any:
        assert (resource, name, namespace) == (RAY_SERVICES, "agents", "ray")
        if not self.answers:
            raise NotFound.__new__(NotFound)
        return self.answers[0]

    async def list(self, _resource: object, _namespace: str, labels: str) -> list[Any]:
        self.labels = labels
        return list(self.answers)


def service(**status: Any) -> RayService:
    return RayService.of({"metadata": {"name": "agents", "namespace": "ray"}, "status": status})


async def test_a_cluster_is_its_own_name() -> None:
    api: Any = Api()
    assert await name_of(api, RAY) == "ray-gpu"


async def test_of_a_service_the_active_cluster_counts() -> None:
    api: Any = Api(service(activeServiceStatus={"rayClusterName": "agents-x7"}))
    assert await name_of(api, SERVICE) == "agents-x7"
    with pytest.raises(NonConformance, match="RayService agents in namespace ray has no active RayCluster"):
        api = Api(service(pendingServiceStatus={"rayClusterName": "agents-x8"}))
        await name_of(api, SERVICE)
    with pytest.raises(NonConformance, match=r"there is no RayService agents in namespace ray \(ray.service\)"):
        api = Api()
        await name_of(api, SERVICE)


async def test_of_labels_the_newest_that_is_ready_counts() -> None:
    old, new = cluster("a", "2026-01-01T00:00:00Z", "ready"), cluster("b", "2026-02-01T00:00:00Z", "ready")
    broken = cluster("c", "2026-03-01T00:00:00Z", "failed")
    api: Any = Api(new, old, broken)
    assert await name_of(api, LABELS) == "b" and api.labels == "team=agents"
    with pytest.raises(NonConformance, match="of 1 RayClusters with team=agents in namespace ray none is ready"):
        api = Api(broken)
        await name_of(api, LABELS)


async def test_the_cluster_that_an_upgrade_makes() -> None:
    api: Any = Api(service(pendingServiceStatus={"rayClusterName": "agents-x8"}))
    assert await pending(api, SERVICE) == "agents-x8"
    api = Api(service(activeServiceStatus={"rayClusterName": "agents-x7"}))
    assert await pending(api, SERVICE) == ""
    api = Api()
    assert await pending(api, RAY) == ""
