"""The runs whose reports are looked at: each a real one, against real parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fixtures.core.paths import ROOT
from tests.support import suite_process
from tests.support.suite_process import CI_E2E

QUIET = ("-m", "e2e and not disruptive")

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: away, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: away, context: {cluster: away, user: nobody, namespace: swe-ai-fleet}}]
current-context: away
"""


def _other_expectations(folder: Path) -> list[str]:
    """A profile that the embedded fleet does not meet, in three places that have nothing to do with each other."""
    profile = (ROOT / "fixtures/profile/shipped/embedded.toml").read_text(encoding="utf-8")
    for expected, instead in (
        ('"aiohttp==3.11.16"', '"aiohttp==3.12.0"'),
        ('"nats-py==2.10.0"', '"nats-py==2.11.0"'),
        ('version = "0.8.1"', 'version = "0.9.0"'),
    ):
        assert profile.count(expected) == 1, expected
        profile = profile.replace(expected, instead)
    path = folder / "expects-more.toml"
    path.write_text(profile, encoding="utf-8")
    return ["--vllm", "stub", "--profile", str(path), "-k", "INF or DEP"]


def _unreachable(folder: Path) -> list[str]:
    """A cluster whose API server does not answer."""
    path = folder / "kubeconfig"
    path.write_text(KUBECONFIG, encoding="utf-8")
    return ["--cluster", "attach", "--kubeconfig", str(path)]


#: name → options of the run, which may lie files beside its reports
RUNS: dict[str, Callable[[Path], list[str]]] = {
    "green": lambda _: ["--vllm", "stub"],
    "incident": lambda _: ["--vllm", "stub", "--ray-image", "stock", *QUIET],
    "several": _other_expectations,
    "broken": _unreachable,
}


def make(name: str, folder: Path) -> None:
    """Run the suite so that its reports are in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    ran = suite_process.run("-q", "--tb=no", *RUNS[name](folder), command=CI_E2E, reports=folder, timeout=None)
    assert ran.report.rows, f"the run {name} left no report: {ran.output[-4000:]}"
