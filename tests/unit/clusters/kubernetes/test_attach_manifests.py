"""What ci/attach/ puts into a cluster: narrow rights, a confined pod,
and a kubeconfig that holds no more than a token.
"""

from __future__ import annotations

import stat
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from fixtures.core.paths import ROOT
from fixtures.profile.model import load

FOLDER = ROOT / "ci" / "attach"
READING = {"get", "list"}


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


ROLES = ("role.yaml", "role-forward.yaml", "role-exec.yaml", "role-disruptive.yaml", "role-certification-dry-run.yaml")


def test_looking_allows_nothing_but_reading() -> None:
    assert not [right for right in rules("role.yaml") if right[3] not in READING]


@pytest.mark.parametrize(
    ("name", "stream"), [("role-forward.yaml", "pods/portforward"), ("role-exec.yaml", "pods/exec")]
)
def test_what_opens_a_stream_is_a_role_of_its_own(name: str, stream: str) -> None:
    assert {right[2] for right in rules(name)} == {stream}


@pytest.mark.parametrize("name", ROLES)
def test_rights_are_spelled_out_once_in_the_profiles_namespaces(name: str) -> None:
    granted = rules(name)
    profile = load("swe-ai-fleet")
    assert len(granted) == len(set(granted))
    assert {right[0] for right in granted} <= {profile.kubernetes.namespace, profile.ray.namespace}
    assert not [right for right in granted if "*" in right or "secrets" in right[2]]
    assert {document["kind"] for document in documents(name)} <= {"ServiceAccount", "Role", "RoleBinding"}


@pytest.mark.parametrize("name", ROLES)
def test_a_role_says_what_its_token_allows(name: str) -> None:
    assert "# With the token one can" in (FOLDER / name).read_text()
    assert f"`{name}`" in (FOLDER / "README.md").read_text()


def test_no_right_is_granted_by_two_roles() -> None:
    granted = Counter(right for name in ROLES for right in set(rules(name)))
    assert not [right for right, times in granted.items() if times > 1]


@pytest.mark.parametrize("profile", ["swe-ai-fleet", "kind"])
def test_objects_that_keep_their_names_are_named(profile: str) -> None:
    """Each of those that the profile names, and no others of their kind."""
    fleet = load(profile)
    workloads, ray = {fleet.vllm.workload, fleet.orchestrator.workload}, {fleet.ray.cluster}
    services = {fleet.vllm.service, fleet.nats.service, fleet.orchestrator.service}
    wanted = {
        ("role.yaml", "deployments"): workloads,
        ("role.yaml", "statefulsets"): workloads,
        ("role.yaml", "daemonsets"): workloads,
        ("role.yaml", "leases"): {"fleet-conformance"},
        ("role-disruptive.yaml", "leases"): {"fleet-conformance"},
        ("role.yaml", "services"): services | {fleet.ray.head_service, fleet.vllm.fault_proxy or "fault-proxy"},
        ("role.yaml", "rayclusters"): ray,
        ("role-disruptive.yaml", "deployments/scale"): {fleet.orchestrator.workload},
        ("role-disruptive.yaml", "statefulsets/scale"): {fleet.orchestrator.workload},
        ("role-disruptive.yaml", "rayclusters"): ray,
    }
    named: dict[tuple[str, str], set[str]] = {}
    for name in ROLES:
        for rule in (rule for document in documents(name) for rule in document.get("rules") or ()):
            for resource in rule["resources"]:
                if names := rule.get("resourceNames"):
                    named.setdefault((name, resource), set()).update(names)
    assert named == wanted


def test_a_workload_gets_another_size_and_nothing_else() -> None:
    changing = {right[2] for right in rules("role-disruptive.yaml") if right[1] == "apps"}
    assert changing == {"deployments/scale", "statefulsets/scale"}


def test_certification_only_reads_and_binds_the_account() -> None:
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


