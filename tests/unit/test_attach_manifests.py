"""What ci/attach/ puts into a cluster: narrow rights, a confined pod, and a kubeconfig that holds no more than a token."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.profile import load

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "ci" / "attach"
READING = {"get", "list"}
#: `create` on these opens a stream to a pod, and makes nothing.
STREAMS = {"pods/exec", "pods/portforward"}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def rules(name: str) -> list[tuple[str, str, str, str]]:
    """(namespace, group, resource, verb) of every right."""
    return [
        (role["metadata"]["namespace"], group, resource, verb)
        for role in documents(name)
        if role["kind"] == "Role"
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def test_reading_is_all_that_the_role_allows():
    more = [right for right in rules("role.yaml") if right[3] not in READING and right[2] not in STREAMS]
    assert more == []


@pytest.mark.parametrize("name", ["role.yaml", "role-disruptive.yaml"])
def test_rights_are_spelled_out_once_in_the_profiles_namespaces(name: str):
    found = rules(name)
    spaces = load("swe-ai-fleet").kubernetes
    assert len(found) == len(set(found))
    assert {right[0] for right in found} == {spaces.namespace, spaces.ray_namespace}
    assert not [right for right in found if "*" in right or "secrets" in right[2]]
    assert {one["kind"] for one in documents(name)} <= {"ServiceAccount", "Role", "RoleBinding"}


def test_disruptive_rights_repeat_none():
    assert not set(rules("role.yaml")) & set(rules("role-disruptive.yaml"))


def test_certification_only_reads_and_binds_the_account():
    parts = documents("role-certification.yaml")
    granted = [rule for part in parts for rule in part.get("rules") or ()]
    assert granted
    assert {verb for rule in granted for verb in rule["verbs"]} <= READING
    assert "*" not in str(granted)
    assert "secrets" not in str(granted)
    names = load("swe-ai-fleet").kubernetes
    assert {part["metadata"]["namespace"] for part in parts if "namespace" in part["metadata"]} == {
        names.operator_namespace
    }
    bindings = [part for part in parts if part["kind"].endswith("Binding")]
    account = {"kind": "ServiceAccount", "name": "fleet-conformance", "namespace": "swe-ai-fleet"}
    assert len(bindings) == 2
    assert all(part["subjects"] == [account] for part in bindings)


@pytest.mark.parametrize("name", ["role.yaml", "role-disruptive.yaml"])
def test_every_role_is_bound_to_the_account(name: str):
    roles = {
        (one["metadata"]["namespace"], one["metadata"]["name"]) for one in documents(name) if one["kind"] == "Role"
    }
    bindings = [one for one in documents(name) if one["kind"] == "RoleBinding"]
    assert {(one["metadata"]["namespace"], one["roleRef"]["name"]) for one in bindings} == roles
    account = {"kind": "ServiceAccount", "name": "fleet-conformance", "namespace": "swe-ai-fleet"}
    assert all(one["subjects"] == [account] for one in bindings)


def test_the_cronjob_never_tries_twice_and_is_confined():
    job = next(one for one in documents("cronjob.yaml") if one["kind"] == "CronJob")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    run = job["spec"]["jobTemplate"]["spec"]
    pod = run["template"]["spec"]
    assert (run["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert pod["serviceAccountName"] == "fleet-conformance"
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]
    (container,) = pod["containers"]
    confined = container["securityContext"]
    assert confined["readOnlyRootFilesystem"] and not confined["allowPrivilegeEscalation"]
    assert confined["capabilities"] == {"drop": ["ALL"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


KUBECTL = """#!/bin/sh
echo "$@" >> "$LOG"
case " $* " in
*" create token "*) echo the-token ;;
*" config view "*) printf '%s' '{"certificate-authority-data":"QUJD","server":"https://10.0.0.1:6443"}' ;;
esac
"""


def test_a_kubeconfig_holds_the_cluster_and_a_token(tmp_path: Path):
    kubectl, log = tmp_path / "kubectl", tmp_path / "log"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    ran = subprocess.run(
        ["bash", str(FOLDER / "kubeconfig"), "--context", "prod", "--namespace", "agents", "--duration", "1h"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "LOG": str(log)},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    found = yaml.safe_load(ran.stdout)
    assert found["clusters"][0]["cluster"]["server"] == "https://10.0.0.1:6443"
    assert found["users"] == [{"name": "fleet-conformance", "user": {"token": "the-token"}}]
    assert "--context prod -n agents create token fleet-conformance --duration 1h" in log.read_text()


@pytest.mark.parametrize("arguments", [["--context"], ["--frobnicate"], ["prod"]])
def test_bad_options_are_one_line(arguments: list[str]):
    ran = subprocess.run(
        ["bash", str(FOLDER / "kubeconfig"), *arguments], capture_output=True, text=True, check=False, timeout=20
    )
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (4, "", 1)
