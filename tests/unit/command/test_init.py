"""The files that a fleet needs, with the names of its profile."""

from __future__ import annotations

import subprocess
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from fixtures.clusters.kind import kept_cluster
from fixtures.clusters.kubernetes.rights import rights, role_files
from fixtures.command.main import main
from fixtures.core.paths import ROOT
from fixtures.profile.model import PROFILES, load
from tests.support.profiles import profile_text

ATTACH = ROOT / "ci" / "attach"


def documents(folder: Path, name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((folder / name).read_text()))


def test_those_of_the_reference_are_the_shipped_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--profile", "swe-ai-fleet", "--manifests", str(tmp_path)]) == 0
    applied = [f"kubectl apply -k {tmp_path / folder}" for folder in ("rights", "nightly")]
    assert capsys.readouterr().out.splitlines() == applied
    for file in role_files():
        assert documents(tmp_path / "rights", file.name) == documents(ATTACH, file.name)
    (kustomization,) = documents(tmp_path / "rights", "kustomization.yaml")
    assert kustomization["resources"] == ["role.yaml", "role-forward.yaml", "role-exec.yaml"]


def test_nothing_is_replaced_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["init", "--profile", "kind", "--manifests", str(tmp_path)]
    assert main(command) == 0 and main(command) == 4
    assert "role.yaml is there already; --force replaces it" in capsys.readouterr().err
    assert main([*command, "--force", "--allow-disruptive"]) == 0
    (kustomization,) = documents(tmp_path / "rights", "kustomization.yaml")
    assert "role-disruptive.yaml" in kustomization["resources"]


def test_parts_have_namespaces_and_names_of_their_own(tmp_path: Path) -> None:
    profile = tmp_path / "fleet.toml"
    profile.write_text(
        profile_text(
            "swe-ai-fleet",
            vllm={"namespace": "llm", "workload": "serving", "service": "serving-svc"},
            nats={"namespace": "messaging", "service": "bus"},
            ray={"namespace": "compute", "cluster": "", "service": "agents", "head_service": "agents-head-svc"},
        )
    )
    assert main(["init", "--profile", str(profile), "--manifests", str(tmp_path)]) == 0
    roles = [document for document in documents(tmp_path / "rights", "role.yaml") if document["kind"] == "Role"]
    by_place = {role["metadata"]["namespace"]: role["rules"] for role in roles}
    assert set(by_place) == {"swe-ai-fleet", "llm", "messaging", "compute"}

    def names(place: str, resource: str) -> list[Any]:
        return [rule.get("resourceNames") for rule in by_place[place] if resource in rule["resources"]]

    assert names("llm", "deployments") == [["serving"]] and names("llm", "services") == [["serving-svc", "fault-proxy"]]
    assert names("messaging", "services") == [["bus"]] and names("messaging", "deployments") == []
    assert names("compute", "rayservices") == [["agents"]]
    assert names("compute", "rayclusters") == [None], "each upgrade makes another one"
    assert names("swe-ai-fleet", "deployments") == [["orchestrator"]]
    accounts = {
        (subject["name"], subject["namespace"])
        for name in ("role.yaml", "role-forward.yaml", "role-exec.yaml")
        for document in documents(tmp_path / "rights", name)
        for subject in document.get("subjects", ())
    }
    assert accounts == {("fleet-conformance", "swe-ai-fleet")}


def test_a_name_that_yaml_would_read_as_something_else_stays_a_text(tmp_path: Path) -> None:
    profile = tmp_path / "fleet.toml"
    names = {"workload": "007", "service": "on"}
    profile.write_text(profile_text("swe-ai-fleet", vllm=names, kubernetes={"namespace": "1e3"}))
    assert main(["init", "--profile", str(profile), "--manifests", str(tmp_path)]) == 0
    parts = [part for name in ("role.yaml", "role-exec.yaml") for part in documents(tmp_path / "rights", name)]
    granted = [name for part in parts for rule in part.get("rules", ()) for name in rule.get("resourceNames", ())]
    assert {"007", "on"} <= set(granted)
    assert {part["metadata"]["namespace"] for part in parts} == {"1e3", "ray"}
    (kustomization,) = documents(tmp_path / "nightly", "kustomization.yaml")
    assert kustomization["namespace"] == "1e3"


