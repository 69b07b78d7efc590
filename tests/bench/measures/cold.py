"""The embedded fleet's start on a machine that has no image of it yet."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.figures import Figure, Measured
from tests.bench.settings import Clock, Settings, fleet

TITLE = "The first start: all images built from their locks, then the boot"


@contextmanager
def empty_cache() -> Iterator[None]:
    """Nothing is built. What uv and pip keep of packages that they once downloaded is theirs, and stays."""
    before = os.environ.get("FLEET_CACHE")
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder:
        os.environ["FLEET_CACHE"] = folder
        try:
            yield
        finally:
            os.environ.pop("FLEET_CACHE")
            if before is not None:
                os.environ["FLEET_CACHE"] = before


async def measure(settings: Settings) -> Measured:
    boot, cold, warm = Clock(), [], Clock()
    for number in range(1, settings.runs + 1):
        with empty_cache():
            async with fleet(settings, booted=boot) as cluster:
                cold.append(boot.samples[-1] + cluster.build_s)
        async with fleet(settings, booted=warm):
            pass
        settings.say(f"first start and later one {number}/{settings.runs}: {cold[-1]:.1f} s, {warm.samples[-1]:.1f} s")
    return Measured(
        [
            Figure("cold", "start with no image built, packages downloaded before", "s", cold),
            Figure("warm", "start with all images built", "s", warm.samples),
        ]
    )
