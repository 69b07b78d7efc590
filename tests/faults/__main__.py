"""`ci/faults`: every check is seen to fail for its fault, and nothing else with it."""

from __future__ import annotations

import sys

from fixtures.core.timeouts import shorten
from fixtures.harness.interrupts import heed_signals
from tests.faults.short import SHORT

# A fleet on this machine answers in seconds (fixtures/core/timeouts.py has what was seen); a fault that makes the suite wait
# for ever would otherwise cost minutes. Before anything is imported that takes a value as a default.
shorten(**SHORT)

from tests.faults.command import main  # noqa: E402

if __name__ == "__main__":
    heed_signals()
    sys.exit(main())
