"""Roll-outs in Kubernetes: how far one is, and what one of Ray's image meets."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from typing import Any

from fixtures.clusters.base import Component
from fixtures.clusters.kubernetes import workloads
from fixtures.clusters.kubernetes.changes import Change
from fixtures.clusters.kubernetes.client.api import RAY_CLUSTERS, AnyResource
from fixtures.clusters.kubernetes.client.schemas import DaemonSet, KubernetesObject, Pod, ReplicatedWorkload
from fixtures.clusters.kubernetes.disruption import Disruption
from fixtures.clusters.kubernetes.lookup import FleetLookup
from tests.variants.documents.kubernetes import PROXY, pod, profile
from tests.variants.model import Document

OLD, NEW = "fleet/ray-stock:2.49.2", "fleet/ray:2.49.2"


def workload(spec: dict[str, Any], status: dict[str, Any], kind: type[ReplicatedWorkload] = ReplicatedWorkload) -> str:
    """The words for the roll-out of a workload with two replicas."""
    body = {"replicas": 2, "template": {"spec": {}}, **spec}
    metadata = {"name": "orchestrator", "namespace": "fleet", "generation": 3}
    return kind.of({"metadata": metadata, "spec": body, "status": {"observedGeneration": 3, **status}}).rollout


def what_moves_is_told_from_what_stays() -> None:
    surge = {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 1}
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    partition = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}
    nodes = {"currentNumberScheduled": 3, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3}
    rolling = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    assert workload(rolling, surge) == "a roll-out of orchestrator is in progress (1 of 2)"
    assert "in progress" in workload({}, {"replicas": 2, "readyReplicas": 1, "updatedReplicas": 1})
    assert "just changed" in workload({}, {**surge, "observedGeneration": 2})
    for spec, status in (
        ({}, {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}),
        ({"paused": True}, surge),
        (partition, {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 1}),
        ({"updateStrategy": {"type": "OnDelete"}}, {"replicas": 2, "readyReplicas": 2}),
        ({}, {**surge, "conditions": [late]}),
    ):
        assert not workload(spec, status), (spec, status)
    assert not workload({}, nodes, DaemonSet)


class KubeRay:
    """Stands for an API server with a RayCluster, whose pods an operator makes anew when they are deleted."""

    def __init__(self, ray_cluster: dict[str, Any]) -> None:
        self.ray_cluster, self.pods, self._number = ray_cluster, list[Pod](), 0
        for group in self.groups:
            for _ in range(group["running"]):
                self._make(group["groupName"])

    @property
    def groups(self) -> list[dict[str, Any]]:
        spec = self.ray_cluster["spec"]
        return [{"groupName": "head", "running": 1, **spec["headGroupSpec"]}, *spec["workerGroupSpecs"]]

    def _make(self, group_name: str) -> None:
        """Admission puts a proxy first, and the runtime reports a digest of its own mirror."""
        (group,) = (group for group in self.groups if group["groupName"] == group_name)
        (main,) = group["template"]["spec"]["containers"]
        self._number += 1
        made = pod("ray-head" if group_name == "head" else "worker", group_name, PROXY, main).raw
        made["metadata"]["name"] = f"{group_name}-{self._number}"
        made["status"]["containerStatuses"][1]["imageID"] = f"mirror.example/x@sha256:{main['image']}"
        self.pods.append(Pod.of(made))

    async def get(self, _resource: AnyResource, _name: str, _namespace: str) -> KubernetesObject:
        return RAY_CLUSTERS.model.of(copy.deepcopy(self.ray_cluster))

    async def note(self, _change: Change) -> None:
        """What is changed is noted elsewhere."""

    async def forget(self, *_keys: tuple[str, str, str]) -> None:
        """It is as it was."""

    async def list(self, _resource: AnyResource, _namespace: str, *, labels: str) -> list[Pod]:
        assert labels == "ray.io/cluster=ray-gpu"
        return list(self.pods)

    async def patch(self, _resource: AnyResource, _name: str, body: Sequence[dict[str, Any]], _namespace: str) -> None:
        for operation in body:
            *way, last = [int(key) if key.isdigit() else key for key in operation["path"].split("/")[1:]]
            part: Any = self.ray_cluster
            for key in way:
                part = part[key]
            part[last] = operation["value"]

    async def delete(self, _resource: AnyResource, name: str, _namespace: str, *, grace_s: int) -> None:
        assert grace_s
        (gone,) = (one for one in self.pods if one.metadata.name == name)
        self.pods.remove(gone)
        self._make(gone.metadata.labels["ray.io/group"])


def a_roll_out_passes_groups_of_all_sizes() -> None:
    def template(name: str) -> dict[str, Any]:
        return {"template": {"spec": {"containers": [{"name": name, "image": OLD}]}}}

    groups: list[dict[str, Any]] = [
        {"groupName": "gpu-workers", "replicas": 5, "minReplicas": 0, "maxReplicas": 2, "running": 2},
        {"groupName": "cpu-workers", "replicas": 0, "minReplicas": 1, "running": 1},
        {"groupName": "spare-workers", "replicas": 2, "suspend": True, "running": 0},
        {"groupName": "empty-workers", "replicas": 0, "running": 0},
    ]
    ray_cluster = {
        "metadata": {"name": "ray-gpu", "namespace": "ray"},
        "spec": {
            "headGroupSpec": template("ray-head"),
            "workerGroupSpecs": [{**group, **template("ray-worker")} for group in groups],
        },
        "status": {"state": "ready"},
    }
    api: Any = KubeRay(ray_cluster)
    lookup = FleetLookup(api, profile())
    endpoints: Any = None  # no replica of the orchestrator is ended
    disruption = Disruption(api, lookup, endpoints, api)

    async def rolled_out() -> None:
        await disruption.roll_out(NEW)
        seen = await lookup.ray_groups()
        assert {replica.image for group in seen for replica in group.replicas} == {NEW}
        assert not [replica for group in seen for replica in group.stale], seen
        assert workloads.together(seen[1:], "gpu-workers").desired == 3
        assert (await lookup.workload(Component.RAY_WORKER)).image == NEW

    asyncio.run(rolled_out())


def pods_of_the_cluster_that_are_no_nodes() -> None:
    """KubeRay's Job that cleans Redis has the cluster's label. Source:
    https://docs.ray.io/en/latest/cluster/kubernetes/user-guides/kuberay-gcs-ft.html
    """
    container = {"name": "redis-cleanup", "image": "fleet/ray:2.49.2"}
    cleaner = pod("redis-cleanup-x7", "redis-cleanup", container).raw
    cleaner["metadata"]["labels"]["ray.io/node-type"] = "redis-cleanup"
    worker = pod("w-1", "gpu", {"name": "ray-worker", "image": NEW})
    head = pod("ray-head", "head", {"name": "ray-head", "image": NEW})
    spec = {
        "headGroupSpec": {"template": {"spec": {"containers": [{"name": "ray-head", "image": NEW}]}}},
        "workerGroupSpecs": [
            {
                "groupName": "gpu",
                "replicas": 1,
                "template": {"spec": {"containers": [{"name": "ray-worker", "image": NEW}]}},
            }
        ],
    }
    ray_cluster = RAY_CLUSTERS.model.of({"metadata": {"name": "r", "namespace": "ray"}, "spec": spec})
    groups = workloads.ray_groups(ray_cluster, [Pod.of(cleaner), worker, head])
    assert [[replica.name for replica in group.replicas] for group in groups] == [["ray-head"], ["w-1"]]


DOCUMENTS = (
    Document(
        name="rollouts-move-or-stay",
        description="a roll-out is under way, or was paused, is late, or ends at a partition",
        holds=what_moves_is_told_from_what_stays,
        stretches=("INF-11", "CFG-07"),
    ),
    Document(
        name="a-roll-out-passes-groups-of-all-sizes",
        description="Ray's image is rolled out over groups above their most, below their least, suspended or empty",
        holds=a_roll_out_passes_groups_of_all_sizes,
        stretches=("IMG-06", "ORC-18"),
    ),
    Document(
        name="pods-of-the-cluster-are-no-nodes",
        description="a Job that KubeRay makes for the cluster has its label",
        holds=pods_of_the_cluster_that_are_no_nodes,
        stretches=("INF-05", "INF-06", "IMG-02"),
    ),
)
