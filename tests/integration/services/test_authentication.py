"""The suite authenticates as the profile says, against real servers; what is refused is broken, in one clear line."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web

from fixtures.core import nkeys, timeouts
from fixtures.core.errors import Inconclusive, NonConformance, UsageError
from fixtures.probes.payload import nats_wire, probe
from fixtures.probes.schema import raise_if_unauthorized
from fixtures.profile import credentials
from fixtures.profile import model as profiles
from fixtures.profile.credentials import Credentials
from fixtures.services.nats import Nats
from fixtures.services.orchestrator import Orchestrator, Refused
from fixtures.services.ray import Ray
from fixtures.services.vllm import Vllm
from tests.support.orchestrator_messages import GRPC, pb
from tests.support.reference_stack import free_port
from tests.support.stub_process import running
from tests.support.tls_services import Authority, Operator, secured_nats

REFERENCE = (profiles.PROFILES / "swe-ai-fleet.toml").read_text(encoding="utf-8")
USER, PASSWORD, TOKEN, API_KEY = "fleet-suite", "pa ss/w@rd:é%", "t0ken-of-the-suite", "key-of-the-suite"
ENVIRONMENT = {"U": USER, "P": PASSWORD, "T": TOKEN, "K": API_KEY, "WRONG": "not-this-one", "EMPTY": " "}
LOGIN = '[nats.auth]\nuser = { env = "U" }\npassword = { env = "P" }\n'
BY_TOKEN = '[nats.auth]\ntoken = { env = "T" }\n'
BY_FILE = '[nats.auth]\ncredentials = { file = "suite.creds" }\n'


def access(folder: Path, sections: str, nats: str = "") -> Credentials:
    """What a profile with these additional sections, and keys of [nats], resolves to; it lies in `folder`."""
    file = folder / "profile.toml"
    file.write_text(REFERENCE.replace("[nats]\n", f"[nats]\n{nats}\n") + f"\n{sections}", encoding="utf-8")
    return credentials.resolve(profiles.load(str(file)), ENVIRONMENT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authentication")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "fleet")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("server")


@pytest.fixture(scope="module")
def operator() -> Operator:
    return Operator()


@pytest.fixture(scope="module")
def by_login(folder: Path) -> Iterator[str]:
    with secured_nats(folder, f'authorization {{ user: "{USER}", password: "{PASSWORD}" }}\n') as address:
        yield address


@pytest.fixture(scope="module")
def by_token(folder: Path) -> Iterator[str]:
    with secured_nats(folder, f'authorization {{ token: "{TOKEN}" }}\n') as address:
        yield address


@pytest.fixture(scope="module")
def by_jwt(folder: Path, operator: Operator) -> Iterator[str]:
    with secured_nats(folder, operator.configuration()) as address:
        yield address


def tls(certificate: tuple[Path, Path], more: str = "") -> str:
    cert, key = certificate
    return f'tls {{ cert_file: "{cert}", key_file: "{key}", timeout: 5 {more} }}\n'


@pytest.fixture(scope="module")
def over_tls(folder: Path, certificate: tuple[Path, Path]) -> Iterator[str]:
    with secured_nats(folder, tls(certificate) + f'authorization {{ token: "{TOKEN}" }}\n') as address:
        yield address


@pytest.fixture(scope="module")
def mutual(folder: Path, authority: Authority, certificate: tuple[Path, Path]) -> Iterator[str]:
    with secured_nats(folder, tls(certificate, f', verify: true, ca_file: "{authority.ca}"')) as address:
        yield address


async def let_in(address: str, given: Credentials) -> str:
    """The server's id, as the suite's client and the probe of the workers see it: both are let in."""
    client = Nats(f"nats://{address}", "test", given.nats)
    try:
        await client.account()
        server = str((await client.info()).server_id)
    finally:
        await client.close()
    for url in (f"nats://{address}", given.nats.in_url(f"nats://{address}")):
        answer = await asyncio.to_thread(nats_wire.nats, url, 5.0, given.nats.document())
        assert answer["ok"], answer
        assert answer["server_id"] == server
    return server


async def refused(address: str, given: Credentials, kind: type[Exception] = Inconclusive) -> str:
    """The one line that the suite says."""
    client = Nats(f"nats://{address}", "test", given.nats)
    with pytest.raises(kind) as caught:
        await client.account()
    await client.close()
    said = str(caught.value)
    assert "\n" not in said
    for secret in (*given.secrets, *ENVIRONMENT.values()):
        assert secret.strip() not in said or not secret.strip()
    return said


# -- NATS ---------------------------------------------------------------------------------------------------------


async def test_user_and_password(by_login: str, folder: Path) -> None:
    assert await let_in(by_login, access(folder, LOGIN))


async def test_token(by_token: str, folder: Path) -> None:
    assert await let_in(by_token, access(folder, BY_TOKEN))


async def test_credentials_file(by_jwt: str, folder: Path, operator: Operator) -> None:
    (folder / "suite.creds").write_text(operator.credentials())
    assert await let_in(by_jwt, access(folder, BY_FILE))


async def test_wrong_password(by_login: str, folder: Path) -> None:
    given = access(folder, LOGIN.replace('env = "P"', 'env = "WRONG"'))
    assert "refuses the suite's credentials, nats.auth.password ($WRONG)" in await refused(by_login, given)
    answer = await asyncio.to_thread(nats_wire.nats, f"nats://{by_login}", 5.0, given.nats.document())
    assert (answer["ok"], answer["stage"]) == (False, "authentication")


async def test_no_credentials(by_login: str, by_jwt: str, folder: Path) -> None:
    for address in (by_login, by_jwt):
        assert "wants credentials, and the profile names none: see [nats.auth]" in await refused(
            address, access(folder, "")
        )


async def test_expired_credentials(by_jwt: str, folder: Path, operator: Operator) -> None:
    (folder / "suite.creds").write_text(operator.credentials(expires=time.time() - 60))
    said = await refused(by_jwt, access(folder, BY_FILE))
    assert "nats.auth.credentials" in said
    assert "suite.creds), which expired at 20" in said


async def test_credentials_of_somebody_else(by_jwt: str, folder: Path) -> None:
    (folder / "suite.creds").write_text(Operator().credentials())
    said = await refused(by_jwt, access(folder, BY_FILE))
    assert "nats.auth.credentials" in said
    assert "expired" not in said


async def test_nats_over_tls(over_tls: str, folder: Path, authority: Authority) -> None:
    assert await let_in(over_tls, access(folder, f'{BY_TOKEN}[nats.tls]\nca = "{authority.ca.name}"'))


async def test_nats_that_says_nothing_before_tls(
    folder: Path, authority: Authority, certificate: tuple[Path, Path]
) -> None:
    section = f'[nats.tls]\nca = "{authority.ca.name}"\n'
    with secured_nats(folder, tls(certificate, ", handshake_first: true")) as address:
        assert await let_in(address, access(folder, f"{section}handshake_first = true"))
        with timeouts.applied(timeouts.Timeouts(request=1)):
            for unaware in (section, ""):
                given = access(folder, unaware)
                assert "says nothing before TLS: see nats.tls.handshake_first" in await refused(address, given)
                await not_decided(address, given, "nats.tls.handshake_first")


async def test_nats_that_greets_before_tls(over_tls: str, folder: Path, authority: Authority) -> None:
    given = access(folder, f'[nats.tls]\nca = "{authority.ca.name}"\nhandshake_first = true')
    assert "greets before TLS: see nats.tls.handshake_first" in await refused(over_tls, given)
    await not_decided(over_tls, given, "nats.tls.handshake_first")


async def test_nats_where_tls_is_optional(folder: Path, authority: Authority, certificate: tuple[Path, Path]) -> None:
    """Suite and probe go over to TLS where the profile has it, and do without where it has not."""
    with secured_nats(folder, f"{tls(certificate)}allow_non_tls: true\n") as address:
        client = Nats(f"nats://{address}", "test", access(folder, f'[nats.tls]\nca = "{authority.ca.name}"').nats)
        writer = (await client.connect())._transport._io_writer
        assert writer.get_extra_info("ssl_object"), "nothing goes in the clear"
        await client.close()
        assert await let_in(address, access(folder, f'[nats.tls]\nca = "{authority.ca.name}"'))
        assert await let_in(address, access(folder, ""))


RIGHTS = 'publish: ["$JS.API.INFO"], subscribe: ["_INBOX_suite.>"]'


@pytest.fixture
def of_few_rights(folder: Path) -> Iterator[str]:
    user = f'user: "{USER}", password: "{PASSWORD}", permissions: {{ {RIGHTS} }}'
    accounts = f"accounts {{ FLEET {{ jetstream: enabled, users: [{{ {user} }}] }} }}\n"
    with secured_nats(folder, accounts) as address:
        yield address


async def test_an_inbox_of_its_own(of_few_rights: str, folder: Path) -> None:
    assert await let_in(of_few_rights, access(folder, LOGIN, 'inbox_prefix = "_INBOX_suite"'))
    given = access(folder, LOGIN)
    assert "the suite's user may not subscribe to \"_inbox." in await refused(of_few_rights, given)
    await not_decided(of_few_rights, given, "nats.auth")


async def test_what_nats_does_not_permit_is_told_at_once(of_few_rights: str, folder: Path) -> None:
    given = access(folder, LOGIN, 'inbox_prefix = "_INBOX_suite"')
    client, began = Nats(f"nats://{of_few_rights}", "test", given.nats), time.monotonic()
    for asked, subject in (
        (client.stream("S"), "$js.api.stream.info.s"),
        (client.publish("agent.response.completed", b"{}"), "agent.response.completed"),
    ):
        with pytest.raises(Inconclusive) as caught:
            await asked
        assert f'publish to "{subject}": see nats.auth' in str(caught.value)
    assert time.monotonic() - began < 5.0
    assert await client.account(), "what it may do it does afterwards, too"
    await client.close()


async def not_decided(address: str, given: Credentials, words: str) -> None:
    """The probe of the workers, asked the same, proves nothing of NATS."""
    answer = await asyncio.to_thread(nats_wire.nats, given.nats.in_url(f"nats://{address}"), 1.0, given.nats.document())
    with pytest.raises(Inconclusive, match=re.escape(words)):
        raise_if_unauthorized("ray-worker-1", answer)


async def test_nats_with_a_client_certificate(mutual: str, folder: Path, authority: Authority) -> None:
    cert, key = authority.issue("client", "DNS:suite")
    section = f'[nats.tls]\nca = "{authority.ca.name}"\n'
    assert await let_in(mutual, access(folder, f'{section}cert = "{cert.name}"\nkey = "{key.name}"'))
    said = await refused(mutual, access(folder, section))
    assert "[nats.tls], which names no client certificate" in said
    cert, key = Authority(folder, "other").issue("client", "DNS:suite")
    said = await refused(mutual, access(folder, f'{section}cert = "{cert.name}"\nkey = "{key.name}"'))
    assert "ends the TLS handshake" in said
    assert "nats.tls.cert" in said


async def test_nats_tls_that_the_profile_does_not_know(over_tls: str, folder: Path) -> None:
    assert "wants TLS, and the profile has no [nats.tls]" in await refused(over_tls, access(folder, BY_TOKEN))


async def test_another_authority(over_tls: str, folder: Path) -> None:
    other = Authority(folder, "other")
    given = access(folder, f'{BY_TOKEN}[nats.tls]\nca = "{other.ca.name}"')
    assert "does not fit the profile's nats.tls.ca" in await refused(over_tls, given)
    answer = await asyncio.to_thread(nats_wire.nats, f"nats://{over_tls}", 5.0, given.nats.document())
    assert (answer["ok"], answer["stage"]) == (False, "tls")


async def test_the_name_in_the_certificate(folder: Path, authority: Authority) -> None:
    """Behind a port-forward the address is another than the certificate's: server_name says which to expect."""
    with secured_nats(folder, tls(authority.issue("inside", "DNS:nats.fleet.svc"))) as address:
        section = f'[nats.tls]\nca = "{authority.ca.name}"\n'
        assert "nats.tls.server_name" in await refused(address, access(folder, section))
        client = Nats(f"nats://{address}", "test", access(folder, f'{section}server_name = "nats.fleet.svc"').nats)
        assert (await client.info()).server_id
        await client.close()


