"""NATS over WebSocket (ws://, wss://) against real servers: the suite's own connection, and the workers' probe."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import StreamConfig

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.probes.payload import nats_wire
from fixtures.probes.replicas import ReplicaReport
from fixtures.profile.credentials import Credentials
from fixtures.profile.model import load
from fixtures.services.nats import Nats
from tests.e2e import test_configuration as configuration
from tests.e2e.test_connectivity import broken_links
from tests.integration.services.test_authentication import BY_FILE, ENVIRONMENT, LOGIN, PASSWORD, USER, access, tls
from tests.support.profiles import VARIABLES
from tests.support.reference_stack import BOOT_S, free_port, listens
from tests.support.tls_services import Authority, Operator, secured_nats
from tests.support.waiting import wait_for

STREAM = "AGENT_RESPONSES"
BY_LOGIN = f'authorization {{ user: "{USER}", password: "{PASSWORD}" }}\n'
LARGE = b"x" * 900_000  # of one message: 30 of them are more than the server sends at once


@contextmanager
def websocket_nats(folder: Path, more: str = "", over: str = "no_tls: true") -> Iterator[tuple[str, str]]:
    """A real NATS server; host:port of its plain port, and of that for WebSocket."""
    port = free_port()
    listener = f'websocket {{ host: "127.0.0.1", port: {port}\n{over} }}\n'
    with secured_nats(folder, listener + more) as plain:
        wait_for(lambda: listens(port), "NATS listening for WebSocket", BOOT_S)
        yield plain, f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("websocket")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "fleet")


@pytest.fixture(scope="module")
def by_login(folder: Path) -> Iterator[tuple[str, str]]:
    with websocket_nats(folder, BY_LOGIN) as addresses:
        yield addresses


@pytest.fixture(scope="module")
def over_tls(folder: Path, authority: Authority) -> Iterator[str]:
    with websocket_nats(folder, over=tls(authority.issue("server"))) as (_, address):
        yield address


async def probed(url: str, given: Credentials, **more: Any) -> dict[str, Any]:
    return await asyncio.to_thread(nats_wire.nats, url, 5.0, {**given.nats.document(), **more})


async def let_in(url: str, given: Credentials) -> str:
    """The server's id, as the suite's client and the probe of the workers see it: both are let in."""
    client = Nats(url, "test", given.nats)
    try:
        await client.account()
        server = str((await client.info()).server_id)
    finally:
        await client.close()
    for address in (url, given.nats.in_url(url)):
        answer = await probed(address, given)
        assert answer["ok"] and answer["server_id"] == server, answer
    return server


async def refused(url: str, given: Credentials, kind: type[Exception] = Inconclusive) -> str:
    """The one line that the suite says."""
    client = Nats(url, "test", given.nats)
    with pytest.raises(kind) as caught:
        await client.account()
    await client.close()
    said = str(caught.value)
    assert "\n" not in said and not any(secret in said for secret in (*given.secrets, ENVIRONMENT["WRONG"]))
    return said


async def test_both_ways_lead_to_one_server(by_login: tuple[str, str], folder: Path) -> None:
    plain, address = by_login
    given = access(folder, LOGIN)
    assert await let_in(f"ws://{address}", given) == await let_in(f"nats://{plain}", given)
    assert await let_in(f"ws://{address}/any/path", given)


async def test_large_messages_are_published_and_read(by_login: tuple[str, str], folder: Path) -> None:
    client = Nats(f"ws://{by_login[1]}", "test", access(folder, LOGIN).nats)
    try:
        await (await client.jetstream()).add_stream(StreamConfig(name="LARGE", subjects=["large.>"]))
        await asyncio.gather(*(client.publish("large.one", LARGE) for _ in range(30)))
        assert [message.data for message in await client.messages("LARGE", 0)] == [LARGE] * 30
    finally:
        await client.close()


async def test_a_connection_that_breaks_is_made_again(by_login: tuple[str, str], folder: Path) -> None:
    client = Nats(f"ws://{by_login[1]}", "test", access(folder, LOGIN).nats)
    try:
        opened = await client.connect()
        opened._transport._connection._writer.transport.abort()
        await asyncio.sleep(0.1)
        await client.account()
        assert await client.connect() is opened and opened.stats["reconnects"] == 1
    finally:
        await client.close()


async def test_who_is_not_let_in(by_login: tuple[str, str], folder: Path) -> None:
    url = f"ws://{by_login[1]}"
    wrong = access(folder, LOGIN.replace('env = "P"', 'env = "WRONG"'))
    assert "refuses the suite's credentials, nats.auth.password ($WRONG)" in await refused(url, wrong)
    assert (await probed(url, wrong))["stage"] == "authentication"
    assert "wants credentials, and the profile names none: see [nats.auth]" in await refused(url, access(folder, ""))


async def test_credentials_file(folder: Path) -> None:
    operator = Operator()
    (folder / "suite.creds").write_text(operator.credentials())
    with websocket_nats(folder, operator.configuration()) as (_, address):
        assert await let_in(f"ws://{address}", access(folder, BY_FILE))


async def test_tls(over_tls: str, folder: Path, authority: Authority) -> None:
    section = f'[nats.tls]\nca = "{authority.ca.name}"\n'
    assert await let_in(f"wss://{over_tls}", access(folder, section))
    assert await let_in(f"wss://{over_tls}", access(folder, f"{section}handshake_first = true"))


async def test_a_certificate_of_another_name(folder: Path, authority: Authority) -> None:
    elsewhere = authority.issue("elsewhere", "DNS:nats.example")
    with websocket_nats(folder, over=tls(elsewhere)) as (_, address):
        section = f'[nats.tls]\nca = "{authority.ca.name}"\n'
        assert "nats.tls.server_name" in await refused(f"wss://{address}", access(folder, section))
        named = Nats(f"wss://{address}", "test", access(folder, f'{section}server_name = "nats.example"').nats)
        assert await named.why_unusable() == ""
        await named.close()


async def test_a_certificate_of_another_authority(over_tls: str, folder: Path) -> None:
    Authority(folder, "other")
    given = access(folder, '[nats.tls]\nca = "other-ca.pem"')
    assert "its certificate does not fit the profile's nats.tls.ca" in await refused(f"wss://{over_tls}", given)
    answer = await probed(f"wss://{over_tls}", given)
    assert (answer["ok"], answer["stage"]) == (False, "tls") and "CERTIFICATE_VERIFY_FAILED" in answer["error"]


async def test_mutual_tls(folder: Path, authority: Authority) -> None:
    over = tls(authority.issue("mutual"), f', verify: true, ca_file: "{authority.ca}"')
    cert, key = authority.issue("suite")
    section = f'[nats.tls]\nca = "{authority.ca.name}"\n'
    with websocket_nats(folder, over=over) as (_, address):
        named = access(folder, f'{section}cert = "{cert.name}"\nkey = "{key.name}"')
        assert await let_in(f"wss://{address}", named)
        without = access(folder, section)
        assert "[nats.tls], which names no client certificate" in await refused(f"wss://{address}", without)
        assert (await probed(f"wss://{address}", without))["stage"] == "tls"


async def test_the_wrong_scheme(by_login: tuple[str, str], over_tls: str, folder: Path, authority: Authority) -> None:
    plain, address = by_login
    given = access(folder, LOGIN)
    assert "handshake with b'INFO " in await refused(f"ws://{plain}", given, NonConformance)
    assert "handshake with b'INFO " in (await probed(f"ws://{plain}", given))["error"]
    with_ca = access(folder, f'[nats.tls]\nca = "{authority.ca.name}"')
    assert "does not speak TLS" in await refused(f"wss://{address}", with_ca, NonConformance)
    assert (await probed(f"wss://{address}", with_ca))["stage"] == "tls"
    assert "handshake with 400 Bad Request" in await refused(f"ws://{over_tls}", given, NonConformance)
    assert "handshake with 400 Bad Request" in (await probed(f"ws://{over_tls}", given))["error"]


async def test_a_replica_that_is_led_there_is_led_to_the_nats_that_was_checked(
    by_login: tuple[str, str], folder: Path
) -> None:
    given, profile = access(folder, LOGIN), load("swe-ai-fleet")
    checked = Nats(f"nats://{by_login[0]}", "test", given.nats)

    async def seen_from(address: str) -> ReplicaReport:
        url = f"ws://{address}"
        document = {"nats": {"nats": await probed(url, given, stream=STREAM)}}
        report = ReplicaReport("orchestrator-1", {"NATS_URL": url}, document, variables=VARIABLES)
        assert not broken_links([(report.name, report.nats)])
        return report

    with websocket_nats(folder, BY_LOGIN) as (_, other):
        elsewhere = Nats(f"ws://{other}", "test", given.nats)
        try:
            for nats in (checked, elsewhere):
                await (await nats.jetstream()).add_stream(StreamConfig(name=STREAM, subjects=["agent.response.>"]))
            await configuration.test_nats_url((await seen_from(by_login[1]),), checked, profile)
            with pytest.raises(AssertionError, match=f"NATS_URL=ws://{other} is another NATS"):
                await configuration.test_nats_url((await seen_from(other),), checked, profile)
        finally:
            await checked.close()
            await elsewhere.close()
