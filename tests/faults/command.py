"""The command: which faults, one after another in one fleet, and what came of each."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from fixtures.checks import CATALOGUE
from fixtures.plugin import import_checks
from tests.faults import matrix
from tests.faults.catalogue import FAULTS, SUBSET
from tests.faults.lab import ROOT, Lab
from tests.faults.model import Fault, Outcome, Session

#: Run under every fault, because they are quick and look everywhere: what is there, and what the workers hold.
CENSUS = frozenset(
    {
        *("INF-02", "INF-03", "INF-06", "INF-09", "INF-10", "INF-11", "INF-12"),
        *("DEP-01", "DEP-02", "DEP-03", "DEP-04", "DEP-05", "DEP-06", "DEP-07", "DEP-08", "DEP-09", "DEP-10"),
        *("NET-03", "NET-04", "IMG-01", "IMG-02", "IMG-03", "ORC-01"),
    }
)
WHOLE_EVERY = 10  # each time, all checks that disturb nothing are run under the fault


def chosen(words: Sequence[str], subset: bool) -> list[Fault]:
    """The faults whose name or checks contain one of the words; all without words."""
    faults = [fault for fault in FAULTS if not subset or fault.name in SUBSET]
    return [fault for fault in faults if not words or any(word in fault.name or word in fault.breaks for word in words)]


def quiet() -> frozenset[str]:
    """All MUST checks that disturb nothing."""
    return frozenset(check.id for check in CATALOGUE.values() if check.level.value == "MUST" and not check.disrupts)


def under(fault: Fault, whole: bool) -> Collection[str]:
    return fault.touches | frozenset(fault.also) | CENSUS | (quiet() if whole else frozenset())


class Held:
    """A fault, held in the fleet's loop while the main thread runs checks."""

    def __init__(self, lab: Lab, fault: Fault) -> None:
        self._lab = lab
        self._fault: AbstractAsyncContextManager[None] = fault.inject(lab)

    def __enter__(self) -> None:
        self._lab.do(self._fault.__aenter__())

    def __exit__(self, *_: object) -> None:
        self._lab.do(self._fault.__aexit__(None, None, None))


def tried(lab: Lab, fault: Fault, whole: bool) -> Outcome:
    """Break, check, heal, check again. A fault that cannot be put in or healed costs the fleet: a new one is booted."""
    began, nothing = time.monotonic(), Session({}, {}, {}, 0.0)
    seen = healed = nothing
    problems = []
    try:
        with Held(lab, fault):
            seen = lab.session(fault.name, under(fault, whole))
        healed = lab.session(f"{fault.name}/healed", fault.breaks)
    except Exception as error:  # noqa: BLE001  (whatever it is, the next fault gets a fresh fleet)
        problems.append(f"{type(error).__name__}: {error}")
    outcome = Outcome(fault, seen, healed, time.monotonic() - began, problems)
    if problems or not outcome.mended:
        lab.again()
    return outcome


def line(outcome: Outcome, number: int, of: int) -> str:
    marks = [
        word if good else word.upper()
        for word, good in (
            ("detected" if outcome.detected else "not detected", outcome.detected),
            ("exact" if outcome.exact else "not exact", outcome.exact),
            ("diagnosed" if outcome.diagnosed else "not diagnosed", outcome.diagnosed),
            ("healed" if outcome.mended else "not healed", outcome.mended),
        )
    ]
    return f"{number:3}/{of} {outcome.fault.name:<44} {outcome.seconds:5.1f} s  {', '.join(marks)}"


def last_bad(file: Path) -> set[str]:
    """The faults that were not as they should be when last tried."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {row["fault"] for row in rows if row["complaints"]}


def written(outcomes: Sequence[Outcome], reports: Path) -> None:
    rows = [outcome.row() for outcome in outcomes]
    (reports / "faults.json").write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (reports / "faults.html").write_text(
        matrix.page(rows, [CATALOGUE[check] for check in sorted(CATALOGUE)]), encoding="utf-8"
    )


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ci/faults",
        description="Put faults into a fleet on this machine, one after another, and see that the checks name each and "
        "nothing else.",
        epilog="Exit status 0: every fault detected, exact, diagnosed and healed. Reports: faults.json, faults.html, and "
        "the reports of each session in a folder named by the fault.",
    )
    parser.add_argument(
        "-k",
        action="append",
        default=[],
        metavar="WORD",
        help="faults with this in their name, or that break this check; may be repeated",
    )
    parser.add_argument("-x", action="store_true", help="stop at the first fault that is not as it should be")
    parser.add_argument("--lf", action="store_true", help="only those that were not as they should be the last time")
    parser.add_argument("--subset", action="store_true", help="the few that every submission runs")
    parser.add_argument(
        "--whole", action="store_true", help="all checks that disturb nothing under every fault, not under every tenth"
    )
    parser.add_argument("--list", action="store_true", help="list the faults and end")
    parser.add_argument(
        "--reports", type=Path, default=ROOT / "reports" / "faults", metavar="DIR", help="default: reports/faults"
    )
    return parser.parse_args()


def main() -> int:
    asked = parsed()
    import_checks()
    faults = chosen(asked.k, asked.subset)
    if asked.lf and (bad := last_bad(asked.reports / "faults.json")):
        faults = [fault for fault in faults if fault.name in bad]
    if asked.list:
        for fault in faults:
            print(f"{fault.name}: {fault.says}\n    {', '.join(fault.breaks)}")
        return 0
    if not faults:
        print("no fault has that in its name", file=sys.stderr)
        return 4
    asked.reports.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    with Lab(asked.reports) as lab:
        for number, fault in enumerate(faults, 1):
            outcomes.append(tried(lab, fault, asked.whole or number % WHOLE_EVERY == 0))
            print(line(outcomes[-1], number, len(faults)), flush=True)
            for complaint in outcomes[-1].complaints():
                print(f"        {complaint}", flush=True)
            written(outcomes, asked.reports)
            if asked.x and not outcomes[-1].good:
                break
    good = sum(outcome.good for outcome in outcomes)
    print(f"\n{good} of {len(outcomes)} faults detected, exact, diagnosed and healed; {asked.reports / 'faults.html'}")
    return int(good < len(faults))
