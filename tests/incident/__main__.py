"""Runs the checks on the stock image and expects the missing-nats-py incident, exactly: what must fail,
and nothing unrelated.

usage: python -m tests.incident REPORT_DIR [suite options]      e.g. --cluster kind
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fixtures.core.paths import ROOT
from tests.support import program
from tests.support.suite_process import CI_E2E, SuiteProcess

ARGUMENTS = ("-q", "--tb=no", "--vllm", "stub", "--ray-image", "stock", "-m", "e2e and not disruptive")

#: Without nats-py on the workers these must fail …
EXPECTED = {
    "DEP-04", "DEP-05", "JOB-01", "JOB-03", "JOB-04", "JOB-05", "JOB-06", "JOB-07", "JOB-08", "JOB-09", "JOB-10",
    "JOB-14", "ORC-04", "E2E-01", "E2E-02",
}  # fmt: skip
#: … these may, since without an agent that works they have nothing to look at …
ALLOWED = {"INF-18", "ORC-05", "ORC-08", "ORC-10", "ORC-19", "E2E-03", "E2E-04", "E2E-05"}
#: … of these no known failure may be one, so that the incident cannot be lived with …
NEVER_EXCUSED = {"JOB-05", "ORC-04", "E2E-01"}
#: … while these follow from DEP-04 and from none of those, and may be explained by it …
EXCUSED = {"DEP-04", "DEP-05", "JOB-01", "JOB-03", "JOB-04", "JOB-14"}
#: … these are what the gate finds …
GATE = {"ORC-04", "DEP-04", "DEP-05"}
#: … and the first thing that a reader sees must be this.
OPENING = ("DEP-04", "nats-py", "no result", "docker build")


def main(report_dir: Path, options: list[str]) -> list[str]:
    """What is not as it should be, one line each."""
    with SuiteProcess(report_dir, *ARGUMENTS, *options, command=CI_E2E) as suite:
        status = suite.wait()
    report = suite.report
    failed, broken = set(report.details("failed")), report.details("broken")
    causes = {row["cause"] or row["id"] for row in report.rows if row["status"] == "failed"}
    opening = (report_dir / "status.md").read_text(encoding="utf-8")[:2500].lower()
    wrong = []
    if status != 1:
        wrong.append(f"exit status {status}, not 1")
    if missed := EXPECTED - failed:
        wrong.append(f"did not fail: {sorted(missed)}")
    if unrelated := failed - EXPECTED - ALLOWED:
        wrong.append(f"failed, but is unrelated: {sorted(unrelated)}")
    if broken:
        wrong.append(f"could not be decided: {broken}")
    if causes != {"DEP-04"}:
        wrong.append(f"the one cause is DEP-04, named are {sorted(causes)}")
    if absent := [word for word in OPENING if word.lower() not in opening]:
        wrong.append(f"the status page does not open with {absent}")
    return wrong + excused(report_dir) + gate(report_dir / "gate", options)


def gate(report_dir: Path, options: list[str]) -> list[str]:
    """What is not as it should be where fifteen checks are asked: one of them fails, and the cause has its name."""
    with SuiteProcess(report_dir, *ARGUMENTS[:-2], "-m", "gate", *options, command=CI_E2E) as suite:
        status = suite.wait()
    failed, broken = suite.report.details("failed"), suite.report.details("broken")
    causes = {row["id"] for row in suite.report.rows if row["status"] == "failed" and not row["cause"]}
    if (status, set(failed), causes, broken) == (1, GATE, {"DEP-04"}, {}):
        return []
    return [f"the gate ends with {status}, causes {sorted(causes)}, failed {failed}, broken {broken}"]


def excused(report_dir: Path) -> list[str]:
    """What is not as it should be where somebody knows the incident: what its entry explains is known, the rest red."""
    known = report_dir / "known.toml"
    explains = sorted((EXPECTED | ALLOWED) - NEVER_EXCUSED - {"DEP-04"})
    until = (datetime.now(UTC) + timedelta(days=7)).date()
    lines = [
        "[[known]]",
        'check = "DEP-04"',
        """cause = ["No module named 'nats'"]""",
        'reason = "the image is being built"',
        'owner = "team-images"',
        f"until = {until}",
        f"explains = {json.dumps(explains)}",
    ]
    known.write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = [str(ROOT / "ci" / "report"), "--reports", str(report_dir), "--known", str(known)]
    done = subprocess.run(report, capture_output=True, text=True, check=False, timeout=60)
    wrong = []
    if done.returncode != 1 or not done.stdout.startswith("not conformant: "):
        wrong.append(f"known, the incident ends with {done.returncode}, not 1: {done.stdout}{done.stderr}")
    told = next((line for line in done.stdout.splitlines() if "not counted as failed: " in line), "")
    if absent := sorted(id for id in EXCUSED if id not in told):
        wrong.append(f"the known failure does not excuse {absent}: {done.stdout}")
    if excused := sorted(id for id in NEVER_EXCUSED if id in told):
        wrong.append(f"the known failure excuses {excused}, without which nothing conforms: {done.stdout}")
    return wrong


def command() -> int:
    found = main(Path(sys.argv[1]), sys.argv[2:])
    print("\n".join(found) or "the missing-nats-py incident is caught, named and nothing else fails")
    return int(bool(found))


if __name__ == "__main__":
    program.run(command)
