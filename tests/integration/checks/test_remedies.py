"""The commands of remedies on the real programs of this machine, with nothing there to answer: usage errors are found.

On a cluster they are run in tests/integration/kubernetes/test_remedies.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fixtures.checks.applicability import Applicability, applicability, everything_applies
from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.remedy import filled
from fixtures.core.paths import ROOT
from fixtures.profile import model as profiles
from fixtures.profile.remedy_values import KubernetesTarget, RemedyValues, remedy_values
from tests.support.profiles import with_urls

PLATFORM = str(ROOT / "tests" / "unit" / "profile" / "platform.toml")
NOBODY = "127.0.0.1:1"  # where nothing listens
KUBECONFIG = f"""
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "http://{NOBODY}"}}}}]
contexts: [{{name: nowhere, context: {{cluster: c, user: u}}}}]
users: [{{name: u, user: {{token: t}}}}]
"""


def commands(values: RemedyValues, program: str, absent: Applicability = everything_applies) -> list[str]:
    remedies = [filled(check.remedy, values) for check in load_catalogue().values() if not absent(check)]
    texts = {step.text for remedy in remedies for step in remedy if step.is_command}
    found = sorted(text for text in texts if text.startswith(f"{program} "))
    assert found, f"no remedy has a command of {program}"
    return found


def ended(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, "POD": "a-pod", "NAME": "A_VARIABLE", "VALUE": "a value", "no_proxy": "*"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def all_ended(commands: list[str]) -> dict[str, subprocess.CompletedProcess[str]]:
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(commands, pool.map(ended, commands), strict=True))


@pytest.mark.skipif(not shutil.which("kubectl"), reason="there is no kubectl on this machine")
@pytest.mark.parametrize(
    ("name", "ray_cluster", "ray_service", "groups"),
    [("swe-ai-fleet", "", "", ()), (PLATFORM, "agents-x7k2p", "agents", ("cpu", "gpu"))],
    ids=["reference", "ray-service"],
)
def test_kubectl_takes_every_command_and_asks_the_cluster_that_is_named(
    tmp_path: Path, name: str, ray_cluster: str, ray_service: str, groups: tuple[str, ...]
) -> None:
    kubeconfig, profile = tmp_path / "kube config", profiles.load(name)
    kubeconfig.write_text(KUBECONFIG)
    selectors = {("swe-ai-fleet", "vllm-server"): "app=vllm", ("swe-ai-fleet", "orchestrator"): "app=o"}
    target = KubernetesTarget("nowhere", str(kubeconfig), "", ray_cluster, ray_service, groups, selectors)
    values = remedy_values(profile, "attach", target)
    taken = commands(values, "kubectl", applicability(profile, "attach"))
    given = [re.sub(r'"\$\(.*?\)"', "a-pod", command) for command in taken]
    for command, seen in all_ended(given).items():
        assert seen.returncode and NOBODY in seen.stderr and "refused" in seen.stderr, f"{command}: {seen.stderr}"


@pytest.mark.parametrize(
    ("program", "refused"), [("curl", r"curl: \(7\)"), ("python3", "ConnectionRefusedError"), ("ray", NOBODY)]
)
def test_commands_for_plain_endpoints_ask_what_the_profile_names(program: str, refused: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"there is no {program} on this machine")
    at = f"http://{NOBODY}"
    profile = with_urls(profiles.load("swe-ai-fleet"), vllm=at, ray=at, nats=f"nats://{NOBODY}", orchestrator=(NOBODY,))
    for command, seen in all_ended(commands(remedy_values(profile, "attach", None), program)).items():
        assert seen.returncode and re.search(refused, seen.stderr + seen.stdout), f"{command}: {seen.stderr}"


def test_the_suite_takes_the_command_for_this_machine() -> None:
    values = remedy_values(profiles.load("embedded"), "embedded", None)
    for command in commands(values, "./ci/e2e"):
        seen = ended(f"{command} --collect-only -q -k DEP")
        assert seen.returncode == 0, f"{command}: {seen.stdout}{seen.stderr}"
