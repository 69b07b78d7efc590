"""The manifests of `--cluster kind`, as they are applied."""

import stat
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest

from fixtures.clusters.kind import deployer, kept_cluster, manifests, plan
from fixtures.clusters.kind.plan import KindOptions, Plan
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.core.errors import UsageError
from fixtures.profile import credentials
from fixtures.profile import model as profiles
from fixtures.profile.scalars import bytes_of

Planned = Callable[..., Plan]

SOURCES = """
[images]
node = "node:1"
ray = "ray:1"
python = "python:1"
nats = "nats:1"
kuberay = "kuberay:1"
"""


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    (tmp_path / "sources.toml").write_text(SOURCES)

    def make(**options: Any) -> Plan:
        held = options.pop("profile", None) or profiles.load("kind")
        return plan.resolved(KindOptions(profile=held, kind_sources=str(tmp_path / "sources.toml"), **options))

    return make


def by_name(documents: list[Document]) -> dict[tuple[str, str], Document]:
    return {(one["kind"], one["metadata"]["name"]): one for one in documents}


def environment(deployment: Document) -> dict[str, str]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


def test_every_file_is_filled_in_and_labelled(planned: Planned) -> None:
    documents = manifests.documents(planned(), "t0ken")
    assert len(documents) > 15
    assert "${" not in str(documents)
    for one in documents:
        assert one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "fleet-conformance", one["metadata"]["name"]


def test_the_fault_proxy_asks_for_the_clusters_token(planned: Planned) -> None:
    proxy = by_name(manifests.documents(planned(), "t0ken"))["Deployment", "fault-proxy"]
    assert environment(proxy) == {"FAULT_PROXY_TOKEN": "t0ken"}


def test_an_unknown_placeholder_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="colour"):
        manifests.parse("kind: ${colour}", {})


def test_every_image_is_one_that_is_loaded_and_never_pulled_anew(planned: Planned) -> None:
    made = planned()
    known = {image.reference for image in made.images.values()}
    for one in manifests.documents(made, "t0ken"):
        spec = one.get("spec", {})
        templates = [spec.get("template"), spec.get("headGroupSpec", {}).get("template")]
        templates += [group["template"] for group in spec.get("workerGroupSpecs", [])]
        for template in filter(None, templates):
            for container in template["spec"]["containers"] + template["spec"].get("initContainers", []):
                assert container["image"] in known
                assert container["imagePullPolicy"] == "IfNotPresent"


