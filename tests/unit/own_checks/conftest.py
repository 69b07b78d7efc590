"""Own checks are read into the process's catalogue: each test gives back what it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from fixtures.checks.declaration import AREAS, CATALOGUE
from fixtures.own_checks.registry import REGISTRY, Registry


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    kept = [(table, dict(table)) for table in (AREAS, CATALOGUE, sys.modules)]
    path, registry = list(sys.path), dict(vars(REGISTRY))
    vars(REGISTRY).update(vars(Registry()))
    yield
    for table, content in kept:
        table.clear()  # type: ignore[attr-defined]
        table.update(content)  # type: ignore[attr-defined]
    sys.path[:] = path
    vars(REGISTRY).update(registry)
