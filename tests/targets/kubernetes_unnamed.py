"""Parts of a fleet that no name of a workload leads to: one that is a URL, and pods that are known by their labels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fixtures.clusters.base import Component
from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, PODS
from fixtures.clusters.kubernetes.lookup import selector_of
from fixtures.clusters.kubernetes.service_endpoints import PortForwards
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile.addresses import from_pods
from tests.targets.kubernetes_injectors import without
from tests.targets.kubernetes_objects import REPLICA_SETS, made, orchestrator, pods_of
from tests.targets.kubernetes_target import KubernetesTarget

BARE_POD = "vllm-by-hand"
KEPT_BY, SET = "fleet-conformance/kept-by", "orchestrator-by-hand"  # a label of its pods; a ReplicaSet's name


@asynccontextmanager
async def vllm_is_a_url(target: KubernetesTarget) -> AsyncIterator[None]:
    """The profile has an address of vLLM, which this machine reaches through a port-forward, and no name of it."""
    vllm, forwards = target.profile.vllm, PortForwards(target.api)
    try:
        way = await forwards.service_address(vllm.service, vllm.namespace, vllm.port, Component.VLLM)
        inside = from_pods(target.profile).vllm.url
        values = {"url": f"http://{way}", "url_inside": inside, "workload": "", "service": ""}
        with target.profiled({f"vllm.{key}": value for key, value in values.items()}):
            yield
    finally:
        await forwards.close()


@asynccontextmanager
async def vllm_is_a_bare_pod(target: KubernetesTarget) -> AsyncIterator[None]:
    """A pod that no controller keeps, in the place of the Deployment's."""
    vllm = target.profile.vllm
    workload = await target.api.get(DEPLOYMENTS, vllm.workload, vllm.namespace)
    template = workload.raw["spec"]["template"]
    metadata = {"name": BARE_POD, "namespace": vllm.namespace, "labels": template["metadata"]["labels"]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}

    async def ready() -> bool:
        return (await target.api.get(PODS, BARE_POD, vllm.namespace)).status.is_ready

    async def alone() -> bool:
        return len(await pods_of(target, workload)) == 1

    async with made(target, PODS, body):
        await wait_until(ready, f"pod {BARE_POD}", TIMEOUTS.pods_up)
        async with without(target, vllm.workload, vllm.namespace):
            await wait_until(alone, f"the end of the pods of {vllm.workload}", TIMEOUTS.pod_gone)
            yield


@asynccontextmanager
async def orchestrator_is_a_replica_set(target: KubernetesTarget) -> AsyncIterator[None]:
    """A ReplicaSet that no Deployment owns. It lacks the labels by which the fleet's Deployment would adopt it."""
    workload, namespace = await orchestrator(target), target.profile.orchestrator.namespace
    template, mark = workload.raw["spec"]["template"], {KEPT_BY: SET}
    labels = {**template["metadata"]["labels"], **mark}
    body = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": SET, "namespace": namespace, "labels": mark},
        "spec": {
            "replicas": workload.spec.replicas,
            "selector": {"matchLabels": {**workload.pod_labels, **mark}},
            "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
        },
    }

    async def ready(others: int) -> bool:
        """Whether all of its own are, and as many others are there."""
        pods = await pods_of(target, workload)
        own = [pod for pod in pods if pod.metadata.labels.get(KEPT_BY) == SET and pod.status.is_ready]
        return len(own) == workload.spec.replicas and len(pods) == len(own) + others

    async def up() -> bool:
        return await ready(workload.spec.replicas)

    async def alone() -> bool:
        return await ready(0)

    async def gone() -> bool:
        return not await target.api.list(PODS, namespace, labels=selector_of(mark))

    async with made(target, REPLICA_SETS, body):
        await wait_until(up, f"the pods of ReplicaSet {SET}", TIMEOUTS.pods_up)
        async with without(target, workload.metadata.name, namespace):
            await wait_until(alone, f"the end of the pods of {workload.metadata.name}", TIMEOUTS.pod_gone)
            yield
    await wait_until(gone, f"the end of the pods of ReplicaSet {SET}", TIMEOUTS.pods_up)
