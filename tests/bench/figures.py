"""What was measured, as data: figures with all their samples, and what else the plots are drawn from."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal

import psutil
from typing_extensions import TypedDict  # pydantic makes no schema of the other before Python 3.12

from fixtures.core.release import commit

SCHEMA = "fleet-bench/v1"


@dataclass
class Figure:
    """One figure: every sample, in `unit`, and the bound that the median is held against (None: there is none)."""

    name: str
    title: str
    unit: str
    samples: list[float]
    bound: float | None = None
    better: Literal["lower", "higher"] = "lower"
    group: str = ""  # that measured it

    @property
    def median(self) -> float:
        return median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the bound holds; None where there is none."""
        if self.bound is None:
            return None
        return self.median <= self.bound if self.better == "lower" else self.median >= self.bound

    def to_json(self) -> dict[str, Any]:
        samples = [round(sample, 5) for sample in self.samples]
        return {**asdict(self), "samples": samples, "median": round(self.median, 5), "met": self.met}


def ratio(
    name: str, title: str, over: Figure, under: Figure, bound: float | None = None, better: Any = "lower"
) -> Figure:
    """Of samples taken side by side, pair by pair; of the medians, where they were not."""
    if len(over.samples) == len(under.samples):
        samples = [one / other for one, other in zip(over.samples, under.samples, strict=True)]
    else:
        samples = [over.median / under.median]
    return Figure(name, title, "×", samples, bound, better)


@dataclass
class Measured:
    """What one group of measurements found. `details` is what its plots and tables show beside the figures, as JSON."""

    figures: list[Figure] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


class Machine(TypedDict):
    """What the figures were taken on."""

    cores: int | None
    memory_gib: float
    architecture: str
    python: str
    load_before: float


class FigureRow(TypedDict):
    """One figure: every sample in `unit`; `met` is None where there is no bound."""

    name: str
    title: str
    unit: str
    samples: list[float]
    bound: float | None
    better: Literal["lower", "higher"]
    group: str
    median: float
    met: bool | None


class BenchDocument(TypedDict):
    """bench.json, for readers in other programs: docs/schemas/bench-v1.json is made of this."""

    schema: Literal["fleet-bench/v1"]
    started: str
    commit: str
    machine: Machine
    vllm: str
    runs: int
    figures: list[FigureRow]
    details: dict[str, dict[str, Any]]


class Document:
    """bench.json. Figures of one name replace each other, so that a group can be measured again beside the others."""

    def __init__(self, file: Path, vllm: str, runs: int, keep: bool) -> None:
        """`keep`: go on with what the file has of other groups."""
        self.file = file
        self.content: dict[str, Any] = {"figures": [], "details": {}}
        if keep and file.exists():
            self.content = json.loads(file.read_text(encoding="utf-8"))
        self.content.update(
            schema=SCHEMA,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=commit(),
            machine=machine(),
            vllm=vllm,
            runs=runs,
        )

    @property
    def figures(self) -> list[dict[str, Any]]:
        return list(self.content["figures"])

    @property
    def details(self) -> dict[str, Any]:
        return dict(self.content["details"])

    def add(self, group: str, measured: Measured) -> None:
        """Take in what a group found, and write the file."""
        for figure in measured.figures:
            figure.group = group
        others = [row for row in self.content["figures"] if row["group"] != group]
        self.content["figures"] = others + [figure.to_json() for figure in measured.figures]
        self.content["details"][group] = measured.details
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self.content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def spread(samples: Sequence[float]) -> str:
    """Least and most, for people."""
    return f"{shown(min(samples))} to {shown(max(samples))}" if len(samples) > 1 else ""


def shown(value: float) -> str:
    """A figure with as many digits as mean something."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def table(rows: Iterable[dict[str, Any]]) -> list[str]:
    """The figures as a Markdown table."""
    lines = ["| what | median | least to most | n | bound |", "|---|---|---|---|---|"]
    for row in rows:
        sign = {True: "✅", False: "❌", None: ""}[row["met"]]
        limit = "" if row["bound"] is None else f"{'≤' if row['better'] == 'lower' else '≥'} {row['bound']:g} {sign}"
        lines.append(
            f"| {row['title']} | {shown(row['median'])} {row['unit']} | {spread(row['samples'])} | "
            f"{len(row['samples'])} | {limit} |"
        )
    return lines
