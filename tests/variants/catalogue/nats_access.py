"""NATS that wants credentials, permits little, or speaks TLS."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import urlsplit

import nats
import nats.errors
import nats.js.errors
from nats.js.api import StorageType, StreamConfig

from fixtures.core.errors import UsageError
from fixtures.core.paths import ROOT
from fixtures.profile import credentials
from fixtures.profile.sections import NatsAuth, NatsTls, Secret
from fixtures.services.jetstream import Account
from fixtures.services.nats import Nats
from tests.faults.model import Fault
from tests.support.tls_services import Authority, Operator
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import agent_code
from tests.targets.nats_injectors import configured, of_accounts
from tests.targets.nats_logins import (
    agents_connect,
    by_credentials,
    exported,
    login_module,
    orchestrator_connects,
    over_tls_first,
)
from tests.targets.target import Change, with_value
from tests.variants.model import Presence, Variant

USER, PASSWORD = "FLEET_NATS_USER", "FLEET_NATS_PASSWORD"
LOGIN = {USER: "fleet-suite", PASSWORD: "a-password-that-nobody-else-has"}
AUTH = NatsAuth(user=Secret(env=USER), password=Secret(env=PASSWORD))
CREDENTIALS = "FLEET_NATS_CREDENTIALS"
BY_FILE = NatsAuth(credentials=Secret(env=CREDENTIALS))
INBOX = "_INBOX_suite"
TIERS = {"R1": 32 << 20, "R3": 96 << 20}  # bytes
MESSAGE = 500_000  # bytes
SILENCE = 1.0  # seconds without a greeting

#: What every check of NATS does with credentials: asks, reads, lets agents answer.
OF_NATS = ("INF-09", "INF-10", "INF-12", "NET-04", "NET-05", "CFG-05", "JOB-05", "ORC-01", "ORC-10")


def refuses(**login: str) -> Presence:
    """Whether NATS lets in who has this login, and nobody else."""

    async def present(target: EmbeddedTarget) -> bool:
        url, answers = target.cluster.endpoints.nats, []
        for options in (login, {}):
            try:
                async with await nats.connect(url, allow_reconnect=False, error_cb=_silent, **options):
                    answers.append(True)
            except nats.errors.Error:
                answers.append(False)
        return answers == [True, False]

    return present


async def _silent(_: Exception) -> None: ...


# -- accounts ---------------------------------------------------------------------------------------------------


def account(name: str, *users: str) -> str:
    return f"{name} {{ jetstream: enabled, users: [{', '.join(users)}] }}"


def user(name: str, password: str, more: str = "") -> str:
    return f'{{ user: "{name}", password: "{password}"\n{more} }}'


@asynccontextmanager
async def two_accounts(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The fleet's account, and one whose stream of the same name would be wrong."""
    accounts = account("TENANT_A", user(LOGIN[USER], LOGIN[PASSWORD])), account("TENANT_B", user("other", "other"))
    login = {"NATS_USER": LOGIN[USER], "NATS_PASSWORD": LOGIN[PASSWORD]}
    with exported(**LOGIN):
        async with configured(target, f"accounts {{ {', '.join(accounts)} }}\n", **login):
            url = target.cluster.endpoints.nats
            async with await nats.connect(url, user="other", password="other") as client:
                names = target.cluster.profile.nats
                wrong = StreamConfig(name=names.stream, subjects=["other.>"], storage=StorageType.MEMORY)
                await client.jetstream().add_stream(wrong)
            await target.make_councils()
            yield


# -- an operator ------------------------------------------------------------------------------------------------


def operated(**tiers: int) -> Change:
    """Operator mode: replicas, agents and the suite have .creds files each."""

    @asynccontextmanager
    async def changed(target: EmbeddedTarget) -> AsyncIterator[None]:
        operator, file = Operator(**tiers), target.fleet.factory.run.path / "fleet.creds"
        file.write_text(operator.credentials(), encoding="utf-8")
        words = by_credentials(file)
        async with AsyncExitStack() as stack:
            stack.enter_context(exported(**{CREDENTIALS: operator.credentials()}))
            await stack.enter_async_context(agent_code(login_module(), agents_connect(words))(target))
            orchestrator = (login_module(), orchestrator_connects(words))
            await stack.enter_async_context(configured(target, operator.configuration(), *orchestrator))
            await target.make_councils()
            yield

    return changed


