"""Fleets that are reached by URLs alone, and what stands between them and the suite."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from fixtures.core.timeouts import TIMEOUTS
from tests.support.tls_services import Authority
from tests.targets.attachment import Urls, Ways, attached
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.gateways import gateway
from tests.targets.links import distant, link, passes, round_robin
from tests.variants.model import Variant

HTTP = ("vllm", "dashboard")
#: What asks vLLM or the dashboard from here, and what needs their answers.
THROUGH_GATEWAYS = (
    *("INF-02", "INF-03", "INF-04", "INF-05", "INF-06", "INF-07", "INF-08", "NET-03", "NET-04"),
    *("DEP-04", "DEP-07", "JOB-01", "JOB-02", "JOB-03", "JOB-04", "ORC-17"),
)
DISTANCE = 0.15  # seconds, each way
NAME = "gateway.fleet.internal"  # that certificates are for
TOKEN = "gateways-want-this"


def direct(urls: Urls) -> dict[str, str]:
    """Ray's workers are beside the parts that agents use."""
    return {"vllm": urls.vllm, "nats": urls.nats}


@asynccontextmanager
async def one_address(target: EmbeddedTarget) -> AsyncIterator[Mapping[str, Any]]:
    async with round_robin(*Urls.of(target).orchestrators) as address:
        yield {"orchestrators": (address,)}


@asynccontextmanager
async def far_away(target: EmbeddedTarget) -> AsyncIterator[Mapping[str, Any]]:
    """Another continent: everything that the suite asks, and each answer, is on its way for DISTANCE."""
    urls = Urls.of(target)
    async with AsyncExitStack() as stack:

        async def led(address: str) -> str:
            return await stack.enter_async_context(link(address, distant(DISTANCE)))

        parts = {name: urlsplit(getattr(urls, name)) for name in (*HTTP, "nats", "fault_proxy")}
        ways = {name: f"{part.scheme}://{await led(part.netloc)}" for name, part in parts.items()}
        yield {
            **ways,
            "orchestrators": tuple([await led(address) for address in urls.orchestrators]),
            "inside": direct(urls) | {"fault_proxy": urls.fault_proxy},
        }


@asynccontextmanager
async def other_spellings(target: EmbeddedTarget) -> AsyncIterator[Mapping[str, Any]]:
    """Names instead of numbers, a slash at the end, and paths that a gateway takes away."""
    urls = Urls.of(target)
    async with gateway(urls.vllm, prefix="/models") as vllm, gateway(urls.dashboard, prefix="/tools/ray") as dashboard:
        yield {
            "vllm": f"{named(vllm)}/",
            "dashboard": f"{named(dashboard)}/",
            "nats": named(urls.nats),
            "orchestrators": tuple(named(address) for address in urls.orchestrators),
        }


def named(url: str) -> str:
    return url.replace("127.0.0.1", "localhost")


def gateways(**kind: Any) -> Ways:
    """A gateway of that kind before vLLM and one before the dashboard; Ray's workers need none."""

    @asynccontextmanager
    async def ways(target: EmbeddedTarget) -> AsyncIterator[Mapping[str, Any]]:
        urls = Urls.of(target)
        async with gateway(urls.vllm, **kind) as vllm, gateway(urls.dashboard, **kind) as dashboard:
            yield {"vllm": vllm, "dashboard": dashboard, "inside": direct(urls)}

    return ways


@asynccontextmanager
async def wanting_a_token(target: EmbeddedTarget) -> AsyncIterator[Mapping[str, Any]]:
    file = target.fleet.factory.run.path / "gateway-token"
    file.write_text(TOKEN, encoding="utf-8")
    keys = {"vllm.auth": "api_key", "ray.auth": "token"}
    sections = "".join(f'[{section}]\n{key} = {{ file = "{file}" }}\n' for section, key in keys.items())
    async with gateways(token=TOKEN)(target) as ways:
        yield {**ways, "sections": sections}


@asynccontextmanager
async def over_tls(target: EmbeddedTarget) -> AsyncIterator[Mapping[str, Any]]:
    """Proxies that end TLS, with certificates of the company's own authority, for a name that is not the address."""
    urls, folder = Urls.of(target), target.fleet.factory.run.path
    authority = Authority(folder, "company")
    tls = tls_of(*authority.issue("proxy", f"DNS:{NAME}"))
    keys = f'ca = "{authority.ca}"\nserver_name = "{NAME}"\n'
    async with AsyncExitStack() as stack:

        async def led(address: str) -> str:
            return await stack.enter_async_context(link(address, passes(), tls))

        ways = {name: f"https://{await led(urlsplit(getattr(urls, name)).netloc)}" for name in HTTP}
        yield {
            **ways,
            "orchestrators": tuple([await led(address) for address in urls.orchestrators]),
            "inside": direct(urls),
            "sections": "".join(f"[{part}.tls]\n{keys}" for part in ("vllm", "ray", "orchestrator")),
        }


