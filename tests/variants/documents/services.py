"""Where the services of a fleet lead, and who keeps the pods behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import pytest

from fixtures.clusters.base import Component, Unsupported, Workload
from fixtures.clusters.kubernetes.client.api import ENDPOINT_SLICES, PODS, SERVICES, AnyResource
from fixtures.clusters.kubernetes.client.errors import NotFound
from fixtures.clusters.kubernetes.client.schemas import KubernetesObject
from fixtures.clusters.kubernetes.lookup import FleetLookup
from fixtures.clusters.kubernetes.service_endpoints import PortForwards
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.profile.addresses import from_pods
from fixtures.profile.model import Profile, load
from fixtures.services.vllm import same_address
from tests.variants.model import Document

T = TypeVar("T")
LABELS = {"app": "vllm"}


class Kubernetes:
    """Answers from a table; what is not in it is absent."""

    inside = False

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[AnyResource, Any] = {
            {"services": SERVICES, "slices": ENDPOINT_SLICES, "pods": PODS}[kind]: answer
            for kind, answer in answers.items()
        }

    async def get(self, resource: AnyResource, name: str, namespace: str) -> KubernetesObject:
        if resource not in self.answers:
            raise NotFound(f"{resource.name} {name}")
        return resource.model.of({"metadata": {"name": name, "namespace": namespace}, **self.answers[resource]})

    async def list(self, resource: AnyResource, _namespace: str, *, labels: str = "") -> list[KubernetesObject]:
        assert labels
        return [resource.model.of(document) for document in self.answers.get(resource, [])]


def asked(question: Awaitable[T]) -> T:
    async def answer() -> T:
        return await question

    return asyncio.run(answer())


def ready_pods(api: Any) -> list[tuple[str, int]]:
    return asked(PortForwards(api).ready_endpoints("nats", "messaging", 4222))


def services_have_no_selector() -> None:
    """Somebody made an EndpointSlice by hand: NATS runs outside of the cluster."""
    service = {"spec": {"ports": [{"port": 4222, "name": "client"}]}}
    ports = [{"name": "client", "port": 4222}]
    by_hand = {"ports": ports, "endpoints": [{"addresses": ["10.9.8.7"]}, {"addresses": ["10.9.8.6"]}]}
    with pytest.raises(
        Inconclusive, match=r"has addresses but no pods \(10.9.8.6, 10.9.8.7\): .* name its url in the profile"
    ):
        ready_pods(Kubernetes(services=service, slices=[by_hand]))
    pod = {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "nats-0"}}
    assert ready_pods(Kubernetes(services=service, slices=[{"ports": ports, "endpoints": [pod]}])) == [("nats-0", 4222)]
    for slices in ([], [{"ports": ports, "endpoints": [{**pod, "conditions": {"ready": False}}]}]):
        assert ready_pods(Kubernetes(services=service, slices=slices)) == [], "this is a failure"


def services_are_external_names() -> None:
    """A hosted model server: the service is another name for its host, and has neither ports nor pods."""
    api: Any = Kubernetes(services={"spec": {"type": "ExternalName", "externalName": "llm.example.com"}})
    words = r"is a name for llm.example.com and has no pods: .* name its url in the profile"
    with pytest.raises(Inconclusive, match=words):
        ready_pods(api)
    with pytest.raises(Inconclusive, match=words):
        asked(FleetLookup(api, load("swe-ai-fleet")).workload(Component.VLLM))


def pod_of(kind: str, owner: str, name: str) -> dict[str, Any]:
    owners = [{"kind": kind, "name": owner}]
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": LABELS, "ownerReferences": owners},
        "spec": {"containers": [{"name": "main", "image": "vllm:1"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def lookup(*pods: dict[str, Any]) -> FleetLookup:
    service = {"spec": {"selector": LABELS, "ports": [{"port": 8000}]}}
    api: Any = Kubernetes(services=service, pods=list(pods))
    return FleetLookup(api, load("swe-ai-fleet"))


def workloads_are_of_other_kinds() -> None:
    """A LeaderWorkerSet, a CloneSet, or an Argo Rollout, which owns ReplicaSets of its name as a Deployment does."""
    for component, name in ((Component.VLLM, "vllm-server"), (Component.ORCHESTRATOR, "orchestrator")):
        for kind, owner in (("LeaderWorkerSet", "anything"), ("CloneSet", name), ("ReplicaSet", f"{name}-7d9c")):
            fleet = lookup(pod_of(kind, owner, f"{name}-1"), pod_of(kind, owner, f"{name}-2"))
            workload: Workload = asked(fleet.workload(component))
            assert (workload.desired, len(workload.ready), workload.not_ready) == (2, 2, ""), kind
            with pytest.raises(Unsupported, match="what keeps its pods is not known"):
                asked(fleet.kind_of(workload.name, "ns"))
        with pytest.raises(NonConformance, match=f"or DaemonSet {name} in .* leads to pods of other: name that"):
            asked(lookup(pod_of("ReplicaSet", "other-7d9c", "other-1")).workload(component))
        with pytest.raises(
            NonConformance, match=f"there is no Deployment, StatefulSet or DaemonSet {name} in namespace"
        ):
            asked(lookup().workload(component))


def cluster_domains_differ() -> None:
    """No name of a service has the cluster's domain in it, and one that has is the same address."""
    profile: Profile = load("swe-ai-fleet")
    seen = from_pods(profile)
    addresses = [seen.vllm, *seen.nats, seen.dashboard, *seen.orchestrators, *filter(None, [seen.ray_client])]
    assert all(address.host.endswith(".svc") for address in addresses)
    short = "http://vllm-server-service:8000"
    for url in (short, f"{seen.vllm.url}", seen.vllm.url.replace(".svc", ".svc.fleet.test")):
        assert same_address(url, seen.vllm.url), url
    assert not same_address(seen.vllm.url.replace(".svc", "-2.svc"), seen.vllm.url)


DOCUMENTS = (
    Document(
        name="services-have-no-selector",
        description="NATS runs outside of the cluster, and a service with addresses made by hand leads there",
        holds=services_have_no_selector,
        stretches=("INF-09", "INF-10", "INF-12"),
    ),
    Document(
        name="services-are-external-names",
        description="a hosted model server behind a service that is another name for its host",
        holds=services_are_external_names,
        stretches=("INF-01", "INF-02", "INF-03", "INF-04"),
    ),
    Document(
        name="workloads-are-of-other-kinds",
        description="an Argo Rollout or another operator's object keeps vLLM's or the orchestrator's pods",
        holds=workloads_are_of_other_kinds,
        stretches=("INF-01", "INF-02", "INF-11", "CFG-02", "ORC-11", "ORC-15"),
    ),
    Document(
        name="cluster-domains-differ",
        description="the DNS domain of the cluster is not cluster.local",
        holds=cluster_domains_differ,
        stretches=("NET-03", "NET-04", "NET-07", "CFG-02", "JOB-03", "JOB-04"),
    ),
)
