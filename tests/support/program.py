"""How the programs below tests/ run: Ctrl-C and SIGTERM end them in order, with the exit status of Ctrl-C."""

import sys
from collections.abc import Callable
from typing import NoReturn

from tests.support.signals import heed_signals

INTERRUPTED = 130  # what a shell makes of SIGINT


def run(main: Callable[[], int]) -> NoReturn:
    """Run `main` and end this process with the status that it returns."""
    heed_signals()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
