"""Runs the checklist N times, with no retry anywhere, and reports status flips, durations and leftovers.

A run is green when `ci/e2e` ends with 0. A flip is a check whose status is not the same in all runs. What a run leaves
on this machine is looked for after its end: processes, shared memory, temporary folders. reports/soak.json has all of
it; the reports of a run that was not green stay under reports/soak/.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from fixtures.core.paths import ROOT
from tests.support.leaks import HostSnapshot
from tests.support.suite_process import CI_E2E, SuiteProcess

BURN = "while True: pass"
#: No check that restarts Ray: the load's own Ray job would end with it.
BESIDE_LOAD = ("-p", "tests.soak.beside_load")
QUIET = ("-m", "e2e and not disruptive")


@dataclass
class Soaked:
    """One run of the checklist."""

    number: int
    status: int  # of ci/e2e
    verdict: str
    seconds: float  # wall, boot and clean-up included
    load: float  # of the machine over its last minute, when the run ended
    statuses: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)  # of what did not pass
    leaks: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return self.status == 0 and not self.leaks

    def line(self, of: int) -> str:
        counted = Counter(self.statuses.values())
        counts = ", ".join(f"{count} {status}" for status, count in counted.most_common())
        left = "nothing left" if not self.leaks else f"LEFT: {'; '.join(self.leaks)}"
        return f"{self.number:3}/{of}  {self.verdict:13} {self.seconds:6.1f} s  load {self.load:4.1f}  {counts}; {left}"


@contextmanager
def burning(wanted: bool) -> Iterator[None]:
    """One CPU-bound process on each core, for as long as the body lasts."""
    burners = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range((os.cpu_count() or 1) if wanted else 0)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def once(number: int, reports: Path, options: Sequence[str]) -> Soaked:
    """Run the checklist in a temporary folder of its own, so that whatever stays in it is this run's."""
    parent = Path(f"/tmp/s{secrets.token_hex(3)}")  # short: the names of Ray's sockets lie below it
    parent.mkdir()
    try:
        return measured(number, parent, reports / f"run-{number:02}", options)
    finally:
        shutil.rmtree(parent, ignore_errors=True)  # whoever cleans up late may be at it; what was left is told already


def measured(number: int, parent: Path, folder: Path, options: Sequence[str]) -> Soaked:
    before, began = HostSnapshot(parent, prefixes=("",)), time.monotonic()
    folder.mkdir(parents=True)
    place: dict[str, str | None] = {"TMPDIR": str(parent)}
    log = folder / "output.log"
    with SuiteProcess(folder, *options, command=CI_E2E, environment=place, log=log, cwd=Path.cwd()) as suite:
        status = suite.wait()
    report = suite.report
    run = Soaked(number, status, report.verdict, round(time.monotonic() - began, 1), round(os.getloadavg()[0], 1))
    if not report.rows:
        return run
    run.statuses, run.details = report.statuses, report.details("failed", "broken")
    run.leaks = before.leaks_in_the_end(str(report.document["run_id"]))
    if run.good:
        shutil.rmtree(folder)
    return run


def flips(runs: Sequence[Soaked]) -> dict[str, dict[str, int]]:
    """The checks whose status was not always the same, with how often each was seen."""
    ids = sorted({check for run in runs for check in run.statuses})
    seen = {check: Counter(run.statuses.get(check, "absent") for run in runs) for check in ids}
    return {check: dict(counted) for check, counted in seen.items() if len(counted) > 1}


def summary(runs: Sequence[Soaked]) -> dict[str, Any]:
    seconds = [run.seconds for run in runs]
    return {
        "runs": len(runs),
        "green": sum(run.status == 0 for run in runs),
        "flips": flips(runs),
        "leftovers": sum(len(run.leaks) for run in runs),
        "seconds": {"least": min(seconds), "median": round(median(seconds), 1), "most": max(seconds)},
    }


def with_load(options: Sequence[str]) -> list[str]:
    """Options of ci/e2e for a run beside which others use the fleet: the quiet checks, unless they say which."""
    return [*BESIDE_LOAD, *(() if "-m" in options else QUIET), *options]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="ci/soak",
        description=(__doc__ or "").partition("\n\n")[0],
        epilog="All other options are those of ci/e2e, for example --vllm cpu or -m 'e2e and not disruptive'. "
        "Exit status 0: all runs green, no flip, nothing left.",
    )
    parser.add_argument("runs", nargs="?", type=int, default=25, metavar="N", help="how many runs (default: 25)")
    parser.add_argument("--load", action="store_true", help="beside one CPU-bound process on each core")
    parser.add_argument(
        "--beside-load",
        action="store_true",
        help="others use the fleet meanwhile: agents on half of its CPUs, 20 answers a second; without the disruptive "
        "checks, unless -m says which",
    )
    parser.add_argument(
        "--reports", type=Path, default=ROOT / "reports", help="where soak.json goes (default: reports)"
    )
    asked, options = parser.parse_known_args()
    if asked.runs < 1:
        parser.error("N must be at least 1")
    if asked.beside_load:
        options = with_load(options)
    folder = asked.reports / "soak"
    shutil.rmtree(folder, ignore_errors=True)
    runs: list[Soaked] = []
    with burning(asked.load):
        for number in range(1, asked.runs + 1):
            runs.append(once(number, folder, options))
            print(runs[-1].line(asked.runs), flush=True)
            for check, detail in runs[-1].details.items():
                print(f"         {check}: {detail.splitlines()[0] if detail else ''}", flush=True)
            found = {**summary(runs), "load": asked.load, "options": options, "each": [asdict(run) for run in runs]}
            (asked.reports / "soak.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    total = summary(runs)
    print(
        f"\n{total['green']} of {total['runs']} green, {len(total['flips'])} flips {total['flips'] or ''}, "
        f"{total['leftovers']} leftovers; {total['seconds']['least']} / {total['seconds']['median']} / "
        f"{total['seconds']['most']} s (least, median, most)"
    )
    return int(not (all(run.good for run in runs) and not total["flips"]))
