"""Exec and port-forward against a stand-in that speaks the channel protocol, and breaks it."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from fixtures.clusters.base import Component
from fixtures.clusters.kubernetes.client import exec, portforward, streams
from fixtures.clusters.kubernetes.client.api import Api, connect
from fixtures.clusters.kubernetes.client.errors import ApiError, Forbidden, Unreachable
from fixtures.clusters.kubernetes.client.portforward import Forward
from fixtures.clusters.kubernetes.client.streams import V4, V5
from fixtures.clusters.kubernetes.service_endpoints import PortForwards
from fixtures.core.errors import Inconclusive
from fixtures.core.polling import wait_until
from fixtures.core.programs import read_from_stdin
from fixtures.core.timeouts import Timeouts
from fixtures.probes.packaging import probe_source
from fixtures.services.vllm import Vllm
from tests.support.kubernetes_stand_in import StandIn, status, write_kubeconfig

Query = dict[str, list[str]]
Talk = Callable[[ServerConnection, Query], Awaitable[None]]
ApiWith = Callable[..., AbstractAsyncContextManager[Api]]

SUCCESS = b"\x03" + json.dumps({"kind": "Status", "status": "Success"}).encode()


@pytest.fixture
def api_with(tmp_path: Path) -> ApiWith:
    """A client of a server that hands each stream to a function."""

    @contextlib.asynccontextmanager
    async def start(talk: Talk, *protocols: Subprotocol) -> AsyncIterator[Api]:
        async def handler(connection: ServerConnection) -> None:
            assert connection.request
            await talk(connection, parse_qs(urlsplit(connection.request.path).query))

        async with serve(handler, "127.0.0.1", 0, subprotocols=protocols or [V5, V4], compression=None) as server:
            port = server.sockets[0].getsockname()[1]
            api = connect(str(write_kubeconfig(tmp_path / "k", f"http://127.0.0.1:{port}")), None)
            try:
                yield api
            finally:
                await api.close()

    return start


@contextlib.asynccontextmanager
async def forward_of(api: Api) -> AsyncIterator[Forward]:
    async def resolve_target() -> tuple[str, int]:
        return "pod-1", 80

    opened = await api.forward("ns", resolve_target)
    try:
        yield opened
    finally:
        await opened.close()


async def reach(forward: Forward, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = forward.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    return reader, writer


# -- exec --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def recording(expected: int = 100_000) -> Iterator[tuple[list[dict[str, list[str]]], list[bytes], Talk]]:
    """The queries of the execs, what arrived, and a server that ends a command after `expected` bytes of input."""
    queries: list[dict[str, list[str]]] = []
    received: list[bytes] = []

    async def talk(connection: ServerConnection, query: dict[str, list[str]]) -> None:
        queries.append(query)
        await connection.send(b"\x01")
        size = 0
        while "stdin" in query and size < expected:
            message = await connection.recv()
            assert isinstance(message, bytes)
            received.append(message)
            size += len(message) - 1
        if connection.subprotocol == V5 and "stdin" in query:
            received.append(bytes(await connection.recv()))  # type: ignore[arg-type]
        await connection.send(SUCCESS)

    yield queries, received, talk


@pytest.mark.parametrize(
    ("size", "command"),
    [(exec.PIPE, ["cat", "-"]), (exec.PIPE + 1, ["sh", "-c", exec.DRAIN, "sh", "cat", "-"])],
    ids=["in a pipe", "more"],
)
async def test_input_ends_by_closing_its_channel(api_with: ApiWith, size: int, command: list[str]) -> None:
    with recording(size) as (queries, received, talk):
        async with api_with(talk) as api:
            done = await api.execute("p", "ns", ["cat", "-"], stdin="x" * size, container="c", timeout=5)
    assert done.returncode == 0
    assert queries == [
        {"command": command, "stdin": ["true"], "stdout": ["true"], "stderr": ["true"], "container": ["c"]}
    ]
    assert received.pop() == bytes([255, 0])
    assert b"".join(one[1:] for one in received) == b"x" * size and {one[0] for one in received} == {0}


async def test_a_server_without_v5_has_the_input_counted_and_is_offered_v5_once(api_with: ApiWith) -> None:
    with recording() as (queries, received, talk):
        async with api_with(talk, V4) as api:
            for _ in range(2):
                assert (await api.execute("p", "ns", ["cat"], stdin="x" * 100_000, timeout=5)).returncode == 0
            assert api.requests == 3
    assert [query["command"] for query in queries] == [["sh", "-c", exec.STDIN_WRAPPER, "sh", "100000", "cat"]] * 2
    assert b"".join(one[1:] for one in received) == b"x" * 200_000 and {one[0] for one in received} == {0}


async def test_a_handshake_that_the_container_runtime_refuses_is_tried_with_v4(tmp_path: Path) -> None:
    """Its answer is a bare 403, until the connection ends (Go's websocket.Server), not one of the API server's."""
    offered: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        offered.extend(line for line in head.splitlines() if line.startswith("Sec-WebSocket-Protocol"))
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    api = connect(str(write_kubeconfig(tmp_path / "k", url)), None)
    try:
        with pytest.raises(Forbidden, match="cannot get pods/exec p in namespace ns: forbidden: no reason given"):
            await api.execute("p", "ns", ["cat"], stdin="x", timeout=5)
    finally:
        await api.close()
        server.close()
    assert offered == [f"Sec-WebSocket-Protocol: {protocol}" for protocol in (V5, V4)]


@pytest.mark.parametrize("protocol", [V4, V5])
async def test_a_command_without_input_runs_by_either_protocol(api_with: ApiWith, protocol: Subprotocol) -> None:
    with recording() as (queries, received, talk):
        async with api_with(talk, protocol) as api:
            assert (await api.execute("p", "ns", ["true"], timeout=5)).returncode == 0
            assert api.requests == 1
    assert (queries[0]["command"], received) == (["true"], [])


async def test_a_refusal_in_rbacs_words_is_not_taken_for_an_old_protocol(tmp_path: Path) -> None:
    said = 'pods "p" is forbidden: User "jane" cannot create resource "pods/exec" in API group "" in the namespace "ns"'
    server = StandIn((403, status(403, "Forbidden", said)))
    api = connect(str(write_kubeconfig(tmp_path / "k", server.url)), None)
    try:
        with pytest.raises(Forbidden, match="grant it with a Role in ns"):
            await api.execute("p", "ns", ["cat"], stdin="x", timeout=5)
        assert api.requests == 1
    finally:
        await api.close()
        server.close()


async def test_the_probes_source_is_not_in_the_request_line(api_with: ApiWith) -> None:
    paths: list[str] = []

    async def talk(connection: ServerConnection, query: dict[str, list[str]]) -> None:
        assert connection.request is not None
        paths.append(connection.request.path)
        await connection.send(SUCCESS)

    argv, stdin = read_from_stdin(probe_source(), "{}")
    async with api_with(talk) as api:
        await api.execute("p", "ns", argv, stdin=stdin, timeout=5)
    assert len(paths[0]) < 1000, "proxies before an API server take 8 KB, some less"


async def test_output_that_comes_after_the_status_counts(api_with: ApiWith) -> None:
    async def talk(connection: ServerConnection, query: Query) -> None:
        await connection.send(b"\x01one ")
        await connection.send(SUCCESS)
        await connection.send(b"\x01two")

    async with api_with(talk) as api:
        assert (await api.execute("p", "ns", ["x"], timeout=5)).stdout == "one two"


async def test_a_server_that_does_not_close_after_the_status_is_not_waited_for(
    api_with: ApiWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec, "TIMEOUTS", Timeouts(stream_close=0.2))

    async def talk(connection: ServerConnection, query: Query) -> None:
        await connection.send(SUCCESS)
        await connection.wait_closed()

    async with api_with(talk) as api:
        done = await api.execute("p", "ns", ["x"], timeout=5)  # raises Inconclusive where it waits for the server
        assert done.returncode == 0


async def broken(connection: ServerConnection, query: Query) -> None:
    await connection.send(b"\x01half of the out")
    connection.transport.abort()


async def closed(connection: ServerConnection, query: Query) -> None:
    await connection.send(b"\x01half of the out")


async def strange(connection: ServerConnection, query: Query) -> None:
    await connection.send(b"\x09what")
    await connection.wait_closed()


@pytest.mark.parametrize(
    ("talk", "told"),
    [
        (broken, "the connection broke before"),
        (closed, "the connection broke before"),
        (strange, "data on the unknown channel 9"),
    ],
)
async def test_half_an_output_is_no_output(api_with: ApiWith, talk: Talk, told: str) -> None:
    async with api_with(talk) as api:
        with pytest.raises(Inconclusive, match=f"^x in pod p: {told}") as caught:
            await api.execute("p", "ns", ["x"], timeout=5)
    assert "\n" not in str(caught.value)


# -- port-forward ------------------------------------------------------------------------------------------


async def echo(connection: ServerConnection, query: Query) -> None:
    for channel in (b"\x00", b"\x01"):
        await connection.send(channel + int(query["ports"][0]).to_bytes(2, "little"))
    async for message in connection:
        await connection.send(message)


async def test_bytes_pass_unchanged(api_with: ApiWith) -> None:
    data = bytes(range(256)) * 10_000
    async with api_with(echo) as api, forward_of(api) as forward:
        reader, writer = await reach(forward, data)
        assert await asyncio.wait_for(reader.readexactly(len(data)), 10) == data
        writer.close()


async def test_an_error_of_the_pods_side_ends_the_connection_and_is_told(api_with: ApiWith) -> None:
    async def talk(connection: ServerConnection, query: Query) -> None:
        await connection.send(b"\x00\x50\x00")
        await connection.send(b"\x01\x50\x00")
        await connection.send(b"\x00some")
        await connection.send(b"\x01no\nroute")
        await connection.wait_closed()

    async with api_with(talk) as api, forward_of(api) as forward:
        reader, writer = await reach(forward)
        assert await asyncio.wait_for(reader.read(), 5) == b"some"
        assert forward.last_error == "pod pod-1, port 80: no route"
        assert forward.error is None
        writer.close()


async def test_a_connection_that_breaks_ends_at_once_and_the_next_is_new(api_with: ApiWith) -> None:
    count = []

    async def talk(connection: ServerConnection, query: Query) -> None:
        count.append(1)
        if len(count) == 1:
            connection.transport.abort()
            return
        await echo(connection, query)

    async with api_with(talk) as api, forward_of(api) as forward:
        reader, writer = await reach(forward, b"x")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert "the connection broke" in forward.last_error
        writer.close()
        reader, writer = await reach(forward, b"again")
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"again"
        assert forward.last_error == ""
        writer.close()


async def test_a_server_that_does_not_answer_does_not_hold_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "TIMEOUTS", Timeouts(request=0.3))
    held = []
    silent = await asyncio.start_server(lambda *pair: held.append(pair), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    api = connect(str(write_kubeconfig(tmp_path / "k", url)), None)
    try:
        async with forward_of(api) as forward:
            reader, writer = await reach(forward, b"x")
            assert await asyncio.wait_for(reader.read(), 5) == b""
            assert isinstance(forward.error, Unreachable) and "no answer within" in forward.last_error
            writer.close()
    finally:
        silent.close()
        for _, writer in held:
            writer.close()
        await api.close()


async def test_a_choice_that_takes_too_long_is_given_up(api_with: ApiWith, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portforward, "TIMEOUTS", Timeouts(request=0.2))

    async def resolve_target() -> NoReturn:
        await asyncio.Future()
        raise AssertionError("a future that nobody ends has ended")

    async with api_with(echo) as api:
        opened = await api.forward("ns", resolve_target)
        reader, writer = await reach(opened)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert opened.last_error == "no pod was found within 0.2 s"
        writer.close()
        await opened.close()


async def test_a_failed_connection_is_told_until_one_that_began_later_is_made(api_with: ApiWith) -> None:
    """Of two at once, one fails and the other is made after that."""
    both_began, first_failed = asyncio.Event(), asyncio.Event()
    begun: list[int] = []

    async def resolve_target() -> tuple[str, int]:
        begun.append(number := len(begun) + 1)
        if number == 1:
            await both_began.wait()
            raise ApiError("no pod is ready")
        both_began.set()
        await first_failed.wait()
        return "pod-1", 80

    async with api_with(echo) as api:
        forward = await api.forward("ns", resolve_target)
        failing, first = await reach(forward)
        made, second = await reach(forward, b"x")
        assert await asyncio.wait_for(failing.read(), 5) == b""
        first_failed.set()
        assert await asyncio.wait_for(made.readexactly(1), 5) == b"x"
        assert (str(forward.error), forward.last_error) == ("no pod is ready", "no pod is ready")
        later, third = await reach(forward, b"y")
        assert await asyncio.wait_for(later.readexactly(1), 5) == b"y"
        assert (forward.error, forward.last_error) == (None, "")
        for writer in (first, second, third):
            writer.close()
        await forward.close()


async def test_which_pod_answers_is_known_by_the_port_of_the_client(api_with: ApiWith) -> None:
    """As INF-02 names the pod of a server whose engine is dead."""
    turns = itertools.cycle(["pod-1", "pod-2"])

    async def resolve_target() -> tuple[str, int]:
        return next(turns), 80

    async def unwell(connection: ServerConnection, query: Query) -> None:
        pod = str(connection.request and connection.request.path).split("/")[-2]
        status = b"503 Unavailable" if pod == "pod-2" else b"200 OK"
        for channel in (b"\x00", b"\x01"):
            await connection.send(channel + int(query["ports"][0]).to_bytes(2, "little"))
        async for _ in connection:
            await connection.send(b"\x00HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    async with api_with(unwell) as api:
        forwards = PortForwards(api)
        url = f"http://{await forwards.to_pod('service vllm', 'ns', resolve_target, Component.VLLM)}"
        vllm = Vllm(url, met=forwards.pod_met)
        met = await vllm.of_each_server(Vllm.health)
        assert {(server.answer, server.replica) for server in met} == {(200, "pod-1"), (503, "pod-2")}
        assert (forwards.pod_met("http://127.0.0.1:1", 1), forwards.pod_met(url, 1)) == ("", "")
        await vllm.close()
        await forwards.close()


async def test_a_client_that_does_not_read_is_given_up_when_the_pod_has_ended(
    api_with: ApiWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portforward, "TIMEOUTS", Timeouts(request=0.5))

    pods: list[ServerConnection] = []

    async def talk(connection: ServerConnection, query: Query) -> None:
        pods.append(connection)
        await connection.send(b"\x00\x50\x00")
        with contextlib.suppress(Exception):
            for _ in range(500):
                await connection.send(b"\x00" + b"x" * 60_000)

    async def stalled() -> bool:
        return bool(pods) and pods[0].transport.get_write_buffer_size() > 0

    async with api_with(talk) as api, forward_of(api) as opened:
        _reader, writer = await reach(opened)
        await wait_until(stalled, "the pod's bytes pile up, since nobody reads them", 5.0, every=0.0)
        assert len(opened._connections) == 1
        writer.transport.abort()

        async def gone() -> bool:
            return not opened._connections

        await wait_until(gone, "the connection is given up", 5.0)


async def test_ended_clients_let_go_of_a_silent_pod(api_with: ApiWith) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def talk(connection: ServerConnection, query: Query) -> None:
        await connection.send(b"\x00\x50\x00")
        await connection.recv()
        begun.set()
        await connection.wait_closed()
        ended.set()

    async with api_with(talk) as api, forward_of(api) as opened:
        _, writer = await reach(opened, b"x")
        await asyncio.wait_for(begun.wait(), 5)
        writer.close()
        await asyncio.wait_for(ended.wait(), 5)


async def test_the_first_problem_of_an_unknown_kind_is_told(api_with: ApiWith) -> None:
    async def resolve_target() -> NoReturn:
        raise ApiError("one line")

    async with api_with(echo) as api:
        opened = await api.forward("ns", resolve_target)
        reader, writer = await reach(opened)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert opened.last_error == "one line" == str(opened.error)
        writer.close()
        await opened.close()