def test_a_part_that_is_reached_by_its_url_alone_needs_no_rights(tmp_path: Path) -> None:
    vllm = {"url": "http://10.0.0.9:8000", "workload": "", "service": ""}
    profile = tmp_path / "fleet.toml"
    profile.write_text(profile_text("swe-ai-fleet", vllm=vllm))
    granted = [str(right) for file in role_files() for right in rights(load(str(profile)), file)]
    assert granted and not [right for right in granted if "vllm" in right or "fault-proxy" in right]


def test_no_rights_in_a_cluster_without_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    votes = str(ROOT / "tests" / "second_stack" / "votes.toml")
    assert main(["init", "--profile", votes, "--manifests", str(tmp_path)]) == 4
    assert "no rights are needed in a cluster" in capsys.readouterr().err


def test_the_cronjob_is_the_shipped_one_in_the_namespace_of_the_account(tmp_path: Path) -> None:
    profile = tmp_path / "fleet.toml"
    profile.write_text(profile_text("swe-ai-fleet", kubernetes={"namespace": "agents"}))
    assert main(["init", "--profile", str(profile), "--manifests", str(tmp_path)]) == 0
    nightly = tmp_path / "nightly"
    assert (nightly / "cronjob.yaml").read_bytes() == (ATTACH / "cronjob.yaml").read_bytes()
    assert (nightly / "profile.toml").read_text() == profile.read_text()
    (kustomization,) = documents(nightly, "kustomization.yaml")
    assert kustomization["namespace"] == "agents" and kustomization["resources"] == ["cronjob.yaml"]
    (generated,) = kustomization["configMapGenerator"]
    assert generated == {"name": "fleet-conformance-profile", "files": ["profile.toml"]}
    assert "images" not in kustomization and "patches" not in kustomization


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("reg.example:5000/fleet/runner:1.2", {"newName": "reg.example:5000/fleet/runner", "newTag": "1.2"}),
        ("runner", {"newName": "runner", "newTag": "latest"}),
        (f"r/runner@sha256:{'0a' * 32}", {"newName": "r/runner", "digest": f"sha256:{'0a' * 32}"}),
    ],
)
def test_image_and_schedule_are_put_in_by_kustomize(tmp_path: Path, image: str, expected: dict[str, str]) -> None:
    command = [
        "init",
        "--profile",
        "kind",
        "--manifests",
        str(tmp_path),
        "--image",
        image,
        "--schedule",
        "0 */6 * * 1-5",
    ]
    assert main(command) == 0
    (kustomization,) = documents(tmp_path / "nightly", "kustomization.yaml")
    assert kustomization["images"] == [{"name": "fleet/conformance-runner", **expected}]
    (patch,) = kustomization["patches"]
    (change,) = yaml.safe_load(patch["patch"])
    assert change == {"op": "replace", "path": "/spec/schedule", "value": "0 */6 * * 1-5"}
    named = {container["image"].rpartition(":")[0] for container in _containers(tmp_path / "nightly")}
    assert named == {"fleet/conformance-runner"}, "what kustomize replaces"


