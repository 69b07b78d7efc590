"""What the stub and the proxy share on their command lines, and how both are served."""

from __future__ import annotations

import argparse

from aiohttp import web

SHUTDOWN_S = 2.0
"""Seconds that requests in progress get to end after SIGTERM."""


def positive(text: str) -> int:
    """An integer above zero, for argparse."""
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def add_address(parser: argparse.ArgumentParser) -> None:
    """Add ``--host`` and ``--port``."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=positive, default=8000, help="port to listen on (default: %(default)s)")


def serve(app: web.Application, name: str, host: str, port: int) -> None:
    """Serve ``app`` until SIGTERM or SIGINT. A handler is cancelled when its client goes.

    Raises OSError when the address cannot be bound.
    """
    web.run_app(
        app,
        host=host,
        port=port,
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN_S,
        access_log=None,
        print=lambda _: print(f"{name} on http://{host}:{port}", flush=True),
    )
