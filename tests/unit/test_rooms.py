"""The drawing of the rooms in the docs is the import contract that lint-imports enforces."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise, product

from fixtures.core.paths import ROOT

DESIGN = ROOT / "docs" / "explanation" / "design.md"


def layers() -> list[list[str]]:
    """The rooms of each layer, from the top."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rooms,) = [contract for contract in contracts if contract["name"] == "rooms"]
    assert rooms["containers"] == ["fixtures"] and rooms["exhaustive"]
    return [layer.split(" | ") for layer in rooms["layers"]]


def test_each_layer_is_drawn_above_the_next() -> None:
    (drawing,) = re.findall(r"```mermaid\n(.+?)```", DESIGN.read_text(), re.DOTALL)
    arrows = re.findall(r"^ +(\w+) --> (\w+)$", drawing, re.MULTILINE)
    assert len(arrows) == drawing.count("-->"), "an arrow that this test cannot read"
    assert set(arrows) == {pair for above, below in pairwise(layers()) for pair in product(above, below)}


def test_every_room_is_described() -> None:
    described = re.findall(r"^\| `(\w+)(?:\.py)?` \|", DESIGN.read_text(), re.MULTILINE)
    assert {room for layer in layers() for room in layer} <= set(described)