async def test_expired_certificate(folder: Path, authority: Authority) -> None:
    """Nobody who looks at certificates is let in: that is the system's fault."""
    with secured_nats(folder, tls(authority.issue("expired", days=-1))) as address:
        given = access(folder, f'[nats.tls]\nca = "{authority.ca.name}"')
        assert "its certificate has expired" in await refused(address, given, NonConformance)


async def test_nothing_is_sent_in_the_clear(by_token: str, folder: Path, authority: Authority) -> None:
    """A server without TLS does not get the token of a profile that asks for TLS."""
    given = access(folder, f'{BY_TOKEN}[nats.tls]\nca = "{authority.ca.name}"')
    assert "does not ask for TLS" in await refused(by_token, given, NonConformance)
    answer = await asyncio.to_thread(nats_wire.nats, f"nats://{by_token}", 5.0, given.nats.document())
    assert (answer["ok"], answer["stage"]) == (False, "tls")


async def test_nats_is_not_there(folder: Path) -> None:
    said = await refused(f"127.0.0.1:{free_port()}", access(folder, LOGIN), NonConformance)
    assert "does not answer" in said


def test_the_signature_is_that_of_the_standard() -> None:
    """Test vector 2 of RFC 8032, section 7.1."""
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    assert nkeys.ed25519(secret, b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


# -- vLLM and Ray's dashboard -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keyed_vllm() -> Iterator[str]:
    with running("vllm_stub", "--api-key", API_KEY) as url:
        yield url


async def test_api_key(keyed_vllm: str, folder: Path) -> None:
    given = access(folder, '[vllm.auth]\napi_key = { env = "K" }')
    vllm = Vllm(keyed_vllm, given.vllm)
    assert await vllm.models()
    await vllm.close()
    answer = await asyncio.to_thread(probe.http, f"{keyed_vllm}/v1/models", 5.0, given.vllm.document())
    assert answer["ok"], answer


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (
            '[vllm.auth]\napi_key = { env = "WRONG" }',
            r"refuses the suite's credentials, vllm\.auth\.api_key \(\$WRONG\), with 401",
        ),
        ("", r"wants credentials \(401\), and the profile names none: set vllm\.auth\.api_key"),
    ],
)  # fmt: skip
async def test_wrong_api_key(keyed_vllm: str, folder: Path, sections: str, words: str) -> None:
    vllm = Vllm(keyed_vllm, access(folder, sections).vllm)
    assert await vllm.health() == 200, "health is open"
    with pytest.raises(Inconclusive, match=words):
        await vllm.models()
    await vllm.close()


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