def tls_of(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"])  # gRPC wants to be told that it is HTTP/2
    return context


async def by_urls(target: EmbeddedTarget) -> bool:
    return target.attached is not None


async def by_one_address(target: EmbeddedTarget) -> bool:
    return target.attached is not None and len(target.attached.orchestrators) == 1 < len(target.orchestrators)


async def takes_long(target: EmbeddedTarget) -> bool:
    """Whether an answer of the dashboard, the connection included, takes two ways there and back."""
    began = time.monotonic()
    answers = await from_gateways(target)
    return len(answers) == len(HTTP) and time.monotonic() - began >= 4 * DISTANCE


async def from_gateways(target: EmbeddedTarget) -> list[httpx.Response]:
    """What vLLM's host and the dashboard's answer to somebody who knows of no path and no token, and trusts every
    certificate; nothing where sessions do not attach."""
    if target.attached is None:
        return []
    parts = [urlsplit(getattr(target.attached, name)) for name in HTTP]
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=TIMEOUTS.request) as client:
        return [await client.get(f"{part.scheme}://{part.netloc}/api/version") for part in parts]


async def below_a_path(target: EmbeddedTarget) -> bool:
    """Whether nothing is there above the paths that the URLs have."""
    statuses = [answer.status_code for answer in await from_gateways(target)]
    return statuses == [httpx.codes.NOT_FOUND] * len(HTTP)


async def want_a_token(target: EmbeddedTarget) -> bool:
    statuses = [answer.status_code for answer in await from_gateways(target)]
    return statuses == [httpx.codes.UNAUTHORIZED] * len(HTTP)


async def compress(target: EmbeddedTarget) -> bool:
    codings = [answer.headers.get("Content-Encoding", "") for answer in await from_gateways(target)]
    return codings == ["gzip"] * len(HTTP)


async def speak_tls(target: EmbeddedTarget) -> bool:
    schemes = [answer.url.scheme for answer in await from_gateways(target)]
    return schemes == ["https"] * len(HTTP)


VARIANTS: tuple[Variant, ...] = (
    Variant(
        name="fleet-is-reached-by-urls",
        description="the profile names the URLs of a fleet, and nothing is known of replicas",
        apply=attached(),
        is_present=by_urls,
        stretches=(
            *(f"INF-{number:02}" for number in range(2, 13)),
            *("NET-03", "NET-04"),
            *(f"DEP-{number:02}" for number in range(1, 9)),
            *(f"JOB-{number:02}" for number in (*range(1, 11), 13)),
            *(f"ORC-{number:02}" for number in (*range(1, 8), 9, 10, 16, 17)),
            *("E2E-01", "E2E-02", "E2E-03"),
        ),
    ),
    Variant(
        name="replicas-are-behind-one-address",
        description="a load balancer is before the orchestrator, and each connection leads to another replica",
        apply=attached(one_address),
        is_present=by_one_address,
        stretches=("INF-11", "ORC-01", "ORC-02", "ORC-03", "ORC-04", "ORC-05", "ORC-09", "E2E-01", "E2E-02"),
        exempt={"ORC-06": ("unsupported", "one address")},
    ),
    Variant(
        name="fleet-is-far-away",
        description="the suite runs on another continent: whatever it sends, or is sent, takes 150 ms",
        apply=attached(far_away),
        is_present=takes_long,
        profile={"limits.deliberate_s": 3.0},
        stretches=(
            *("INF-02", "INF-03", "INF-05", "INF-06", "INF-09", "INF-10", "INF-11", "INF-12"),
            *("JOB-01", "JOB-02", "JOB-03", "JOB-04", "JOB-05", "JOB-10"),
            *("ORC-01", "ORC-02", "ORC-03", "ORC-04", "ORC-05", "ORC-06", "ORC-07", "ORC-09", "ORC-16", "E2E-01"),
        ),
    ),
    Variant(
        name="urls-are-spelt-otherwise",
        description="the profile has names for numbers, slashes at the end, and gateways with paths of their own",
        apply=attached(other_spellings),
        is_present=below_a_path,
        stretches=(*THROUGH_GATEWAYS, "INF-09", "INF-10", "INF-11", "ORC-01"),
    ),
    Variant(
        name="gateways-want-a-token",
        description="a gateway before vLLM and one before the dashboard want a bearer token, and keep it",
        apply=attached(wanting_a_token),
        is_present=want_a_token,
        stretches=THROUGH_GATEWAYS,
    ),
    Variant(
        name="gateways-compress-answers",
        description="gateways compress the answers of vLLM and the dashboard, whatever was asked for, and send chunks",
        apply=attached(gateways(compresses=True)),
        is_present=compress,
        stretches=THROUGH_GATEWAYS,
    ),
    Variant(
        name="proxies-end-tls",
        description="proxies with certificates of the company's own authority are before vLLM, the dashboard and gRPC",
        apply=attached(over_tls),
        is_present=speak_tls,
        stretches=(*THROUGH_GATEWAYS, "INF-11", "ORC-01", "ORC-02", "ORC-03", "ORC-04", "ORC-09", "E2E-01"),
    ),
)
