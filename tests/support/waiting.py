"""Waiting for a state where there is no event loop; where there is one, `fixtures.core.polling.wait_until` waits."""

import time
from collections.abc import Callable

EVERY_S = 0.05


def wait_for(holds: Callable[[], object], what: str, seconds: float, detail: Callable[[], str] = str) -> None:
    """Until `holds` is true; fails with `what` after `seconds`, and with what `detail` says then."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s\n{detail()}".strip()
        time.sleep(EVERY_S)