async def _suites_account(auth: NatsAuth, target: EmbeddedTarget) -> Account | None:
    """JetStream's account as the suite sees it with these credentials; None where they are not there."""
    with suppress(UsageError):
        access = credentials.resolve(with_value(target.cluster.profile, ["nats", "auth"], auth)).nats
        client = Nats(target.cluster.endpoints.nats, "variant", access)
        try:
            return await client.account()
        finally:
            await client.close()
    return None


async def has_an_operator(target: EmbeddedTarget) -> bool:
    return b'"nonce"' in await greeting(target) and await _suites_account(BY_FILE, target) is not None


async def has_tiers(target: EmbeddedTarget) -> bool:
    seen = await _suites_account(BY_FILE, target)
    return seen is not None and set(seen.tiers) == set(TIERS)


@asynccontextmanager
async def tier_is_full(target: EmbeddedTarget) -> AsyncIterator[None]:
    """Somebody's stream uses up what the account may store in streams of one replica."""
    access = credentials.resolve(with_value(target.cluster.profile, ["nats", "auth"], BY_FILE)).nats
    client = Nats(target.cluster.endpoints.nats, "variant", access)
    try:
        js = await client.jetstream()
        await js.add_stream(StreamConfig(name="FILLER", subjects=["filler"], storage=StorageType.FILE))
        try:
            with suppress(nats.js.errors.APIError):
                while True:
                    await js.publish("filler", bytes(MESSAGE))
            yield
        finally:
            await js.delete_stream("FILLER")
    finally:
        await client.close()


# -- TLS --------------------------------------------------------------------------------------------------------


def over_tls(more: str, *, first: bool) -> Change:
    """NATS has a certificate; the profile names its authority. `first`: everybody connects by TLS before a greeting."""

    @asynccontextmanager
    async def changed(target: EmbeddedTarget) -> AsyncIterator[None]:
        authority = Authority(target.fleet.factory.run.path, "nats")
        certificate, key = authority.issue("server")
        words = over_tls_first(authority.ca)
        configuration = (
            f'tls {{ cert_file: "{certificate}", key_file: "{key}", handshake_first: {str(first).lower()} }}\n'
        )
        section = NatsTls(ca=str(authority.ca), handshake_first=first)
        async with AsyncExitStack() as stack:
            if first:
                await stack.enter_async_context(agent_code(agents_connect(words))(target))
            edits = [orchestrator_connects(words)] if first else []
            await stack.enter_async_context(configured(target, configuration + more, *edits))
            profile = with_value(target.cluster.profile, ["nats", "tls"], section)
            stack.enter_context(target.overridden(profile=profile))
            yield

    return changed


async def greeting(target: EmbeddedTarget) -> bytes:
    """What NATS says first; nothing where it waits for TLS."""
    parts = urlsplit(target.cluster.endpoints.nats)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        return await asyncio.wait_for(reader.readline(), SILENCE)
    except TimeoutError:
        return b""
    finally:
        writer.close()


async def waits_for_tls(target: EmbeddedTarget) -> bool:
    return not await greeting(target)


async def offers_tls(target: EmbeddedTarget) -> bool:
    info = await greeting(target)
    return b'"tls_available":true' in info and b'"tls_required":true' not in info


# -- permissions ------------------------------------------------------------------------------------------------


def documented_rights() -> str:
    """The permissions that the documentation says are enough, with an inbox of the suite's own."""
    text = (ROOT / "docs" / "how-to" / "attach.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^permissions: \{.*?^\}$", text, re.DOTALL | re.MULTILINE)
    return str(block).replace("_INBOX.>", f"{INBOX}.>")


def permitted(rights: Callable[[], str]) -> Change:
    """The suite's user may do this and nothing else; the fleet's own may do everything. Agents have inboxes of their
    own kind.
    """

    @asynccontextmanager
    async def changed(target: EmbeddedTarget) -> AsyncIterator[None]:
        users = user("fleet", "fleet"), user(LOGIN[USER], LOGIN[PASSWORD], rights())
        with exported(**LOGIN):
            async with (
                agent_code(agents_connect(f'inbox_prefix="{INBOX}"'))(target),
                configured(target, of_accounts(account("TENANT", *users))),
            ):
                await target.make_councils()
                yield

    return changed