def _containers(folder: Path) -> list[dict[str, Any]]:
    job = next(part for part in documents(folder, "cronjob.yaml") if part["kind"] == "CronJob")
    return list(job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"])


def test_a_contract_of_ones_own_comes_along(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what it names itself."""
    shipped = ROOT / "fixtures" / "profile" / "shipped" / "contracts"
    contract, inner = (shipped / "reference.toml").read_text(), tmp_path / "inner"
    inner.mkdir()
    for folder in (tmp_path, inner):
        (folder / "mine.toml").write_text(contract)
        (folder / "orchestrator.json").write_bytes((shipped / "orchestrator.json").read_bytes())
    profile, text = tmp_path / "fleet.toml", profile_text("kind")
    profile.write_text(text.replace('contract = "reference"', 'contract = "mine.toml"'))
    command = ["init", "--profile", str(profile), "--manifests", str(tmp_path / "out")]
    assert main(command) == 0, capsys.readouterr().err
    assert (tmp_path / "out" / "nightly" / "mine.toml").read_text() == contract
    (kustomization,) = documents(tmp_path / "out" / "nightly", "kustomization.yaml")
    assert kustomization["configMapGenerator"][0]["files"] == ["profile.toml", "mine.toml", "orchestrator.json"]
    profile.write_text(text.replace('contract = "reference"', 'contract = "inner/mine.toml"'))
    assert main([*command, "--force"]) == 4
    assert "is in another folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"), [(["--image", "a b"], "no reference of an image"), (["--schedule", "daily"], "five fields")]
)
def test_what_no_cronjob_can_have_is_refused(
    tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--profile", "kind", "--manifests", str(tmp_path), *options]) == 4
    assert words in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_known_failures_go_with_the_cronjob(tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    until = (datetime.now(UTC) + timedelta(days=30)).date()
    known.write_text(
        '[[known]]\ncheck = "NET-02"\ncause = ["the median latency must be"]\n'
        f'reason = "r"\nowner = "o"\nuntil = {until}\n'
    )
    command = ["init", "--profile", "kind", "--manifests", str(tmp_path / "out"), "--schedule", "5 1 * * *"]
    assert main([*command, "--known", str(known)]) == 0
    nightly = tmp_path / "out" / "nightly"
    assert (nightly / "known.toml").read_text() == known.read_text()
    (kustomization,) = documents(nightly, "kustomization.yaml")
    assert kustomization["configMapGenerator"][0]["files"] == ["profile.toml", "known.toml"]
    (patch,) = kustomization["patches"]
    schedule, *added = yaml.safe_load(patch["patch"])
    assert schedule["value"] == "5 1 * * *"
    assert [change["value"] for change in added] == ["--known", "/profile/known.toml"]
    path = added[0]["path"].removesuffix("/-").removeprefix("/").split("/")
    inner: Any = documents(nightly, "cronjob.yaml")
    inner = next(document for document in inner if document["kind"] == "CronJob")
    for step in path:
        inner = inner[int(step) if step.isdigit() else step]
    assert inner == ["--profile", "/profile/profile.toml"], "what they are added to"


def test_an_inline_contract_brings_its_descriptor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From next to the profile; one from elsewhere would not be there in the pod."""
    descriptor = ROOT / "fixtures" / "profile" / "shipped" / "contracts" / "orchestrator.json"
    profile, inner = tmp_path / "fleet.toml", load("kind")
    (tmp_path / "orchestrator.json").write_bytes(descriptor.read_bytes())
    written = kept_cluster.toml(inner, "Made for a test.")
    assert str(descriptor) in written
    command = ["init", "--profile", str(profile), "--manifests", str(tmp_path / "out")]
    profile.write_text(written)
    assert main(command) == 4 and "is in another folder" in capsys.readouterr().err
    profile.write_text(written.replace(str(descriptor), "orchestrator.json"))
    assert main(command) == 0, capsys.readouterr().err
    (kustomization,) = documents(tmp_path / "out" / "nightly", "kustomization.yaml")
    assert kustomization["configMapGenerator"][0]["files"] == ["profile.toml", "orchestrator.json"]


def test_the_job_of_argo_cd_is_the_cronjobs_pod_with_the_profile_of_its_own(tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    until = (datetime.now(UTC) + timedelta(days=30)).date()
    known.write_text(
        f'[[known]]\ncheck = "NET-02"\ncause = ["the median latency"]\nreason = "r"\nowner = "o"\nuntil = {until}\n'
    )
    command = ["init", "--profile", "kind", "--manifests", str(tmp_path / "out"), "--image", "r/x:1"]
    assert main([*command, "--known", str(known)]) == 0
    folder = tmp_path / "out" / "post-sync"
    (job,) = documents(folder, "job.yaml")
    assert job["metadata"]["annotations"] == {
        "argocd.argoproj.io/hook": "PostSync",
        "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
    }
    assert (job["spec"]["backoffLimit"], job["spec"]["template"]["spec"]["restartPolicy"]) == (0, "Never")
    pod, nightly = job["spec"]["template"]["spec"], _containers(tmp_path / "out" / "nightly")[0]
    (suite,) = pod["containers"]
    gate = ["-m", "gate", "--wait", "5m"]
    assert suite["args"] == ["--profile", "/profile/profile.toml", *gate, "--known", "/profile/known.toml"]
    assert suite["securityContext"] == nightly["securityContext"] and suite["image"] == nightly["image"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in suite["volumeMounts"]} == set(volumes), "each is there, and none besides"
    assert "emptyDir" in volumes["reports"], "an application that is synchronized has no claim of ours"
    (kustomization,) = documents(folder, "kustomization.yaml")
    (generated,) = kustomization["configMapGenerator"]
    assert generated == {"name": volumes["profile"]["configMap"]["name"], "files": ["profile.toml", "known.toml"]}
    assert generated["name"] != "fleet-conformance-profile", "both may be in one application"
    assert kustomization["images"][0]["name"] == suite["image"].rpartition(":")[0]


def test_a_wrong_file_of_known_failures_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    known.write_text('[[known]]\ncheck = "ORC-04"\n')
    assert main(["init", "--profile", "kind", "--manifests", str(tmp_path / "out"), "--known", str(known)]) == 4
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--manifests", "DIR"], "--manifests needs the profile whose names it writes: --profile NAME|FILE"),
        (["--profile", "kind"], "--profile is for files to apply: --manifests DIR"),
        (["--force"], "--force is for files to apply: --manifests DIR"),
        (
            ["--endpoints", "vllm=http://a"],
            "NAME=ADDRESS of vllm, dashboard, nats, orchestrator: dashboard is missing;",
        ),
        (["--endpoints", "vlm=http://a"], "'vlm' is none of them"),
        (
            ["--endpoints", "vllm=http://a,dashboard=http://b,nats=nats://c", "-n", "agents"],
            "--namespace is for a fleet in Kubernetes, which --endpoints is not",
        ),
        (["--endpoints", "vllm=ftp://a,dashboard=http://b,nats=nats://c"], "what init has seen so far: vllm.url: must"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", *options]) == 4
    told = capsys.readouterr()
    assert words in told.err and told.out == "" and not list(tmp_path.iterdir())


def test_a_profile_with_open_values_begins_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text((PROFILES / "kind.toml").read_text().replace('version = "2.49.2"', 'version = "UNKNOWN"'))
    assert main(["preflight", "--profile", str(profile)]) == 4
    assert f"profile {profile}: ray.version: still UNKNOWN" in capsys.readouterr().err


def test_a_kubeconfig_is_written_with_the_names_of_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By ci/attach/kubeconfig, which has tests of its own."""
    profile, asked = tmp_path / "fleet.toml", []
    profile.write_text(profile_text("swe-ai-fleet", kubernetes={"namespace": "agents"}, ray={"cluster": "gpu"}))

    def run(command: list[str], env: dict[str, str], check: bool) -> Any:
        asked.append((command[1:], env.get("KUBECONFIG")))
        return SimpleNamespace(returncode=7 if check else 3)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    written = ["init", "--profile", str(profile), "--write-kubeconfig", "fleet.kubeconfig"]
    assert main(written) == 3, "the script's own status"
    assert main([*written, "--kubeconfig", "mine", "--kube-context", "prod", "--duration", "1h"]) == 3
    assert main([*written, "--ray-token", "token"]) == 3
    script, namespace = str(ATTACH / "kubeconfig"), ["--namespace", "agents"]
    assert asked == [
        ([script, *namespace, "fleet.kubeconfig"], None),
        ([script, *namespace, "--context", "prod", "--duration", "1h", "fleet.kubeconfig"], "mine"),
        (
            [
                *(script, *namespace, "--ray-token", "token"),
                *("--ray-cluster", "gpu", "--ray-namespace", "ray", "fleet.kubeconfig"),
            ],
            None,
        ),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--write-kubeconfig", "f"], "--write-kubeconfig needs the profile"),
        (["--duration", "1h"], "--duration is for --write-kubeconfig FILE"),
        (["--ray-token", "f", "--manifests", "d"], "--ray-token is for --write-kubeconfig FILE"),
        (["--check-profile", "no-such"], "no-such"),
        (["--upgrade", "no-such"], "no-such"),
        (["--image", "x:1"], "--image is for files to apply"),
    ],
)
def test_what_an_action_needs_or_has_no_use_for_is_one_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", *options]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_profile_of_version_1_is_printed_as_version_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--upgrade", "kind"]) == 0
    text = capsys.readouterr().out
    assert tomllib.loads(text)["version"] == 2
