"""What the orchestrator is configured with."""

from __future__ import annotations

from tests.faults.means import orchestrator_has
from tests.faults.model import Fault

FAULTS = (
    Fault(
        name="agent-type-is-mock-on-one-replica",
        says="the first replica runs with AGENT_TYPE=mock",
        inject=orchestrator_has(0, AGENT_TYPE="mock"),
        breaks=("CFG-01", "CFG-07"),
        words=("AGENT_TYPE", "mock", "orchestrator-1"),
    ),
)
