"""faults.html: faults by checks, what was expected and what was seen; one file, no script, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.checks.declaration import AREAS, Check
from fixtures.report.templates import environment

#: What a cell says, by (must fail, may fail, seen): its sign, its class, and its words.
SIGNS = {
    "hit": ("●", "must fail, and failed"),
    "missed": ("✗", "must fail, and did not"),
    "followed": ("○", "may fail because of it, and did"),
    "false": ("■", "failed or could not be told, and has nothing to do with it"),
    "passed": ("·", "ran, and passed"),
    "": ("", "not run"),
}


@dataclass(frozen=True)
class Cell:
    kind: str
    words: str

    @property
    def sign(self) -> str:
        return SIGNS[self.kind][0]


def kind_of(check: str, row: Mapping[str, Any]) -> str:
    """What became of one check under one fault."""
    red = check in row["failed"] or check in row["broken"]
    if check in row["expected"]:
        return "hit" if check in row["failed"] else "missed"
    if red:
        return "followed" if check in row["allowed"] else "false"
    return "passed" if check in row["ran"] else ""


def page(rows: Sequence[Mapping[str, Any]], checks: Sequence[Check]) -> str:
    """`rows` as in faults.json, `checks` in the catalogue's order."""
    by_area = [(name, [check for check in checks if check.id.startswith(f"{key}-")]) for key, name in AREAS.items()]
    columns = [check for _, area in by_area for check in area]
    cells = [
        [Cell(kind := kind_of(check.id, row), f"{check.id} {SIGNS[kind][1]}") for check in columns] for row in rows
    ]
    flips = [sum(check.id in row["expected"] and check.id in row["failed"] for row in rows) for check in columns]
    templates = environment(Path(__file__).parent, escapes_html=True)
    return templates.get_template("matrix.html.j2").render(
        rows=list(zip(rows, cells, strict=True)),
        areas=[(name, area) for name, area in by_area if area],
        columns=columns,
        flips=flips,
        signs=SIGNS,
        good=sum(not row["complaints"] for row in rows),
        seconds=sum(row["seconds"] for row in rows),
        judged=("detected", "exact", "diagnosed", "healed"),
    )