@pytest.mark.parametrize("name", ROLES)
def test_every_role_is_bound_to_the_account(name: str) -> None:
    roles = {
        (one["metadata"]["namespace"], one["metadata"]["name"]) for one in documents(name) if one["kind"] == "Role"
    }
    bindings = [one for one in documents(name) if one["kind"] == "RoleBinding"]
    assert {(one["metadata"]["namespace"], one["roleRef"]["name"]) for one in bindings} == roles
    account = {"kind": "ServiceAccount", "name": "fleet-conformance", "namespace": "swe-ai-fleet"}
    assert all(one["subjects"] == [account] for one in bindings)


def test_the_cronjob_never_tries_twice_and_is_confined() -> None:
    job = next(one for one in documents("cronjob.yaml") if one["kind"] == "CronJob")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    run = job["spec"]["jobTemplate"]["spec"]
    pod = run["template"]["spec"]
    assert (run["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert pod["serviceAccountName"] == "fleet-conformance"
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]
    for container in pod["containers"]:
        confined = container["securityContext"]
        assert confined["readOnlyRootFilesystem"] and not confined["allowPrivilegeEscalation"]
        assert confined["capabilities"] == {"drop": ["ALL"]}
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_what_uploads_has_neither_token_nor_secrets_of_the_suite() -> None:
    """FLEET_UPLOAD is any command with any tools; the suite's account may enter pods."""
    job = next(one for one in documents("cronjob.yaml") if one["kind"] == "CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    suite, upload = pod["containers"]
    assert (suite["name"], upload["name"]) == ("suite", "upload")
    assert pod["automountServiceAccountToken"] is False
    mounts = {mount["name"]: mount for mount in upload["volumeMounts"]}
    assert set(mounts) == {"reports", "handover", "upload-tmp"}
    assert mounts["reports"]["readOnly"] and mounts["handover"]["readOnly"]
    assert [source["secretRef"]["name"] for source in upload["envFrom"]] == ["fleet-conformance-upload"]
    assert not {"FLEET_UPLOAD"} & {variable["name"] for variable in suite["env"]}
    assert upload["image"] == suite["image"]


KUBECTL = """#!/bin/sh
echo "$@" >> "$LOG"
case " $* " in
*" create token "*) [ -z "$NO_TOKEN" ] || exit 1; echo the-token ;;
*" get raycluster "*) printf '%s' "$SECRET_NAME" ;;
*" get secret "*) [ -z "$NO_SECRET" ] || exit 1; printf '%s' "$SECRET_DATA" ;;
*" config view "*) printf '%s' '{"certificate-authority-data":"QUJD","server":"https://10.0.0.1:6443"}' ;;
esac
"""


Kubeconfig = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def make_kubeconfig(tmp_path: Path) -> Kubeconfig:
    """Runs ci/attach/kubeconfig with a stand-in for kubectl, which logs its calls in tmp_path/log."""
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    environment = {"PATH": f"{kubectl.parent}:/usr/bin:/bin", "LOG": str(tmp_path / "log")}

    def run(*arguments: str, stdout: int | IO[str] = subprocess.PIPE, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", f'umask 022; exec bash "{FOLDER}/kubeconfig" "$@"', "kubeconfig", *arguments],
            env=environment | more,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            text=True,
            check=False,
            timeout=20,
        )

    return run


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_kubeconfig_holds_the_cluster_and_a_token(make_kubeconfig: Kubeconfig, tmp_path: Path) -> None:
    ran = make_kubeconfig("--context", "prod", "--namespace", "agents", "--duration", "1h")
    assert ran.returncode == 0, ran.stderr
    found = yaml.safe_load(ran.stdout)
    assert found["clusters"][0]["cluster"]["server"] == "https://10.0.0.1:6443"
    assert found["users"] == [{"name": "fleet-conformance", "user": {"token": "the-token"}}]
    assert "--context prod -n agents create token fleet-conformance --duration 1h" in (tmp_path / "log").read_text()


RAY = {"SECRET_NAME": "", "SECRET_DATA": "dDBrZW4="}  # t0ken


@pytest.mark.parametrize(("named", "secret"), [("", "main"), ("rays-own", "rays-own")])
def test_rays_token_is_read_with_the_callers_rights_into_a_file_of_its_owners(
    make_kubeconfig: Kubeconfig, tmp_path: Path, named: str, secret: str
) -> None:
    (tmp_path / "ray-token").write_text("old")
    options = ["--context", "prod", "--ray-token", "ray-token", "--ray-cluster", "main", "--ray-namespace", "rays"]
    ran = make_kubeconfig(*options, "fleet.kubeconfig", **RAY | {"SECRET_NAME": named})
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    assert (tmp_path / "ray-token").read_text() == "t0ken"
    assert mode(tmp_path / "ray-token") == mode(tmp_path / "fleet.kubeconfig") == 0o600
    assert "t0ken" not in (tmp_path / "fleet.kubeconfig").read_text()
    calls = (tmp_path / "log").read_text()
    assert f"--context prod -n rays get secret {secret} -o" in calls
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bin", "fleet.kubeconfig", "log", "ray-token"]


def test_without_the_option_no_secret_is_read(make_kubeconfig: Kubeconfig, tmp_path: Path) -> None:
    assert make_kubeconfig().returncode == 0
    assert "secret" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("state", [{"SECRET_DATA": ""}, {"NO_SECRET": "1"}])
def test_a_secret_without_a_token_leaves_no_file(
    make_kubeconfig: Kubeconfig, tmp_path: Path, state: dict[str, str]
) -> None:
    ran = make_kubeconfig("--ray-token", "ray-token", "fleet.kubeconfig", **RAY | state)
    assert ran.returncode != 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bin", "log"]
    if not state.get("NO_SECRET"):
        assert "kubeconfig: the Secret ray-gpu in ray has no auth_token" in ran.stderr


def test_rays_token_replaces_no_link(make_kubeconfig: Kubeconfig, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    ran = make_kubeconfig("--ray-token", "link", "fleet.kubeconfig", **RAY)
    assert ran.returncode == 4
    assert "link is a symbolic link" in ran.stderr
    assert not (tmp_path / "log").exists()


def test_the_kubeconfig_file_is_its_owners_alone(make_kubeconfig: Kubeconfig, tmp_path: Path) -> None:
    ran = make_kubeconfig("fleet.kubeconfig")
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    file = tmp_path / "fleet.kubeconfig"
    assert mode(file) == 0o600
    assert "the-token" in file.read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "log", "fleet.kubeconfig"}


def test_a_kubeconfig_file_with_wider_rights_never_holds_the_token(make_kubeconfig: Kubeconfig, tmp_path: Path) -> None:
    file = tmp_path / "fleet.kubeconfig"
    file.write_text("old")
    file.chmod(0o644)
    with file.open() as reader:  # a program that has the old file open must not see the token
        assert make_kubeconfig("fleet.kubeconfig").returncode == 0
        assert reader.read() == "old"
    assert mode(file) == 0o600
    assert "the-token" in file.read_text()


def test_a_kubeconfig_file_stays_as_it_is_when_there_is_no_token(make_kubeconfig: Kubeconfig, tmp_path: Path) -> None:
    file = tmp_path / "fleet.kubeconfig"
    file.write_text("old")
    assert make_kubeconfig("fleet.kubeconfig", NO_TOKEN="1").returncode != 0
    assert file.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "log", "fleet.kubeconfig"}


@pytest.mark.parametrize(("rights", "status"), [(0o644, 4), (0o640, 4), (0o604, 4), (0o600, 0)])
def test_no_token_is_printed_into_a_file_that_others_may_read(
    make_kubeconfig: Kubeconfig, tmp_path: Path, rights: int, status: int
) -> None:
    file = tmp_path / "redirected"
    file.touch()
    file.chmod(rights)
    with file.open("w") as redirected:
        ran = make_kubeconfig(stdout=redirected)
    assert ran.returncode == status, ran.stderr
    assert ("the-token" in file.read_text()) is (status == 0)
    if status:
        assert "ci/attach/kubeconfig FILE" in ran.stderr
        assert not (tmp_path / "log").exists(), "a token was made"


@pytest.mark.parametrize(
    "arguments",
    [["--context"], ["--frobnicate"], ["one", "two"], [""], ["bin"], ["no/such/folder"], ["/proc/self/exe"]],
)
def test_bad_options_are_one_line(make_kubeconfig: Kubeconfig, arguments: list[str]) -> None:
    ran = make_kubeconfig(*arguments)
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (4, "", 1)


def test_the_kubeconfigs_help_names_every_option_and_the_rights(make_kubeconfig: Kubeconfig) -> None:
    ran = make_kubeconfig("--help")
    assert ran.returncode == 0
    for word in ("FILE", "0600", "--context", "--namespace", "--account", "--duration", "8h", "example: "):
        assert word in ran.stdout
    assert "#" not in ran.stdout and "set -euo" not in ran.stdout


REPORTS_KUBECTL = """#!/bin/bash
echo "$@" >> "$LOG"
case " $* " in
*" get cronjob "*) printf %s "$IMAGE" ;;
*" create -f - "*) cat > "$LOG.job" ;;
*" exec "*) exec tar -C "$VOLUME" -cf - . ;;
esac
"""


@pytest.fixture
def copy_reports(tmp_path: Path) -> Kubeconfig:
    """Runs ci/attach/reports with a stand-in for kubectl, which logs its calls in tmp_path/log."""
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(REPORTS_KUBECTL)
    kubectl.chmod(0o755)
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "status.md").write_text("green")
    environment = {"PATH": f"{kubectl.parent}:/usr/bin:/bin", "LOG": str(tmp_path / "log"), "VOLUME": str(volume)}
    environment |= {"IMAGE": "registry.example:5000/fleet/runner@sha256:0a", "TMPDIR": str(tmp_path)}

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(FOLDER / "reports"), *arguments]
        return subprocess.run(
            command, env=environment | more, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=20
        )

    return run


