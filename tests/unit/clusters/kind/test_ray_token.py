"""`--cluster kind --ray-auth token`: a Secret that pods refer to, and a file for later runs."""

import stat
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.kind import apply, deployer, kept_cluster, manifests
from fixtures.clusters.kind.cluster import KindCluster
from fixtures.clusters.kind.plan import KindOptions, Plan, resolved
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.clusters.ray_auth import RayAuth
from fixtures.core.errors import UsageError
from fixtures.profile import credentials
from fixtures.profile.model import load


def planned(token: str = "t0ken", **sections: dict[str, Any]) -> Plan:
    profile = load("kind")
    for section, values in sections.items():
        profile = profile.replaced(section, **values)
    plan = resolved(KindOptions(profile, vllm="stub", ray_version="2.60.0", ray_auth="token"))
    return replace(plan, ray_auth=RayAuth(token))


def of_kind(kind: str, plan: Plan) -> list[Document]:
    return [document for document in manifests.documents(plan, "proxy") if document["kind"] == kind]


def orchestrator(plan: Plan) -> dict[str, Any]:
    """Its variables, by name."""
    name = plan.profile.orchestrator.workload
    (deployment,) = (row for row in of_kind("Deployment", plan) if row["metadata"]["name"] == name)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable for variable in container["env"]}


def test_the_token_is_in_a_secret_of_each_namespace_and_nowhere_else() -> None:
    plan = planned(ray={"namespace": "rays"}, orchestrator={"namespace": "agents"})
    secrets = of_kind("Secret", plan)
    assert {secret["metadata"]["namespace"] for secret in secrets} == {"rays", "agents"}
    assert {b64decode(secret["data"]["auth_token"]) for secret in secrets} == {b"t0ken"}
    others = [document for document in manifests.documents(plan, "proxy") if document["kind"] != "Secret"]
    assert "t0ken" not in str(others) and secrets[0]["data"]["auth_token"] not in str(others)


def test_one_namespace_has_one_secret() -> None:
    plan = planned(ray={"namespace": "fleet"}, orchestrator={"namespace": "fleet"})
    assert len(of_kind("Secret", plan)) == 1


def test_ray_and_the_orchestrator_refer_to_it() -> None:
    plan = planned()
    name = of_kind("Secret", plan)[0]["metadata"]["name"]
    (ray,) = of_kind("RayCluster", plan)
    assert ray["spec"]["authOptions"] == {"mode": "token", "secretName": name}
    assert ray["spec"]["rayVersion"] == "2.60.0"
    variables = orchestrator(plan)
    assert variables["RAY_AUTH_MODE"]["value"] == "token"
    assert variables["RAY_AUTH_TOKEN"]["valueFrom"] == {"secretKeyRef": {"name": name, "key": "auth_token"}}


def test_with_another_token_what_refers_to_it_differs() -> None:
    before, after = planned("one-token"), planned("another-token")
    assert of_kind("RayCluster", before) != of_kind("RayCluster", after)
    assert orchestrator(before) != orchestrator(after)
    assert of_kind("RayCluster", before) == of_kind("RayCluster", planned("one-token"))


def test_without_a_token_nothing_of_it_is_deployed() -> None:
    plan = planned("")
    assert not of_kind("Secret", plan)
    assert "authOptions" not in of_kind("RayCluster", plan)[0]["spec"]
    assert not [name for name in orchestrator(plan) if name.startswith("RAY_AUTH")]


def test_a_secret_can_be_applied() -> None:
    (secret, *_) = of_kind("Secret", planned())
    resource, name, namespace = apply.place_of(secret)
    assert (resource.name, name, namespace) == ("secrets", secret["metadata"]["name"], secret["metadata"]["namespace"])


async def test_secrets_are_there_before_the_pods_that_refer_to_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    order: list[str] = []

    async def applied(_: Any, documents: list[Document]) -> None:
        order.extend(document["kind"] for document in documents)

    async def started(*_: Any) -> None:
        order.append("part")

    monkeypatch.setattr(deployer, "apply_all", applied)
    for part in ("_images", "_operator", "_services", "_ray", "_node"):
        monkeypatch.setattr(deployer.Deployer, part, started)
    kind: Any = type("Kind", (), {"kubeconfig": tmp_path / "k"})
    await deployer.Deployer(planned(), kind, *(Any,) * 3).deploy()  # type: ignore[arg-type]
    kinds = list(dict.fromkeys(order))
    assert kinds == ["Namespace", "Secret", "part"]


def test_a_kept_clusters_profile_names_the_file_that_holds_it(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "dev.kubeconfig"
    assert kept_cluster.ray_token(kubeconfig) == ""
    kept_cluster.write(planned("earlier"), kubeconfig)
    kept_cluster.write(planned(), kubeconfig)
    file = tmp_path / "dev.ray-token"
    assert (kept_cluster.ray_token(kubeconfig), stat.S_IMODE(file.stat().st_mode)) == ("t0ken", 0o600)
    for readable in ("dev.toml", "dev.env"):
        assert "t0ken" not in (tmp_path / readable).read_text()
    kept_cluster.fault_proxy_token(kubeconfig)
    profile = load(str(kept_cluster.profile_of(kubeconfig)))
    assert profile.ray.auth.mode == "token"
    assert credentials.resolve(profile).ray.headers == {"Authorization": "Bearer t0ken"}
    kept_cluster.write(planned(""), kubeconfig)
    assert not file.exists()
    kept_cluster.write(planned(), kubeconfig)
    kept_cluster.remove(kubeconfig)
    assert not list(tmp_path.iterdir())


def cluster(**options: Any) -> KindCluster:
    return KindCluster(KindOptions(load("kind"), vllm="stub", run_id="fc-1", ray_version="2.60.0", **options))


def test_the_suite_has_the_clusters_token_and_takes_a_kept_ones_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLEET_CACHE", str(tmp_path))
    assert cluster(ray_auth="none").ray_access is None
    first = cluster(ray_auth="token", keep_cluster=True)
    assert first.ray_access
    (tmp_path / "kind").mkdir()
    kept_cluster.write(first.plan, first.kubeconfig)
    again = cluster(ray_auth="token", reuse_cluster=True)
    assert again.ray_access == first.ray_access
    assert cluster(ray_auth="token", keep_cluster=True).ray_access != first.ray_access
    again.persistent = True
    check_again = again.keep_instructions.splitlines()[1]
    assert check_again.endswith(" --cluster-name fleet-conformance --ray-version 2.60.0 --ray-auth token")
    assert first.plan.ray_auth.token not in again.keep_instructions


def test_a_mode_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="--ray-auth kubernetes: allowed are none, token"):
        cluster(ray_auth="kubernetes")