@asynccontextmanager
async def https(context: ssl.SSLContext | None) -> AsyncIterator[str]:
    """A dashboard that wants a bearer token."""

    async def version(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=403)
        return web.json_response({"ray_version": "2.49.2", "session_name": "here"})

    app = web.Application()
    app.router.add_get("/api/version", version)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


RAY = '[ray.auth]\ntoken = { env = "T" }\n'


async def test_dashboard_token_over_tls(folder: Path, authority: Authority, certificate: tuple[Path, Path]) -> None:
    given = access(folder, f'{RAY}[ray.tls]\nca = "{authority.ca.name}"').ray
    async with https(server_context(certificate)) as url:
        ray = Ray(url, given)
        assert (await ray.version()).ray_version == "2.49.2"
        await ray.close()
        answer = await asyncio.to_thread(probe.http, f"{url}/api/version", 5.0, given.document())
        assert answer["ok"], answer


@pytest.mark.parametrize(
    ("names", "days", "sections", "kind", "words"),
    [
        (
            "IP:127.0.0.1",
            2,
            '[ray.auth]\ntoken = { env = "WRONG" }',
            Inconclusive,
            r"ray\.auth\.token \(\$WRONG\), with 403",
        ),
        ("DNS:dashboard", 2, RAY, Inconclusive, r"ray\.tls\.server_name"),
        ("IP:127.0.0.1", -1, RAY, NonConformance, "its certificate has expired"),
    ],
)  # fmt: skip
async def test_dashboard_refusals(
    folder: Path, authority: Authority, names: str, days: int, sections: str, kind: type[Exception], words: str
) -> None:
    context = server_context(authority.issue("dashboard", names, days))
    async with https(context) as url:
        ray = Ray(url, access(folder, f'{sections}\n[ray.tls]\nca = "{authority.ca.name}"').ray)
        with pytest.raises(kind, match=words):
            await ray.version()
        await ray.close()


