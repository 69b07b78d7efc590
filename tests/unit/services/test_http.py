"""What is made of the answers of an HTTP service that stands behind a gateway: read, or not decided."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from itertools import cycle
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.probes.payload import probe
from fixtures.probes.schema import raise_if_unauthorized
from fixtures.services.ray import Ray
from fixtures.services.vllm import Vllm
from tests.unit.hostile.servers import Script, sends, serving

DOCUMENT = b'{"ray_version": "2.49.2"}'
OK = b"HTTP/1.1 200 OK\r\n"


def packed(coding: bytes, body: bytes) -> Script:
    return sends(OK + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding, len(body)) + body)


def redirects(status: int, location: bytes) -> Script:
    return sends(b"HTTP/1.1 %d Elsewhere\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, location))


async def version(script: Script) -> str:
    """Ray's version, as the dashboard that does this answers."""
    async with serving(script) as port:
        ray = Ray(f"http://127.0.0.1:{port}")
        try:
            return (await ray.version()).ray_version
        finally:
            await ray.close()


@pytest.mark.parametrize(
    "script",
    [
        packed(b"gzip", gzip.compress(DOCUMENT)),
        packed(b"GZIP", gzip.compress(DOCUMENT)),
        packed(b"deflate", zlib.compress(DOCUMENT)),
        packed(b"identity", DOCUMENT),
        sends(OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(DOCUMENT), DOCUMENT)),
        sends(b"HTTP/1.0 200 OK\r\n\r\n" + DOCUMENT),
        sends(OK + b"Server: gateway\r\nVia: 1.0 a, 1.1 b\r\nContent-Length: %d\r\n\r\n" % len(DOCUMENT) + DOCUMENT),
    ],
    ids=["gzip", "upper case", "deflate", "identity", "chunked", "HTTP 1.0", "headers"],
)
async def test_what_gateways_do_to_an_answer_is_undone(script: Script) -> None:
    assert await version(script) == "2.49.2"


async def test_a_coding_that_the_suite_does_not_read_decides_nothing() -> None:
    with pytest.raises(Inconclusive, match="in the coding br, which the suite does not read"):
        await version(packed(b"br", b"\x0b\x02\x80"))


async def test_what_is_no_gzip_is_the_services_own_fault() -> None:
    with pytest.raises(NonConformance, match="something that is not gzip, as it says"):
        await version(packed(b"gzip", DOCUMENT))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_as_to_a_login_decides_nothing(status: int) -> None:
    where = b"https://login.example/authorize?client_id=ray&state=s3cret"
    with pytest.raises(Inconclusive) as caught:
        await version(redirects(status, where))
    assert f"with {status}, a redirect to https://login.example, which the suite does not follow" in str(caught.value)
    assert "ray.auth.token" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "words"),
    [(b"/login", "another path of the same server"), (b"//[", "something that is no URL"), (b"https://", "https://")],
)
async def test_redirects_of_any_kind_decide_nothing(location: bytes, words: str) -> None:
    async with serving(redirects(302, location)) as port:
        vllm = Vllm(f"http://127.0.0.1:{port}")
        with pytest.raises(Inconclusive, match=f"a redirect to {words}, which the suite does not follow"):
            await vllm.health()
        await vllm.close()


async def test_an_answer_that_leads_nowhere_is_an_answer() -> None:
    with pytest.raises(NonConformance, match="does not answer /api/version as Ray does"):
        await version(sends(b"HTTP/1.1 304 Not Modified\r\n\r\n"))
    with pytest.raises(NonConformance, match="answers /api/version with 502"):
        await version(sends(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"))


async def probed(script: Script, repeat: int = 1) -> dict[str, Any]:
    """What the probe on a worker says of a service that does this."""
    async with serving(script) as port:
        url = f"http://127.0.0.1:{port}/v1/models"
        return await asyncio.to_thread(probe.http, url, 5.0, {"repeat": repeat})


async def test_one_of_several_servers_that_refuses_is_enough_for_a_link_to_fail() -> None:
    scripts = cycle([sends(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % end) for end in (b"200 OK", b"503 Busy")])

    async def in_turn(writer: asyncio.StreamWriter) -> None:
        await next(scripts)(writer)

    answer = await probed(in_turn, repeat=3)
    assert (answer["ok"], answer["status"], answer["error"]) == (False, 503, "HTTP 503 Busy")
    assert len(answer["ms"]) == 2
    answer = await probed(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), repeat=3)
    assert (answer["ok"], len(answer["ms"])) == (True, 3)


async def test_a_worker_reads_what_gateways_do_to_an_answer() -> None:
    for script in (packed(b"gzip", gzip.compress(DOCUMENT)), packed(b"deflate", zlib.compress(DOCUMENT))):
        assert (await probed(script))["body"] == DOCUMENT.decode()
    broken = await probed(packed(b"gzip", DOCUMENT))
    assert not broken["ok"] and "header" in str(broken["error"])


async def test_a_redirect_that_a_worker_meets_decides_nothing() -> None:
    answer = await probed(redirects(302, b"https://login.example/"))
    assert not answer["ok"]
    with pytest.raises(Inconclusive, match=r"ray-worker-1: the service redirects \(302\)"):
        raise_if_unauthorized("ray-worker-1", answer)


def forbids(body: bytes, status: bytes = b"403 Forbidden") -> Script:
    return sends(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


@pytest.mark.parametrize("words", ["RBAC: access denied", "Access denied"])
async def test_a_mesh_that_refuses_a_worker_refuses_its_agents(words: str) -> None:
    answer = raise_if_unauthorized("ray-worker-1", await probed(forbids(words.encode() + b"\r\n")))
    assert (answer["ok"], answer["error"]) == (False, f"HTTP 403 Forbidden: {words}")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (b"403 Forbidden", b""),
        (b"403 Forbidden", b'{"error": "RBAC: access denied"}'),
        (b"403 Forbidden", b"<html>Access denied</html>"),
        (b"401 Unauthorized", b"RBAC: access denied"),
    ],
)
async def test_another_refusal_is_about_the_suites_credentials(status: bytes, body: bytes) -> None:
    with pytest.raises(Inconclusive, match=r"refuses the suite's credentials \(40[13]\): see vllm.auth"):
        raise_if_unauthorized("ray-worker-1", await probed(forbids(body, status)))
