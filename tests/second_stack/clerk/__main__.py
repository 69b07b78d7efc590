"""`python -m clerk`: one replica, until SIGTERM. Exit status 2 for a variable that is missing."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress

from .service import Clerk
from .settings import Settings

STOP_SECONDS = 2.5


async def serve(settings: Settings) -> None:
    """Run a clerk until a signal stops it."""
    clerk = Clerk(settings)
    running = asyncio.ensure_future(clerk.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(clerk.stop(), STOP_SECONDS)


def main() -> int:
    """The exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.of(os.environ)
    except (KeyError, ValueError) as error:
        print(f"clerk: {error!r}", file=sys.stderr)
        return 2
    asyncio.run(serve(settings))
    return 0


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    os._exit(status)  # Ray Client's threads could hold up a normal exit
