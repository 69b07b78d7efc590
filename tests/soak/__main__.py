"""`python -m tests.soak`, as ./ci/soak does."""

import sys

from fixtures.harness.interrupts import heed_signals
from tests.soak.command import main

heed_signals()
try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
