"""`ci/interrupt`."""

from __future__ import annotations

import sys

from fixtures.harness.interrupts import heed_signals
from tests.interruption.command import main

if __name__ == "__main__":
    heed_signals()
    sys.exit(main())
