"""Signals towards the programs that run the suite."""

import signal


def heed_signals() -> None:
    """SIGINT and SIGTERM end this program by KeyboardInterrupt, also where a shell started it in the background, which
    has it ignore SIGINT."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
