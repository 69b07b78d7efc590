"""The command: which groups of figures, one after another, and what came of them."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from fixtures.core.errors import Inconclusive, NonConformance, StartupError, UsageError
from fixtures.core.paths import ROOT
from fixtures.report.history.baseline import document_of, judge, read
from fixtures.report.history.metric_text import lines
from fixtures.report.texts import Texts
from tests.bench import report
from tests.bench.figures import Document, Measured, table
from tests.bench.measures import attached, census, cold, round_trip, suite, throughput
from tests.bench.runs import RunFailed
from tests.bench.settings import Settings

GROUPS = {
    "suite": suite,
    "attached": attached,
    "cold": cold,
    "census": census,
    "round-trip": round_trip,
    "throughput": throughput,
}
MEASURE: dict[str, Callable[[Settings], Coroutine[Any, Any, Measured]]] = {
    name: each.measure for name, each in GROUPS.items()
}
TITLES = {name: each.TITLE for name, each in GROUPS.items()}


def sizes(text: str) -> tuple[int, ...]:
    """Numbers of workers, at least two of them."""
    found = tuple(sorted({int(one) for one in text.split(",") if one.isascii() and one.strip().isdigit()}))
    if len(found) < 2 or min(found) < 1 or max(found) > 100:
        raise argparse.ArgumentTypeError(f"at least two numbers from 1 to 100 with commas between, not {text!r}")
    return found


def positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"a number above 0, not {text!r}")
    return int(text)


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ci/bench",
        description="Measure what the suite costs and how fast a fleet is, each figure beside the floor that it "
        "rests on, in fleets of its own on this machine. Groups:\n"
        + "\n".join(f"  {name:<12} {title}" for name, title in TITLES.items()),
        epilog="Writes bench.json, and into bench/ report.html, table.md and the plots as PNG. Give it a machine that "
        "does nothing else. Exit status 0: all was measured, whether or not a bound is met; 1: something is slower "
        "than in the --baseline; 2: something could not be measured.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="which groups (default: all)")
    parser.add_argument("--runs", type=positive, default=5, metavar="N", help="samples of each figure (default: 5)")
    parser.add_argument("--vllm", choices=("stub", "cpu"), default="stub", help="the model server (default: stub)")
    parser.add_argument(
        "--workers", type=sizes, default=(2, 8, 32), metavar="A,B,…", help="sizes for the census (default: 2,8,32)"
    )
    parser.add_argument("--add", action="store_true", help="keep what bench.json has of other groups")
    parser.add_argument(
        "--baseline",
        action="append",
        default=[],
        metavar="FILE",
        help="an earlier bench.json, or a folder of them: say what is slower or faster beyond noise; may be repeated",
    )
    parser.add_argument("--reports", type=Path, default=ROOT / "reports", metavar="DIR", help="default: reports")
    asked = parser.parse_args(words)
    if unknown := [name for name in asked.groups if name not in GROUPS]:
        parser.error(f"no group {unknown[0]}; groups: {', '.join(GROUPS)}")
    return asked


def main(words: list[str] | None = None) -> int:
    asked = parsed(words)
    try:
        earlier = read(asked.baseline, Path.cwd())
    except UsageError as problem:
        print(f"ci/bench: {problem}", file=sys.stderr)
        return 4
    settings = Settings(runs=asked.runs, vllm=asked.vllm, workers=asked.workers)
    document = Document(asked.reports / "bench.json", asked.vllm, asked.runs, asked.add)
    began = time.monotonic()
    for name in GROUPS:
        if asked.groups and name not in asked.groups:
            continue
        print(f"\n{TITLES[name]}", flush=True)
        try:
            document.add(name, asyncio.run(MEASURE[name](settings)))
        except (StartupError, Inconclusive, NonConformance, RunFailed) as problem:
            print(f"ci/bench: {name}: {problem}", file=sys.stderr)
            return 2
        report.write(document, asked.reports / "bench", TITLES)
        print("\n" + "\n".join(table(row for row in document.figures if row["group"] == name)), flush=True)
    compared = judge(document_of(document.content, str(document.file)), earlier)
    if earlier:
        said = "\n".join(lines(compared, Texts("en")))
        report.write(document, asked.reports / "bench", TITLES, said)
        print(f"\n{said}")
    print(f"\n{(time.monotonic() - began) / 60:.0f} min; {document.file}, {asked.reports / 'bench' / 'report.html'}")
    return int(bool(compared.of("slower")))
