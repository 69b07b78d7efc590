"""`ci/faults`: every check is seen to fail for its fault, and nothing else with it."""

from __future__ import annotations

import sys

from fixtures.interrupts import heed_signals
from fixtures.timeouts import shorten

# A fleet on this machine answers in seconds (fixtures/timeouts.py has what was seen); a fault that makes the suite wait
# for ever would otherwise cost minutes. Before anything is imported that takes a value as a default.
shorten(agent=30, deliberation=40, job=75, census=60, settle=15, request=8, ray_client=30)

from tests.faults.command import main  # noqa: E402

if __name__ == "__main__":
    heed_signals()
    sys.exit(main())
