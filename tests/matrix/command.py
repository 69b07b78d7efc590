"""Runs the reference stack on the versions that fleets have, cell by cell, and makes a page of what came of it.

The page is docs/reference/compatibility.md. What came of a cell is kept beside it, in compatibility.json, until the
cell is run again. Each run's reports lie in a folder of their own.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fixtures.core.errors import UsageError
from fixtures.core.paths import ROOT
from tests.matrix import cells, records
from tests.matrix.cells import Cell
from tests.matrix.interpreters import interpreter
from tests.matrix.page import page
from tests.matrix.records import Record, Records
from tests.support.suite_process import CI_E2E, SuiteProcess

PAGE = records.FILE.with_suffix(".md")
REFUSED = 4  # the exit status of a run that did not begin: no engine, no image of that version
_AGE = re.compile(r"(\d{1,4})d")


def _days(text: str) -> int:
    match = _AGE.fullmatch(text)
    if not match:
        raise argparse.ArgumentTypeError(f"a number of days such as 30d, not {text!r}")
    return int(match[1])


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ci/matrix", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument(
        "--cell",
        action="append",
        default=[],
        metavar="NAME=VALUE[,…]",
        help="only cells with these values, e.g. python=3.12 or cluster=embedded,nats=2.10.26 (may be given again)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--missing", action="store_true", help="only cells that were never run")
    which.add_argument(
        "--older-than", type=_days, metavar="DAYS", help="only cells that were not run in so many days, e.g. 30d"
    )
    which.add_argument("--page", action="store_true", help="run nothing; write the page of what is kept")
    parser.add_argument("--list", action="store_true", help="print the cells and what came of each, and exit")
    parser.add_argument(
        "--reports", type=Path, default=ROOT / "reports" / "matrix", help="where the runs' reports go (reports/matrix)"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: each cell that was run is as it should be; 1: one is not; 4: nothing fits, or cannot run here."""
    asked = parsed(arguments)
    try:
        every, kept = cells.load(), records.read()
        chosen = cells.selected(every, asked.cell)
        if asked.missing:
            chosen = [cell for cell in chosen if cell.key not in kept]
        if asked.older_than is not None:
            now = datetime.now(UTC)
            chosen = [cell for cell in chosen if _outdated(kept.get(cell.key), asked.older_than, now)]
    except UsageError as error:
        print(f"ci/matrix: {error}", file=sys.stderr)
        return 4
    if asked.list:
        for cell in chosen:
            print(f"{cell.key}: {_words(kept.get(cell.key))}")
        return 0
    if asked.page:
        return _write(every, kept)
    if not chosen:
        print("ci/matrix: no cell fits what was asked for; ci/matrix --list names all", file=sys.stderr)
        return 0 if asked.missing or asked.older_than is not None else 4
    return _run(chosen, every, kept, asked.reports)


def _outdated(record: Record | None, days: int, now: datetime) -> bool:
    return record is None or record.older_than(days, now)


def _run(chosen: Sequence[Cell], every: Sequence[Cell], kept: Records, reports: Path) -> int:
    ran: list[Record] = []
    for number, cell in enumerate(chosen, 1):
        label = f"{number}/{len(chosen)} {cell.key}"
        python = interpreter(cell.python) if cell.python else None
        if cell.python and python is None:
            print(f"{label}: not run: no Python {cell.python} with venv on this machine", flush=True)
            continue
        print(f"{label} …", flush=True)
        record = run(cell, python, reports / re.sub(r"[^\w.]+", "-", cell.key))
        if isinstance(record, str):
            print(f"{label}: not run: {record}", flush=True)
            continue
        ran.append(record)
        kept[cell.key] = record
        records.write(kept)
        _write(every, kept)
        print(f"{label}: {_words(record)}", flush=True)
    if not ran:
        return 4
    return int(not all(record.good for record in ran))


def run(cell: Cell, python: Path | None, reports: Path) -> Record | str:
    """Run one cell; its output is in `reports`/output.log. A text is why it cannot be run on this machine."""
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    began, start = datetime.now(UTC), time.monotonic()
    environment: dict[str, str | None] = {"FLEET_PYTHON": str(python)} if python else {}
    log = reports / "output.log"
    with SuiteProcess(reports, *cell.options, command=CI_E2E, environment=environment, log=log) as suite:
        status = suite.wait()
    seconds = time.monotonic() - start
    document = suite.report.document
    if document:
        return Record.of(document, seconds, began)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    last = next((line for line in reversed(lines) if line.strip()), "")
    if status == REFUSED:
        return last
    return Record(
        date=began.strftime("%Y-%m-%dT%H:%MZ"),
        commit="",
        verdict="no report",
        passed=0,
        applies=0,
        seconds=round(seconds),
        versions={},
        cause=f"exit status {status}: {last}",
    )


def _words(record: Record | None) -> str:
    if record is None:
        return "not run"
    why = f"; {record.cause}" if record.cause else ""
    return f"{record.verdict}, {record.passed} MUST passed, {record.seconds:.0f} s, {record.date}{why}"


def _write(every: Sequence[Cell], kept: Records) -> int:
    PAGE.write_text(page(every, kept), encoding="utf-8")
    return 0
