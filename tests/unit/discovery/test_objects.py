"""What Kubernetes' objects say of a fleet: those of the kind manifests, and of fleets that are laid out otherwise."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.kind import manifests, plan
from fixtures.clusters.kind.plan import KindOptions
from fixtures.clusters.kubernetes.client.schemas import RayCluster, ReplicatedWorkload, Service
from fixtures.core.errors import UsageError
from fixtures.discovery.draft import Draft
from fixtures.discovery.fleet import provisional
from fixtures.discovery.objects import Objects, describe
from fixtures.profile import model as profiles
from fixtures.profile.open_values import UNKNOWN

Document = dict[str, Any]
SOURCES = '[images]\nnode = "node:1"\nray = "ray:1"\npython = "python:1"\nnats = "nats:1"\nkuberay = "kuberay:1"\n'


@pytest.fixture
def documents(tmp_path: Path) -> list[Document]:
    """Of the reference fleet in kind."""
    (tmp_path / "sources.toml").write_text(SOURCES)
    options = KindOptions(profiles.load("kind"), kind_sources=str(tmp_path / "sources.toml"), vllm="stub")
    made = copy.deepcopy(manifests.documents(plan.resolved(options), "t0ken"))
    ray = options.profile.ray
    made.append(  # which KubeRay makes
        {
            "kind": "Service",
            "metadata": {"name": ray.head_service, "namespace": ray.namespace},
            "spec": {"ports": [{"name": "client", "port": ray.client_port}], "selector": {"ray.io/node-type": "head"}},
        }
    )
    return made


def objects_of(documents: Iterable[Document]) -> Objects:
    kinds: dict[str, list[Document]] = {}
    for document in documents:
        kinds.setdefault(document["kind"], []).append(document)
    return Objects(
        [RayCluster.model_validate(one) for one in kinds.get("RayCluster", ())],
        [Service.model_validate(one) for one in kinds.get("Service", ())],
        {
            kind: [ReplicatedWorkload.model_validate(one) for one in kinds.get(kind, ())]
            for kind in ("Deployment", "StatefulSet")
        },
        {(one["metadata"]["namespace"], one["metadata"]["name"]): one["data"] for one in kinds.get("ConfigMap", ())},
    )


def drafted(documents: Iterable[Document], **named: str) -> Draft:
    draft = Draft()
    describe(draft, objects_of(documents), **named)
    return draft


def one(documents: list[Document], kind: str, name: str) -> Document:
    return next(each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name))


def environment(documents: list[Document]) -> list[Document]:
    container = one(documents, "Deployment", "orchestrator")["spec"]["template"]["spec"]["containers"][0]
    return container["env"]  # type: ignore[no-any-return]


def test_the_reference_fleet_is_what_its_profile_says(documents: list[Document]) -> None:
    draft, profile = drafted(documents), profiles.load("kind")
    expected = {
        "kubernetes.namespace": profile.kubernetes.namespace,
        "ray.cluster": profile.ray.cluster,
        "ray.namespace": profile.ray.namespace,
        "ray.head_service": profile.ray.head_service,
        "ray.version": profile.ray.version,
        "ray.client": True,
        "vllm.service": profile.vllm.service,
        "vllm.workload": profile.vllm.workload,
        "vllm.namespace": profile.vllm.namespace,
        "vllm.port": profile.vllm.port,
        "vllm.model": profile.vllm.model,
        "nats.service": profile.nats.service,
        "nats.port": profile.nats.port,
        "orchestrator.workload": profile.orchestrator.workload,
        "orchestrator.service": profile.orchestrator.service,
        "orchestrator.port": profile.orchestrator.port,
        "orchestrator.replicas": profile.orchestrator.replicas,
        "orchestrator.variables": {
            "vllm_url": "VLLM_URL",
            "vllm_model": "VLLM_MODEL",
            "nats_url": "NATS_URL",
            "ray_address": "RAY_ADDRESS",
        },
        "agent.class": profile.agent.job_class,
        "agent.max_tokens": profile.agent.max_tokens,
    }
    assert {key: draft.get(key) for key in expected} == expected
    groups = draft.get("ray.groups")
    assert [(group["name"], group["workers"]) for group in groups] == [(profile.ray.worker_group, profile.ray.workers)]


def test_every_value_says_where_it_is_from(documents: list[Document]) -> None:
    draft = drafted(documents)
    assert all(value.origin for value in draft.values.values())
    text = draft.text(["made by a test"])
    assert text.startswith("# made by a test\n")
    assert "VLLM_URL of orchestrator leads there" in text
    assert set(tomllib.loads(text)) <= {"kubernetes", "vllm", "ray", "nats", "orchestrator", "agent"}


def test_a_secret_is_never_copied(documents: list[Document]) -> None:
    environment(documents).append({"name": "API_MODEL", "value": "sk-1234567890abcdef1234567890abcdef"})
    environment(documents).append({"name": "NATS_PASSWORD", "value": "hunter2hunter2"})
    text = drafted(documents).text([])
    assert "sk-123" not in text and "hunter2" not in text


def test_variables_from_a_config_map_count(documents: list[Document]) -> None:
    rows = environment(documents)
    moved = [row for row in rows if row["name"] in ("NATS_URL", "RAY_ADDRESS")]
    rows[:] = [row for row in rows if row not in moved]
    workload = one(documents, "Deployment", "orchestrator")
    space = workload["metadata"]["namespace"]
    workload["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "fleet"}}]
    data = {row["name"]: row["value"] for row in moved}
    documents.append({"kind": "ConfigMap", "metadata": {"name": "fleet", "namespace": space}, "data": data})
    assert drafted(documents).get("orchestrator.variables")["nats_url"] == "NATS_URL"


def test_a_cluster_of_a_ray_service_is_named_by_it(documents: list[Document]) -> None:
    cluster = next(each for each in documents if each["kind"] == "RayCluster")
    cluster["metadata"]["ownerReferences"] = [{"kind": "RayService", "name": "serving", "controller": True}]
    draft = drafted(documents)
    assert (draft.get("ray.service"), draft.get("ray.cluster")) == ("serving", None)
    assert draft.get("ray.head_service") == "serving-head-svc"


def test_an_autoscaled_group_is_a_span(documents: list[Document]) -> None:
    spec = next(each for each in documents if each["kind"] == "RayCluster")["spec"]
    spec["enableInTreeAutoscaling"] = True
    spec["workerGroupSpecs"][0] |= {"minReplicas": 1, "maxReplicas": 4, "numOfHosts": 2}
    assert drafted(documents).get("ray.groups")[0]["workers"] == {"min": 2, "max": 8}


def test_two_groups_with_images_of_their_own(documents: list[Document]) -> None:
    spec = next(each for each in documents if each["kind"] == "RayCluster")["spec"]
    other = copy.deepcopy(spec["workerGroupSpecs"][0]) | {"groupName": "cpu", "replicas": 1, "minReplicas": 1}
    other["template"]["spec"]["containers"][0]["image"] = "acme/cpu:1"
    spec["workerGroupSpecs"].append(other)
    assert drafted(documents).get("ray.groups")[1] == {"name": "cpu", "workers": 1, "image": "acme/cpu:1"}


def test_several_clusters_have_to_be_told_apart(documents: list[Document]) -> None:
    second = copy.deepcopy(next(each for each in documents if each["kind"] == "RayCluster"))
    second["metadata"]["name"] = "other"
    documents.append(second)
    name = profiles.load("kind").ray.cluster
    with pytest.raises(UsageError, match=rf"several of the kind RayCluster: .*{name}, .*other; --ray NAME says which"):
        drafted(documents)
    assert drafted(documents, ray=name).get("ray.cluster") == name
    with pytest.raises(UsageError, match="--ray third: there is no such RayCluster here; there is: "):
        drafted(documents, ray="third")


def test_without_a_cluster_there_is_nothing_to_begin_with() -> None:
    with pytest.raises(
        UsageError, match=r"there is no RayCluster here: name the namespaces of the fleet \(-n NAMESPACE"
    ):
        drafted([])


def without_orchestrator(documents: list[Document]) -> list[Document]:
    return [each for each in documents if each["metadata"]["name"] != "orchestrator"]


def test_without_an_orchestrator_its_part_is_left_out(documents: list[Document]) -> None:
    draft, profile = drafted(without_orchestrator(documents)), profiles.load("kind")
    assert draft.get("deliberations.mode") == "none"
    assert draft.get("nats.service") == profile.nats.service
    assert draft.get("vllm.service") == profile.vllm.service
    assert draft.get("orchestrator.workload") is None


Change = Callable[[list[Document]], None]


def names_with_domain(documents: list[Document]) -> None:
    for row in environment(documents):
        if row["name"] == "NATS_URL":
            space = profiles.load("kind").nats.namespace
            row["value"] = f"nats://nats.{space}.svc.cluster.local:4222,nats://elsewhere:4222"


def names_without_scheme(documents: list[Document]) -> None:
    ray = profiles.load("kind").ray
    for row in environment(documents):
        if row["name"] == "RAY_ADDRESS":
            row["value"] = f"{ray.head_service}.{ray.namespace}:10001"


@pytest.mark.parametrize("change", [names_with_domain, names_without_scheme])
def test_addresses_are_written_in_many_ways(documents: list[Document], change: Change) -> None:
    change(documents)
    variables = drafted(documents).get("orchestrator.variables")
    assert (variables["nats_url"], variables["ray_address"]) == ("NATS_URL", "RAY_ADDRESS")


def without_nats(documents: list[Document]) -> None:
    environment(documents)[:] = [row for row in environment(documents) if row["name"] != "NATS_URL"]


def without_service(documents: list[Document]) -> None:
    documents[:] = [
        each for each in documents if (each["kind"], each["metadata"]["name"]) != ("Service", "orchestrator")
    ]


@pytest.mark.parametrize(("change", "key"), [(without_nats, "nats.service"), (without_service, "orchestrator.service")])
def test_what_nothing_leads_to_is_left_open_and_the_rest_is_asked(
    documents: list[Document], change: Change, key: str
) -> None:
    change(documents)
    draft = drafted(documents)
    assert draft.values[key].value == UNKNOWN
    profile = provisional(draft)
    assert profile.vllm.service == profiles.load("kind").vllm.service
    assert UNKNOWN in draft.text([]) and "init-unknown" not in draft.text([])


def test_a_fleet_without_orchestrator_can_be_asked(documents: list[Document]) -> None:
    profile = provisional(drafted(without_orchestrator(documents)))
    assert not profile.services and profile.mode == "none"
