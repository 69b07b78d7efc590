"""`ci/faults`: every check is seen to fail for its fault, and nothing else with it."""

from __future__ import annotations

import sys

from tests.faults.command import main
from tests.support.signals import heed_signals

if __name__ == "__main__":
    heed_signals()
    sys.exit(main())
