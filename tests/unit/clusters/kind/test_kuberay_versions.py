"""`--kuberay-version`: an operator's image for each version, and a RayCluster that each of them understands."""

import asyncio
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.base import Timeline
from fixtures.clusters.image_recipes import IMAGES, recipes
from fixtures.clusters.kind import crds, deployer, manifests, waits
from fixtures.clusters.kind import recipes as container_recipes
from fixtures.clusters.kind.builder import Builder
from fixtures.clusters.kind.cluster import KindCluster
from fixtures.clusters.kind.engine import Engine
from fixtures.clusters.kind.plan import KindOptions, Plan, resolved
from fixtures.clusters.kind.sources import KIND, Sources, load
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.clusters.ray_auth import RayAuth
from fixtures.core.errors import UsageError
from fixtures.profile.model import load as profile_named

FIRST, *OTHERS = recipes().kuberay.versions
MODULE = "github.com/ray-project/kuberay/ray-operator"
IMAGES_NAMED = {"node": "node:1", "ray": "ray:1", "python": "python:1", "nats": "nats:1"}


def planned(version: str | None, token: str = "t0ken", **ray: Any) -> Plan:
    profile = profile_named("kind").replaced("ray", **ray)
    options = KindOptions(profile, vllm="stub", ray_version="2.60.0", ray_auth="token", kuberay_version=version)
    return replace(resolved(options), ray_auth=RayAuth(token))


def of_kind(kind: str, plan: Plan) -> list[Document]:
    return [document for document in manifests.documents(plan, "proxy") if document["kind"] == kind]


@pytest.mark.parametrize("version", [FIRST, *OTHERS])
def test_each_version_has_its_module_pinned(version: str) -> None:
    folder = IMAGES / "kuberay" / version
    assert f"\t{MODULE} v{version} // indirect\n" in (folder / "go.mod").read_text()
    assert re.search(rf"^{MODULE} v{re.escape(version)} h1:", (folder / "go.sum").read_text(), re.MULTILINE)


def test_no_version_is_pinned_and_not_listed() -> None:
    assert {file.parent.name for file in (IMAGES / "kuberay").glob("*/go.mod")} == {FIRST, *OTHERS}


def test_an_unknown_version_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError) as problem:
        planned("1.4.0")
    allowed = ", ".join([FIRST, *OTHERS])
    assert str(problem.value) == f"--kuberay-version 1.4.0: there is no lock for it; allowed are {allowed}"


def test_each_version_has_an_image_of_its_own_built_from_its_own_pins(tmp_path: Path) -> None:
    sources = load(str(KIND / "sources.toml"))
    images = {
        version: container_recipes.image("kuberay", sources, kuberay_version=version) for version in (FIRST, *OTHERS)
    }
    assert len({image.reference.rpartition("-")[2] for image in images.values()}) == len(images)
    for version, image in images.items():
        assert image.reference.startswith(f"fleet/kuberay:{version}-")
        folder = tmp_path / version
        assert Builder(Engine("docker"), sources, Timeline()).lay_out(image, folder) == folder / "Dockerfile"
        assert {file.name for file in folder.iterdir()} == {"Dockerfile", "go.mod", "go.sum"}
        assert (folder / "go.sum").read_text() == (IMAGES / "kuberay" / version / "go.sum").read_text()
    assert container_recipes.image("kuberay", sources) == images[FIRST]
    assert container_recipes.image("nats", sources, kuberay_version=OTHERS[0]) == container_recipes.image(
        "nats", sources
    )


def test_sources_that_name_an_operator_name_one_for_each_version_that_is_asked_for() -> None:
    named = {"images": IMAGES_NAMED | {"kuberay": "operator:first"}, "kuberay_versions": {"1.5.1": "operator:1.5.1"}}
    sources = Sources.model_validate(named)
    image = container_recipes.image("kuberay", sources, kuberay_version="1.5.1")
    assert (image.base, image.dockerfile) == ("operator:1.5.1", "")
    assert container_recipes.image("kuberay", sources).base == "operator:first"
    command = {"kuberay_versions": {}, "build": {"kuberay_command": "ci/offline/build --kuberay {version}"}}
    with pytest.raises(UsageError) as problem:
        container_recipes.image("kuberay", Sources.model_validate(named | command), kuberay_version="1.5.1")
    assert str(problem.value) == (
        "--kuberay-version 1.5.1: the kind sources name no image of it in [kuberay_versions] (none); "
        "this makes it: ci/offline/build --kuberay 1.5.1"
    )


