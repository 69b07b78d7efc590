"""What the workers' interpreter can import."""

from __future__ import annotations

from tests.faults.means import Removed, workers_have
from tests.faults.model import Fault

FAULTS = (
    Fault(
        name="aiohttp-is-missing-on-one-worker",
        says="the second worker's packages lack aiohttp",
        inject=workers_have(Removed("aiohttp"), only=1),
        breaks=("DEP-03",),
        may_break=("JOB-04", "JOB-05"),
        words=("aiohttp", "ray-worker-2"),
    ),
)
