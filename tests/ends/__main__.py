"""`ci/ends`."""

from __future__ import annotations

import sys

from fixtures.interrupts import heed_signals
from tests.ends.command import main

if __name__ == "__main__":
    heed_signals()
    sys.exit(main())