async def test_server_name_of_the_dashboard(folder: Path, authority: Authority) -> None:
    async with https(server_context(authority.issue("dashboard", "DNS:dashboard"))) as url:
        section = f'{RAY}[ray.tls]\nca = "{authority.ca.name}"\nserver_name = "dashboard"'
        ray = Ray(url, access(folder, section).ray)
        assert (await ray.version()).session_name == "here"
        await ray.close()


async def test_a_dashboard_without_tls(folder: Path, authority: Authority) -> None:
    async with https(None) as url:
        given = access(folder, f'{RAY}[ray.tls]\nca = "{authority.ca.name}"').ray
        ray = Ray(url.replace("http:", "https:"), given)
        with pytest.raises(NonConformance, match=r"does not speak TLS, which the profile asks for in \[ray\.tls\]"):
            await ray.version()
        await ray.close()


# -- the orchestrator ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def orchestrator(certificate: tuple[Path, Path], clients: Path | None = None) -> AsyncIterator[str]:
    """A gRPC server that answers GetStatus over TLS; with `clients`,
    to clients with a certificate of that authority.
    """

    async def status(_request: Any, _context: Any) -> Any:
        return pb.GetStatusResponse(status="SERVING")

    handler = grpc.unary_unary_rpc_method_handler(
        status, pb.GetStatusRequest.FromString, pb.GetStatusResponse.SerializeToString
    )
    service = grpc.method_handlers_generic_handler("orchestrator.v1.OrchestratorService", {"GetStatus": handler})
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((service,))
    cert, key = certificate
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), cert.read_bytes())], clients.read_bytes() if clients else None, clients is not None
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def status_of(target: str, folder: Path, sections: str) -> str:
    client = Orchestrator(lambda: {"replica": target}, GRPC, access(folder, sections).orchestrator)
    try:
        return str((await client.any.status()).status)
    finally:
        await client.close()


