"""Ways to break a fleet in Kubernetes, each healed in the end: put back, and waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, ENDPOINT_SLICES, PODS, RAY_CLUSTERS, SERVICES
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.clusters.kubernetes.lookup import selector_of
from fixtures.clusters.kubernetes.workloads import DEFAULT_CONTAINER
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from tests.targets.kubernetes_objects import helper, orchestrator_is
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.target import Change

SYSTEM, DNS = "kube-system", "coredns"
OPERATOR_SPACE, OPERATOR = "kuberay-system", "kuberay-operator"
SIDE_CAR, MAIN = "proxy", "app"  # containers of the orchestrator with a side-car


async def scaled_to(target: KubernetesTarget, name: str, namespace: str, replicas: int) -> None:
    """Change a Deployment's size and wait until it has it."""
    await target.api.patch(DEPLOYMENTS, name, {"spec": {"replicas": replicas}}, namespace)

    async def there() -> bool:
        status = (await target.api.get(DEPLOYMENTS, name, namespace)).status
        return status.replicas == status.readyReplicas == replicas

    await wait_until(there, f"{replicas} replicas of {name}", TIMEOUTS.pods_up)


@asynccontextmanager
async def without(target: KubernetesTarget, name: str, namespace: str) -> AsyncIterator[None]:
    """A Deployment at zero."""
    before = (await target.api.get(DEPLOYMENTS, name, namespace)).spec.replicas
    await scaled_to(target, name, namespace, 0)
    try:
        yield
    finally:
        await scaled_to(target, name, namespace, before)


def dns_down() -> Change:
    return lambda target: without(target, DNS, SYSTEM)


@asynccontextmanager
async def _selector_of_nobody(target: KubernetesTarget) -> AsyncIterator[None]:
    name, namespace = target.profile.vllm.service, target.profile.kubernetes.namespace
    before = (await target.api.get(SERVICES, name, namespace)).pod_labels

    async def leads_to(expected: bool) -> None:
        async def seen() -> bool:
            slices = await target.api.list(ENDPOINT_SLICES, namespace, labels=f"kubernetes.io/service-name={name}")
            return expected == any(one.endpoints for one in slices)

        await wait_until(seen, f"endpoints of {name}: {expected}", TIMEOUTS.pods_up)

    await target.api.patch(SERVICES, name, {"spec": {"selector": {"nobody": "has-this"}}}, namespace)
    try:
        await leads_to(False)
        yield
    finally:
        await target.api.patch(SERVICES, name, {"spec": {"selector": {**before, "nobody": None}}}, namespace)
        await leads_to(True)


def vllm_service_selects_nobody() -> Change:
    return _selector_of_nobody


@asynccontextmanager
async def _worker_image(target: KubernetesTarget, image: str) -> AsyncIterator[None]:
    name, namespace = target.profile.ray.cluster, target.profile.ray.namespace
    path = "/spec/workerGroupSpecs/0/template/spec/containers/0/image"

    async def put(value: str) -> None:
        await target.api.patch(RAY_CLUSTERS, name, [{"op": "replace", "path": path, "value": value}], namespace)

    await put(image)
    try:
        yield
    finally:
        await put(target.profile.ray.head_image)


def workers_name_the_stock_image() -> Change:
    """The specification alone: KubeRay restarts nothing for it."""
    return lambda target: _worker_image(target, target.stock_image)


def workers_name_a_floating_image() -> Change:
    return lambda target: _worker_image(target, target.profile.ray.head_image.partition(":")[0] + ":latest")


async def ready_workers(target: KubernetesTarget) -> list[str]:
    """The names of Ray's worker pods that are ready."""
    labels = f"ray.io/cluster={target.profile.ray.cluster},ray.io/node-type=worker"
    pods = await target.api.list(PODS, target.profile.ray.namespace, labels=labels)
    return sorted(pod.metadata.name for pod in pods if pod.status.is_ready)


@asynccontextmanager
async def _worker_gone(target: KubernetesTarget) -> AsyncIterator[None]:
    namespace = target.profile.ray.namespace
    async with without(target, OPERATOR, OPERATOR_SPACE):
        before = await ready_workers(target)
        await target.api.delete(PODS, before[-1], namespace, grace_s=1)

        async def gone() -> bool:
            return before[-1] not in await ready_workers(target)

        await wait_until(gone, f"the end of {before[-1]}", TIMEOUTS.pod_gone)
        yield
    await _workers_back(target, len(before))


async def _workers_back(target: KubernetesTarget, count: int) -> None:
    async def back() -> bool:
        return len(await ready_workers(target)) == count

    await wait_until(back, f"{count} ready workers", TIMEOUTS.ray_pods_up)


def worker_gone() -> Change:
    """KubeRay is not there to make another."""
    return _worker_gone


@asynccontextmanager
async def _group_is(target: KubernetesTarget, **values: int) -> AsyncIterator[None]:
    name, namespace = target.profile.ray.cluster, target.profile.ray.namespace
    group = (await target.api.get(RAY_CLUSTERS, name, namespace)).raw["spec"]["workerGroupSpecs"][0]
    before, count = {key: group[key] for key in values}, len(await ready_workers(target))

    async def put(sizes: dict[str, int]) -> None:
        path = "/spec/workerGroupSpecs/0"
        operations = [{"op": "replace", "path": f"{path}/{key}", "value": value} for key, value in sizes.items()]
        await target.api.patch(RAY_CLUSTERS, name, operations, namespace)

    try:
        await put(values)
        yield
    finally:
        await put(before)
        await _workers_back(target, count)


def group_names_least_alone() -> Change:
    """KubeRay keeps as many workers as before, and restarts none."""
    return lambda target: _group_is(target, replicas=0, minReplicas=target.profile.ray.workers)


@asynccontextmanager
async def _vllm_at_zero(target: KubernetesTarget) -> AsyncIterator[None]:
    name, namespace = target.profile.vllm.workload, target.profile.kubernetes.namespace
    labels = selector_of((await target.api.get(DEPLOYMENTS, name, namespace)).pod_labels)

    async def gone() -> bool:
        return not await target.api.list(PODS, namespace, labels=labels)

    async with without(target, name, namespace):
        await wait_until(gone, f"the end of {name}'s pods", TIMEOUTS.pod_gone)
        yield


def vllm_at_zero() -> Change:
    return _vllm_at_zero


def with_side_car_first(template: Document) -> Document:
    """A pod template whose only container has another name, and stands behind one that waits, of the same image."""
    (main,) = template["spec"]["containers"]
    side_car = helper(main, SIDE_CAR)
    annotations = {**template["metadata"].get("annotations", {}), DEFAULT_CONTAINER: MAIN}
    return {
        **template,
        "metadata": {**template["metadata"], "annotations": annotations},
        "spec": {**template["spec"], "containers": [side_car, {**main, "name": MAIN}]},
    }


def orchestrator_has_a_side_car_first() -> Change:
    return orchestrator_is(with_side_car_first)
