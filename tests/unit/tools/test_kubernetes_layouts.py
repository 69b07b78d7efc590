"""Layouts of fleets in Kubernetes, made of the manifests of `--cluster kind` in memory: each is there while it is held,
and undone after it."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.clusters.kind import manifests, plan
from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, RAY_CLUSTERS
from fixtures.profile.model import load
from tests.support.kubernetes_memory import MemoryCluster
from tests.support.reference_stack import free_port
from tests.targets import kubernetes_namespaces
from tests.targets.kubernetes_namespaces import MODELS, moved
from tests.targets.kubernetes_ray_service import STAND_IN, ray_service
from tests.variants.catalogue.kubernetes import layouts, ray, ray_services
from tests.variants.model import Variant

PROFILE = load("kind")
SOURCES = '[images]\nnode = "node:1"\nray = "ray:1"\npython = "python:1"\nnats = "nats:1"\nkuberay = "kuberay:1"\n'
BY_NAME = {variant.name: variant for variant in (*layouts.VARIANTS, *ray.VARIANTS, *ray_services.VARIANTS)}
TRIED = (
    "nats-and-vllm-have-namespaces",
    "vllm-is-a-bare-pod",
    "orchestrator-is-a-replicaset",
    "a-group-of-another-image-runs-no-agents",
    "the-newest-raycluster-is-suspended",
    "ray-is-a-rayservice",
    "rayservice-was-upgraded",
)


class Target:
    """What changes need of a target, with a fleet in memory."""

    stock_image = "fleet/ray-stock:2.49.2"

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.profile, self.api = PROFILE, MemoryCluster(documents)
        self.session_values: Mapping[str, object] = {}

    @contextmanager
    def profiled(self, values: Mapping[str, object]) -> Iterator[None]:
        self.session_values, before = {**self.session_values, **values}, self.session_values
        try:
            yield
        finally:
            self.session_values = before


@pytest.fixture
def target(tmp_path: Path) -> Target:
    (tmp_path / "sources.toml").write_text(SOURCES)
    options = plan.KindOptions(profile=PROFILE, kind_sources=str(tmp_path / "sources.toml"))
    return Target(manifests.documents(plan.resolved(options), "t0ken"))


@pytest.fixture(autouse=True)
def _nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services in memory lead to no NATS."""

    @asynccontextmanager
    async def nothing(_target: Any) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(kubernetes_namespaces, "_consumers_are_there", nothing)


def without_status(target: Target) -> dict[Any, Any]:
    return {
        key: {name: value for name, value in row.items() if name != "status"}
        for key, row in copy.deepcopy(target.api.objects).items()
    }


@pytest.mark.parametrize("name", TRIED)
async def test_it_is_there_while_it_is_held_and_is_undone(target: Target, name: str) -> None:
    variant: Variant = BY_NAME[name]
    apply = kubernetes_namespaces.parts_have_namespaces() if name.startswith("nats") else variant.apply
    before = without_status(target)
    assert not await variant.is_present(target)
    with pytest.raises(ValueError, match="a check"):
        async with apply(target):
            assert await variant.is_present(target)
            raise ValueError("a check")
    assert not await variant.is_present(target)
    assert without_status(target) == before
    assert not target.session_values


async def test_the_orchestrator_is_led_to_the_namespaces_and_to_the_service_of_ray(target: Target) -> None:
    async def variables() -> dict[str, str]:
        workload = await target.api.get(DEPLOYMENTS, "orchestrator", "swe-ai-fleet")
        return {row["name"]: row["value"] for row in workload.raw["spec"]["template"]["spec"]["containers"][0]["env"]}

    async with kubernetes_namespaces.parts_have_namespaces()(target):
        seen = await variables()
        proxy = await target.api.get(DEPLOYMENTS, "fault-proxy", MODELS)
    assert seen["NATS_URL"] == "nats://nats.messaging.svc:4222"
    assert seen["VLLM_URL"] == "http://fault-proxy.models.svc:8000"
    (container,) = proxy.raw["spec"]["template"]["spec"]["containers"]
    assert "http://vllm-server-service.models.svc:8000" in container["args"]
    async with BY_NAME["ray-is-a-rayservice"].apply(target):
        assert (await variables())["RAY_ADDRESS"] == "ray://agents-head-svc.ray.svc:10001"


async def test_a_ray_service_serves_a_ray_cluster_of_any_name(target: Target) -> None:
    spec = (await target.api.get(RAY_CLUSTERS, PROFILE.ray.cluster, PROFILE.ray.namespace)).raw["spec"]
    made = ray_service({**spec, "suspend": True}, PROFILE)["spec"]["rayClusterConfig"]
    assert "suspend" not in made and PROFILE.ray.head_service not in json.dumps(made)
    (waits,) = made["workerGroupSpecs"][0]["template"]["spec"]["initContainers"]
    assert "/dev/tcp/$FQ_RAY_IP/6379" in waits["command"][-1]
    main, stand_in = made["headGroupSpec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in main["ports"]}
    assert ports["ray-dashboard"] == PROFILE.ray.dashboard_port == main["readinessProbe"]["httpGet"]["port"]
    assert len(set(ports.values())) == len(main["ports"]) == 5 and all(len(name) <= 15 for name in ports)
    assert stand_in["command"][-2:] == [str(ports["dashboard"]), str(ports["serve"])]


def test_the_stand_in_answers_what_kuberay_asks_of_serve() -> None:
    ports = [str(free_port()), str(free_port())]
    with subprocess.Popen([sys.executable, "-c", STAND_IN, *ports]) as process:
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as client:
                applications = f"http://127.0.0.1:{ports[0]}/api/serve/applications/"
                listed = client.get(applications, params={"api_type": "declarative"}).json()
                submitted = client.put(applications, json={"applications": []})
                healthy = client.get(f"http://127.0.0.1:{ports[1]}/-/healthz")
        finally:
            process.terminate()
        assert process.wait(10) == 0
    assert [row["status"] for row in listed["applications"].values()] == ["RUNNING"]
    assert (submitted.status_code, healthy.status_code, healthy.text) == (200, 200, "success")


def test_a_service_is_given_another_address_where_it_is_made_and_stays_headless() -> None:
    spec = {"clusterIP": "10.1.2.3", "clusterIPs": ["10.1.2.3"], "selector": {"app": "a"}, "ports": [{"port": 1}]}
    metadata = {"name": "a", "namespace": "old", "uid": "u", "resourceVersion": "7", "labels": {"app": "a"}}
    document = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    copied = moved(document, "new", {})
    assert copied["metadata"] == {"name": "a", "namespace": "new", "labels": {"app": "a"}}
    assert copied["spec"] == {"selector": {"app": "a"}, "ports": [{"port": 1}]}
    assert moved({**document, "spec": {**spec, "clusterIP": "None"}}, "new", {})["spec"]["clusterIP"] == "None"
