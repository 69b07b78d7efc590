"""What people read of the benchmarks: a table for the terminal and README, a page with the plots, the plots as PNGs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from fixtures.report.templates import environment
from tests.bench import plots
from tests.bench.figures import Document, shown, spread, table
from tests.bench.measures.round_trip import PHASES

TEMPLATE = Path(__file__).with_name("report.html.j2")
PLOTS_OF = {
    "suite": ("timeline-quiet.png", "cpu-quiet.png", "timeline-whole.png"),
    "attached": (),
    "cold": (),
    "census": ("census.png",),
    "round-trip": ("round-trip.png",),
    "throughput": ("throughput.png",),
}


def write(document: Document, folder: Path, groups: Mapping[str, str], compared: str = "") -> None:
    """Write report.html, table.md and the plots into `folder`. `groups`: titles of the groups, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    images = plots.drawn(document.figures, document.details, PHASES)
    for name, image in images.items():
        (folder / name).write_bytes(image)
    (folder / "table.md").write_text("\n".join(table(document.figures)) + "\n", encoding="utf-8")
    templates = environment(TEMPLATE.parent, escapes_html=True)
    page = templates.get_template(TEMPLATE.name).render(
        content=document.content,
        groups=groups,
        measured={row["group"] for row in document.figures},
        plots={name: base64.b64encode(image).decode() for name, image in images.items()},
        plots_of=PLOTS_OF,
        shown=shown,
        spread=spread,
        compared=compared,
    )
    (folder / "report.html").write_text(page, encoding="utf-8")
