"""The composite action for GitHub, its steps run without GitHub."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.core.paths import ROOT

ACTION = ROOT / "ci" / "action"
PROGRAM = """#!/bin/sh
echo "$@" >> "$LOG"
env | grep -c hunter2 >> "$LOG.secrets"
[ "$1" = check ] || exit 0
for word; do case $word in *.kubeconfig) stat -c %a "$word" > "$LOG.mode"; cat "$word" > "$LOG.kubeconfig" ;; esac; done
[ -z "$VERDICT" ] || { mkdir -p "$REPORTS"; echo "{\\"verdict\\": \\"$VERDICT\\"}" > "$REPORTS/conformance.json"; }
exit "$STATUS"
"""


@pytest.fixture
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ACTION / "action.yml").read_text())
    return loaded


@pytest.fixture
def check(tmp_path: Path) -> Any:
    """Runs the step with a stand-in for the suite; returns (what came of it, the step's outputs, its calls)."""
    bin = tmp_path / "fleet-conformance" / "bin"
    bin.mkdir(parents=True)
    (bin / "fleet-conformance").write_text(PROGRAM)
    (bin / "fleet-conformance").chmod(0o755)
    (bin / "python").symlink_to(sys.executable)

    def run(verdict: str = "partial", status: int = 0, **inputs: str) -> Any:
        reports = inputs.get("INPUT_REPORT_DIR", "reports")
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "RUNNER_TEMP": str(tmp_path),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "LOG": str(tmp_path / "log"),
            "VERDICT": verdict,
            "STATUS": str(status),
            "REPORTS": str(tmp_path / (f"{inputs['INPUT_DATED']}/latest" if "INPUT_DATED" in inputs else reports)),
            "INPUT_PROFILE": "my fleet.toml",
            "INPUT_REPORT_DIR": reports,
        }
        done = subprocess.run(
            [str(ACTION / "check")], cwd=tmp_path, env=environment | inputs, capture_output=True, text=True, check=False
        )
        outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
        return done, outputs, (tmp_path / "log").read_text().splitlines()

    return run


def test_it_is_pinned_and_puts_no_input_into_a_script(document: dict[str, Any]) -> None:
    text = (ACTION / "action.yml").read_text()
    used = [line for line in text.splitlines() if "uses:" in line]
    assert used and all(re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line) for line in used)
    scripts = [step["run"] for step in document["runs"]["steps"] if "run" in step]
    assert scripts and not [script for script in scripts if "${{" in script]


def test_every_input_is_read_and_every_output_written(document: dict[str, Any]) -> None:
    script = (ACTION / "check").read_text()
    (step,) = [step for step in document["runs"]["steps"] if step.get("id") == "check"]
    given = {str(value): name for name, value in step["env"].items()}
    for name in document["inputs"]:
        assert given[f"${{{{ inputs.{name} }}}}"] in script, name
    for name, output in document["outputs"].items():
        assert output["value"] == f"${{{{ steps.check.outputs.{name} }}}}" and f"{name}=" in script
    page = (ROOT / "docs" / "how-to" / "github-action.md").read_text()
    assert all(f"`{name}`" in page for name in (*document["inputs"], *document["outputs"]))


def test_a_check_says_what_came_out(check: Any) -> None:
    done, outputs, calls = check(INPUT_OPTIONS="-k\nnot E2E\n")
    assert done.returncode == 0, done.stderr
    assert outputs == {"verdict": "partial", "status": "0", "report-dir": "reports"}
    assert calls == [
        "check --profile my fleet.toml -k not E2E --report-dir reports",
        "report --reports reports --github-summary",
    ]


def test_a_red_fleet_fails_the_step(check: Any) -> None:
    done, outputs, _ = check("nonconformant", 1)
    assert (done.returncode, outputs["verdict"], outputs["status"]) == (1, "nonconformant", "1")


def test_where_nothing_was_started_there_is_no_verdict(check: Any, tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "conformance.json").write_text('{"verdict": "conformant"}')
    done, outputs, calls = check("", 4)
    assert (done.returncode, outputs["verdict"], len(calls)) == (4, "", 1), "not that of an earlier step"


def test_the_kubeconfig_is_the_jobs_alone_and_gone_afterwards(check: Any, tmp_path: Path) -> None:
    done, _, calls = check(INPUT_KUBECONFIG="token: hunter2")
    assert done.returncode == 0 and "--kubeconfig" in calls[0] and "hunter2" not in "".join(calls)
    assert (tmp_path / "log.mode").read_text().strip() == "600"
    assert (tmp_path / "log.kubeconfig").read_text() == "token: hunter2\n"
    assert not (tmp_path / "fleet.kubeconfig").exists()
    assert set((tmp_path / "log.secrets").read_text().split()) == {"0"}, "no program has it in its environment"


def test_dated_reports_are_compared(check: Any) -> None:
    _, outputs, calls = check(INPUT_DATED="nights", INPUT_ALERT="new", INPUT_SUMMARY="false")
    assert calls == ["check --profile my fleet.toml --dated nights --alert new"]
    assert outputs["report-dir"] == "nights/latest"


def test_the_steps_can_be_executed() -> None:
    for name in ("install", "check"):
        assert (ACTION / name).stat().st_mode & stat.S_IXUSR
