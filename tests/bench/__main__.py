"""`python -m tests.bench`, as ./ci/bench does."""

import sys
from tests.bench.command import main
from tests.support.signals import heed_signals
from tests.support import program

if __name__ == "__main__":
    program.run(main)