async def test_orchestrator_over_tls(folder: Path, authority: Authority, certificate: tuple[Path, Path]) -> None:
    async with orchestrator(certificate) as target:
        assert await status_of(target, folder, f'[orchestrator.tls]\nca = "{authority.ca.name}"') == "SERVING"


async def test_orchestrator_behind_another_name(folder: Path, authority: Authority) -> None:
    section = f'[orchestrator.tls]\nca = "{authority.ca.name}"\n'
    async with orchestrator(authority.issue("inside", "DNS:orchestrator.fleet.svc")) as target:
        assert await status_of(target, folder, f'{section}server_name = "orchestrator.fleet.svc"') == "SERVING"
        with pytest.raises(Inconclusive, match=r"orchestrator\.tls\.server_name"):
            await status_of(target, folder, section)


async def test_orchestrator_with_a_client_certificate(folder: Path, authority: Authority) -> None:
    section = f'[orchestrator.tls]\nca = "{authority.ca.name}"\n'
    cert, key = authority.issue("client", "DNS:suite")
    async with orchestrator(authority.issue("server"), authority.ca) as target:
        assert await status_of(target, folder, f'{section}cert = "{cert.name}"\nkey = "{key.name}"') == "SERVING"


async def test_orchestrator_of_another_authority(
    folder: Path, authority: Authority, certificate: tuple[Path, Path]
) -> None:
    other = Authority(folder, "other")
    async with orchestrator(certificate) as target:
        with pytest.raises(Inconclusive, match=r"orchestrator\.tls\.ca"):
            await status_of(target, folder, f'[orchestrator.tls]\nca = "{other.ca.name}"')


