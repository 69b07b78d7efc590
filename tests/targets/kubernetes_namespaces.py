"""NATS and vLLM in namespaces of their own: copies of what the fleet has, which itself has no pods meanwhile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import httpx

from fixtures.clusters.kind.readiness import replicas_missing
from fixtures.clusters.kubernetes.client.api import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    SERVICES,
    STATEFULSETS,
    AnyResource,
)
from fixtures.clusters.kubernetes.client.schemas import ReplicatedWorkload
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.clusters.kubernetes.service_endpoints import PortForwards
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile.addresses import dns, from_pods
from fixtures.profile.model import Profile
from tests.targets.kubernetes_injectors import without
from tests.targets.kubernetes_objects import made, pods_of, rolled_out
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.kubernetes_variables import orchestrator_leads_to
from tests.targets.target import Change, together

MESSAGING, MODELS = "messaging", "models"  # namespaces of NATS and of vLLM
MONITOR = 8222  # the port of NATS' own pages
#: Of a service's specification what is not given to it where it is made.
SERVICE_KEYS = ("selector", "ports", "publishNotReadyAddresses")


def moved(document: Document, namespace: str, hosts: Mapping[str, str]) -> Document:
    """An object as it is made in another namespace; `hosts`: names of services in its texts, and what they become."""
    metadata = document["metadata"]
    body = {key: document[key] for key in ("apiVersion", "kind", "spec", "data") if key in document}
    if document["kind"] == "Service":
        spec = document["spec"]
        headless = {"clusterIP": "None"} if spec.get("clusterIP") == "None" else {}
        body["spec"] = {**{key: spec[key] for key in SERVICE_KEYS if key in spec}, **headless}
    text = json.dumps(body)
    for old, new in hosts.items():
        text = text.replace(old, new)
    named = {"name": metadata["name"], "namespace": namespace, "labels": metadata.get("labels", {})}
    copied: Document = {**json.loads(text), "metadata": named}
    return copied


def copies_in(namespace: str, component: str, *objects: tuple[AnyResource, str]) -> Change:
    """Copies of the component's objects, by resource and name, in a namespace of that name; all pods are ready."""

    @asynccontextmanager
    async def change(target: KubernetesTarget) -> AsyncIterator[None]:
        own = getattr(target.profile, component)
        hosts = {dns(own.service, own.namespace): dns(own.service, namespace)}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}

        async def ready() -> bool:
            there = [await target.api.get(resource, name, namespace) for resource, name in objects]
            return not any(replicas_missing(copy) for copy in there if isinstance(copy, ReplicatedWorkload))

        originals = [(resource, await target.api.get(resource, name, own.namespace)) for resource, name in objects]
        async with made(target, NAMESPACES, body):
            for resource, original in originals:
                await target.api.create(resource, moved(original.raw, namespace, hosts), namespace)
            await wait_until(ready, f"the workloads in namespace {namespace}", TIMEOUTS.pods_up)
            yield

    return change


@asynccontextmanager
async def vllm_is_elsewhere(target: KubernetesTarget) -> AsyncIterator[None]:
    """vLLM with the fault proxy before it, in a namespace of theirs."""
    vllm = target.profile.vllm
    objects = ((SERVICES, vllm.service), (DEPLOYMENTS, vllm.workload))
    proxy = ((SERVICES, vllm.fault_proxy), (DEPLOYMENTS, vllm.fault_proxy))
    async with copies_in(MODELS, "vllm", *objects, *proxy)(target):
        yield


@asynccontextmanager
async def nats_is_elsewhere(target: KubernetesTarget) -> AsyncIterator[None]:
    """NATS with a volume of its own, whose streams the orchestrator makes."""
    name = target.profile.nats.service
    services = ((SERVICES, name), (SERVICES, f"{name}-headless"))
    async with copies_in(MESSAGING, "nats", (CONFIG_MAPS, name), *services, (STATEFULSETS, name))(target):
        yield


@asynccontextmanager
async def _originals_are_down(target: KubernetesTarget) -> AsyncIterator[None]:
    """vLLM, the fault proxy and NATS as they were have no pods: who asks them gets no answer."""
    vllm, nats = target.profile.vllm, target.profile.nats

    async def scale(replicas: int) -> None:
        await target.api.patch(STATEFULSETS, nats.service, {"spec": {"replicas": replicas}}, nats.namespace)

    async def gone() -> bool:
        return not await pods_of(target, workload)

    workload = await target.api.get(STATEFULSETS, nats.service, nats.namespace)
    async with without(target, vllm.fault_proxy, vllm.namespace), without(target, vllm.workload, vllm.namespace):
        try:
            await scale(0)
            await wait_until(gone, f"the end of the pods of {nats.service}", TIMEOUTS.pod_gone)
            yield
        finally:
            await scale(workload.spec.replicas)
            await rolled_out(target, STATEFULSETS, nats.service)


@asynccontextmanager
async def _consumers_are_there(target: KubernetesTarget) -> AsyncIterator[None]:
    """The orchestrator has made its streams and consumers in the NATS that it was led to.

    Source: https://docs.nats.io/running-a-nats-service/nats_admin/monitoring#jetstream-information
    """
    nats, forwards = target.profile.nats, PortForwards(target.api)
    try:
        way = await forwards.service_address(f"{nats.service}-headless", MESSAGING, MONITOR)
        async with httpx.AsyncClient(trust_env=False) as client:

            async def made_all() -> bool:
                with suppress(httpx.HTTPError):  # its service does not lead to the new pod yet
                    answer = await client.get(f"http://{way}/jsz")
                    return bool(answer.json()["consumers"] >= len(nats.consumers.names))
                return False

            await wait_until(made_all, f"the consumers in namespace {MESSAGING}", TIMEOUTS.pods_up)
    finally:
        await forwards.close()
    yield


def ways_to(profile: Profile) -> dict[str, str]:
    """The orchestrator's variables where NATS and vLLM are in namespaces of their own."""
    elsewhere = profile.replaced("vllm", namespace=MODELS).replaced("nats", namespace=MESSAGING)
    seen, variables = from_pods(elsewhere), profile.orchestrator.variables
    return {variables.vllm_url: (seen.fault_proxy or seen.vllm).url, variables.nats_url: seen.nats_urls}


def parts_have_namespaces() -> Change:
    """NATS and vLLM in a namespace each; where they were nothing answers."""
    copies = together(vllm_is_elsewhere, nats_is_elsewhere)
    return together(copies, orchestrator_leads_to(ways_to), _consumers_are_there, _originals_are_down)