def may_ask(subject: str, *, allowed: bool) -> Presence:
    """Whether the suite's user exists, may not subscribe to everything, and is (or is not) answered on the subject.

    A request's answer tells that all before it was read, too: nats-py writes the PING of its `flush` before what is
    still to be sent, so that a PONG tells nothing of that.
    """

    async def present(target: EmbeddedTarget) -> bool:
        login = {"user": LOGIN[USER], "password": LOGIN[PASSWORD], "inbox_prefix": INBOX}
        errors: list[str] = []

        async def keep(error: Exception) -> None:
            errors.append(str(error).lower())

        async with await nats.connect(target.cluster.endpoints.nats, error_cb=keep, **login) as client:
            await client.subscribe("everything.>")
            try:
                answered = bool(await client.request(subject, timeout=SILENCE))
            except nats.errors.Error:
                answered = False
        return answered is allowed and any("everything" in error for error in errors)

    return present


TIER_IS_FULL = Fault(
    name="the-streams-tier-is-full",
    description="what the account may store in streams of one replica is used up; the limits without a tier are zero",
    inject=tier_is_full,
    expected_failures=("INF-09",),
    expected_terms=("tier R1", "are left"),
    tolerated_failures=("JOB-02", "JOB-04", "JOB-05", "ORC-04", "E2E-01"),
)

VARIANTS = (
    Variant(
        name="accounts-share-one-server",
        description="the fleet's account is one of two, and the other has a stream of the same name",
        apply=two_accounts,
        is_present=refuses(user=LOGIN[USER], password=LOGIN[PASSWORD]),
        profile={"nats.auth": AUTH},
        stretches=(*OF_NATS, "ORC-05", "E2E-01"),
    ),
    Variant(
        name="nats-is-in-operator-mode",
        description="users have JWTs and nkeys: replicas, agents and the suite each have a .creds file",
        apply=operated(),
        is_present=has_an_operator,
        profile={"nats.auth": BY_FILE},
        stretches=(*OF_NATS, "JOB-03", "E2E-01"),
    ),
    Variant(
        name="limits-come-in-tiers",
        description="the account has limits for streams of one replica and of three, and none without a tier",
        apply=operated(**TIERS),
        is_present=has_tiers,
        profile={"nats.auth": BY_FILE},
        stretches=("INF-09", "INF-10", "INF-12", "JOB-05"),
        detects=(TIER_IS_FULL,),
    ),
    Variant(
        name="nats-starts-with-tls",
        description="NATS says nothing before the TLS handshake (handshake_first), to nobody",
        apply=over_tls("", first=True),
        is_present=waits_for_tls,
        stretches=(*OF_NATS, "ORC-04", "E2E-01"),
    ),
    Variant(
        name="tls-is-optional-on-nats",
        description="NATS takes connections with TLS and without: the suite's have it, the fleet's do without",
        apply=over_tls("allow_non_tls: true\n", first=False),
        is_present=offers_tls,
        stretches=("INF-09", "INF-10", "INF-12", "NET-04", "NET-05", "CFG-05", "JOB-05"),
    ),
    Variant(
        name="suites-user-has-documented-rights",
        description="NATS permits the suite's user what the documentation lists, and an inbox of its own",
        apply=permitted(documented_rights),
        is_present=may_ask("$JS.API.INFO", allowed=True),
        profile={"nats.auth": AUTH, "nats.inbox_prefix": INBOX},
        stretches=(*OF_NATS, "JOB-04", "JOB-09", "JOB-10", "ORC-05", "ORC-12", "ORC-13", "E2E-01"),
    ),
    Variant(
        name="suites-user-may-not-ask-for-the-account",
        description="NATS permits the suite's user all that the documentation lists, but $JS.API.INFO",
        apply=permitted(lambda: documented_rights().replace('"$JS.API.INFO", ', "")),
        is_present=may_ask("$JS.API.INFO", allowed=False),
        profile={"nats.auth": AUTH, "nats.inbox_prefix": INBOX},
        stretches=("INF-10", "INF-12", "JOB-05"),
        inconclusive=dict.fromkeys(("INF-09", "NET-04", "NET-05", "CFG-05"), "nats.auth"),
    ),
)