def test_reports_are_copied_through_a_job_that_ends_by_itself(copy_reports: Kubeconfig, tmp_path: Path) -> None:
    ran = copy_reports("out", "2026-01-31T03-15-00Z")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out" / "status.md").read_text() == "green"
    job = yaml.safe_load((tmp_path / "log.job").read_text())
    assert (job["kind"], job["spec"]["activeDeadlineSeconds"], job["spec"]["ttlSecondsAfterFinished"]) == (
        "Job",
        600,
        60,
    )
    pod = job["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["image"] == "registry.example:5000/fleet/runner@sha256:0a"
    calls = (tmp_path / "log").read_text().splitlines()
    assert f"delete job {job['metadata']['name']} " in calls[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "log", "log.job", "out", "volume"}


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["out", "../../etc"], {}),
        (["out", "2026/../Z"], {}),
        (["out"], {"CLAIM": 'x" }, hostPath: { path: "/'}),
        (["out"], {"NAMESPACE": "a b"}),
        (["out"], {"IMAGE": 'x"\n          command: [evil]'}),
        (["out"], {"IMAGE": ""}),
    ],
)
def test_nothing_foreign_gets_into_the_job(
    copy_reports: Kubeconfig, tmp_path: Path, arguments: list[str], environment: dict[str, str]
) -> None:
    ran = copy_reports(*arguments, **environment)
    assert ran.returncode == 4
    assert not (tmp_path / "log.job").exists()
    assert not (tmp_path / "out").exists()


def test_a_link_among_the_reports_is_not_followed(copy_reports: Kubeconfig, tmp_path: Path) -> None:
    (tmp_path / "volume" / "passwd").symlink_to("/etc/passwd")
    ran = copy_reports("out")
    assert ran.returncode == 4
    assert "what is no file" in ran.stderr
    assert not (tmp_path / "out").exists()