@pytest.mark.parametrize("version", [None, *OTHERS])
def test_each_version_finds_the_token_in_a_secret_that_it_looks_for(version: str | None) -> None:
    """From 1.6 on the RayCluster names it; before, it is called as the RayCluster is."""
    plan = planned(version, namespace="rays")
    (ray,) = of_kind("RayCluster", plan)
    options = ray["spec"]["authOptions"]
    assert options["mode"] == "token"
    assert ("secretName" in options) is (version != "1.5.1")
    name = options.get("secretName", ray["metadata"]["name"])
    secrets = {(row["metadata"]["namespace"], row["metadata"]["name"]): row for row in of_kind("Secret", plan)}
    assert b64decode(secrets["rays", name]["data"]["auth_token"]) == b"t0ken"


@pytest.mark.parametrize("version", [None, *OTHERS])
def test_with_another_token_the_raycluster_differs_and_the_secret_can_be_applied(version: str | None) -> None:
    before, after = planned(version, "one-token"), planned(version, "another-token")
    assert of_kind("RayCluster", before) != of_kind("RayCluster", after)
    assert of_kind("RayCluster", before) == of_kind("RayCluster", planned(version, "one-token"))
    kept = {row["metadata"]["name"] for row in of_kind("Secret", before)} & {
        row["metadata"]["name"] for row in of_kind("Secret", after)
    }
    assert not [row for row in of_kind("Secret", after) if row["metadata"]["name"] in kept and row["immutable"]]


def test_the_orchestrators_pods_are_made_again_for_another_token_where_both_share_a_namespace() -> None:
    space = profile_named("kind").orchestrator.namespace
    plans = [planned("1.5.1", token, namespace=space) for token in ("one-token", "another-token")]
    names = [{row["metadata"]["name"] for row in of_kind("Secret", plan)} for plan in plans]
    assert all(len(each) == 2 for each in names) and len(names[0] & names[1]) == 1


def test_how_to_check_a_kept_cluster_again_names_the_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLEET_CACHE", str(tmp_path))
    cluster = KindCluster(KindOptions(profile_named("kind"), vllm="stub", run_id="fc-1", kuberay_version="1.5.1"))
    cluster.persistent = True
    assert cluster.keep_instructions.splitlines()[1].endswith(
        " --cluster-name fleet-conformance-fc-1 --kuberay-version 1.5.1"
    )


@pytest.mark.parametrize(
    ("former", "anew", "expected"),
    [
        ("", False, ["types", "RayCluster", "operator"]),  # a new cluster: at once
        ("fleet/kuberay:1.4.0-0123456789ab", True, ["types", "operator", "RayCluster"]),
    ],
)
async def test_what_another_operator_made_is_made_again_by_the_new_one(
    monkeypatch: pytest.MonkeyPatch, former: str, anew: bool, expected: list[str]
) -> None:
    """A RayCluster of a kept cluster, whose pods are the former operator's, as it makes them."""
    order: list[str] = []
    seen: list[bool] = []

    async def definitions(*_: Any) -> list[Document]:
        order.append("types")
        return []

    async def applied(_: Any, document: Document, *, anew: bool = False) -> None:
        if document["kind"] == "RayCluster":
            order.append("RayCluster")
            seen.append(anew)

    async def up(_: Any, workload: Document) -> None:
        await asyncio.sleep(0)
        order.append("operator")

    async def deployed(*_: Any) -> str:
        return former

    async def no(*_: Any) -> bool:
        return False

    async def nothing(*_: Any, **__: Any) -> list[Any]:
        return []

    plan = planned("1.5.1")
    api: Any = type("Api", (), {"list": nothing})()
    builder: Any = type("Builder", (), {"engine": Engine("docker")})()
    one = deployer.Deployer(plan, Any, builder, api, Timeline())  # type: ignore[arg-type]
    monkeypatch.setattr(crds, "definitions", definitions)
    monkeypatch.setattr(deployer, "apply", applied)
    monkeypatch.setattr(deployer, "apply_all", nothing)
    monkeypatch.setattr(deployer, "up_to_date", no)
    monkeypatch.setattr(waits, "served", nothing)
    monkeypatch.setattr(waits, "ready", nothing)
    monkeypatch.setattr(deployer.Deployer, "_deployed_image", deployed)
    monkeypatch.setattr(deployer.Deployer, "_up", up)
    one._loaded.set()
    (ray,) = of_kind("RayCluster", plan)
    (operator,) = [row for row in of_kind("Deployment", plan) if row["metadata"]["name"] == "kuberay-operator"]
    await asyncio.gather(one._operator([], operator), one._ray(ray))
    assert (order, seen) == (expected, [anew])
