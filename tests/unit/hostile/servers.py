"""Servers on a port of this machine that misbehave on the wire, and the bounds that a client of the suite keeps."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

MOST_MEMORY = 100 << 20  # bytes that a client may take for any answer
PATIENCE = 0.1  # seconds that the tests' clients wait for one answer
SLOWEST = 10.0  # seconds after which a client that is to wait for PATIENCE hangs, on a machine that does much else

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


def frame(kind: int, data: bytes, first: int = 128, second: int = 0) -> bytes:
    """One of WebSocket: the last of its message, and not masked, where `first` and `second` do not say otherwise."""
    size = len(data)
    if size < 126:
        return bytes([first | kind, second | size]) + data
    marker, wide = (126, 2) if size < 1 << 16 else (127, 8)
    return bytes([first | kind, second | marker]) + size.to_bytes(wide, "big") + data


class OverWebSocket:
    """Stands in for a connection: each write is a message in two fragments, with a ping between them."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        half = len(data) // 2
        self._writer.write(frame(2, data[:half], first=0) + frame(9, b"there?") + frame(0, data[half:]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


async def take_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Go over to WebSocket; returns what was asked."""
    asked = await reader.readuntil(b"\r\n\r\n")
    key = next(line.split(b": ")[1] for line in asked.splitlines() if line.lower().startswith(b"sec-websocket-key"))
    accepted = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    writer.write(head + b"sec-websocket-accept: " + accepted + b"\r\n\r\n")
    return asked


@asynccontextmanager
async def serving(script: Script, *, over_websocket: bool = False, framed: bool = True) -> AsyncIterator[int]:
    """The port of a server that does the same to every connection, and does not care what it is asked.

    `framed`: what it says over WebSocket is put into messages, else it makes frames of its own.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        said: Any = OverWebSocket(writer) if over_websocket and framed else writer
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                if over_websocket:
                    await take_handshake(reader, writer)
                await script(said)
        finally:
            writer.transport.abort() if task.cancelling() else writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _memory(kind: str) -> int:
    """Bytes of this process that are resident now ("VmRSS"), or were at most ("VmHWM"). Source: proc_pid_status(5)."""
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) << 10 for row in rows if row.startswith(f"{kind}:"))


@contextmanager
def within_bounds() -> Iterator[None]:
    """The body ends in time, and takes less than MOST_MEMORY on the way, that of libraries in C included."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, start = _memory("VmRSS"), time.monotonic()
    yield
    seconds, peak = time.monotonic() - start, _memory("VmHWM") - before
    assert seconds < SLOWEST, f"took {seconds:.1f} s"
    assert peak < MOST_MEMORY, f"took {peak >> 20} MiB"


def sends(data: bytes) -> Script:
    """These bytes, and the end of the connection."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return script


def drips(head: bytes, drop: bytes) -> Script:
    """The head, then the drop again and again, each before anybody's patience with a single read has ended."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(PATIENCE / 10)

    return script


def floods(head: bytes, piece: bytes) -> Script:
    """The head, then the piece again and again, as fast as it is read."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()

    return script


async def silent(_writer: asyncio.StreamWriter) -> None:
    """Accepts and says nothing."""
    await asyncio.sleep(3600)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNK = b"10000\r\n" + b" " * 65536 + b"\r\n"
BOMB = gzip.compress(b" " * (2 * MOST_MEMORY), 1)

#: What any HTTP client must survive.
HTTP: dict[str, Script] = {
    "silent": silent,
    "closes at once": sends(b""),
    "not HTTP": sends(b'INFO {"server_id": "N", "version": "2.11"}\r\n'),
    "bytes": sends(bytes(range(256)) * 64),
    "a status that is none": sends(b"HTTP/1.1 999999 ?\r\n\r\n"),
    "status line without end": floods(b"HTTP/1.1 200 ", b"O" * 65536),
    "header without end": floods(OK + b"X: ", b"a" * 65536),
    "headers without end": floods(OK, b"X-Y: z\r\n" * 4096),
    "headers drip": drips(OK, b"X-Y: z\r\n"),
    "body drips": drips(OK + b"Content-Length: 1000000\r\n\r\n", b" "),
    "chunks drip": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "body is cut": sends(OK + b"Content-Length: 1000\r\n\r\n{}"),
    "chunk is cut": sends(OK + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n{}"),
    "chunk of no size": sends(OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n"),
    "length is none": sends(OK + b"Content-Length: many\r\n\r\n{}"),
    "length is huge": floods(OK + b"Content-Length: 99999999999999999999\r\n\r\n", b" " * 65536),
    "body without end": floods(OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
    "gzip bomb": sends(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
    "unknown coding": sends(OK + b"Content-Encoding: br, x\r\nContent-Length: 2\r\n\r\n{}"),
    "brackets": sends(OK + b"Content-Length: 1000000\r\n\r\n" + b"[" * 1_000_000),
    "many values": sends(OK + b"Content-Length: 3900001\r\n\r\n[" + b"{}," * 1_300_000),
    "redirect to itself": sends(b"HTTP/1.1 302 Found\r\nLocation: /v1/models\r\nContent-Length: 0\r\n\r\n"),
    "provisional answers drip": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "no content": sends(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "error page": sends(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 26\r\n\r\n<html>\x00\xff\xfe502 Gateway</html>"),
}
