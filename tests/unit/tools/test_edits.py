"""The mutants of faults and variants: each stands once in the source of the image that it changes."""

from __future__ import annotations

import gc
import importlib
import pkgutil
from pathlib import Path

import pytest

import tests.faults.catalogue
import tests.variants.catalogue
from fixtures.core.paths import ROOT
from tests.targets.injectors import Edit

SOURCES = sorted((ROOT / "images").rglob("*.py"))


def edits() -> list[Edit]:
    """All that were made when the catalogues were imported; those of a closure are found by no name."""
    for package in (tests.faults.catalogue, tests.variants.catalogue):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return [made for made in gc.get_objects() if isinstance(made, Edit) and _source(made)]


def _source(edit: Edit) -> Path | None:
    """The file of an image; None for one of a package that is installed there."""
    return next((file for file in SOURCES if file.as_posix().endswith(f"/{edit.path}")), None)


def test_each_edit_fits_the_source_that_it_changes() -> None:
    """A source that was changed since would show only when its fault is tried, which happens at night."""
    every = edits()
    assert len(every) > 100
    stale = []
    for edit in every:
        file = _source(edit)
        assert file
        sources = [file.read_text(encoding="utf-8"), *(other.new for other in every if other.path == edit.path)]
        if not any(source.count(edit.old) == 1 for source in sources):
            stale.append(f"{edit.path}: {edit.old!r}")
    assert not stale, "\n".join(stale)


@pytest.mark.parametrize("times", [0, 2])
def test_an_edit_that_fits_nowhere_or_twice_is_refused(times: int, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("x = 1\n" * times, encoding="utf-8")
    with pytest.raises(AssertionError, match=f"'x = 1' {times} times, not once"):
        Edit("module.py", "x = 1", "x = 2").apply(tmp_path)
