"""`ci/faults`: every check is seen to fail for its fault, and nothing else with it."""

from __future__ import annotations

import sys

from fixtures.harness.interrupts import heed_signals
from tests.faults.command import main

if __name__ == "__main__":
    heed_signals()
    sys.exit(main())
