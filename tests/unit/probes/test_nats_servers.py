"""NATS_URL with one server or several, as the probe reads and tries it, and what CFG-05 and NET-05 make of that."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fixtures.clusters.base import Endpoints
from fixtures.core.errors import Inconclusive
from fixtures.probes.census import request
from fixtures.probes.packaging import hosts
from fixtures.probes.payload import nats_wire
from fixtures.probes.payload.basics import server_urls
from fixtures.probes.payload.nats_wire import nats
from fixtures.probes.replicas import ReplicaReport
from fixtures.probes.schema import read
from fixtures.profile.credentials import Credentials, NatsAccess
from fixtures.profile.model import load
from fixtures.profile.tls import Tls
from fixtures.services.jetstream import ServerInfo, Stream, same_instant
from tests.e2e import test_configuration as configuration
from tests.e2e.test_connectivity import broken_links
from tests.support.profiles import VARIABLES, with_urls
from tests.unit.hostile import servers
from tests.unit.hostile.test_nats import ACCOUNT, INFO, REFUSED, STREAM, greets
from tests.unit.hostile.test_remote import Answering

STEP = 2.0  # seconds
SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("nats://a:4222", ["nats://a:4222"]),
        ("a:4222", ["a:4222"]),
        ("nats://a:4222,nats://b:4222", ["nats://a:4222", "nats://b:4222"]),
        ("nats://a:4222, nats://b", ["nats://a:4222", "nats://b"]),
        ("nats://a:4222/,tls://b:4222/", ["nats://a:4222/", "tls://b:4222/"]),
        ("nats://a:4222,b:4223", ["nats://a:4222", "nats://b:4223"]),
        ("a,b", ["nats://a", "nats://b"]),
        ("nats://a:4222,", ["nats://a:4222"]),
        ("nats://u:p@a:4222,nats://u:p@b:4222", ["nats://u:p@a:4222", "nats://u:p@b:4222"]),
        ("nats://u:p@a:4222,u:p@b:4222", ["nats://u:p@a:4222", "nats://u:p@b:4222"]),
        ("nats://u:p,w@a:4222", ["nats://u:p,w@a:4222"]),
        ("nats://u:p,w/x@a:4222", ["nats://u:p,w/x@a:4222"]),
        ("http://a:8000/b,c", ["http://a:8000/b,c"]),
        ("", [""]),
        (",", [","]),
        ("x," * 50, ["x," * 50]),
    ],
)
def test_a_list_of_servers_is_read_as_clients_do(text: str, urls: list[str]) -> None:
    assert server_urls(text) == urls


def test_every_host_of_a_list_is_looked_up() -> None:
    listed = hosts("http://vllm:8000/v1", "nats://u:p@a:4222,nats://b:4222,c", "ray://head:10001", "not a URL")
    assert listed == ["vllm", "a", "b", "c", "head"]


@asynccontextmanager
async def jetstream(info: Any = INFO, stream: Any = STREAM) -> AsyncIterator[str]:
    """The address of a server that says so of itself and of the stream."""
    script = Answering(json.dumps(info).encode(), json.dumps(ACCOUNT).encode(), json.dumps(stream).encode())
    server = await asyncio.start_server(script, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{held.getsockname()[1]}"


async def reached(url: str) -> dict[str, Any]:
    answer = await asyncio.to_thread(nats, url, STEP, {"stream": "AGENT_RESPONSES"})
    document = read({"nats": {"nats": json.loads(json.dumps(answer))}}, "the probe")
    return dict(document["nats"]["nats"])


async def test_any_one_that_answers_is_enough(nobody: str) -> None:
    async with jetstream() as address:
        answer = await reached(f"nats://{nobody},nats://{address}")
    assert answer["ok"] and answer["server_id"] == INFO["server_id"] and answer["stream_created"] == STREAM["created"]
    assert [(server["server"], server["ok"]) for server in answer["servers"]] == [(nobody, False), (address, True)]


async def test_one_url_has_no_list() -> None:
    async with jetstream() as address:
        answer = await reached(f"nats://{address}")
    assert answer["ok"] and answer["stage"] == "done" and answer["servers"] == []


@pytest.mark.parametrize(
    ("asked", "ok"), [({"tls": {}}, False), ({"tls": {}, "tls_if_required": True}, True), ({}, True)]
)
async def test_tls_that_is_for_another_way_is_not_asked_of_this_one(asked: dict[str, Any], ok: bool) -> None:
    """Nothing is sent in the clear to a server that must have TLS."""
    async with jetstream() as address:
        answer = await asyncio.to_thread(nats, f"nats://{address}", STEP, asked)
    assert (answer["ok"], answer["stage"]) == ((True, "done") if ok else (False, "tls")), answer


@pytest.mark.parametrize(
    ("within", "tls_first", "if_required"),
    [(None, True, False), ("tls://nats:4222", True, False), ("nats://10.0.0.1:4222", False, True)],
)
def test_workers_that_are_led_to_nats_without_tls_need_none(
    within: str | None, tls_first: bool, if_required: bool
) -> None:
    access = Credentials(nats=NatsAccess(tls=Tls("nats.tls", ssl.create_default_context(), ca="PEM"), tls_first=True))
    profile = with_urls(
        load("embedded"),
        vllm="http://v:1",
        ray="http://r:1",
        nats="tls://n:4222",
        orchestrator=("o:1",),
        nats_inside=within,
    )
    (asked,) = request(profile, Endpoints("http://v:1", "", "ray://r:1", "nats://n:4222"), access)["nats"]
    assert (bool(asked.get("tls_first")), bool(asked.get("tls_if_required"))) == (tls_first, if_required)
    assert "tls" in asked


async def test_where_none_answers_each_is_named_with_its_reason(nobody: str) -> None:
    async with servers.serving(servers.sends(b"SSH-2.0\r\n")) as port:
        answer = await reached(f"nats://{nobody},nats://127.0.0.1:{port}")
    (line,) = broken_links([("orchestrator-1", answer)])
    assert line.startswith("orchestrator-1 fails at protocol: 0 of 2 servers can be used: ")
    assert f"{nobody}: tcp: ConnectionRefusedError" in line and f"127.0.0.1:{port}: protocol: OSError: not NATS" in line


def test_a_server_that_answers_late_is_late_for_the_list_and_for_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    release, threads = threading.Event(), list[threading.Thread]()

    def answering(url: str, _timeout: float, _asked: object) -> dict[str, Any]:
        threads.append(threading.current_thread())
        if url == "nats://late":
            assert release.wait(60)
            return {"ok": True, "stage": "done"}
        return {"ok": False, "stage": "tcp", "error": "refused"}

    def names(*_: object) -> Iterator[str]:
        yield from ("early", "late")
        release.set()
        for thread in threads:
            thread.join()

    monkeypatch.setattr(nats_wire, "nats_server", answering)
    monkeypatch.setattr(nats_wire, "_names", names)
    answer = nats("nats://early,nats://late", 0.01, {})
    assert release.is_set() and not answer["ok"] and "0 of 2 servers can be used" in answer["error"]
    assert [server["ok"] for server in answer["servers"]] == [False, False]


async def test_no_part_of_a_password_is_taken_for_a_host(nobody: str) -> None:
    answer = await reached(f"nats://u:1,{SECRET}@5@{nobody}")
    assert not answer["ok"] and SECRET not in json.dumps(answer)
    assert [server["server"] for server in answer["servers"]] == ["server 1", "server 2"]


async def test_refused_credentials_of_the_suite_leave_it_open(nobody: str) -> None:
    async with servers.serving(servers.sends(greets() + b"-ERR 'Authorization Violation'\r\n")) as port:
        url = f"nats://{nobody},nats://127.0.0.1:{port}"
        answer = await reached(url)
    with pytest.raises(Inconclusive, match="refuses the suite's credentials"):
        _ = ReplicaReport("orchestrator-1", {"NATS_URL": url}, {"nats": {"nats": answer}}, variables=VARIABLES).nats


async def test_a_stream_that_is_not_there_is_no_success() -> None:
    async with jetstream(stream=REFUSED) as address:
        answer = await reached(f"nats://{address}")
    assert broken_links([("ray-worker-1", answer)]) == [
        "ray-worker-1 fails at stream: OSError: AGENT_RESPONSES: stream not found"
    ]


# -- which NATS it is -------------------------------------------------------------------------------------------

CREATED = STREAM["created"]
HERE = ServerInfo.of(INFO)
SEEN = {"ok": True, "server_id": INFO["server_id"], "cluster": "fleet", "stream_created": CREATED}
NEIGHBOUR = {**SEEN, "server_id": "NB"}
LATER = "2026-01-01T00:00:00.5Z"


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (SEEN, ""),
        (NEIGHBOUR, ""),
        ({**NEIGHBOUR, "stream_created": "2026-01-01T00:00:00Z"}, ""),
        ({**NEIGHBOUR, "cluster": "leaf"}, ""),
        ({**NEIGHBOUR, "cluster": "leaf", "stream_created": "2026-01-01T00:00:00Z"}, "another NATS (server NB)"),
        ({**NEIGHBOUR, "stream_created": LATER}, "another NATS (server NB)"),
        (
            {**SEEN, "stream_created": LATER},
            f"another account of the same server (AGENT_RESPONSES was created at {LATER} there, not {CREATED})",
        ),
    ],
)
def test_the_same_nats_is_known_by_its_stream(seen: dict[str, Any], words: str) -> None:
    assert configuration.other_nats(seen, HERE, Stream.of(STREAM)) == words


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (CREATED, CREATED, True),
        ("2026-01-01T00:00:00.12Z", "2026-01-01T00:00:00.120000000Z", True),
        ("2026-01-01T01:00:00.12+01:00", "2026-01-01T00:00:00.12Z", True),
        ("2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.123456788Z", False),
        ("2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00Z", True),
        ("2026-01-01T00:00:01Z", "2026-01-01T00:00:00Z", False),
        ("then", "then", True),
        ("9999-99-99T00:00:00Z", "2026-01-01T00:00:00Z", False),
        ("", "", False),
    ],
)
def test_instants_are_compared_to_the_nanosecond(first: str, second: str, same: bool) -> None:
    assert same_instant(first, second) is same


class Checked:
    """Stands in for the suite's connection to the NATS that was checked."""

    async def info(self) -> ServerInfo:
        return HERE

    async def stream(self, _name: str) -> Stream:
        return Stream.of(STREAM)


