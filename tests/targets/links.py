"""A way between two parts that can be cut, slowed down or spoiled: a TCP link in the target's loop."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.targets.injectors import Added, FileChange

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Treatment = Callable[[Streams, tuple[str, int]], Awaitable[None]]
"""What becomes of a connection that was accepted; the second is where it should lead to."""

PIECE = 1 << 16  # bytes
LOOPBACK = "127.0.0.1"


async def swallows(client: Streams, _: tuple[str, int]) -> None:
    """Takes everything and never answers."""
    while await client[0].read(PIECE):
        pass


def greets(text: bytes) -> Treatment:
    """Greets with `text`, whoever calls, and then takes everything."""

    async def treatment(client: Streams, target: tuple[str, int]) -> None:
        client[1].write(text)
        await swallows(client, target)

    return treatment


def passes(*, delay: float = 0.0, most: int = 0) -> Treatment:
    """Leads on; each answer comes `delay` seconds late; cut after `most` bytes of answers, where that is not 0."""

    async def treatment(client: Streams, target: tuple[str, int]) -> None:
        server = await asyncio.open_connection(*target)
        asking = asyncio.ensure_future(_carry(client[0], server[1]))
        try:
            await _carry(server[0], client[1], delay, most)
        finally:
            asking.cancel()
            server[1].close()

    return treatment


def distant(seconds: float) -> Treatment:
    """Leads on; whatever is sent arrives `seconds` later, in either direction, and a connection takes both ways."""

    async def treatment(client: Streams, target: tuple[str, int]) -> None:
        await asyncio.sleep(2 * seconds)
        server = await asyncio.open_connection(*target)
        asking = asyncio.ensure_future(_carry_later(client[0], server[1], seconds))
        try:
            await _carry_later(server[0], client[1], seconds)
        finally:
            asking.cancel()
            server[1].close()

    return treatment


async def _carry_later(source: asyncio.StreamReader, sink: asyncio.StreamWriter, seconds: float) -> None:
    """Each piece `seconds` after it came, however many are on their way."""
    loop = asyncio.get_running_loop()
    while piece := await source.read(PIECE):
        loop.call_later(seconds, sink.write, piece)
    await asyncio.sleep(seconds)


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float = 0.0, most: int = 0) -> None:
    carried = 0
    while piece := await source.read(PIECE):
        await asyncio.sleep(delay)
        sink.write(piece[: most - carried] if most else piece)
        await sink.drain()
        carried += len(piece)
        if most and carried >= most:
            return


@asynccontextmanager
async def link(target: str, treatment: Treatment, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The address (host:port) of a link to `target` (host:port), each of whose connections is treated so.

    With `tls` it speaks TLS to those who call, and not to `target`.
    """
    async with _listening(itertools.repeat(target), treatment, tls=tls) as address:
        yield address


@asynccontextmanager
async def round_robin(*targets: str, port: int = 0) -> AsyncIterator[str]:
    """The address (host:port) of a load balancer: its connections lead to `targets` (host:port) in turn.

    `port`: where it listens; 0: anywhere.
    """
    async with _listening(itertools.cycle(targets), passes(), port=port) as address:
        yield address


@asynccontextmanager
async def _listening(
    targets: Iterator[str], treatment: Treatment, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """The address (host:port) of a link; each connection is treated so, towards the next of `targets`."""
    treated: set[asyncio.Task[None]] = set()

    async def treat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, number = next(targets).rpartition(":")
        with suppress(OSError):
            await treatment((reader, writer), (host, int(number)))
        writer.close()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(treat(reader, writer))
        treated.add(task)
        task.add_done_callback(treated.discard)

    server = await asyncio.start_server(accepted, LOOPBACK, port, ssl=tls)
    try:
        yield f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in treated:
            task.cancel()
        await asyncio.gather(*treated, return_exceptions=True)


@asynccontextmanager
async def closed_port() -> AsyncIterator[str]:
    """The address (host:port) of a port that refuses every connection, and that nobody else can take meanwhile."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield f"{LOOPBACK}:{held.getsockname()[1]}"


WALL = """\
import socket

connect, connect_ex = socket.socket.connect, socket.socket.connect_ex


def walled(self, address, go=connect):
    stream = self.type == socket.SOCK_STREAM
    if stream and isinstance(address, tuple) and (address[1] in {ports!r}) is {listed}:
        raise ConnectionRefusedError(111, "Connection refused")
    return go(self, address)


socket.socket.connect, socket.socket.connect_ex = walled, lambda self, address: walled(self, address, connect_ex)
"""


def wall(*addresses: str) -> tuple[FileChange, FileChange]:
    """A firewall inside one replica: its Python processes are refused the ports of these addresses (URLs) on any host.

    Those that run already are not: restart the replica with it.
    """
    return _wall(addresses, listed=True)


def wall_but_for(*addresses: str) -> tuple[FileChange, FileChange]:
    """The same, where only these ports are not refused."""
    return _wall(addresses, listed=False)


def _wall(addresses: tuple[str, ...], *, listed: bool) -> tuple[FileChange, FileChange]:
    ports = sorted({port for address in addresses if (port := urlsplit(address).port)})
    source = WALL.format(ports=ports, listed=listed)
    return Added("_fleet_wall.py", source), Added("_fleet_wall.pth", "import _fleet_wall\n")
