"""NATS over WebSocket (ws://, wss://), as the probe speaks it, and what CFG-05 and NET-05 make of that."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

import pytest

from fixtures.clusters.base import Endpoints
from fixtures.core.errors import Inconclusive
from fixtures.probes.census import request
from fixtures.probes.payload.basics import nats_port
from fixtures.probes.payload.nats_wire import nats
from fixtures.probes.replicas import ReplicaReport
from fixtures.probes.schema import ServiceResponses
from fixtures.profile.credentials import Credentials, NatsAccess
from fixtures.profile.model import load
from fixtures.profile.tls import Tls
from fixtures.services.vllm import same_address
from tests.e2e import test_configuration as configuration
from tests.e2e.test_connectivity import broken_links
from tests.support.nats_over_websocket import nats_over_websocket
from tests.support.profiles import VARIABLES, with_urls
from tests.unit.hostile import servers
from tests.unit.hostile.test_nats import ACCOUNT, INFO, STREAM
from tests.unit.probes.test_nats_servers import Checked

SECRET = "hunter2"
TLS = Tls("nats.tls", ssl.create_default_context(), ca="PEM")


async def reached(url: str, **asked: Any) -> dict[str, Any]:
    return await asyncio.to_thread(nats, url, 2.0, {"stream": "AGENT_RESPONSES", **asked})


def replica(url: str, answer: dict[str, Any]) -> ReplicaReport:
    return ReplicaReport("orchestrator-1", {"NATS_URL": url}, {"nats": {"nats": answer}}, variables=VARIABLES)


async def test_the_stream_is_found() -> None:
    async with nats_over_websocket(INFO, ACCOUNT, STREAM) as (address, _):
        answer = await reached(f"ws://{address}")
    assert (answer["ok"], answer["stage"]) == (True, "done"), answer
    assert (answer["server_id"], answer["stream_created"]) == (INFO["server_id"], STREAM["created"])


async def test_credentials_are_sent_to_nats_alone() -> None:
    async with nats_over_websocket(INFO, ACCOUNT, STREAM) as (address, asked):
        answer = await reached(f"ws://user:{SECRET}@{address}/team/nats?tenant=a b")
    assert answer["ok"], answer
    (handshake,) = asked.requests
    assert handshake.startswith("/team/nats?tenant=a%20b\n") and f"Host: {address}" in handshake
    assert SECRET not in handshake and "user" not in handshake
    (connect,) = (json.loads(line[8:]) for line in asked.lines if line.startswith("CONNECT "))
    assert (connect["user"], connect["pass"]) == ("user", SECRET)


async def test_a_list_of_servers() -> None:
    async with nats_over_websocket(INFO, ACCOUNT, STREAM) as (address, _):
        answer = await reached(f"ws://127.0.0.1:1,ws://{address}")
    assert answer["ok"] and [(one["server"], one["ok"]) for one in answer["servers"]] == [
        ("127.0.0.1:1", False),
        (address, True),
    ]


@pytest.mark.parametrize(
    ("url", "port"),
    [("nats://h", 4222), ("tls://h", 4222), ("ws://h", 80), ("wss://h/nats", 443), ("wss://h:9443", 9443)],
)
def test_each_scheme_has_its_port(url: str, port: int) -> None:
    assert nats_port(urlsplit(url)) == port
    assert same_address("wss://h", "wss://h:443") and not same_address("ws://h", "ws://h:443")


async def test_the_replicas_nats_is_known_by_its_stream() -> None:
    checked: Any = Checked()
    elsewhere = {**STREAM, "created": "2026-01-01T00:00:01Z"}
    for info, stream, wrong in ((INFO, STREAM, ""), ({**INFO, "server_id": "NB", "cluster": ""}, elsewhere, "NB")):
        async with nats_over_websocket(info, ACCOUNT, stream) as (address, _):
            report = replica(f"ws://{address}", await reached(f"ws://{address}"))
        assert not broken_links([(report.name, report.nats)])
        if wrong:
            with pytest.raises(AssertionError, match=rf"NATS_URL=ws://{address} is another NATS \(server NB\)"):
                await configuration.test_nats_url((report,), checked, load("swe-ai-fleet"))
        else:
            await configuration.test_nats_url((report,), checked, load("swe-ai-fleet"))


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "302 Found"])
@pytest.mark.parametrize("user", ["", f"user:{SECRET}@"])
async def test_a_gateway_that_wants_more_decides_nothing(status: str, user: str) -> None:
    async with servers.serving(servers.sends(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())) as port:
        url = f"ws://{user}127.0.0.1:{port}"
        answer = await reached(url)
    words = f"stands before NATS wants more .* WebSocket handshake with {status}"
    with pytest.raises(Inconclusive, match=words):
        _ = replica(url, answer).nats
    with pytest.raises(Inconclusive, match=words):
        _ = ServiceResponses("worker", {"nats": answer})["nats"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "with 404 Not Found"),
        (b"INFO {}\r\n", r"with b'INFO {}\r\n'"),
        (b"HTTP/1.1 101 Up\r\n\r\n", "without its key"),
    ],
)
async def test_what_does_not_go_over_to_websocket_is_said(said: bytes, words: str) -> None:
    async with servers.serving(servers.sends(said)) as port:
        answer = await reached(f"ws://127.0.0.1:{port}")
    said_of_it = f"NoWebSocket: answers the WebSocket handshake {words}"
    assert broken_links([("orchestrator-1", answer)]) == [f"orchestrator-1 fails at protocol: {said_of_it}"]


async def test_nothing_is_sent_in_the_clear_where_the_profile_asks_for_tls() -> None:
    async with nats_over_websocket(INFO, ACCOUNT, STREAM, ACCOUNT, STREAM) as (address, asked):
        refused = await reached(f"ws://{address}", tls={}, auth={"user": "u", "pass": SECRET})
        assert (refused["ok"], refused["stage"], asked.requests) == (False, "tls", [])
        assert refused["error"] == "OSError: ws:// is without TLS, which the profile asks for; nothing was sent to it"
        assert (await reached(f"ws://{address}", tls={}, tls_if_required=True))["ok"]
        over_tls = await reached(f"wss://{address}", tls={}, tls_first=True)
    assert (over_tls["ok"], over_tls["stage"]) == (False, "tls") and "handshake_first" not in over_tls["error"]


@pytest.mark.parametrize(("within", "if_required"), [("ws://nats:8080", True), ("wss://nats:8443", False)])
def test_workers_that_are_led_to_a_websocket_without_tls_need_none(within: str, if_required: bool) -> None:
    at = ("http://v:1", "http://r:1", "tls://n:4222")
    fleet = load("embedded")
    profile = with_urls(fleet, vllm=at[0], ray=at[1], nats=at[2], orchestrator=("o:1",), nats_inside=within)
    inside = Endpoints("http://v:1", "", "ray://r:1", within)
    (asked,) = request(profile, inside, Credentials(nats=NatsAccess(tls=TLS, tls_first=True)))["nats"]
    assert (bool(asked.get("tls_if_required")), "tls" in asked) == (if_required, True)


@pytest.mark.parametrize(
    ("url", "with_tls"),
    [
        ("nats://n:4222", "tls://u:p@n:4222"),
        ("tls://n:4222", "tls://u:p@n:4222"),
        ("ws://n", "ws://u:p@n"),
        ("wss://n/nats", "wss://u:p@n/nats"),
    ],
)
def test_agents_get_the_scheme_that_leads_them_to_tls(url: str, with_tls: str) -> None:
    assert NatsAccess(user="u", password="p", tls=TLS).in_url(url) == with_tls
    assert NatsAccess(user="u", password="p").in_url(url) == url.replace("://", "://u:p@")
