"""What is made of vLLM's answers: contexts, and which of several servers behind one address is meant."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

import pytest

from fixtures.core.errors import NonConformance
from fixtures.services.vllm import (
    CONNECTIONS,
    Model,
    ModelNames,
    Server,
    Vllm,
    context_of,
    names_of,
    parse_answered,
    parse_identity,
    parse_models,
    parse_waiting,
    same_address,
    share,
)

BASE = {"id": "base", "max_model_len": 40960, "root": "/models/base", "parent": None}


def models(*rows: dict[str, Any]) -> dict[str, Model]:
    return parse_models(json.dumps({"data": rows}), "http://vllm:8000")


@pytest.mark.parametrize(
    ("rows", "context"),
    [
        ([{"id": "m", "max_model_len": 8192, "parent": "base"}, BASE], 8192),
        ([BASE, {"id": "m", "max_model_len": None, "parent": "base", "root": "/adapters/m"}], 40960),
        ([BASE, {"id": "m", "parent": "/models/base"}], 40960),
        ([BASE, {"id": "m", "parent": "between"}, {"id": "between", "parent": "base"}], 40960),
        ([BASE, {"id": "m", "max_model_len": None, "parent": None}], 0),
        ([BASE, {"id": "m", "parent": "gone"}], 0),
        ([BASE, {"id": "m", "parent": "m"}], 0),
        ([BASE, {"id": "m", "parent": "n"}, {"id": "n", "parent": "m"}], 0),
        ([BASE, {"id": "m", "parent": 7, "root": {}, "created": "yesterday"}], 0),
        ([BASE], 0),
    ],
)
def test_an_adapter_has_the_context_of_its_parent(rows: list[dict[str, Any]], context: int) -> None:
    assert context_of(models(*rows), "m") == context


def test_a_model_has_the_names_of_all_rows_with_its_weights() -> None:
    alias, adapter = {**BASE, "id": "alias"}, {"id": "adapter", "root": "/models/base", "parent": "base"}
    served = models(BASE, alias, adapter, {"id": "other", "root": "/models/other"})
    both = ModelNames(frozenset({"base", "alias"}), complete=True)
    assert names_of(served, "base") == names_of(served, "alias") == both
    assert names_of(served, "adapter") == ModelNames(frozenset({"adapter"}), complete=True)
    unknown = ModelNames(frozenset({"unknown"}), complete=True)
    assert names_of(served, "unknown") == names_of({}, "unknown") == unknown
    silent = models({"id": "a"}, {"id": "b"})  # that do not say where weights come from
    assert names_of(silent, "a") == ModelNames(frozenset({"a"}), complete=False)


def test_a_server_is_known_by_the_start_of_its_process() -> None:
    assert parse_identity("# HELP x\nprocess_start_time_seconds 1.7e+09\n") == "1.7e+09"
    assert parse_identity("vllm:num_requests_running 0.0\n") == ""


STARTED = "process_start_time_seconds 1.76441234512e+09\n"


def created(*moments: str) -> str:
    """The series of vLLM's counters; `moments` of those with the first label, the second, …"""
    return "".join(
        f'vllm:request_success_created{{finished_reason="{label}"}} {at}\n' for label, at in enumerate(moments)
    )


def test_servers_that_started_in_the_same_moment_differ_by_their_first_series() -> None:
    one, other = STARTED + created("1.7644123512345678e+09"), STARTED + created("1.7644123512345987e+09")
    assert parse_identity(one) != parse_identity(other)
    assert parse_identity(one) == parse_identity(created("1764412399.5") + one), "a series of a later label is later"
    assert parse_identity(created("1.7e+09")) == "", "several processes: none of them started it"
    assert parse_identity(STARTED + 'x_created{y="z"} NaN\n') == parse_identity(STARTED) == "1.76441234512e+09"


@pytest.mark.parametrize(
    ("url", "known", "same"),
    [
        ("http://vllm:8000", "http://vllm:8000/", True),
        ("http://vllm:8000", "http://vllm.fleet.svc.cluster.local:8000", True),
        ("http://vllm.fleet.svc:8000/", "http://vllm:8000", True),
        ("http://vllm", "http://vllm:80", True),
        ("http://vllm:8000", "https://vllm:8000", False),
        ("http://vllm:8000", "http://vllm:8001", False),
        ("http://vllm:8000", "http://vllm-2:8000", False),
        ("http://vllm.other:8000", "http://vllm.fleet:8000", False),
        ("", "http://vllm:80", False),
        ("http://vllm:port", "http://vllm:80", False),
    ],
)
def test_addresses_are_compared_as_they_are_meant(url: str, known: str, same: bool) -> None:
    assert same_address(url, known) is same
    assert same_address(known, url) is same


