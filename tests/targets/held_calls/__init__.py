"""A stand-in for an orchestrator whose calls last until the end of a deliberation, in front of the real one."""
