"""`ci/interrupt`."""

from __future__ import annotations

import sys

from tests.interruption.command import main
from tests.support.signals import heed_signals

if __name__ == "__main__":
    heed_signals()
    sys.exit(main())