def test_servers_are_counted_not_connections() -> None:
    met = [Server("a", 200), Server("b", 503), Server("b", 503), Server("a", 200)]
    assert share(met[1:3], met) == "1 of 2 servers behind this address"
    assert share(met[1:3], met[1:3]) == ""
    assert share([Server("", 503)], [Server("", 503), Server("", 200)]) == "on 1 of 2 connections"


def test_replicas_that_are_known_are_named() -> None:
    met = [Server("a", 200, "pod-1"), Server("b", 503, "pod-2"), Server("b", 503, "pod-2")]
    assert share(met[1:], met) == "1 of 2 servers behind this address: pod-2"
    assert share(met[1:], met[1:]) == "pod-2"
    unknown = [Server("", 503, "pod-2"), Server("", 503, "pod-1"), Server("", 200)]
    assert share(unknown[:2], unknown) == "on 2 of 3 connections: pod-1, pod-2"


@asynccontextmanager
async def served_by(turns: Iterable[int], starts: bool = True) -> AsyncIterator[tuple[str, list[int]]]:
    """URL of servers that take the connections in these turns, and who took one. Number 1 has a dead engine."""
    accepted: list[int] = []
    turn = iter(turns)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(number := next(turn))
        while request := (await reader.read(1 << 16)).decode():
            path = request.split()[1]
            body = f"process_start_time_seconds {number}" if starts and path == "/metrics" else ""
            status = "503 Unavailable" if number == 1 and path == "/health" else "200 OK"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", accepted


async def asked(url: str, behind: Callable[[], Awaitable[int | None]] | None = None) -> list[Server[int]]:
    vllm = Vllm(url, behind=behind)
    try:
        return await vllm.of_each_server(Vllm.health)
    finally:
        await vllm.close()


async def test_each_connection_meets_one_server_and_asks_it_all() -> None:
    """Two servers that take turns: answer and identity are of one of them, and both are met."""
    async with served_by(cycle([1, 0])) as (url, accepted):
        met = await asked(url)
    assert len(accepted) == len(met) == CONNECTIONS
    assert {(server.identity, server.answer) for server in met} == {("0", 200), ("1", 503)}


MANY = [2] * 2 * CONNECTIONS  # connections to the same server


@pytest.mark.parametrize(
    ("turns", "behind", "starts", "connections"),
    [
        (cycle(range(12)), 12, True, 2 * CONNECTIONS),  # all are met
        (cycle([*MANY, 1]), 12, True, 6 * CONNECTIONS),  # as many as are made for twelve
        (cycle([*MANY, 1]), 12, False, 6 * CONNECTIONS),
        (cycle([*MANY, 1]), 2, True, CONNECTIONS),
        (cycle([*MANY, 1]), None, True, CONNECTIONS),
    ],
)
async def test_connections_follow_the_number_of_servers(
    turns: Iterable[int], behind: int | None, starts: bool, connections: int
) -> None:
    async def count() -> int | None:
        return behind

    async with served_by(turns, starts) as (url, accepted):
        met = await asked(url, count)
    assert len(accepted) == len(met) == connections
    assert (503 in [server.answer for server in met]) == (1 in accepted)


async def test_a_service_that_cannot_be_counted_is_met_as_it_is() -> None:
    async def count() -> int:
        raise NonConformance("there is no service vllm")

    async with served_by(cycle([0])) as (url, accepted):
        await asked(url, count)
    assert len(accepted) == CONNECTIONS


METRICS = """\
process_start_time_seconds 1.7e+09
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 3.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 1e+01
vllm:request_success_created{engine="0",finished_reason="stop"} 1.7e+09
"""


@pytest.mark.parametrize(
    ("metrics", "answered"),
    [
        (METRICS, 13.0),
        ("vllm:request_success_total 0.0\n", 0.0),
        ("vllm:num_requests_running 0.0\n", None),
        ("", None),
        ('vllm:request_success_total{a="b"} e.e\n', None),
    ],
)
def test_what_a_server_has_answered(metrics: str, answered: float | None) -> None:
    assert parse_answered(metrics) == answered


@pytest.mark.parametrize(
    ("metrics", "waiting"),
    [
        ('vllm:num_requests_waiting{model_name="a"} 3.0\nvllm:num_requests_waiting{model_name="b"} 1.0\n', 4.0),
        ("vllm:num_requests_waiting 0\n", 0.0),
        ("vllm:num_requests_running 3\n", None),
        ("vllm:num_requests_waiting 1e+e\n", None),
        ("", None),
    ],
)
def test_what_waits_at_a_server(metrics: str, waiting: float | None) -> None:
    assert parse_waiting(metrics) == waiting
