"""The cells of the compatibility table: which versions are run together, and how each run is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fixtures.core.errors import UsageError
from fixtures.core.toml_models import read_toml

FILE = Path(__file__).with_name("cells.toml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Cell(_Strict):
    """One run of the reference stack. A version that is "" is not this table's to choose: it is the images' own."""

    cluster: Literal["embedded", "kind"]
    checks: Literal["quiet", "all"]
    ray: str
    python: str = ""  # minor
    nats: str = ""
    auth: Literal["", "token"] = ""  # Ray asks everybody for a token, or nobody
    kuberay: str = ""

    @property
    def key(self) -> str:
        """Names the cell in records, and in what is printed."""
        return " ".join(f"{name}={value}" for name, value in self.axes.items() if value)

    @property
    def axes(self) -> dict[str, str]:
        """Field → value, in the order of the table's columns."""
        return {name: str(value) for name, value in self.model_dump().items()}

    @property
    def options(self) -> list[str]:
        """Of ./ci/e2e. The model server is the stub: versions of vLLM are no axis."""
        options = ["-q", "--vllm", "stub", "--cluster", self.cluster, "--ray-version", self.ray]
        if self.nats:
            options += ["--nats-version", self.nats]
        if self.auth:
            options += ["--ray-auth", self.auth]
        if self.kuberay:
            options += ["--kuberay-version", self.kuberay]
        return options if self.checks == "all" else [*options, "-m", "e2e and not disruptive"]


class _Group(_Strict):
    """Cells that differ in what has a list."""

    cluster: Literal["embedded", "kind"]
    checks: Literal["quiet", "all"]
    ray: str | list[str]
    python: str | list[str] = ""
    nats: str | list[str] = ""
    auth: Literal["", "token"] = ""
    kuberay: str | list[str] = ""

    def cells(self) -> list[Cell]:
        axes = {name: value if isinstance(value, list) else [value] for name, value in self.model_dump().items()}
        return [Cell(**dict(zip(axes, values, strict=True))) for values in product(*axes.values())]


class _Table(_Strict):
    cells: list[_Group] = Field(min_length=1)


def load(path: Path = FILE) -> list[Cell]:
    """All cells, in the file's order. Raises UsageError in one line; a cell that is there twice is a mistake, too."""
    table = read_toml(_Table, path, str(path))
    cells = [cell for group in table.cells for cell in group.cells()]
    if twice := [cell.key for cell in cells if cells.count(cell) > 1]:
        raise UsageError(f"{path}: {twice[0]} is there twice")
    return cells


def selected(cells: Sequence[Cell], wanted: Iterable[str]) -> list[Cell]:
    """Those that fit one of `wanted`, each like "ray=2.60.0,python=3.12"; without any, all. Raises UsageError."""
    asked = [_pairs(text, cells[0].axes) for text in wanted]
    return [cell for cell in cells if not asked or any(pairs.items() <= cell.axes.items() for pairs in asked)]


def _pairs(text: str, axes: Mapping[str, Any]) -> dict[str, str]:
    pairs = dict(part.partition("=")[::2] for part in text.split(","))
    if unknown := [name for name in pairs if name not in axes]:
        raise UsageError(f"--cell {text}: {unknown[0]!r} is no part of a cell; parts: {', '.join(axes)}")
    return pairs
