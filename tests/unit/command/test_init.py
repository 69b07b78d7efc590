"""The files that a fleet needs, with the names of its profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.clusters.kubernetes.rights import rights, role_files
from fixtures.command.main import main
from fixtures.core.paths import ROOT
from fixtures.profile.model import load
from tests.support.profiles import profile_text

ATTACH = ROOT / "ci" / "attach"


def documents(folder: Path, name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((folder / name).read_text()))


def test_those_of_the_reference_are_the_shipped_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--profile", "swe-ai-fleet", "--manifests", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"kubectl apply -k {tmp_path / 'rights'}\n"
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
