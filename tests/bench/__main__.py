"""`python -m tests.bench`, as ./ci/bench does."""

import sys

from tests.bench.command import main
from tests.support.signals import heed_signals

if __name__ == "__main__":
    heed_signals()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
