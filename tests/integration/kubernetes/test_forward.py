"""Forwards to pods of a real cluster: what they carry, and what happens when one side ends."""

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import grpc.aio
import httpx
import pytest

from fixtures.clusters.kubernetes.client.api import PODS, Api
from fixtures.clusters.kubernetes.client.errors import NotFound
from fixtures.clusters.kubernetes.client.portforward import Forward, ResolveTarget
from fixtures.core.errors import Inconclusive
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.services import grpc_access
from tests.integration.kubernetes import pods

Opened = AbstractAsyncContextManager[Forward]
ForwardTo = Callable[[ResolveTarget], Opened]
ToPort = Callable[[int], Opened]

LINES, HTTP, GRPC, NOBODY = 8001, 8002, 8003, 8009
MIB = 1 << 20
SILENCE_S = 3.0
REFUSED_S = 5.0  # until a connection ends whose port nobody listens on


@pytest.fixture
def forward_to(api: Api, namespace: str) -> ForwardTo:
    """Opens a forward to what a function chooses, for the length of a block."""

    @contextlib.asynccontextmanager
    async def open_forward(resolve_target: ResolveTarget) -> AsyncIterator[Forward]:
        forward = await api.forward(namespace, resolve_target)
        try:
            yield forward
        finally:
            await forward.close()

    return open_forward


@pytest.fixture
def to_port(forward_to: ForwardTo, server: str) -> ToPort:
    """Opens a forward to a port of the pod that all these tests share."""

    def open_forward(port: int) -> Opened:
        async def resolve_target() -> tuple[str, int]:
            return server, port

        return forward_to(resolve_target)

    return open_forward


async def connect(forward: Forward) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = forward.address.split(":")
    return await asyncio.open_connection(host, int(port))


async def ask(forward: Forward, words: bytes) -> bytes:
    """Send one line and return everything up to the pod's end."""
    reader, writer = await connect(forward)
    try:
        writer.write(words + b"\n")
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()


# -- what it carries ---------------------------------------------------------------------------------------


async def test_http_with_keep_alive_and_large_bodies_both_ways(api: Api, to_port: ToPort) -> None:
    body = os.urandom(8 * MIB)
    async with (
        to_port(HTTP) as forward,
        httpx.AsyncClient(base_url=f"http://{forward.address}", trust_env=False) as http,
    ):
        before = api.requests
        for size in (0, 1, 70_000, 8 * MIB):
            assert len((await http.get(f"/{size}")).content) == size
            told = (await http.post("/", content=body[:size])).text
            assert told == f"{size} {hashlib.sha256(body[:size]).hexdigest()}"
        for _ in range(50):
            assert (await http.get("/10")).status_code == 200
        assert api.requests == before + 1, "one connection carries all requests"


async def test_grpc_calls_and_a_long_stream(to_port: ToPort) -> None:
    async with to_port(GRPC) as forward, grpc_access.channel(forward.address) as channel:
        echo: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test/Echo")
        assert await echo(b"x" * 3_000_000, timeout=20) == b"x" * 3_000_000
        answers = await asyncio.gather(*(echo(str(number).encode(), timeout=20) for number in range(100)))
        assert answers == [str(number).encode() for number in range(100)]
        count: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/test/Count")
        stream = count(b"", timeout=30)
        seen = [await stream.read() for _ in range(60)]
        assert seen == [str(number).encode() for number in range(60)]
        stream.cancel()


async def test_fifty_connections_at_once(to_port: ToPort) -> None:
    async def echo(forward: Forward, number: int) -> None:
        reader, writer = await connect(forward)
        try:
            writer.write(b"echo\n")
            for round_trip in range(5):
                data = f"{number}-{round_trip}-".encode() * 2000
                writer.write(data)
                assert await asyncio.wait_for(reader.readexactly(len(data)), 60) == data
        finally:
            writer.close()

    async with to_port(LINES) as forward:
        await asyncio.gather(*(echo(forward, number) for number in range(50)))
        assert (forward.error, forward.last_error) == (None, "")


async def test_a_quiet_connection_lives_and_costs_nothing(to_port: ToPort) -> None:
    async with to_port(LINES) as forward:
        connections = [await connect(forward) for _ in range(20)]
        for reader, writer in connections:
            writer.write(b"echo\nhello")
            assert await asyncio.wait_for(reader.readexactly(5), 20) == b"hello"
        start = time.process_time()
        await asyncio.sleep(SILENCE_S)  # what the test is about
        assert time.process_time() - start < SILENCE_S / 10, "seconds of CPU for a silence"
        for reader, writer in connections:
            writer.write(b"still")
            assert await asyncio.wait_for(reader.readexactly(5), 20) == b"still"
            writer.close()


