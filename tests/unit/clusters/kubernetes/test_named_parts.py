"""Parts in namespaces of their own, by URLs beside others that are looked up, or by the labels of their pods."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Unsupported
from fixtures.clusters.kubernetes.client.schemas import Pod
from fixtures.clusters.kubernetes.cluster import AttachOptions, KubernetesCluster
from fixtures.clusters.kubernetes.inspect import objects
from fixtures.clusters.kubernetes.lookup import FleetLookup
from fixtures.clusters.kubernetes.service_endpoints import PortForwards
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.profile import addresses
from fixtures.profile.model import Profile, load
from fixtures.profile.remedy_values import KubernetesTarget, remedy_values
from tests.support.profiles import profile_text

EVERYWHERE = {"nats": {"namespace": "messaging"}, "vllm": {"namespace": "models"}, "orchestrator": {"namespace": "app"}}


def loaded(tmp_path: Path, **sections: dict[str, Any]) -> Profile:
    file = tmp_path / "mine.toml"
    file.write_text(profile_text("swe-ai-fleet", **sections), encoding="utf-8")
    return load(str(file))


def pod(name: str) -> Pod:
    return Pod.of(
        {
            "metadata": {"name": name, "namespace": "models", "labels": {"app": "llm"}},
            "spec": {"containers": [{"name": "llm", "image": "vllm:1"}]},
            "status": {"phase": "Running"},
        }
    )


class Api:
    """An API server whose pods are these; it is inside, so that services are used by their names."""

    inside = True

    def __init__(self, *pods: Pod) -> None:
        self.pods, self.asked = pods, [""]

    async def list(self, _resource: object, namespace: str, labels: str) -> list[Pod]:
        self.asked = [namespace, labels]
        return list(self.pods)


def test_each_part_may_be_in_a_namespace_of_its_own(tmp_path: Path) -> None:
    profile, api = loaded(tmp_path, **EVERYWHERE), Api()
    lookup = FleetLookup(api, profile)  # type: ignore[arg-type]
    spaces = [lookup.namespace(component) for component in (Component.NATS, Component.VLLM, Component.ORCHESTRATOR)]
    assert (spaces, lookup.namespace(Component.RAY_WORKER)) == (["messaging", "models", "app"], "ray")
    assert lookup.service(Component.NATS) == ("nats", "messaging", 4222)
    seen = addresses.from_pods(profile)
    assert (seen.nats[0].host, seen.vllm.host) == ("nats.messaging.svc", "vllm-server-service.models.svc")


def test_without_one_it_is_in_that_of_all(tmp_path: Path) -> None:
    profile = loaded(tmp_path, kubernetes={"namespace": "agents"})
    assert {part.namespace for part in (profile.vllm, profile.nats, profile.orchestrator)} == {"agents"}


async def test_parts_with_a_url_are_reached_by_it_and_the_others_are_looked_up(tmp_path: Path) -> None:
    elsewhere = {"url": "https://llm.example", "url_inside": "http://10.0.0.1", "workload": "", "service": ""}
    profile, api = loaded(tmp_path, vllm=elsewhere), Api()
    seen = await PortForwards(api).endpoints(profile)  # type: ignore[arg-type]
    assert (seen.vllm, seen.nats) == ("https://llm.example", "nats://nats.swe-ai-fleet.svc:4222")
    assert addresses.from_pods(profile).vllm.url == "http://10.0.0.1"
    lookup = FleetLookup(api, profile)  # type: ignore[arg-type]
    assert lookup.service(Component.VLLM) is None
    for asking in (lookup.workload, lookup.pods, lookup.owner):
        with pytest.raises(Unsupported, match=r"vllm\.url of the profile says where it is reached, and nothing of its"):
            await asking(Component.VLLM)


RAY_ELSEWHERE = {"url": "http://ray.example:8265", "cluster": "", "head_service": ""}


async def test_ray_that_is_known_by_its_address_is_not_looked_up(tmp_path: Path) -> None:
    profile, api = loaded(tmp_path, ray=RAY_ELSEWHERE), Api()
    lookup = FleetLookup(api, profile)  # type: ignore[arg-type]
    for asking in (lookup.ray_groups, lookup.ray_cluster, lookup.ray_pods, lookup.worker_template):
        with pytest.raises(Unsupported, match=r"ray\.url of the profile says where it is reached, and nothing of its"):
            await asking()
    assert api.asked == [""], "nothing is asked of Kubernetes"
    attached: Any = KubernetesCluster(AttachOptions(profile, None, None, "fc-1", allow_disruptive=False))
    assert await attached.raycluster_not_ready_reason() == "" and await attached.ray_objects() == {}
    seen = addresses.from_pods(profile)
    assert (seen.ray_client, seen.dashboard.url) == (None, RAY_ELSEWHERE["url"])
    by_address = addresses.from_pods(profile.replaced("ray", client_url="ray://ray.example:10001"))
    assert by_address.ray_client and by_address.ray_client.url == "ray://ray.example:10001"
    assert remedy_values(profile, "attach", KubernetesTarget()).names["RAY_ADDRESS"] == "ADDRESS"


async def test_pods_of_another_kind_are_found_by_their_labels(tmp_path: Path) -> None:
    profile = loaded(tmp_path, vllm={"pods": "app=llm", "workload": "", "namespace": "models"})
    api = Api(pod("llm-1"), pod("llm-2"))
    lookup = FleetLookup(api, profile)  # type: ignore[arg-type]
    seen = await lookup.workload(Component.VLLM)
    assert (seen.name, seen.desired, [replica.name for replica in seen.replicas]) == ("vllm", 2, ["llm-1", "llm-2"])
    assert api.asked == ["models", "app=llm"]
    assert [one.metadata.name for one in await lookup.pods(Component.VLLM)] == ["llm-1", "llm-2"]
    with pytest.raises(Unsupported, match="how it is scaled is not known"):
        await lookup.kind_of(seen.name, "models")
    with pytest.raises(Unsupported, match="what keeps the pods with app=llm is not known"):
        await lookup.owner(Component.VLLM)
    nobody = FleetLookup(Api(), profile)  # type: ignore[arg-type]
    with pytest.raises(NonConformance, match=r"there are no pods with app=llm in namespace models \(vllm\.pods\)"):
        await nobody.workload(Component.VLLM)


async def test_the_evidence_of_a_failure_has_pods_that_are_known_by_their_labels_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who keeps them is not known, and is not described."""
    profile = loaded(tmp_path, vllm={"pods": "app=llm", "workload": "", "namespace": "models"})
    api = Api(pod("llm-1"), pod("llm-2"))
    seen: list[object] = []

    async def describe(_api: object, pods: list[dict[str, Any]], namespace: str, owner: object) -> dict[str, str]:
        seen[:] = [[row["metadata"]["name"] for row in pods], namespace, owner]
        return {"llm-1.yaml": ""}

    monkeypatch.setattr(objects, "describe", describe)
    attached = SimpleNamespace(_lookup=FleetLookup(api, profile), _disruption=SimpleNamespace(api=api))  # type: ignore[arg-type]
    assert await KubernetesCluster.describe(attached, Component.VLLM) == {"llm-1.yaml": ""}  # type: ignore[arg-type]
    assert seen == [["llm-1", "llm-2"], "models", None]


async def test_a_part_that_has_no_workload_is_not_looked_for_under_an_empty_name() -> None:
    """That the profile does not say what to look for is nothing that the fleet does wrong."""
    profile = load("swe-ai-fleet").replaced("vllm", workload="", service="")
    lookup = FleetLookup(Api(), profile)  # type: ignore[arg-type]
    with pytest.raises(Inconclusive, match=r"the profile names neither a workload nor pods \(vllm\)"):
        await lookup.workload(Component.VLLM)
    assert lookup.service(Component.VLLM) is None
