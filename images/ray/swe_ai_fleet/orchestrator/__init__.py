"""The part of the orchestrator that lives on the Ray workers."""
