"""`python -m fleet_orchestrator`: one replica, until SIGTERM. Exit status 2 for a wrong configuration."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time

from fleet_orchestrator.config import ConfigError, Settings

STOP_SECONDS = 2.5


async def serve(settings: Settings) -> None:
    """Run a replica until a signal stops it."""
    from fleet_orchestrator.app import Orchestrator

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    orchestrator = Orchestrator(settings)
    await orchestrator.start()
    await stop.wait()
    try:
        await asyncio.wait_for(orchestrator.stop(), STOP_SECONDS)
    except asyncio.TimeoutError:
        logging.warning("Not all connections were closed in %g s", STOP_SECONDS)


def main() -> int:
    """The exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.Formatter.converter = time.gmtime
    try:
        settings = Settings(os.environ)
    except ConfigError as error:
        print(f"fleet_orchestrator: {error}", file=sys.stderr)
        return 2
    try:
        asyncio.run(serve(settings))
    except RuntimeError as error:  # the port is taken
        print(f"fleet_orchestrator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)  # Ray Client's threads could hold up a normal exit