async def test_a_reader_that_is_slow_slows_the_pod_down_and_nobody_else(to_port: ToPort) -> None:
    async with to_port(LINES) as forward:
        reader, writer = await asyncio.open_connection(*forward.address.split(":"), limit=4096)
        writer.write(f"send {64 * MIB}\n".encode())
        await reader.readexactly(1)
        assert await ask(forward, b"send 1000") == pods.piece(1000)
        size = 1
        while data := await reader.read(MIB):
            size += len(data)
        assert size == 64 * MIB
        writer.close()


# -- ends --------------------------------------------------------------------------------------------------


async def test_the_pods_end_reaches_the_client_after_all_its_data(to_port: ToPort) -> None:
    async with to_port(LINES) as forward:
        for size in (1, 100_000, 5 * MIB):
            assert await ask(forward, f"send {size}".encode()) == pods.piece(size)
        assert forward.last_error == ""


async def test_the_clients_end_reaches_the_pod(to_port: ToPort) -> None:
    async with to_port(LINES) as forward:
        for _ in range(5):
            reader, writer = await connect(forward)
            writer.write(b"echo\nx")
            await reader.readexactly(1)
            writer.close()

        async def alone() -> bool:
            return await ask(forward, b"count") == b"1"

        await wait_until(alone, "the pod sees five connections end", 3 * TIMEOUTS.forward_linger + 5, every=0.2)


async def test_what_the_pod_still_sends_after_the_clients_end_arrives(to_port: ToPort) -> None:
    async with to_port(LINES) as forward:
        reader, writer = await connect(forward)
        writer.write(f"late {3 * MIB}\n".encode())
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 30) == pods.piece(3 * MIB)
        writer.close()


# -- faults ------------------------------------------------------------------------------------------------


async def test_a_port_where_nobody_listens_ends_the_connection_at_once(to_port: ToPort, server: str) -> None:
    async with to_port(NOBODY) as forward:
        async with asyncio.timeout(REFUSED_S):
            assert await ask(forward, b"x") == b""
        assert f"pod {server}, port {NOBODY}: " in forward.last_error and "refused" in forward.last_error
        assert forward.error is None, "the API server did its part"


async def test_what_choose_raises_is_told_and_the_next_connection_asks_anew(forward_to: ForwardTo, server: str) -> None:
    answers: list[Exception | tuple[str, int]] = [
        Inconclusive("no replica is ready"),
        AssertionError("gone"),
        ("nobody", LINES),
        (server, LINES),
    ]

    async def resolve_target() -> tuple[str, int]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with forward_to(resolve_target) as forward:
        for told, kind in (("no replica is ready", Inconclusive), ("gone", AssertionError), ("not found", NotFound)):
            assert await ask(forward, b"count") == b""
            assert told in forward.last_error
            assert isinstance(forward.error, kind)
        assert await ask(forward, b"send 3") == pods.piece(3)
        assert (forward.error, forward.last_error) == (None, "")


async def test_a_pod_that_dies_ends_its_connections_and_the_next_goes_to_another(
    api: Api, namespace: str, image: str, server: str, forward_to: ForwardTo
) -> None:
    mortal = await pods.start_server(api, namespace, image)
    current = [mortal]

    async def resolve_target() -> tuple[str, int]:
        return current[0], LINES

    async with forward_to(resolve_target) as forward:
        reader, writer = await connect(forward)
        writer.write(b"echo\nx")
        assert await asyncio.wait_for(reader.readexactly(1), 20) == b"x"
        await pods.remove(api, namespace, mortal)  # the object goes first, the kubelet ends the container after that
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()
        assert await ask(forward, b"count") == b""
        assert mortal in forward.last_error
        current[0] = server
        assert await ask(forward, b"send 5") == pods.piece(5)


async def test_nothing_is_left_of_a_closed_forward(api: Api, namespace: str, server: str) -> None:
    async def resolve_target() -> tuple[str, int]:
        return server, LINES

    async def state() -> tuple[int, int]:
        return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))

    await api.list(PODS, namespace)
    before = await state()
    forward = await api.forward(namespace, resolve_target)
    connections = [await connect(forward) for _ in range(20)]
    for _, writer in connections[:10]:
        writer.write(b"echo\nx")
    for reader, _ in connections[:10]:
        await asyncio.wait_for(reader.readexactly(1), 20)
    async with asyncio.timeout(2 * TIMEOUTS.stream_close):
        await forward.close()
        await forward.close()
    for reader, writer in connections:
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()

    async def same() -> bool:
        return await state() == before

    await wait_until(
        same, "tasks and files are what they were", 5.0, detail=lambda: f"{before}, now {len(asyncio.all_tasks())}"
    )
    with pytest.raises(ConnectionRefusedError):
        await connect(forward)
