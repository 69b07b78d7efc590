"""A program that tries experiments, one after another in one fleet, and writes what came of each."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.families import family_id
from fixtures.core.paths import ROOT
from fixtures.core.timeouts import applied
from tests.targets.embedded_target import EmbeddedTarget, EmbeddedTokenTarget
from tests.targets.executor_target import EmbeddedExecutorTarget
from tests.targets.kubernetes_target import KubernetesTarget, there
from tests.targets.target import Target

WHOLE_EVERY = 10  # under each tenth change all MUST checks that disturb nothing are run
TARGETS: Mapping[str, type[Target]] = {
    "embedded": EmbeddedTarget,
    "embedded-token": EmbeddedTokenTarget,
    "embedded-executor": EmbeddedExecutorTarget,
    "kubernetes": KubernetesTarget,
}

Rows = list[dict[str, Any]]


class Experiment(Protocol):
    """A change as data, and what checks must make of it."""

    @property
    def name(self) -> str: ...  # in kebab case

    @property
    def description(self) -> str: ...  # one sentence

    @property
    def where(self) -> str: ...  # the kind of target, a key of TARGETS

    @property
    def checks(self) -> Collection[str]: ...  # the ids of those that it is about


class Outcome(Protocol):
    """What came of an experiment."""

    @property
    def recovered(self) -> bool: ...  # whether the fleet is again as it was

    @property
    def judged(self) -> dict[str, bool]: ...  # by the word for it

    @property
    def good(self) -> bool: ...

    @property
    def seconds(self) -> float: ...

    def complaints(self) -> list[str]: ...  # one line for each thing that is not as it should be

    def row(self) -> dict[str, Any]: ...  # with "name", "complaints"


E = TypeVar("E", bound=Experiment)


@dataclass(frozen=True)
class Program(Generic[E]):
    """`ci/NAME`, for one catalogue of experiments."""

    name: str  # the plural of what is tried: "faults"
    description: str
    catalogue: Sequence[E]
    subset: Collection[str]  # the names of those of `./ci/test`
    columns: Set[str]  # of a row
    judged: str  # of all that are good: "detected, exact, diagnosed and healed"
    tried: Callable[[Target, E, bool], Outcome]  # True: all MUST checks that disturb nothing are run
    page: Callable[[Rows], str]  # HTML
    targets: Mapping[str, type[Target]] = field(default_factory=lambda: TARGETS)

    def main(self) -> int:
        asked = self.parsed()
        load_catalogue()
        chosen = self.selected(asked)
        if asked.list:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # whoever reads it, as `| head` does, may stop
            for experiment in chosen:
                print(f"{experiment.name}: {experiment.description}\n    {', '.join(experiment.checks)}")
            return 0
        if not chosen:
            print(f"none of the {self.name} fits what was asked for; ci/{self.name} --list names all", file=sys.stderr)
            return 4
        asked.reports.mkdir(parents=True, exist_ok=True)
        elsewhere = [] if there() else [experiment for experiment in chosen if experiment.where == "kubernetes"]
        trials = Trials(self, asked, [experiment for experiment in chosen if experiment not in elsewhere])
        try:
            for where in self.targets:
                trials.run(where)
            status = int(trials.good < len(trials.experiments))
            if elsewhere and not trials.stopped:
                status |= self.in_kubernetes(asked, elsewhere, asked.add or bool(trials.experiments))
        except KeyboardInterrupt:
            return 130
        if trials.experiments:
            page = os.path.relpath(asked.reports / f"{self.name}.html")
            print(f"\n{trials.good} of {len(trials.experiments)} {self.name} {self.judged}; {page}")
        return status

    def parsed(self) -> argparse.Namespace:
        parser = argparse.ArgumentParser(
            prog=f"ci/{self.name}",
            description=self.description,
            epilog=f"Exit status 0: every one {self.judged}. In the report folder: {self.name}.json, the page "
            f"{self.name}.html, and for each of the {self.name} a folder with the reports of its session.",
        )
        parser.add_argument(
            "-k",
            action="append",
            default=[],
            metavar="WORD",
            help=f"{self.name} with this in their name, or that are about the check of this id; may be repeated",
        )
        parser.add_argument("-x", action="store_true", help="stop at the first that is not as it should be")
        parser.add_argument("--lf", action="store_true", help="those that were not as they should be the last time")
        parser.add_argument("--subset", action="store_true", help="the few of ./ci/test")
        parser.add_argument(
            "--whole", action="store_true", help="all MUST checks that disturb nothing, each time, not every tenth"
        )
        parser.add_argument("--where", choices=sorted(self.targets), help="only those of one kind of fleet")
        parser.add_argument("--add", action="store_true", help=f"keep what {self.name}.json has of others")
        parser.add_argument("--list", action="store_true", help="list them and end")
        folder = ROOT / "reports" / self.name
        parser.add_argument("--reports", type=Path, default=folder, metavar="DIR", help=f"default: reports/{self.name}")
        return parser.parse_args()

    def selected(self, asked: argparse.Namespace) -> list[E]:
        """Those that were asked for, in the catalogue's order."""
        bad = {row["name"] for row in self.read(asked.reports) if row["complaints"]} if asked.lf else None
        return [
            experiment
            for experiment in self.catalogue
            if (not asked.k or any(is_about(experiment, word) for word in asked.k))
            and (not asked.subset or experiment.name in self.subset)
            and (not asked.where or experiment.where == asked.where)
            and (bad is None or experiment.name in bad)
        ]

    def read(self, reports: Path) -> Rows:
        """The rows of the last time; none where there was none, or where rows had other columns then."""
        try:
            rows = list(json.loads((reports / f"{self.name}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return []
        return [row for row in rows if isinstance(row, dict) and row.keys() >= self.columns]

    def write(self, rows: Rows, reports: Path) -> None:
        text = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
        (reports / f"{self.name}.json").write_text(text, encoding="utf-8")
        (reports / f"{self.name}.html").write_text(self.page(rows), encoding="utf-8")

    def in_kubernetes(self, asked: argparse.Namespace, experiments: Sequence[E], add: bool) -> int:
        """In a kind cluster that is made for it: this command again, with that cluster's environment.

        `add`: the rows that are there already are kept.
        """
        words = [word for experiment in experiments for word in ("-k", experiment.name)]
        flags = [flag for flag, given in (("-x", asked.x), ("--whole", asked.whole), ("--add", add)) if given]
        arguments = ["--where", "kubernetes", "--reports", str(asked.reports.resolve()), *words, *flags]
        with subprocess.Popen([ROOT / "ci" / "kubernetes", self.name, *arguments]) as child:
            try:
                return child.wait()
            except KeyboardInterrupt:  # it takes its cluster down, however long that takes
                child.send_signal(signal.SIGINT)
                child.wait()
                raise


def is_about(experiment: Experiment, word: str) -> bool:
    """Whether its name has the word, or it is about the check of that id; a family's is that of all its rows."""
    return word in experiment.name or any(word in (check, family_id(check)) for check in experiment.checks)


class Trials(Generic[E]):
    """Tries experiments, tells of each, and keeps the reports."""

    def __init__(self, program: Program[E], asked: argparse.Namespace, experiments: Sequence[E]) -> None:
        self.program, self.asked, self.experiments = program, asked, experiments
        self.good = self.number = 0
        names = {experiment.name for experiment in experiments}
        rows = program.read(asked.reports) if asked.add else []
        self.rows: Rows = [row for row in rows if row["name"] not in names]

    def run(self, where: str) -> None:
        """Try those of one kind of fleet."""
        experiments = [experiment for experiment in self.experiments if experiment.where == where]
        if not experiments or self.stopped:
            return
        kind = self.program.targets[where]
        with applied(kind.timeouts), kind(self.asked.reports) as target:
            for experiment in experiments:
                self.number += 1
                whole = self.asked.whole or self.number % WHOLE_EVERY == 0
                outcome = self.program.tried(target, experiment, whole)
                self.good += outcome.good
                self.rows.append(outcome.row())
                print(self.line(experiment.name, outcome), flush=True)
                for complaint in outcome.complaints():
                    print(f"        {complaint}", flush=True)
                self.program.write(self.rows, self.asked.reports)
                if self.stopped:
                    return
                if not outcome.recovered:
                    target.again()

    def line(self, name: str, outcome: Outcome) -> str:
        words = ", ".join(word if good else f"NOT {word.upper()}" for word, good in outcome.judged.items())
        return f"{self.number:3}/{len(self.experiments)} {name:<48} {outcome.seconds:5.1f} s  {words}"

    @property
    def stopped(self) -> bool:
        return bool(self.asked.x and self.good < self.number)
