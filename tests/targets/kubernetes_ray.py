"""Worker groups of a RayCluster that differ. KubeRay restarts nothing when a template changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fixtures.clusters.kubernetes.client.api import PODS, RAY_CLUSTERS, SERVICE_ACCOUNTS
from fixtures.clusters.kubernetes.client.schemas import Pod
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.clusters.kubernetes.workloads import container_status
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile.model import Profile
from tests.targets.kubernetes_injectors import ready_workers
from tests.targets.kubernetes_objects import PRIORITIES, new_object
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.kubernetes_workloads import PRIORITY, priority_class
from tests.targets.target import Change, together

GROUPS = "/spec/workerGroupSpecs"
SECOND, ACCOUNT = "cpu-workers", "ray-workers"
NEVER_READY = {"exec": {"command": ["false"]}, "periodSeconds": 1}


async def group(target: KubernetesTarget, number: int = 0) -> Document:
    """A worker group as the RayCluster has it."""
    name, namespace = target.profile.ray.cluster, target.profile.ray.namespace
    ray_cluster = await target.api.get(RAY_CLUSTERS, name, namespace)
    groups: list[Document] = ray_cluster.raw["spec"]["workerGroupSpecs"]
    return groups[number]


async def patch(target: KubernetesTarget, *operations: tuple[str, str, Any]) -> None:
    """JSON patches of the RayCluster's worker groups: operation, path below them, value (None: it has none)."""
    name, namespace = target.profile.ray.cluster, target.profile.ray.namespace
    bodies = [
        {"op": op, "path": f"{GROUPS}{path}", **({} if value is None else {"value": value})}
        for op, path, value in operations
    ]
    await target.api.patch(RAY_CLUSTERS, name, bodies, namespace)


async def workers(target: KubernetesTarget, group_name: str = "") -> list[Pod]:
    labels = f"ray.io/cluster={target.profile.ray.cluster},ray.io/node-type=worker"
    labels += f",ray.io/group={group_name}" if group_name else ""
    return await target.api.list(PODS, target.profile.ray.namespace, labels=labels)


async def _ready(target: KubernetesTarget, count: int) -> None:
    async def ready() -> bool:
        return len(await workers(target)) == len(await ready_workers(target)) == count

    await wait_until(ready, f"{count} ready workers", TIMEOUTS.ray_pods_up)


def second_group(replicas: int, **values: Any) -> Change:
    """A worker group beside the first one, with the same template, and so many workers more."""

    @asynccontextmanager
    async def change(target: KubernetesTarget) -> AsyncIterator[None]:
        before, count = await group(target), len(await ready_workers(target))
        sizes = {"replicas": replicas, "minReplicas": 0, "maxReplicas": max(replicas, 1), **values}
        await patch(target, ("add", "/-", {**before, "groupName": SECOND, **sizes}))
        try:
            await _ready(target, count + (0 if values.get("suspend") else replicas))
            yield
        finally:
            if not values.get("suspend"):  # KubeRay forgets the pods of a group that is gone
                await patch(target, ("replace", "/1/replicas", 0))
                await _ready(target, count)
            await patch(target, ("remove", "/1", None))

    return change


@asynccontextmanager
async def second_group_counts_with_the_first(target: KubernetesTarget) -> AsyncIterator[None]:
    """One worker in a second group, which the profile does not name: it has the workers of both in the first."""
    together = target.profile.ray.with_group(workers=len(await ready_workers(target)) + 1)
    with target.profiled({"ray.groups": together.groups}):  # with the images of this run, which no file names
        async with second_group(1)(target):
            yield


def group_asks_for_more_than_its_most(replicas: int) -> Change:
    """KubeRay keeps as many as maxReplicas allows: those that there are."""

    @asynccontextmanager
    async def change(target: KubernetesTarget) -> AsyncIterator[None]:
        before = await group(target)
        await patch(target, ("replace", "/0/minReplicas", 0), ("replace", "/0/replicas", replicas))
        try:
            yield
        finally:
            await patch(
                target,
                ("replace", "/0/replicas", before["replicas"]),
                ("replace", "/0/minReplicas", before["minReplicas"]),
            )

    return change


def workers_have_the_template(changed: Callable[[Document], Document]) -> Change:
    """The first worker group with another template; what runs stays as it is."""

    @asynccontextmanager
    async def change(target: KubernetesTarget) -> AsyncIterator[None]:
        before = (await group(target))["template"]
        await patch(target, ("replace", "/0/template", changed(before)))
        try:
            yield
        finally:
            await patch(target, ("replace", "/0/template", before))

    return change