async def test_each_server_of_a_list_must_be_of_the_same_nats(nobody: str) -> None:
    elsewhere = {**INFO, "server_id": "NB", "cluster": "other"}
    async with jetstream() as here, jetstream(elsewhere, {**STREAM, "created": LATER}) as there:
        url = f"nats://{here},nats://{nobody},nats://{there}"
        report = ReplicaReport(
            "orchestrator-1", {"NATS_URL": url}, {"nats": {"nats": await reached(url)}}, variables=VARIABLES
        )
    checked: Any = Checked()
    with pytest.raises(AssertionError) as failed:
        await configuration.test_nats_url((report,), checked, load("swe-ai-fleet"))
    assert f"NATS_URL={url} {there} is another NATS (server NB) (2 of 3 servers can be used)" in str(failed.value)


async def test_an_answer_without_a_server_of_the_list_that_can_be_used_is_compared_itself() -> None:
    listed = [{"ok": False, "stage": "tcp", "error": "not answered", "server": "a:4222"}]
    answer = {**SEEN, "stage": "done", "server_id": "NB", "stream_created": LATER, "servers": listed}
    report = ReplicaReport(
        "orchestrator-1", {"NATS_URL": "nats://a,nats://b"}, {"nats": {"nats": answer}}, variables=VARIABLES
    )
    checked: Any = Checked()
    with pytest.raises(AssertionError, match=r"NATS_URL=nats://a,nats://b is another NATS \(server NB\)"):
        await configuration.test_nats_url((report,), checked, load("swe-ai-fleet"))


async def test_a_list_of_which_one_answers_passes(nobody: str) -> None:
    async with jetstream() as here:
        url = f"nats://{nobody},nats://{here}"
        report = ReplicaReport(
            "orchestrator-1", {"NATS_URL": url}, {"nats": {"nats": await reached(url)}}, variables=VARIABLES
        )
    checked: Any = Checked()
    await configuration.test_nats_url((report,), checked, load("swe-ai-fleet"))
