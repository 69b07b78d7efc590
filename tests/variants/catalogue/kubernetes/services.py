"""Services that differ: in their type, their ports and in what their names stand for."""

from __future__ import annotations

from fixtures.clusters.kubernetes.client.api import SERVICES
from tests.targets.kubernetes_objects import exists
from tests.targets.kubernetes_services import (
    PEERS,
    nats_has_a_headless_service,
    orchestrators_service_is_headless,
    services_have_more_ports,
)
from tests.targets.kubernetes_target import KubernetesTarget
from tests.variants.catalogue.kubernetes.workloads import SERVES_ORCHESTRATOR, SERVES_VLLM
from tests.variants.model import Variant

SERVES_NATS = ("INF-09", "INF-10", "INF-12", "NET-04", "NET-05", "CFG-05")


async def services_are_node_ports(target: KubernetesTarget) -> bool:
    profile, namespace = target.profile, target.profile.kubernetes.namespace
    names = (profile.vllm.service, profile.nats.service, profile.orchestrator.service)
    specs = [(await target.api.get(SERVICES, name, namespace)).raw["spec"] for name in names]
    return all(spec["type"] == "NodePort" and len(spec["ports"]) == 3 for spec in specs)


async def peers_are_there(target: KubernetesTarget) -> bool:
    return await exists(target, SERVICES, PEERS, target.profile.kubernetes.namespace)


async def service_is_headless(target: KubernetesTarget) -> bool:
    name, namespace = target.profile.orchestrator.service, target.profile.kubernetes.namespace
    return bool((await target.api.get(SERVICES, name, namespace)).raw["spec"]["clusterIP"] == "None")


VARIANTS: tuple[Variant, ...] = (
    Variant(
        name="services-have-several-ports",
        description="services are reached through nodes, too; the port that is used is their last, by name or number",
        apply=services_have_more_ports(),
        is_present=services_are_node_ports,
        stretches=(*SERVES_VLLM, *SERVES_NATS, "INF-11", "NET-07", "ORC-01", "ORC-09"),
        where="kubernetes",
    ),
    Variant(
        name="nats-is-reached-by-a-headless-service",
        description="the name of NATS' service stands for the addresses of its pods; replicas use another service",
        apply=nats_has_a_headless_service(),
        is_present=peers_are_there,
        profile={"nats.service": PEERS},
        stretches=(*SERVES_NATS, "NET-07"),
        where="kubernetes",
    ),
    Variant(
        name="orchestrators-service-is-headless",
        description="clients of the orchestrator spread their calls over the addresses of its pods themselves",
        apply=orchestrators_service_is_headless,
        is_present=service_is_headless,
        stretches=tuple(dict.fromkeys((*SERVES_ORCHESTRATOR, "ORC-09"))),
        where="kubernetes",
    ),
)
