"""Own checks are read into the process's catalogue: each test gives back what it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from fixtures.checks.declaration import AREAS, CATALOGUE
from fixtures.own_checks.registry import REGISTRY, Registry


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    tables: list[dict[str, Any]] = [AREAS, CATALOGUE, sys.modules]
    kept = [(table, dict(table)) for table in tables]
    path, registry = list(sys.path), dict(vars(REGISTRY))
    vars(REGISTRY).update(vars(Registry()))
    yield
    for table, content in kept:
        table.clear()
        table.update(content)
    sys.path[:] = path
    vars(REGISTRY).update(registry)
