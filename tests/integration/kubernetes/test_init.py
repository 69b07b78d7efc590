"""`fleet-conformance init` on a real fleet in Kubernetes: its profile, from its objects and services alone.

Needs the fleet that test_attach.py needs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

from fixtures.core.paths import ROOT
from fixtures.profile import model as profiles
from tests.support import tutorials
from tests.support.suite_process import Report

PAGE = ROOT / "docs" / "tutorial" / "your-fleet.md"
BLOCK_S = 300.0  # a block of its commands has hung; the checklist took 90 s
COMMAND = (sys.executable, "-P", str(ROOT / "fixtures" / "command"), "init")


def init(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, check=False, timeout=180)


#: What the fleet itself says, in objects and answers, as attributes of a profile.
SEEN = (
    *("kubernetes.namespace", "vllm.workload", "vllm.service", "vllm.port", "vllm.model", "vllm.max_model_len"),
    *("ray.cluster", "ray.namespace", "ray.version", "ray.head_service", "nats.service", "nats.port", "nats.stream"),
    *("nats.subjects", "nats.consumers", "nats.results_bucket", "orchestrator.workload", "orchestrator.service"),
    *("orchestrator.port", "orchestrator.replicas", "orchestrator.variables", "orchestrator.version"),
    *("deliberations.agents", "agent.job_class", "agent.max_tokens"),
)


def test_the_tutorial_is_followed_word_by_word_and_the_profile_is_what_was_deployed(tmp_path: Path) -> None:
    """Nothing of the fleet is known to it but its namespaces."""
    kubeconfig, deployed = os.environ["FLEET_TEST_KUBECONFIG"], profiles.load(os.environ["FLEET_TEST_PROFILE"])
    assert (deployed.kubernetes.namespace, deployed.ray.namespace) == ("swe-ai-fleet", "ray"), "as the page has them"
    path = f"{ROOT / 'ci'}:{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "KUBECONFIG": kubeconfig, "COLUMNS": "120"}
    assert tutorials.follow(PAGE, tmp_path, variables, BLOCK_S) == []
    assert Report.read(tmp_path / "reports").verdict == "partial"

    profile = tmp_path / "my-fleet.toml"
    found = profiles.load(str(profile))
    for key in SEEN:
        assert attrgetter(key)(found) == attrgetter(key)(deployed), key
    assert sorted(found.deliberations.roles) == sorted(deployed.deliberations.roles)
    assert [group.name for group in found.ray.groups] == [group.name for group in deployed.ray.groups]
    assert found.ray.python_minor == deployed.ray.python_minor
    assert {each.module: each.asked for each in found.agent.dependencies} == {
        each.module: each.asked for each in deployed.agent.dependencies
    }

    drift = ("--kubeconfig", kubeconfig, "-n", "swe-ai-fleet", "-n", "ray", "--diff", str(profile))
    same = init(*drift)
    assert same.returncode == 0, same.stdout + same.stderr
    profile.write_text(profile.read_text().replace("replicas = 2", "replicas = 3"))
    drifted = init(*drift)
    assert drifted.returncode == 1 and "~ orchestrator.replicas  3 -> 2  (" in drifted.stdout
    named = init("--kubeconfig", kubeconfig, "--check-profile", str(profile))
    assert named.returncode == 0, named.stdout + named.stderr
    profile.write_text(profile.read_text().replace(f'service = "{deployed.nats.service}"', 'service = "nats-bus"'))
    named = init("--kubeconfig", kubeconfig, "--check-profile", str(profile))
    near = 'nats.service: no Service "nats-bus" in swe-ai-fleet; there '
    (line,) = named.stdout.splitlines()
    assert named.returncode == 1 and line.startswith(near) and deployed.nats.service in line[len(near) :], line


def test_a_namespace_without_ray_is_one_line() -> None:
    refused = init("--kubeconfig", os.environ["FLEET_TEST_KUBECONFIG"], "-n", "kube-system")
    assert refused.returncode == 4
    assert refused.stderr.splitlines()[-1].startswith(
        "fleet-conformance: there is no RayCluster here: name the namespaces"
    )
