"""The command: runs that are ended at random moments, on a fleet of their own and on one that stays,
and what they left.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.paths import ROOT
from fixtures.core.polling import StateNotReached
from tests.interruption import persistent_fleet, signal_points
from tests.interruption.run import EMBEDDED, Run
from tests.support.suite_process import SuiteProcess

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
PHASES = ("boot", "checks", "teardown")
BEGINS = {"boot": ", run fc-", "checks": "%]", "teardown": "[100%]"}  # what the output then says
WORDS = {"embedded": "INF or DEP-04", "stays": "INF-10 or DEP-04 or JOB-04 or E2E-01"}  # checks that are soon through
PORTS = {"embedded": 31_000, "stays": 31_400}  # the first of a block: outside of what other runs choose
PER_RUN = 5  # moments of small runs without a fleet, for each run with one
RUN_S = 300.0  # a whole run, on a loaded machine


@dataclass(frozen=True)
class Moment:
    """When to end a run: a share of the time that a phase of it takes."""

    fleet: str
    number: signal.Signals
    phase: str
    share: float


@dataclass
class Ended:
    """One run that was ended, or was too quick for it, and what is wrong with how it ended."""

    fleet: str
    signal: str
    phase: str
    after_s: float  # since the phase began
    run_id: str = ""
    status: int | None = None
    seconds: float = 0.0  # from the signal to the end
    over: bool = False  # it ended before the moment came
    last: str = ""  # what it said last before the signal
    wrong: list[str] = field(default_factory=list)

    def line(self, number: int, of: int) -> str:
        said = "; ".join(self.wrong) or ("over before" if self.over else "ok")
        where = f"{self.fleet:8} {self.signal:7} {self.phase:8} +{self.after_s:4.1f} s"
        return f"{number:4}/{of}  {where}  status {self.status!s:>4} after {self.seconds:4.1f} s  {said}"


def moments_of(fleet: str, runs: int, drawn: random.Random) -> Iterator[Moment]:
    """`runs` for each signal, spread over the phases."""
    for number in range(runs):
        for sent in SIGNALS:
            yield Moment(fleet, sent, PHASES[number % len(PHASES)], drawn.random())


class Place:
    """Where runs are ended: each on a fleet of its own."""

    name = "embedded"

    def run(self, folder: Path) -> Run:
        return Run(folder, "-v", "-k", WORDS[self.name], against=EMBEDDED, ports=PORTS[self.name])

    async def leaks(self, run: Run) -> list[str]:
        return run.leaks()


class Staying(Place):
    """All on one fleet, which stays."""

    name = "stays"

    def __init__(self, fleet: persistent_fleet.Fleet, profile: Path) -> None:
        self._fleet, self._against = fleet, ("--cluster", "attach", "--profile", str(profile))

    def run(self, folder: Path) -> Run:
        return Run(folder, "-v", "-k", WORDS[self.name], against=self._against)

    async def leaks(self, run: Run) -> list[str]:
        """After a run that could clean up, no record of it is left; what goes by itself is looked at in the end."""
        lines = run.leaks()
        killed = run.process.returncode == -signal.SIGKILL
        return lines if killed else lines + await self._fleet.jobs_of(run.run_id)


async def phases(run: Run) -> dict[str, float]:
    """Seconds that each phase of an undisturbed run takes."""
    begun = []
    for phase in PHASES:
        await run.prints(BEGINS[phase], timeout=RUN_S)
        begun.append(time.monotonic())
    status = await run.ended(RUN_S)
    assert status == 0, f"undisturbed, it ended with {status}: {run.output[-3000:]}"
    ends = [*begun[1:], time.monotonic()]
    return {phase: end - begin for phase, begin, end in zip(PHASES, begun, ends, strict=True)}


async def whole(place: Place, folder: Path) -> dict[str, float]:
    """An undisturbed run: how long its phases are. Raises AssertionError when it is not green or leaves something."""
    with place.run(folder) as run:
        found = await phases(run)
        left = await place.leaks(run)
        assert not left, f"undisturbed, it left {left}"
    return found


async def end(place: Place, moment: Moment, seconds: float, folder: Path) -> Ended:
    """Run, send the signal `share` of `seconds` after the phase has begun, and look at what became of it."""
    after = moment.share * seconds
    ended = Ended(moment.fleet, moment.number.name, moment.phase, round(after, 2))
    with place.run(folder) as run:
        try:
            await run.prints(BEGINS[moment.phase], timeout=RUN_S)
            if not await over_within(run, after):
                ended.last = (run.output.strip().splitlines() or [""])[-1].strip()
                run.process.send_signal(moment.number)
                sent = time.monotonic()
                await run.ended(RUN_S)
                ended.seconds = round(time.monotonic() - sent, 1)
            else:
                ended.over = True
        except AssertionError as error:
            ended.wrong.append(str(error))
        ended.run_id, ended.status = run.run_id, run.process.returncode
        ended.wrong += judged(run, ended) + [f"LEFT {line}" for line in await place.leaks(run)]
    return ended


async def over_within(run: SuiteProcess, seconds: float) -> bool:
    """Whether it ends before `seconds` have passed."""
    try:
        await run.ended(seconds)
    except StateNotReached:
        return False
    return True


def judged(run: Run, ended: Ended) -> list[str]:
    """What is wrong with its status and report. A killed run has none."""
    if ended.status == -signal.SIGKILL and ended.signal == "SIGKILL":
        return []
    document = run.report.document
    without = [row["id"] for row in document.get("checks", ()) if row["status"] == "broken"]
    told = "interrupted" in document.get("aborted", "")
    good = (
        (ended.status == pytest.ExitCode.INTERRUPTED and told)
        if without or told
        else (ended.status == pytest.ExitCode.OK and document.get("verdict") in ("conformant", "partial"))
    )
    return [] if good else [f"status {ended.status}, {document.get('aborted') or document.get('verdict', 'no report')}"]


class Book:
    """What was found so far: printed, and kept as data and as a table."""

    def __init__(self, reports: Path, of: int, seed: int) -> None:
        self.reports, self.of, self.seed = reports, of, seed
        self.runs: list[Ended] = []
        self.small: dict[str, dict[str, Any]] = {}  # runs without a fleet, by signal
        self.in_the_end: list[str] = []  # what the fleet that stays still had then
        self.began = time.monotonic()

    def note(self, ended: Ended) -> None:
        self.runs.append(ended)
        print(ended.line(len(self.runs), self.of), flush=True)
        self.write()

    @property
    def good(self) -> bool:
        small = [wrong for found in self.small.values() for wrong in found["wrong"]]
        return not (self.in_the_end or small or any(run.wrong for run in self.runs))

    def rows(self) -> list[tuple[str, ...]]:
        """fleet, signal, phase, runs, of these over before, wrong, longest end in seconds."""
        keys = sorted({(run.fleet, run.signal, run.phase) for run in self.runs})
        found = []
        for key in keys:
            runs = [run for run in self.runs if (run.fleet, run.signal, run.phase) == key]
            counts = (len(runs), sum(run.over for run in runs), sum(bool(run.wrong) for run in runs))
            found.append((*key, *map(str, counts), f"{max(run.seconds for run in runs):.1f}"))
        return found

    def table(self) -> str:
        lines = [
            "# Runs that were ended",
            "",
            "| fleet | signal | phase | runs | over before | wrong | longest end (s) |",
        ]
        lines += ["|---|---|---|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in self.rows())]
        lines += ["", "Without a fleet, after any number of calls of Python functions:", ""]
        lines += [f"- {name}: {one['runs']} runs, {len(one['wrong'])} wrong" for name, one in self.small.items()]
        wrong = [
            f"{run.fleet} {run.signal} {run.phase} {run.run_id}: {'; '.join(run.wrong)}"
            for run in self.runs
            if run.wrong
        ]
        wrong += [f"without a fleet, {name}: {each}" for name, one in self.small.items() for each in one["wrong"]]
        wrong += [f"on the fleet that stays, in the end: {line}" for line in self.in_the_end]
        lines += ["", "## What was wrong", "", *(f"- {line}" for line in wrong or ["nothing"])]
        return "\n".join(lines) + "\n"

    def write(self) -> None:
        document = {
            "good": self.good,
            "seed": self.seed,
            "seconds": round(time.monotonic() - self.began, 1),
            "in_the_end": self.in_the_end,
            "without_a_fleet": self.small,
            "runs": [asdict(run) for run in self.runs],
        }
        self.reports.mkdir(parents=True, exist_ok=True)
        (self.reports / "ends.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        (self.reports / "ends.md").write_text(self.table(), encoding="utf-8")


async def ended_on(place: Place, book: Book, runs: int, drawn: random.Random) -> None:
    """All runs of one place. The logs and reports of those that ended wrong stay in the reports' folder."""
    kept = book.reports / "ends"
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as below:
        lasts = await whole(place, Path(below) / "whole")
        told = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in lasts.items())
        print(f"{place.name}, undisturbed: {told}", flush=True)
        for index, moment in enumerate(moments_of(place.name, runs, drawn)):
            folder = Path(below) / f"{place.name}-{index:03}"
            ended = await end(place, moment, lasts[moment.phase], folder)
            book.note(ended)
            for file in (folder, folder.with_suffix(".log")) if ended.wrong else ():
                if file.exists():
                    shutil.move(file, kept)


