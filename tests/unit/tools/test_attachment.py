"""A fleet that sessions attach to by URLs, and what stands before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from aiohttp import web

from fixtures.clusters.base import Endpoints, Feature
from fixtures.clusters.endpoints import EndpointsCluster
from fixtures.profile import credentials
from fixtures.profile.model import load
from tests.targets.attachment import Urls, attached
from tests.targets.gateways import gateway

PARTS = Endpoints(
    vllm="http://127.0.0.1:1",
    dashboard="http://127.0.0.1:2",
    ray_client="ray://127.0.0.1:3",
    nats="nats://127.0.0.1:4",
    orchestrators={"orchestrator-1": "127.0.0.1:5", "orchestrator-2": "127.0.0.1:6"},
    fault_proxy="http://127.0.0.1:7",
)


def embedded() -> Any:
    """As much of the target as an attachment looks at."""
    fleet = SimpleNamespace(factory=SimpleNamespace(debug_token="debug"))
    return SimpleNamespace(cluster=SimpleNamespace(endpoints=PARTS), fleet=fleet, attached=None)


def test_the_profile_of_a_session_is_one_that_a_user_could_write(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken")
    sections = f'[vllm.auth]\napi_key = {{ file = "{tmp_path}/token" }}\n'
    ways: dict[str, Any] = {"inside": {"vllm": "http://inside"}, "sections": sections, "fault_proxy_token": "debug"}
    urls = Urls("http://vllm/", "http://ray/x/", "nats://nats", ("[::1]:1",), **ways)
    *options, file = urls.options(tmp_path)
    assert options == ["--cluster", "attach", "--allow-disruptive", "--profile"]
    cluster = EndpointsCluster(load(file), "fc-1", allow_disruptive=True)
    assert (cluster.endpoints.vllm, cluster.inside.vllm) == ("http://vllm", "http://inside")
    assert (cluster.endpoints.dashboard, cluster.inside.nats) == ("http://ray/x", "nats://nats")
    assert dict(cluster.endpoints.orchestrators) == {"orchestrator-1": "[::1]:1"}
    assert urls.unsupported == frozenset(cluster.unsupported)
    access = credentials.resolve(cluster.profile)
    assert access.vllm.headers == {"Authorization": "Bearer t0ken"}
    assert list(access.fault_proxy.headers.values()) == ["debug"]


async def test_sessions_attach_while_the_change_is_there() -> None:
    target = embedded()

    @asynccontextmanager
    async def otherwise(_: Any) -> AsyncIterator[Mapping[str, Any]]:
        yield {"orchestrators": ("127.0.0.1:8",)}

    async with attached()(target):
        assert target.attached == Urls.of(target)
        assert Feature.FAULT_PROXY not in target.attached.unsupported
    assert target.attached is None
    async with attached(otherwise)(target):
        assert target.attached == replace(Urls.of(target), orchestrators=("127.0.0.1:8",))
    assert target.attached is None


@pytest.fixture
async def service() -> AsyncIterator[str]:
    """The URL of a service that says what it was asked."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response([request.method, request.raw_path, request.headers.get("Authorization", "")])

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_gateway_passes_on_what_is_below_its_path_for_those_who_have_its_token(service: str) -> None:
    async with gateway(service, prefix="/a/b", token="t") as url, httpx.AsyncClient(trust_env=False) as client:
        bearer = {"Authorization": "Bearer t"}
        answer = await client.post(f"{url}/c%2Fd?e=f", headers=bearer)
        assert answer.json() == ["POST", "/c%2Fd?e=f", ""], "the token stays there"
        assert (await client.get(f"{url}/c")).status_code == 401
        assert (await client.get(f"{url.removesuffix('/b')}/c", headers=bearer)).status_code == 404


async def test_a_gateway_compresses_whatever_was_asked_for(service: str) -> None:
    async with gateway(service, compresses=True) as url, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/x", headers={"Accept-Encoding": "identity"})
    assert answer.json() == ["GET", "/x", ""]
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Content-Length" not in answer.headers
