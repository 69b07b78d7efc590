"""Layouts of fleets in Kubernetes, made of the manifests of `--cluster kind` in memory: each is there while it is held,
and undone after it."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.kind import manifests, plan
from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS
from fixtures.profile.model import load
from tests.support.kubernetes_memory import MemoryCluster
from tests.targets import kubernetes_namespaces
from tests.targets.kubernetes_namespaces import MODELS, moved
from tests.variants.catalogue.kubernetes import layouts, ray
from tests.variants.model import Variant

PROFILE = load("kind")
SOURCES = '[images]\nnode = "node:1"\nray = "ray:1"\npython = "python:1"\nnats = "nats:1"\nkuberay = "kuberay:1"\n'
BY_NAME = {variant.name: variant for variant in (*layouts.VARIANTS, *ray.VARIANTS)}
TRIED = (
    "nats-and-vllm-have-namespaces",
    "vllm-is-a-bare-pod",
    "orchestrator-is-a-replicaset",
    "a-group-of-another-image-runs-no-agents",
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


async def test_the_orchestrator_is_led_to_the_namespaces(target: Target) -> None:
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


def test_a_service_is_given_another_address_where_it_is_made_and_stays_headless() -> None:
    spec = {"clusterIP": "10.1.2.3", "clusterIPs": ["10.1.2.3"], "selector": {"app": "a"}, "ports": [{"port": 1}]}
    metadata = {"name": "a", "namespace": "old", "uid": "u", "resourceVersion": "7", "labels": {"app": "a"}}
    document = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    copied = moved(document, "new", {})
    assert copied["metadata"] == {"name": "a", "namespace": "new", "labels": {"app": "a"}}
    assert copied["spec"] == {"selector": {"app": "a"}, "ports": [{"port": 1}]}
    assert moved({**document, "spec": {**spec, "clusterIP": "None"}}, "new", {})["spec"]["clusterIP"] == "None"
