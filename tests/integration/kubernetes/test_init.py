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
from tests.support import suite_process

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


def test_the_profile_of_a_running_fleet_is_written_and_a_run_with_it_is_good(tmp_path: Path) -> None:
    kubeconfig, deployed = os.environ["FLEET_TEST_KUBECONFIG"], profiles.load(os.environ["FLEET_TEST_PROFILE"])
    spaces = ("-n", deployed.kubernetes.namespace, "-n", deployed.ray.namespace)
    written = init("--kubeconfig", kubeconfig, *spaces, "--census")
    assert written.returncode == 0 and "nothing left to fill in" in written.stderr, written.stdout + written.stderr
    profile = tmp_path / "written.toml"
    profile.write_text(written.stdout)

    found = profiles.load(str(profile))
    for key in SEEN:
        assert attrgetter(key)(found) == attrgetter(key)(deployed), key
    assert sorted(found.deliberations.roles) == sorted(deployed.deliberations.roles)
    assert [group.name for group in found.ray.groups] == [group.name for group in deployed.ray.groups]
    assert found.ray.python_minor == deployed.ray.python_minor
    assert {each.module: each.asked for each in found.agent.dependencies} == {
        each.module: each.asked for each in deployed.agent.dependencies
    }

    chosen = ("-m", "e2e and not disruptive", "-k", "INF or CFG or NET or DEP or IMG-01 or JOB-04 or ORC-04")
    run = suite_process.run(
        *("--kubeconfig", kubeconfig, "--profile", str(profile), *chosen), reports=tmp_path / "reports", timeout=300
    )
    assert run.returncode == 0 and run.report.verdict == "partial", run.output

    same = init("--kubeconfig", kubeconfig, *spaces, "--diff", str(profile))
    assert same.returncode == 0, same.stdout + same.stderr
    profile.write_text(written.stdout.replace("replicas = 2", "replicas = 3"))
    drifted = init("--kubeconfig", kubeconfig, *spaces, "--diff", str(profile))
    assert drifted.returncode == 1 and "~ orchestrator.replicas  3 -> 2  (" in drifted.stdout


def test_a_namespace_without_ray_is_one_line() -> None:
    refused = init("--kubeconfig", os.environ["FLEET_TEST_KUBECONFIG"], "-n", "kube-system")
    assert refused.returncode == 4
    assert refused.stderr.splitlines()[-1].startswith(
        "fleet-conformance: there is no RayCluster here: name the namespaces"
    )
