"""What a run of the suite costs, beside a bare boot of the same processes."""

from __future__ import annotations

import os

from tests.bench.figures import Figure, Measured, ratio
from tests.bench.runs import Checked, run
from tests.bench.settings import Clock, Settings, fleet

TITLE = "The suite: a bare boot, the quiet checks, the whole checklist"
QUIET = ("-m", "e2e and not disruptive")
WHOLE = ("-m", "e2e")


def typical(runs: list[Checked]) -> Checked:
    """The run in the middle."""
    return sorted(runs, key=lambda one: one.seconds)[len(runs) // 2]


def shown(run: Checked) -> dict[str, object]:
    """What the plots show of a run: where its seconds go."""
    steps = [step for step in run.document["timeline"] if not step["step"].startswith("build")]
    return {"seconds": round(run.seconds, 2), "timeline": steps}


async def measure(settings: Settings) -> Measured:
    boot, quiet, whole = Clock(), [], []
    for number in range(1, settings.runs + 1):
        async with fleet(settings, booted=boot):
            pass
        settings.say(f"bare boot {number}/{settings.runs}: {boot.samples[-1]:.1f} s")
        quiet.append(await run("quiet checks", "--vllm", settings.vllm, *QUIET))
        settings.say(f"quiet checks {number}/{settings.runs}: {quiet[-1].seconds:.1f} s")
        whole.append(await run("the whole checklist", "--vllm", settings.vllm, *WHOLE))
        settings.say(f"the whole checklist {number}/{settings.runs}: {whole[-1].seconds:.1f} s")
    profile = (await run("quiet checks, watched", "--vllm", settings.vllm, *QUIET, watched=True)).cpu
    every = [*quiet, *whole]
    stub = settings.vllm == "stub"
    booted = Figure("boot", "bare boot of the fleet", "s", boot.samples)
    checks = Figure(
        "quiet", "checks that disturb nothing, boot included", "s", [one.seconds for one in quiet], 60 if stub else None
    )
    return Measured(
        [
            booted,
            checks,
            ratio("quiet ÷ boot", "the same ÷ bare boot", checks, booted, 2.5 if stub else None),
            Figure("whole", "the whole checklist", "s", [one.seconds for one in whole], 150 if stub else None),
            Figure("memory", "most memory of the suite's own process", "MiB", [one.memory_mib for one in every], 300),
            Figure("quiet cpu", "CPU seconds of all processes of a quiet run", "CPU s", [sum(profile.values())]),
        ],
        {"quiet": shown(typical(quiet)), "whole": shown(typical(whole)), "cpu_s": profile, "cores": os.cpu_count()},
    )
