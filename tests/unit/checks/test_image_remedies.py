"""How remedies have Ray's images built and rolled out: of the reference, of fleets with images of their own, of several
groups, of a RayService, and where nothing is known of them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.remedy import filled
from fixtures.core.paths import ROOT
from fixtures.profile.model import Profile, load
from fixtures.profile.remedy_images import BASE, is_own
from fixtures.profile.remedy_values import KubernetesTarget, remedy_values
from tests.e2e.test_dependencies import ELSEWHERE
from tests.support.profiles import with_urls

PLATFORM = load(str(ROOT / "tests" / "unit" / "profile" / "platform.toml"))
VOTES = load(str(ROOT / "tests" / "second_stack" / "votes.toml"))
REFERENCE = load("swe-ai-fleet")
READ = KubernetesTarget("prod", ray_cluster="agents-x7k2p", ray_service="agents", worker_groups=("gpu", "cpu"))
HEAD, CPU, GPU = (f"registry.corp.example/ray-{name}:2.60.0-py312" for name in ("head", "cpu", "gpu"))
OF_IMAGES = (
    "DEP-04",
    "DEP-06",
    "DEP-07",
    "DEP-08",
    "DEP-10",
    "DEP-12",
    "IMG-01",
    "IMG-04",
    "IMG-05",
    "IMG-06",
    "INF-08",
)


def steps(profile: Profile, id: str, kind: str = "attach", target: KubernetesTarget | None = READ) -> list[str]:
    """Those about images, without the last one of a package, which is about its file."""
    said = [step.text for step in filled(load_catalogue()[id].remedy, remedy_values(profile, kind, target))]
    return said[:-1] if said[-1] == ELSEWHERE else said


def text(profile: Profile, id: str = "DEP-04", kind: str = "attach", target: KubernetesTarget | None = READ) -> str:
    return "\n".join(steps(profile, id, kind, target))


def patch(lines: list[str]) -> tuple[list[str], Mapping[str, str]]:
    """The words before the patch, and path → value of its operations. Raises StopIteration where there is none."""
    words = shlex.split(next(line for line in lines if " --type json -p " in line))
    operations = json.loads(words.pop())
    assert {operation["op"] for operation in operations} <= {"test", "replace"}
    return words, {operation["path"]: operation["value"] for operation in operations}


def unnamed(profile: Profile) -> Profile:
    return profile.with_ray_image("")


@pytest.mark.parametrize("id", OF_IMAGES)
def test_a_fleets_own_images_are_not_built_here_and_never_pushed(id: str) -> None:
    said = text(PLATFORM, id)
    for words in ("docker", "images/ray", "fleet/ray-", "custom image"):
        assert words not in said
    for words in ("docker", "fleet/ray-", "--value", '"value": ""', " -t  "):
        assert words not in text(unnamed(PLATFORM), id)


def test_what_becomes_of_a_fleets_own_images_is_said() -> None:
    said = text(PLATFORM)
    assert (
        f"{HEAD} (head), {GPU} (gpu), {CPU} (cpu): build your image again with what is missing, under a new tag" in said
    )
    assert "name that one in the profile (ray.head_image, ray.groups) and below" in said


def test_each_group_gets_its_own_image_in_the_order_that_was_read() -> None:
    words, values = patch(steps(PLATFORM, "DEP-04"))
    root = "/spec/rayClusterConfig"
    assert values == {
        f"{root}/workerGroupSpecs/0/groupName": "gpu",
        f"{root}/workerGroupSpecs/1/groupName": "cpu",
        f"{root}/headGroupSpec/template/spec/containers/0/image": HEAD,
        f"{root}/workerGroupSpecs/0/template/spec/containers/0/image": GPU,
        f"{root}/workerGroupSpecs/1/template/spec/containers/0/image": CPU,
    }
    assert words[-6:] == ["patch", "rayservice", "agents", "--type", "json", "-p"]


def test_a_ray_service_makes_a_new_cluster_and_no_pod_is_deleted() -> None:
    said = text(PLATFORM)
    assert "of which KubeRay makes a new RayCluster" in said and "delete" not in said
    by_name = REFERENCE.replaced("ray", cluster="agents-x7k2p")
    assert "patch rayservice agents " in text(by_name), "its RayCluster is a RayService's: that was read"


def test_a_ray_cluster_is_patched_and_its_pods_are_restarted() -> None:
    lines = steps(REFERENCE, "DEP-04", target=KubernetesTarget("prod", worker_groups=("gpu-workers",)))
    words, values = patch(lines)
    assert words[-6:-3] == ["patch", "raycluster", "ray-gpu"]
    assert set(values) == {
        "/spec/workerGroupSpecs/0/groupName",
        "/spec/headGroupSpec/template/spec/containers/0/image",
        "/spec/workerGroupSpecs/0/template/spec/containers/0/image",
    }
    assert lines[-1] == "kubectl --context prod -n ray delete pods -l ray.io/cluster=ray-gpu"


def test_where_no_group_was_read_the_patch_has_those_of_the_profile_and_is_refused_for_others() -> None:
    lines = steps(VOTES.replaced("ray", namespace="votes"), "DEP-04", target=KubernetesTarget("prod"))
    values = patch(lines)[1]
    tested = {path: value for path, value in values.items() if path.endswith("groupName")}
    assert tested == {"/spec/workerGroupSpecs/0/groupName": "voters", "/spec/workerGroupSpecs/1/groupName": "models"}
    assert any("did not read the worker groups" in line for line in lines)


def test_where_no_image_is_named_nothing_is_patched() -> None:
    said = text(unnamed(PLATFORM))
    assert "patch " not in said and "delete" not in said
    assert "Build your image with what is missing, under a new tag: the profile names none (ray.head_image)." in said
    assert said.endswith(
        "Then set your image for the head and every worker group in RayService agents, of which KubeRay makes a new "
        "RayCluster, and leads there once it is ready."
    )
    lines = steps(unnamed(REFERENCE), "DEP-04", target=KubernetesTarget("prod"))
    assert "patch" not in "\n".join(lines) and "delete pods" in lines[-1]
    assert lines[-2].endswith("in the RayCluster and restart them, which ends running jobs:")


def test_of_a_group_without_an_image_the_rest_is_patched() -> None:
    ray = PLATFORM.ray.model_copy(update={"head_image": "", "service": "", "cluster": "pool"})
    profile = PLATFORM.model_copy(update={"ray": ray})
    lines = steps(profile, "DEP-04", target=KubernetesTarget("prod", worker_groups=("cpu", "gpu")))
    assert {value for path, value in patch(lines)[1].items() if path.endswith("image")} == {CPU, GPU}
    assert any("(of head the profile names none: that is yours to set)" in line for line in lines)


def test_the_suites_own_image_is_built_where_the_profile_names_it() -> None:
    push = "-t fleet/ray-custom:2.49.2 images && docker push fleet/ray-custom:2.49.2"
    assert f"docker build -f images/ray/Dockerfile {push}" in text(REFERENCE)
    assert "Build the custom image, and see what" in text(REFERENCE)
    later = REFERENCE.with_ray_image("fleet/ray-custom:2.60.0").replaced("ray", version="2.60.0", python="3.12")
    assert "--build-arg BASE=rayproject/ray:2.60.0-py312 -t fleet/ray-custom:2.60.0 images" in text(later)


def test_the_stock_image_is_replaced_by_the_custom_one_of_its_version() -> None:
    stock = REFERENCE.with_ray_image("fleet/ray-stock:2.60.0").replaced("ray", version="2.60.0")
    assert "-t fleet/ray-custom:2.60.0 images" in text(stock, kind="kind")
    trade = REFERENCE.with_ray_image("registry.corp.example/stock-trading/ray:1")
    assert "registry.corp.example/stock-trading/ray:1" in text(trade) and "fleet/ray-" not in text(trade)


@pytest.mark.parametrize(
    ("image", "own"),
    [
        ("fleet/ray-custom:2.49.2", True),
        ("docker.io/fleet/ray-stock@sha256:" + "a" * 64, True),
        ("registry.corp.example/fleet/ray-custom:2.49.2", False),
        ("fleet/ray-head:1", False),
        ("rayproject/ray:2.49.2", False),
        ("/home/me/environment", False),
        ("", False),
    ],
)
def test_the_suites_own_images_are_known_by_their_whole_name(image: str, own: bool) -> None:
    assert is_own(image) is own


def test_a_folder_of_this_machine_is_no_image_of_pods() -> None:
    said = text(load("embedded").with_ray_image("/home/me/environment"), kind="embedded", target=None)
    assert "/home/me" not in said and "./ci/e2e --ray-image custom" in said


@pytest.mark.parametrize("id", ["DEP-04", "INF-08", "IMG-06"])
def test_a_fleet_of_this_machine_that_stands_for_none_in_kubernetes_gets_no_kubectl(id: str) -> None:
    assert not re.search("kubectl|docker|Kubernetes|RayCluster", text(VOTES, id, "embedded", None))
    assert "kubectl" in text(load("embedded"), id, "embedded", None)


def test_by_plain_endpoints_each_group_is_started_on_its_own_image() -> None:
    at = {"vllm": "https://llm.example", "ray": "http://ray.example:8265", "nats": "nats://nats.example:4222"}
    said = text(with_urls(PLATFORM, **at, orchestrator=()), target=None)
    assert said.endswith(f"Start Ray's head and every worker on {HEAD} (head), {CPU} (cpu), {GPU} (gpu).")
    assert "docker" not in said


def test_packages_that_agents_bring_along_are_spoken_of() -> None:
    era = load("swe-ai-fleet-d-envelope")
    for id in ("DEP-04", "DEP-07"):
        assert "agent.runtime_env of the profile" in text(era, id)
        assert "agent.runtime_env" not in text(REFERENCE, id)


def test_the_dockerfile_starts_from_the_base_that_needs_no_argument() -> None:
    dockerfile = Path(ROOT, "images", "ray", "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG BASE=rayproject/ray:{BASE[0]}\n" in dockerfile
    assert REFERENCE.ray.python_minor == BASE[1]


def test_where_the_name_of_the_cluster_was_not_read_the_shell_asks_for_it() -> None:
    unread = KubernetesTarget("prod")
    assert '-l ray.io/cluster="${RAY_CLUSTER:?the active one of RayService agents}"' in text(PLATFORM, target=unread)
    selected = REFERENCE.replaced("ray", cluster="", selector="team=agents", head_service="ray-head")
    assert 'patch raycluster "${RAY_CLUSTER:?the newest that has team=agents}"' in text(selected, target=unread)
    assert "patch raycluster agents-x7k2p " in text(selected, target=KubernetesTarget("p", ray_cluster="agents-x7k2p"))
