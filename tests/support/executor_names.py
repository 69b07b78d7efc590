"""An executor in Kubernetes as it is looked up, and what a replica of the orchestrator finds at its variable."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any

from fixtures.clusters.base import Component
from fixtures.clusters.kubernetes import service_names
from fixtures.core.errors import NonConformance
from fixtures.probes.replicas import ReplicaReport
from fixtures.profile.model import load
from tests.support.profiles import with_executor

PROFILE = with_executor(load("swe-ai-fleet"))
OWN = ("ray-executor", "swe-ai-fleet", 50056)
#: service, namespace, port → the ready pods behind it, and their port
SERVING = {
    OWN: [("ray-executor-a", 50056), ("ray-executor-b", 50056)],
    ("ray-executor", "swe-ai-fleet", 9090): [("ray-executor-a", 9090), ("ray-executor-b", 9090)],
    ("executor-alias", "swe-ai-fleet", 80): [("ray-executor-a", 50056)],
    ("ray-executor", "staging", 50056): [("ray-executor-x", 50056)],
    ("mixed", "swe-ai-fleet", 80): [("ray-executor-a", 50056), ("other-1", 50056)],
}
PODS = {"ray-executor-a": "10.0.0.7", "ray-executor-b": "10.0.0.8"}
#: host → its addresses, as the replica's resolver has them
NAMES = {
    "ray-executor": "10.96.0.4",
    "ray-executor.swe-ai-fleet.svc": "10.96.0.4",
    "ray-executor.swe-ai-fleet.svc.cluster.local": "10.96.0.4",
    "10.96.0.4": "10.96.0.4",
    "executor-alias": "10.96.0.9",
    "ray-executor.staging": "10.96.7.7",
    "mixed": "10.96.0.11",
    "10.0.0.8": "10.0.0.8",
    "gateway.example": "192.0.2.1",
}


class Fleet:
    """The cluster, with its services and the executor's pods."""

    profile = PROFILE

    @property
    def api(self) -> Any:
        return self

    async def ready_endpoints(self, service: str, namespace: str, port: int) -> list[tuple[str, int]]:
        if (service, namespace, port) not in SERVING:
            raise NonConformance(f"there is no service {service} in namespace {namespace}")
        return SERVING[service, namespace, port]

    async def workload(self, _component: Component) -> Any:
        return SimpleNamespace(replicas=[SimpleNamespace(name=name, address=at) for name, at in PODS.items()])

    def service(self, _component: Component) -> tuple[str, str, int]:
        return OWN

    def namespace(self, _component: Component) -> str:
        return "swe-ai-fleet"

    async def is_led_to(self, component: Component, host: str, port: int, resolved: Collection[str]) -> bool | None:
        fleet: Any = self
        return await service_names.leads_to(fleet, fleet, component, host, port, resolved)


def resolved() -> dict[str, Mapping[str, Any]]:
    return {host: {"ok": True, "error": "", "addresses": [address]} for host, address in NAMES.items()}


def report(value: str | None, error: str = "", name: str = "orchestrator-1") -> ReplicaReport:
    """Of a replica whose variable has this value (None: it is not set), and whose connection there ended so."""
    environment = {} if value is None else {"EXECUTOR_ADDRESS": value}
    asked = {"executor": {"ok": not error, "error": error, "ms": 1.0}} if value else {}
    document = {"tcp": asked, "resolve": resolved()}
    return ReplicaReport(name, environment, document, variables=PROFILE.orchestrator.variables)
