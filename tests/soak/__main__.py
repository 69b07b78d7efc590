"""`python -m tests.soak`, as ./ci/soak does."""

import sys

from tests.soak.command import main
from tests.support.signals import heed_signals

heed_signals()
try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
