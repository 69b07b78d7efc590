"""What goes wrong between the specification of a replica and its process."""

from __future__ import annotations

from tests.faults.model import Fault
from tests.targets.replica_injectors import entrypoint_overrides

FAULTS = (
    Fault(
        name="entrypoint-overrides-the-agent-type",
        description="AGENT_TYPE is vllm in the orchestrator's specification, and its entrypoint exports mock",
        inject=entrypoint_overrides(AGENT_TYPE="mock"),
        where="kubernetes",
        expected_failures=("CFG-01",),
        must_pass=("CFG-02", "CFG-05", "CFG-07"),
        expected_terms=("AGENT_TYPE", "mock", "main process"),
    ),
)
