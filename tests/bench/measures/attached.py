"""What a run costs that attaches to a fleet which is there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.figures import Figure, Measured
from tests.bench.measures.suite import QUIET
from tests.bench.runs import run
from tests.bench.settings import Settings
from tests.interruption.persistent_fleet import attached_profile, fleet

TITLE = "Attached to a fleet that runs: the quiet checks that need no pods"


async def measure(settings: Settings) -> Measured:
    runs = []
    async with fleet("bench-stays") as system:
        with tempfile.TemporaryDirectory() as folder:
            profile = attached_profile(Path(folder), system.cluster.endpoints)
            for number in range(1, settings.runs + 1):
                runs.append(await run("attached", "--cluster", "attach", "--profile", str(profile), *QUIET))
                settings.say(f"attached {number}/{settings.runs}: {runs[-1].seconds:.1f} s")
    return Measured(
        [
            Figure("attached", "attached, the checks that disturb nothing", "s", [one.seconds for one in runs]),
            Figure("memory attached", "most memory of its own process", "MiB", [one.memory_mib for one in runs], 300),
        ]
    )
