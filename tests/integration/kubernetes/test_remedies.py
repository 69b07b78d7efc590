"""The commands of remedies on a real fleet: those that read are run, those that change something as a dry run.

Needs a fleet that a `--cluster kind --keep-cluster` run left (see conftest.py).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from fixtures.checks.applicability import applicability
from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.remedy import filled
from fixtures.clusters.base import Component, Timeline
from fixtures.clusters.kubernetes.cluster import AttachOptions, KubernetesCluster
from fixtures.core.paths import ROOT
from fixtures.profile import model as profiles
from fixtures.profile.remedy_values import remedy_values

PROFILE = "FLEET_TEST_PROFILE"
CHANGING = re.compile(r" (delete|patch|scale|set env (?!.*--list))")
TIMEOUT = 120.0  # seconds that one command may take

pytestmark = [
    pytest.mark.skipif(not os.environ.get(PROFILE), reason=f"{PROFILE} is not set: the cluster has no fleet"),
    pytest.mark.skipif(not shutil.which("kubectl"), reason="there is no kubectl on this machine"),
]


@dataclass(frozen=True)
class Commands:
    """Every kubectl command of the remedies of checks that apply, filled for the fleet as a run reads it."""

    texts: tuple[str, ...]
    worker: str  # what $POD names

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env={**os.environ, "POD": self.worker, "NAME": "A_VARIABLE", "VALUE": "a value"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def failed(self, given: list[str]) -> list[str]:
        """Those that do not end with 0, with what they say."""
        with ThreadPoolExecutor(4) as pool:
            ended = pool.map(self.run, given)
            pairs = zip(given, ended, strict=True)
            return [f"{command}: {seen.stderr[-400:]}" for command, seen in pairs if seen.returncode]


@pytest.fixture(scope="module")
async def commands(kubeconfig: str) -> AsyncIterator[Commands]:
    profile = profiles.load(os.environ[PROFILE])
    options = AttachOptions(profile, kubeconfig, None, "fc-remedies", allow_disruptive=False)
    cluster = KubernetesCluster(options)
    await cluster.start(Timeline())
    try:
        for component in (Component.VLLM, Component.ORCHESTRATOR, Component.RAY_WORKER):
            workload = await cluster.workload(component)
        values = remedy_values(profile, "attach", cluster.kubernetes_target)
        absence = applicability(profile, "attach")
        remedies = [filled(check.remedy, values) for check in load_catalogue().values() if not absence(check)]
        texts = {step.text for remedy in remedies for step in remedy if step.is_command}
        yield Commands(tuple(sorted(text for text in texts if text.startswith("kubectl "))), workload.ready[0].name)
    finally:
        await cluster.stop()


def test_what_reads_is_answered(commands: Commands) -> None:
    apart = re.compile(r" (port-forward|rollout restart) ")
    reading = [text for text in commands.texts if not CHANGING.search(text) and not apart.search(text)]
    assert len(reading) > 20
    assert not (failed := commands.failed(reading)), "\n".join(failed)


def test_what_changes_something_would_be_taken(commands: Commands) -> None:
    """kubectl has no dry run of `rollout restart`: the workload must be one that has roll-outs."""
    changing = [f"{text} --dry-run=server" for text in commands.texts if CHANGING.search(text)]
    restarts = [text for text in commands.texts if " rollout restart " in text]
    assert len(changing) > 5 and restarts
    changing += [text.replace(" rollout restart ", " rollout status --watch=false ") for text in restarts]
    assert not (failed := commands.failed(changing)), "\n".join(failed)


def test_a_forwarded_port_leads_to_the_service(commands: Commands) -> None:
    forwards = [text for text in commands.texts if " port-forward " in text]
    assert len(forwards) >= 2
    for text in forwards:
        elsewhere = re.sub(r" \d+:(\d+)$", r" :\1", text)  # the port may be taken on this machine
        with subprocess.Popen(["bash", "-c", f"exec {elsewhere}"], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            process.terminate()
        assert line.startswith("Forwarding from"), f"{text}: {line}"
