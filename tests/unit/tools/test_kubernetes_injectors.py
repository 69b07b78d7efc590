"""Changes of a fleet in Kubernetes, against objects in memory: each puts back what it changed."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, PODS, RAY_CLUSTERS, AnyResource
from fixtures.clusters.kubernetes.client.schemas import KubernetesObject, PodSpec
from fixtures.clusters.kubernetes.workloads import main_container
from fixtures.profile.model import load
from tests.targets.kubernetes_injectors import (
    SIDE_CAR,
    group_names_least_alone,
    orchestrator_has_a_side_car_first,
    with_side_car_first,
)
from tests.targets.kubernetes_objects import inverse
from tests.variants.catalogue.kubernetes.ray import replicas_are_fewer_than_workers
from tests.variants.catalogue.kubernetes.workloads import side_car_is_first

CONTAINER = {"name": "orchestrator", "image": "fleet/orchestrator:v0.8.1", "env": [{"name": "A", "value": "1"}]}
TEMPLATE: dict[str, Any] = {"metadata": {"labels": {"app": "orchestrator"}}, "spec": {"containers": [CONTAINER]}}


class Api:
    """One Deployment and one RayCluster, whose pods follow at once; patches are replacements of what is there."""

    def __init__(self) -> None:
        status = {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}
        spec = {"replicas": 2, "selector": {"matchLabels": {"app": "orchestrator"}}, "template": TEMPLATE}
        group = {"groupName": "gpu-workers", "replicas": 2, "minReplicas": 0, "template": TEMPLATE}
        ray = {"headGroupSpec": {"template": TEMPLATE}, "workerGroupSpecs": [group]}
        self.objects: dict[AnyResource, dict[str, Any]] = {
            DEPLOYMENTS: {"metadata": {"name": "o", "namespace": "ns"}, "spec": spec, "status": status},
            RAY_CLUSTERS: {"metadata": {"name": "r", "namespace": "ray"}, "spec": ray},
        }
        self.objects = copy.deepcopy(self.objects)

    async def get(self, resource: AnyResource, _name: str, _namespace: str) -> KubernetesObject:
        return resource.model.of(copy.deepcopy(self.objects[resource]))

    async def patch(self, resource: AnyResource, _name: str, body: list[dict[str, Any]], _namespace: str) -> None:
        for operation in body:
            assert operation["op"] == "replace"
            *way, last = [int(key) if key.isdigit() else key for key in operation["path"].split("/")[1:]]
            place: Any = self.objects[resource]
            for key in way:
                place = place[key]
            assert last in place
            place[last] = copy.deepcopy(operation["value"])

    async def list(self, _resource: AnyResource, _namespace: str, *, labels: str) -> list[KubernetesObject]:
        assert labels
        spec = self.objects[DEPLOYMENTS]["spec"]["template"]["spec"]
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        named = [{"name": f"p-{number}", "namespace": "ns"} for number in range(2)]
        return [PODS.model.of({"metadata": metadata, "spec": spec, "status": status}) for metadata in named]


@pytest.fixture
def target() -> Any:
    return SimpleNamespace(api=Api(), profile=load("swe-ai-fleet"))


@pytest.mark.parametrize(
    ("change", "is_present"),
    [
        (orchestrator_has_a_side_car_first(), side_car_is_first),
        (group_names_least_alone(), replicas_are_fewer_than_workers),
    ],
)
async def test_it_is_there_while_it_is_held_and_is_put_back(target: Any, change: Any, is_present: Any) -> None:
    before = copy.deepcopy(target.api.objects)
    assert not await is_present(target)
    with pytest.raises(ValueError, match="a check"):
        async with change(target):
            assert await is_present(target)
            raise ValueError("a check")
    assert target.api.objects == before


def test_a_merge_patch_is_undone_by_what_was_there() -> None:
    before = {"spec": {"replicas": 2, "template": {"labels": {"a": "1"}}}, "kind": "x"}
    patch = {"spec": {"replicas": 3, "paused": True, "template": {"labels": {"a": "2", "b": "3"}, "notes": {"c": "4"}}}}
    labels = {"a": "1", "b": None}
    assert inverse(patch, before) == {
        "spec": {"replicas": 2, "paused": None, "template": {"labels": labels, "notes": None}}
    }


def test_the_main_container_stands_behind_the_side_car_and_is_named_by_the_annotation() -> None:
    changed = with_side_car_first(TEMPLATE)
    first, main = changed["spec"]["containers"]
    assert (first["name"], first["image"], "env" in first) == (SIDE_CAR, CONTAINER["image"], False)
    name = changed["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"]
    assert main_container(PodSpec.of(changed["spec"]), name).name == main["name"]
    assert {**main, "name": "orchestrator"} == CONTAINER
    assert changed["metadata"]["labels"] == TEMPLATE["metadata"]["labels"]
