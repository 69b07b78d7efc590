"""Mutants of the orchestrator."""

from __future__ import annotations

from tests.faults.means import Edit, orchestrator_code
from tests.faults.model import Fault

FAULTS = (
    Fault(
        name="orchestrator-never-acknowledges",
        says="the collector handles messages and does not acknowledge them",
        inject=orchestrator_code(Edit("fleet_orchestrator/collector.py", "await message.ack_sync()", "pass")),
        breaks=("ORC-10",),
        may_break=("ORC-04",),
        words=("unacknowledged",),
    ),
)