async def desired_cpus(target: KubernetesTarget) -> float:
    """What the RayCluster's status says that its pods ask for."""
    name, namespace = target.profile.ray.cluster, target.profile.ray.namespace
    return (await target.api.get(RAY_CLUSTERS, name, namespace)).status.desiredCPU or 0.0


def workers_ask_for(cpus: int) -> Change:
    """The first worker group's template asks for so many CPUs for each pod; what runs stays as it is.

    KubeRay writes its status only where one of a few numbers in it differs, the resources not among them: so
    maxReplicas changes, too. Source: InconsistentRayClusterStatus in
    https://github.com/ray-project/kuberay/blob/master/ray-operator/controllers/ray/utils/consistency.go
    """

    def asking(template: Document) -> Document:
        first, *others = template["spec"]["containers"]
        requests = {**first["resources"].get("requests", {}), "cpu": str(cpus)}
        container = {**first, "resources": {**first["resources"], "requests": requests}}
        return {**template, "spec": {**template["spec"], "containers": [container, *others]}}

    @asynccontextmanager
    async def change(target: KubernetesTarget) -> AsyncIterator[None]:
        before, asked = await group(target), await desired_cpus(target)

        async def summed_up() -> bool:
            return bool(await desired_cpus(target) >= cpus * before["replicas"])

        async def as_before() -> bool:
            return await desired_cpus(target) == asked

        most = before["maxReplicas"]
        template = asking(before["template"])
        await patch(target, ("replace", "/0/template", template), ("replace", "/0/maxReplicas", most + 1))
        try:
            await wait_until(summed_up, "KubeRay to sum up what the pods ask for", TIMEOUTS.ray_pods_up)
            yield
        finally:
            await patch(target, ("replace", "/0/template", before["template"]), ("replace", "/0/maxReplicas", most))
            await wait_until(as_before, "KubeRay to sum up what the pods asked for", TIMEOUTS.ray_pods_up)

    return change


def placed(template: Document) -> Document:
    """A template that says on which nodes, with which account and priority, and that no image is ever pulled."""
    spec = template["spec"]
    system = {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [system]}]}
    alone = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"ray.io/node-type": "worker"}}}
    containers = [{**container, "imagePullPolicy": "Never"} for container in spec["containers"]]
    return {
        **template,
        "spec": {
            **spec,
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required},
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [alone]},
            },
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "serviceAccountName": ACCOUNT,
            "imagePullSecrets": [{"name": "registry"}],
            "priorityClassName": PRIORITY,
            "containers": containers,
        },
    }


def workers_are_placed() -> Change:
    def account(profile: Profile) -> Document:
        metadata = {"name": ACCOUNT, "namespace": profile.ray.namespace}
        return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}

    return together(
        new_object(PRIORITIES, priority_class), new_object(SERVICE_ACCOUNTS, account), workers_have_the_template(placed)
    )


def _never_ready(template: Document) -> Document:
    """The first container starts as it did, and is never ready after it."""
    first, *others = template["spec"]["containers"]
    container = {**first, "startupProbe": {**first["readinessProbe"], "failureThreshold": 200}}
    return {
        **template,
        "spec": {**template["spec"], "containers": [{**container, "readinessProbe": NEVER_READY}, *others]},
    }


@asynccontextmanager
async def one_worker_is_never_ready(target: KubernetesTarget) -> AsyncIterator[None]:
    """A worker is replaced by one that Ray counts and whose readiness probe fails."""
    count, old = len(await ready_workers(target)), (await ready_workers(target))[-1]
    namespace = target.profile.ray.namespace

    async def unready() -> list[Pod]:
        pods = [pod for pod in await workers(target) if not (pod.is_leaving or pod.status.is_ready)]
        return [pod for pod in pods if container_status(pod, pod.spec.containers[0].name).started]

    async def replaced() -> bool:
        return len(await workers(target)) == count and len(await unready()) == 1

    try:
        async with workers_have_the_template(_never_ready)(target):
            await target.api.delete(PODS, old, namespace, grace_s=1)
            await wait_until(replaced, "a worker that is never ready", TIMEOUTS.ray_pods_up)
        yield
    finally:
        for pod in await workers(target):
            if not pod.status.is_ready:
                await target.api.delete(PODS, pod.metadata.name, namespace, grace_s=1)
        await _ready(target, count)
