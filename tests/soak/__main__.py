"""`python -m tests.soak`, as ./ci/soak does."""

import sys
from tests.soak.command import main
from tests.support.signals import heed_signals
from tests.support import program

if __name__ == "__main__":
    program.run(main)
