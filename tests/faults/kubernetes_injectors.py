"""Ways to break a fleet in Kubernetes, each healed in the end: put back, and waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, ENDPOINT_SLICES, PODS, RAY_CLUSTERS, SERVICES
from fixtures.clusters.kubernetes.workloads import is_ready, name_of
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from tests.faults.kubernetes_target import KubernetesLab
from tests.faults.model import Injection

SYSTEM, DNS = "kube-system", "coredns"
OPERATOR_SPACE, OPERATOR = "kuberay-system", "kuberay-operator"


async def scaled_to(lab: KubernetesLab, name: str, namespace: str, replicas: int) -> None:
    """Change a Deployment's size and wait until it has it."""
    await lab.api.patch(DEPLOYMENTS, name, {"spec": {"replicas": replicas}}, namespace)

    async def there() -> bool:
        status = (await lab.api.get(DEPLOYMENTS, name, namespace)).get("status", {})
        return (status.get("replicas", 0), status.get("readyReplicas", 0)) == (replicas, replicas)

    await wait_until(there, f"{replicas} replicas of {name}", TIMEOUTS.pods_up)


@asynccontextmanager
async def without(lab: KubernetesLab, name: str, namespace: str) -> AsyncIterator[None]:
    """A Deployment at zero."""
    before = (await lab.api.get(DEPLOYMENTS, name, namespace))["spec"]["replicas"]
    await scaled_to(lab, name, namespace, 0)
    try:
        yield
    finally:
        await scaled_to(lab, name, namespace, before)


def dns_down() -> Injection:
    return lambda lab: without(lab, DNS, SYSTEM)


@asynccontextmanager
async def _selector_of_nobody(lab: KubernetesLab) -> AsyncIterator[None]:
    name, namespace = lab.profile.vllm.service, lab.profile.kubernetes.namespace
    before = (await lab.api.get(SERVICES, name, namespace))["spec"]["selector"]

    async def leads_to(some: bool) -> None:
        async def seen() -> bool:
            slices = await lab.api.list(ENDPOINT_SLICES, namespace, labels=f"kubernetes.io/service-name={name}")
            return some == any(one.get("endpoints") for one in slices)

        await wait_until(seen, f"endpoints of {name}: {some}", TIMEOUTS.pods_up)

    await lab.api.patch(SERVICES, name, {"spec": {"selector": {"nobody": "has-this"}}}, namespace)
    try:
        await leads_to(False)
        yield
    finally:
        await lab.api.patch(SERVICES, name, {"spec": {"selector": {**before, "nobody": None}}}, namespace)
        await leads_to(True)


def vllm_service_selects_nobody() -> Injection:
    return _selector_of_nobody


@asynccontextmanager
async def _worker_image(lab: KubernetesLab, image: str) -> AsyncIterator[None]:
    name, namespace = lab.profile.ray.cluster, lab.profile.kubernetes.ray_namespace
    place = "/spec/workerGroupSpecs/0/template/spec/containers/0/image"

    async def put(value: str) -> None:
        await lab.api.patch(RAY_CLUSTERS, name, [{"op": "replace", "path": place, "value": value}], namespace)

    await put(image)
    try:
        yield
    finally:
        await put(lab.profile.ray.image)


def workers_name_the_stock_image() -> Injection:
    """The specification alone: KubeRay restarts nothing for it."""
    return lambda lab: _worker_image(lab, lab.stock_image)


def workers_name_a_floating_image() -> Injection:
    return lambda lab: _worker_image(lab, lab.profile.ray.image.partition(":")[0] + ":latest")


@asynccontextmanager
async def _worker_gone(lab: KubernetesLab) -> AsyncIterator[None]:
    namespace = lab.profile.kubernetes.ray_namespace
    labels = f"ray.io/cluster={lab.profile.ray.cluster},ray.io/node-type=worker"

    async def workers() -> list[str]:
        return sorted(name_of(pod) for pod in await lab.api.list(PODS, namespace, labels=labels) if is_ready(pod))

    async with without(lab, OPERATOR, OPERATOR_SPACE):
        before = await workers()
        await lab.api.delete(PODS, before[-1], namespace, grace_s=1)

        async def gone() -> bool:
            return before[-1] not in await workers()

        await wait_until(gone, f"the end of {before[-1]}", TIMEOUTS.pod_gone)
        yield

    async def back() -> bool:
        return len(await workers()) == len(before)

    await wait_until(back, "the worker's successor", TIMEOUTS.ray_pods_up)


def worker_gone() -> Injection:
    """KubeRay is not there to make another."""
    return _worker_gone
