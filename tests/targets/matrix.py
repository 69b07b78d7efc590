"""A page of experiments by checks, what was expected and what was seen; one file, no script, no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.checks import families
from fixtures.checks.declaration import AREAS, Check
from fixtures.report.templates import environment

#: What a cell shows, by what became of a check: as it must be, not so, as it may be, as it must not be, as always.
SIGNS = {"hit": "●", "missed": "✗", "followed": "○", "false": "■", "passed": "·", "": ""}

Row = Mapping[str, Any]


def columns(rows: Sequence[Row], catalogue: Mapping[str, Check]) -> list[Check]:
    """The checks of a page, by id: the catalogue, in which rows that ran take the place of their family."""
    ran = sorted({id for row in rows for id in row["ran"] if id not in catalogue})
    further = {id: check for id in ran if (check := families.lookup(catalogue, id))}
    replaced = {families.family_id(id) for id in further}
    shown = {**{id: check for id, check in catalogue.items() if id not in replaced}, **further}
    return [shown[id] for id in sorted(shown)]


@dataclass(frozen=True)
class Cell:
    kind: str
    words: str

    @property
    def sign(self) -> str:
        return SIGNS[self.kind]


@dataclass(frozen=True)
class Page:
    """How the page of one catalogue reads."""

    name: str  # the plural of what was tried: "faults"
    judged: Sequence[str]
    count: str  # of the cells of a column that are as they must be: "flipped by"
    legend: Mapping[str, str]  # what each kind of cell means
    kind_of: Callable[[str, Row], str]  # what became of one check, by its id
    failing: bool  # whether it is meant that checks fail

    def of(
        self, rows: Sequence[Row], checks: Sequence[Check], bounds: Mapping[str, Sequence[str]] | None = None
    ) -> str:
        """`rows` as in NAME.json, `checks` in the catalogue's order; `bounds`: lines on each check, by its id."""
        by_area = [(name, [check for check in checks if check.id.startswith(f"{key}-")]) for key, name in AREAS.items()]
        columns = [check for _, area in by_area for check in area]
        legend = {"": "not run", **self.legend}
        cells = [
            [Cell(kind := self.kind_of(check.id, row), f"{check.id} {legend[kind]}") for check in columns]
            for row in rows
        ]
        templates = environment(Path(__file__).parent, escapes_html=True)
        return templates.get_template("matrix.html.j2").render(
            page=self,
            rows=list(zip(rows, cells, strict=True)),
            areas=[(name, area) for name, area in by_area if area],
            columns=columns,
            counts=[sum(row[number].kind == "hit" for row in cells) for number in range(len(columns))],
            signs=SIGNS,
            good=sum(not row["complaints"] for row in rows),
            seconds=sum(row["seconds"] for row in rows),
            bounds=bounds or {},
        )
