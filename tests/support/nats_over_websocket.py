"""A stand-in for NATS behind a WebSocket, on another implementation of it than the probe's: it says in fragments what
it has to say, with pings between."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve


@dataclass
class Asked:
    """What clients said."""

    requests: list[str] = field(default_factory=list)  # the handshakes: path and headers
    lines: list[str] = field(default_factory=list)  # NATS's own words


@asynccontextmanager
async def nats_over_websocket(info: Mapping[str, Any], *answers: Mapping[str, Any]) -> AsyncIterator[tuple[str, Asked]]:
    """Its host:port, and what it was asked. It greets with `info`, and answers requests with `answers` in turn."""
    asked, pending = Asked(), list(answers)

    async def said(connection: ServerConnection, text: str) -> None:
        await connection.ping()
        await connection.send(text.encode()[start : start + 7] for start in range(0, len(text), 7))

    async def talk(connection: ServerConnection) -> None:
        assert connection.request
        asked.requests.append(f"{connection.request.path}\n{connection.request.headers}")
        await said(connection, f"INFO {json.dumps(info)} \r\n")
        async for message in connection:
            assert isinstance(message, bytes), "clients of NATS send binary messages"
            for line in message.decode().splitlines():
                asked.lines.append(line)
                if line == "PING":
                    await said(connection, "PONG\r\n")
                if line.startswith("PUB ") and pending:
                    body = json.dumps(pending.pop(0))
                    await said(connection, f"MSG {line.split()[2]} 1 {len(body)}\r\n{body}\r\n")

    async with serve(talk, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", asked
