"""`python -m tests.bench`, as ./ci/bench does."""

import sys

from fixtures.harness.interrupts import heed_signals
from tests.bench.command import main

if __name__ == "__main__":
    heed_signals()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
