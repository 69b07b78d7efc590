"""The gate on a real fleet in Kubernetes: it waits for a roll-out, and asks its fifteen checks once it is through.

Needs the fleet that test_attach.py needs.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from fixtures.profile import model as profiles
from fixtures.profile.amounts import least
from tests.support.suite_process import SuiteProcess


def scale(replicas: int) -> None:
    """Have the orchestrator so many replicas."""
    profile = profiles.load(os.environ["FLEET_TEST_PROFILE"])
    workload = f"deployment/{profile.orchestrator.workload}"
    command = ["kubectl", "--kubeconfig", os.environ["FLEET_TEST_KUBECONFIG"], "scale", workload]
    options = ["--namespace", profile.orchestrator.namespace, f"--replicas={replicas}"]
    subprocess.run([*command, *options], check=True, capture_output=True, timeout=60)


async def test_the_gate_waits_until_the_orchestrator_is_back_and_passes(tmp_path: Path) -> None:
    named = ("--kubeconfig", os.environ["FLEET_TEST_KUBECONFIG"], "--profile", os.environ["FLEET_TEST_PROFILE"])
    replicas = least(profiles.load(os.environ["FLEET_TEST_PROFILE"]).orchestrator.replicas)
    options = ("--cluster", "attach", *named, "-m", "gate", "--wait", "5m")
    scale(0)
    try:
        with SuiteProcess(tmp_path / "reports", *options, log=tmp_path / "log") as suite:
            await suite.prints("waiting: orchestrator", timeout=60)
            scale(replicas)
            status = await suite.ended(300)
    finally:
        scale(replicas)
    assert status == 0, suite.output[-3000:]
    report = suite.report
    assert report.verdict == "partial"
    assert sum(ended == "passed" for ended in report.statuses.values()) == 15, report.statuses
    assert not any("--wait" in note for note in report.document["cluster"]["notes"])
    assert "create pods/exec" not in report.document["cluster"]["rights"], "it enters no pod"