def test_the_ray_cluster_offers_what_the_profile_asks_for(planned: Planned) -> None:
    held = planned().profile
    ray = by_name(manifests.documents(planned(), "t0ken"))["RayCluster", held.ray.cluster]["spec"]
    (group,) = ray["workerGroupSpecs"]
    offered = group["rayStartParams"]
    assert group["replicas"] == held.ray.workers
    assert int(offered["num-cpus"]) * group["replicas"] >= held.ray.resources.cpus
    assert int(offered["num-gpus"]) * group["replicas"] >= held.ray.resources.gpus
    assert int(offered["memory"]) * group["replicas"] >= bytes_of(held.ray.resources.memory)
    assert ray["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_orchestrator_is_configured_as_the_profile_says(planned: Planned) -> None:
    held = planned().profile
    found = environment(by_name(manifests.documents(planned(), "t0ken"))["Deployment", "orchestrator"])
    for name, value in held.orchestrator.environment.items():
        assert found[name] == value
    assert found["MAX_TOKENS"] == "32"
    assert found["VLLM_URL"] == "http://fault-proxy.swe-ai-fleet.svc:8000"


def test_variables_of_the_profile_replace_and_extend_the_manifests(planned: Planned) -> None:
    changed = profiles.load("kind").replaced("orchestrator", environment={"AGENT_TYPE": "mock", "EXTRA": "1"})
    found = environment(by_name(manifests.documents(planned(profile=changed), "t0ken"))["Deployment", "orchestrator"])
    assert (found["AGENT_TYPE"], found["EXTRA"]) == ("mock", "1")


@pytest.mark.parametrize(
    ("vllm", "kind"), [("auto", "stub"), ("stub", "stub"), ("http://10.1.2.3:8000/v1", "external")]
)
def test_there_is_one_model_server_behind_one_service(planned: Planned, vllm: str, kind: str) -> None:
    made = planned(vllm=vllm)
    documents = manifests.documents(made, "t0ken")
    servers = [one for one in documents if one["kind"] == "Deployment" and one["metadata"]["name"] == "vllm-server"]
    assert made.vllm.kind == kind
    assert len(servers) == 1
    if kind == "external":
        assert "http://10.1.2.3:8000" in str(servers[0])


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.1:8000"])
def test_a_server_on_this_machines_loopback_is_out_of_the_pods_reach(planned: Planned, url: str) -> None:
    with pytest.raises(UsageError, match="loopback"):
        planned(vllm=url)


def test_the_stock_image_is_run_with_the_agents_code_in_the_job(planned: Planned) -> None:
    stock = planned(ray_image="stock")
    assert stock.profile.ray.head_image == stock.ray == stock.stock
    assert stock.profile.agent.delivery == "job"
    assert "ray-custom" not in stock.images
    assert planned().profile.agent.delivery == "image"
    assert planned().foreign == ""


def test_another_ray_image_is_taken_as_it_is(planned: Planned) -> None:
    other = planned(ray_image="registry.example/ray:7")
    assert other.foreign == other.profile.ray.head_image == "registry.example/ray:7"
    assert "registry.example/ray:7" in str(manifests.documents(other, "t0ken"))


def test_a_profile_of_other_names_is_deployed_under_them(planned: Planned) -> None:
    held = profiles.load("kind").replaced("nats", namespace="fleet").replaced("ray", namespace="rays")
    held = held.replaced("nats", service="bus").replaced("vllm", workload="model", service="model-svc")
    found = by_name(manifests.documents(planned(profile=held), "t0ken"))
    assert found["StatefulSet", "bus"]["metadata"]["namespace"] == "fleet"
    assert found["RayCluster", "ray-gpu"]["metadata"]["namespace"] == "rays"
    assert ("Deployment", "model") in found


def test_what_lies_beside_a_kept_cluster_can_be_used_and_is_removed_with_it(planned: Planned, tmp_path: Path) -> None:
    made = planned()
    folder = tmp_path / "a cache; with signs"
    folder.mkdir()
    kubeconfig = folder / "dev.kubeconfig"
    token = kept_cluster.fault_proxy_token(kubeconfig)
    kept_cluster.write(made, kubeconfig)
    profile = profiles.load(str(kept_cluster.profile_of(kubeconfig)))
    assert profile.replaced("vllm", fault_proxy_token=None) == made.profile
    assert credentials.resolve(profile).fault_proxy.headers == {"X-Fault-Proxy-Token": token}
    assert kept_cluster.fault_proxy_token(kubeconfig) == token
    assert stat.S_IMODE((folder / "dev.token").stat().st_mode) == 0o600
    sourced = 'source dev.env && printf "%s\n" "$FLEET_TEST_KUBECONFIG" "$FLEET_TEST_STOCK_IMAGE" "$FLEET_TEST_CONTEXT"'
    ran = subprocess.run(["bash", "-c", sourced], cwd=folder, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [str(kubeconfig), made.stock, "kind-dev"]
    kept_cluster.remove(kubeconfig)
    assert list(folder.iterdir()) == []


def test_the_operator_is_deployed_in_the_namespace_that_the_profile_names(planned: Planned) -> None:
    """The profile is the one place: the deployer and the manifests take it from there."""
    made = planned(profile=profiles.load("kind").replaced("kubernetes", operator_namespace="ray-operators"))
    documents = manifests.documents(made, "t0ken")
    assert "kuberay-system" not in str(documents)
    assert by_name(documents)["Deployment", "kuberay-operator"]["metadata"]["namespace"] == "ray-operators"
    assert ("Namespace", "ray-operators") in by_name(documents)


async def test_the_operator_may_share_the_fleets_namespace(
    planned: Planned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile = profiles.load("kind")
    space = profile.kubernetes.namespace
    made = planned(profile=profile.replaced("kubernetes", operator_namespace=space, operator="own-operator"))
    deployed: dict[str, list[str]] = {}

    async def noted(part: str, *documents: Any) -> None:
        flat = [one for piece in documents for one in (piece if isinstance(piece, list) else [piece])]
        deployed[part] = [one["metadata"]["name"] for one in flat]

    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(deployer, "apply_all", nothing)
    kind: Any = SimpleNamespace(kubeconfig=tmp_path / "k")
    one = deployer.Deployer(made, kind, *(Any,) * 3)  # type: ignore[arg-type]
    for part in ("_operator", "_services", "_ray"):
        monkeypatch.setattr(one, part, partial(noted, part))
    for part in ("_images", "_node"):
        monkeypatch.setattr(one, part, nothing)
    await one.deploy()
    assert deployed["_operator"][-1] == "own-operator"
    assert "own-operator" not in deployed["_services"]
    assert profile.orchestrator.workload in deployed["_services"]
