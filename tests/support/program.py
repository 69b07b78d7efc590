"""How the programs below tests/ run: a signal that ends one ends it in order, with the exit status of Ctrl-C."""

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED = 130  # what a shell makes of SIGINT


def heed_signals() -> None:
    """SIGINT, SIGTERM and SIGHUP end this program by KeyboardInterrupt, also where a shell started it in the
    background, which has it ignore SIGINT. A SIGHUP that is ignored, as nohup has it, stays so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def run(main: Callable[[], int]) -> NoReturn:
    """Run `main` and end this process with the status that it returns."""
    heed_signals()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