async def on_a_fleet_that_stays(book: Book, runs: int, drawn: random.Random) -> None:
    with tempfile.TemporaryDirectory() as below:
        async with persistent_fleet.fleet("ends-stays", PORTS["stays"]) as fleet:
            place = Staying(fleet, persistent_fleet.attached_profile(Path(below), fleet.cluster.endpoints))
            await fleet.note()
            await ended_on(place, book, runs, drawn)
            book.in_the_end = await fleet.as_before(persistent_fleet.ended_by_themselves())
            records = await fleet.records()
            await whole(place, Path(below) / "last")
            print(f"records of killed runs in Ray: {records}, after the next run {await fleet.records()}", flush=True)
            book.write()


def without_a_fleet(book: Book, runs: int, seed: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with tempfile.TemporaryDirectory() as below:
            ended = signal_points.at_random(Path(below), runs, seed + number, number)
        wrong = [f"after {one.place} calls: {one.wrong}" for one in ended if one.wrong]
        book.small[number.name] = {"runs": runs, "wrong": wrong}
        print(f"without a fleet: {number.name} at {runs} moments, {len(wrong)} wrong", flush=True)
        book.write()


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ci/interrupt",
        description="End runs of checks by Ctrl-C, SIGTERM and SIGKILL at random moments of boot, checks and teardown, "
        "and look for what they left: on this machine processes, ports, shared memory and temporary folders; on a "
        "fleet that stays consumers, keys, messages beyond the streams' limits, Ray jobs and actors.",
        epilog="Exit status 0: every run ended as it must and left nothing. In the report folder: ends.json, the table "
        "ends.md, and in ends/ the logs and reports of runs that did not.",
    )
    parser.add_argument(
        "runs", nargs="?", type=int, default=20, metavar="N", help="for each signal and fleet (default: 20)"
    )
    parser.add_argument("--seed", type=int, help="of the moments (default: another one each time, which is printed)")
    parser.add_argument(
        "--where",
        choices=("embedded", "stays", "nowhere"),
        help="only runs with a fleet of their own, only runs on one that stays, or only small runs without a fleet",
    )
    parser.add_argument("--reports", type=Path, default=ROOT / "reports", metavar="DIR", help="default: reports")
    asked = parser.parse_args(arguments)
    if asked.runs < 1:
        parser.error("N must be at least 1")
    return asked


def main() -> int:
    asked = parsed()
    seed = random.SystemRandom().randrange(1 << 16) if asked.seed is None else asked.seed
    shutil.rmtree(asked.reports / "ends", ignore_errors=True)
    fleets = [name for name in ("stays", "embedded") if asked.where in (None, name)]
    book = Book(asked.reports, len(fleets) * len(SIGNALS) * asked.runs, seed)
    print(f"seed {seed}", flush=True)
    if asked.where in (None, "nowhere"):
        without_a_fleet(book, PER_RUN * asked.runs, seed)
    if "stays" in fleets:
        asyncio.run(on_a_fleet_that_stays(book, asked.runs, random.Random(seed)))
    if "embedded" in fleets:
        asyncio.run(ended_on(Place(), book, asked.runs, random.Random(seed + 1)))
    print(f"\n{book.table()}", flush=True)
    return int(not book.good)
