"""Links between parts: a load balancer leads its connections to its targets in turn."""

from __future__ import annotations

import asyncio

from tests.targets.links import round_robin


async def test_connections_lead_to_the_targets_in_turn() -> None:
    async def greeting(text: bytes) -> asyncio.Server:
        def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(text)
            writer.close()

        return await asyncio.start_server(greet, "127.0.0.1", 0)

    first, second = await greeting(b"first"), await greeting(b"second")
    targets = [f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in (first, second)]
    async with first, second, round_robin(*targets) as address:
        host, _, port = address.partition(":")
        answers = []
        for _ in range(4):
            reader, writer = await asyncio.open_connection(host, int(port))
            answers.append(await reader.read())
            writer.close()
    assert answers == [b"first", b"second", b"first", b"second"]
