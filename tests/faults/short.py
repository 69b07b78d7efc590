"""How long the suite waits while faults are in the fleet, in seconds, where that is less than fixtures/core/timeouts.py says."""

from __future__ import annotations

SHORT = {
    "agent": 30.0,
    "deliberation": 40.0,
    # The suite's Ray job waits 60 s for an agent that starts nowhere (30 + 5 for its answer, 10 for its connections, 15 for
    # its CPUs), and took 68 s in all with five processes for each CPU. A job that is cut off tells nothing of any agent.
    "job": 90.0,
    "census": 60.0,
    "settle": 15.0,
    "request": 8.0,
    "ray_client": 30.0,
}
