"""docs/reference/compatibility.md: a table of all cells, with what came of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from fixtures.report import markdown
from fixtures.report.templates import environment
from tests.matrix.cells import Cell
from tests.matrix.records import Record, Records

TITLES = {"embedded": "On one machine (`--cluster embedded`)", "kind": "On Kubernetes (`--cluster kind`)"}
COLUMNS = ("ray", "nats", "kuberay")  # versions that have one
CHECKS = {"quiet": "all that disturb nothing", "all": "all"}


@dataclass(frozen=True)
class Row:
    """A cell and its run."""

    cell: Cell
    record: Record | None

    @property
    def ray(self) -> str:
        return self._version("ray", self.cell.ray)

    @property
    def nats(self) -> str:
        return self._version("nats", self.cell.nats)

    @property
    def kuberay(self) -> str:
        return self._version("kuberay", self.cell.kuberay).removeprefix("v")

    @property
    def others(self) -> str:
        """Versions that are not this table's to choose, as the run's parts said them."""
        known = self.record.versions if self.record else {}
        return ", ".join(f"{name} {version}" for name, version in known.items() if name not in COLUMNS)

    @property
    def checks(self) -> str:
        return CHECKS[self.cell.checks]

    def _version(self, part: str, wanted: str) -> str:
        """What the part said of itself; before a run, what is wanted."""
        return (self.record.versions.get(part, "") if self.record else "") or wanted


def page(cells: Sequence[Cell], records: Records) -> str:
    """The whole page, as Markdown."""
    rows = [Row(cell, records.get(cell.key)) for cell in cells]
    sections = [
        (TITLES[cluster], list(group))
        for cluster, group in groupby(sorted(rows, key=lambda row: row.cell.cluster), lambda row: row.cell.cluster)
    ]
    templates = environment(Path(__file__).parent, escapes_html=False)
    return templates.get_template("compatibility.md.j2").render(sections=sections, md=markdown)
