"""The command: which faults, one after another in one fleet, and what came of each."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import CATALOGUE
from fixtures.core.paths import ROOT
from fixtures.core.timeouts import applied
from tests.faults import matrix
from tests.faults.catalogue import FAULTS, SUBSET
from tests.faults.embedded_target import EmbeddedTarget
from tests.faults.experiment import tried
from tests.faults.kubernetes_target import KubernetesTarget, there
from tests.faults.model import Fault, Outcome
from tests.faults.target import SHORT

WHOLE_EVERY = 10  # under each tenth fault all checks that disturb nothing are run
PLACES = {"embedded": EmbeddedTarget, "kubernetes": KubernetesTarget}

Rows = list[dict[str, Any]]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ci/faults",
        description="Put faults into a fleet, one after another, and see that the checks name each and nothing else: "
        "in a fleet on this machine, then, for those that need it, in one on Kubernetes (kind).",
        epilog="Exit status 0: every fault detected, exact, diagnosed and healed. In the report folder: faults.json, "
        "the page faults.html, and for each fault a folder with the reports of its session.",
    )
    parser.add_argument(
        "-k",
        action="append",
        default=[],
        metavar="WORD",
        help="faults with this in their name, or that break the check of this id; may be repeated",
    )
    parser.add_argument("-x", action="store_true", help="stop at the first fault that is not as it should be")
    parser.add_argument("--lf", action="store_true", help="those that were not as they should be the last time")
    parser.add_argument("--subset", action="store_true", help="a few, one of each kind of injection")
    parser.add_argument(
        "--whole", action="store_true", help="all MUST checks that disturb nothing, under every fault, not every tenth"
    )
    parser.add_argument("--where", choices=sorted(PLACES), help="only the faults of one kind of fleet")
    parser.add_argument("--add", action="store_true", help="keep what faults.json has of other faults")
    parser.add_argument("--list", action="store_true", help="list the faults and end")
    parser.add_argument(
        "--reports", type=Path, default=ROOT / "reports" / "faults", metavar="DIR", help="default: reports/faults"
    )
    return parser.parse_args()


def selected_faults(asked: argparse.Namespace) -> list[Fault]:
    """The faults that were asked for, in the catalogue's order."""
    bad = {row["fault"] for row in read(asked.reports) if row["complaints"]} if asked.lf else None
    return [
        fault
        for fault in FAULTS
        if (not asked.k or any(word in fault.name or word in fault.expected_failures for word in asked.k))
        and (not asked.subset or fault.name in SUBSET)
        and (not asked.where or fault.where == asked.where)
        and (bad is None or fault.name in bad)
    ]


def read(reports: Path) -> Rows:
    """The rows of the last time; none where there was none."""
    try:
        return list(json.loads((reports / "faults.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []


def write(rows: Rows, reports: Path) -> None:
    page = matrix.page(rows, [CATALOGUE[check] for check in sorted(CATALOGUE)])
    (reports / "faults.json").write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (reports / "faults.html").write_text(page, encoding="utf-8")


def line(outcome: Outcome, number: int, of: int) -> str:
    judged = {
        "detected": outcome.detected,
        "exact": outcome.exact,
        "diagnosed": outcome.diagnosed,
        "healed": outcome.recovered,
    }
    words = ", ".join(word if good else f"NOT {word.upper()}" for word, good in judged.items())
    return f"{number:3}/{of} {outcome.fault.name:<48} {outcome.seconds:5.1f} s  {words}"


class Trials:
    """Tries faults, tells of each, and keeps the reports."""

    def __init__(self, asked: argparse.Namespace, faults: Sequence[Fault]) -> None:
        self.asked, self.faults = asked, faults
        self.good = self.number = 0
        names = {fault.name for fault in faults}
        self.rows: Rows = [row for row in read(asked.reports) if row["fault"] not in names] if asked.add else []

    def run(self, where: str) -> None:
        """Try the faults of one kind of fleet."""
        faults = [fault for fault in self.faults if fault.where == where]
        if not faults or self.stopped:
            return
        with PLACES[where](self.asked.reports) as target:
            for fault in faults:
                self.number += 1
                outcome = tried(target, fault, self.asked.whole or self.number % WHOLE_EVERY == 0)
                self.good += outcome.good
                self.rows.append(outcome.row())
                print(line(outcome, self.number, len(self.faults)), flush=True)
                for complaint in outcome.complaints():
                    print(f"        {complaint}", flush=True)
                write(self.rows, self.asked.reports)
                if self.stopped:
                    return

    @property
    def stopped(self) -> bool:
        return self.asked.x and self.good < self.number


def in_kubernetes(asked: argparse.Namespace, faults: Sequence[Fault]) -> int:
    """In a kind cluster that is made for it: this command again, with that cluster's environment."""
    words = [word for fault in faults for word in ("-k", fault.name)]
    flags = [flag for flag, given in (("-x", asked.x), ("--whole", asked.whole)) if given]
    arguments = ["--where", "kubernetes", "--add", "--reports", str(asked.reports.resolve()), *words, *flags]
    return subprocess.run([ROOT / "ci" / "kubernetes", "faults", *arguments], check=False).returncode


def main() -> int:
    asked = parsed()
    load_catalogue()
    faults = selected_faults(asked)
    if asked.list:
        for fault in faults:
            print(f"{fault.name}: {fault.description}\n    {', '.join(fault.expected_failures)}")
        return 0
    if not faults:
        print("no fault fits what was asked for; ci/faults --list names all", file=sys.stderr)
        return 4
    asked.reports.mkdir(parents=True, exist_ok=True)
    elsewhere = [] if there() else [fault for fault in faults if fault.where == "kubernetes"]
    trials = Trials(asked, [fault for fault in faults if fault not in elsewhere])
    try:
        with applied(SHORT):  # for what faults wait for themselves
            for where in PLACES:
                trials.run(where)
        status = int(trials.good < len(trials.faults))
        if elsewhere and not trials.stopped:
            status |= in_kubernetes(asked, elsewhere)
    except KeyboardInterrupt:
        return 130
    if trials.faults:
        page = os.path.relpath(asked.reports / "faults.html")
        print(f"\n{trials.good} of {len(trials.faults)} faults detected, exact, diagnosed and healed; {page}")
    return status