async def test_orchestrator_with_an_expired_certificate(folder: Path, authority: Authority) -> None:
    async with orchestrator(authority.issue("expired", days=-1)) as target:
        with pytest.raises(Refused, match="expired"):
            await status_of(target, folder, f'[orchestrator.tls]\nca = "{authority.ca.name}"')


# -- what a profile refers to -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ('[nats.auth]\ntoken = { env = "NO_SUCH" }', r"nats\.auth\.token \(\$NO_SUCH\) is not set in the environment"),
        ('[nats.auth]\ntoken = { env = "EMPTY" }', r"nats\.auth\.token \(\$EMPTY\) is empty"),
        (
            '[nats.auth]\ntoken = { file = "no-such" }',
            r"nats\.auth\.token \(/.*/no-such\) cannot be read: No such file",
        ),
        ('[nats.auth]\ntoken = { file = "." }', r"nats\.auth\.token .* cannot be read: Is a directory"),
        ('[nats.auth]\ncredentials = { file = "profile.toml" }', "is not a NATS credentials file"),
        ('[vllm.auth]\napi_key = { env = "P" }', r"vllm\.auth\.api_key \(\$P\) holds blanks or characters"),
        ('[vllm.tls]\nca = "no-such.pem"', r"vllm\.tls\.ca \(/.*/no-such\.pem\) cannot be read"),
        ('[vllm.tls]\nca = "profile.toml"', r"vllm\.tls ca, cert or key cannot be used"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_before_anything_starts(folder: Path, sections: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        access(folder, sections)
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ('[nats.auth]\ntoken = "t0ken-of-the-suite"', r'nats\.auth\.token: .*\{ env = "VARIABLE" \}'),
        ('[vllm.auth]\napi_key = { key = "t0ken-of-the-suite" }', r"vllm\.auth\.api_key\.key: unknown key"),
        ('[nats.tls]\nca = "-----BEGIN CERTIFICATE----- t0ken-of-the-suite"', r"nats\.tls\.ca: must be the path"),
    ],
)
def test_a_secret_in_the_profile_is_refused_and_not_repeated(folder: Path, sections: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        access(folder, sections)
    assert TOKEN not in str(caught.value)


def test_credentials_in_a_url_are_refused_and_not_repeated(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"nats\.url: must not hold credentials") as caught:
        access(folder, "", nats=f'url = "nats://me:{TOKEN}@host:4222"')
    assert TOKEN not in str(caught.value)


def test_nothing_shows_what_was_read(folder: Path, operator: Operator, authority: Authority) -> None:
    cert, key = authority.issue("client", "DNS:suite")
    (folder / "suite.creds").write_text(operator.credentials())
    mutual = f'cert = "{cert.name}"\nkey = "{key.name}"'
    for sections in (LOGIN, BY_TOKEN, BY_FILE, '[vllm.auth]\napi_key = { env = "K" }', f"[nats.tls]\n{mutual}"):
        given = access(folder, sections)
        assert given.secrets
        assert not [secret for secret in given.secrets if secret in repr(given)]
