"""What INF-05 says of a Ray that should ask for a token, by a dashboard that does as Ray's own does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from fixtures.clusters.ray_auth import RayAuth
from fixtures.core.errors import Inconclusive
from fixtures.probes.components import Answer
from fixtures.profile.credentials import NONE, HttpAccess
from fixtures.profile.model import Profile, load
from fixtures.services.ray import Node, Ray, Version
from tests.e2e.test_infrastructure_ray import test_ray_is_ready as ray_is_ready
from tests.targets.gateways import gateway

TOKEN = "0123456789abcdef" * 4
PUBLIC = ("/api/authentication_mode", "/api/authenticate")
PLAIN = load("embedded")
WITH_TOKEN = RayAuth(TOKEN).held(PLAIN)
OWN = HttpAccess("ray.auth.token", "ray.auth.token (of this run)", {"Authorization": f"Bearer {TOKEN}"})
MODES = [pytest.param(mode, id=mode) for mode in ("token", "k8s")]  # Kubernetes is asked for the token there


@asynccontextmanager
async def dashboard(mode: str, status: int = 0) -> AsyncIterator[str]:
    """The URL of a stand-in for Ray's dashboard; `mode`: as RAY_AUTH_MODE has it, "": of a Ray that has none.

    Its rule is that of ray/_private/authentication/http_token_authentication.py. `status`: what strangers get instead.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Any) -> web.StreamResponse:
        header = request.headers.get("Authorization") or request.headers.get("X-Ray-Authorization")
        if status and not header:
            return web.Response(status=status)
        if mode in ("token", "k8s") and request.path not in PUBLIC:
            if not header:
                return web.Response(status=401, text="Unauthorized: Missing authentication token")
            if header != f"Bearer {TOKEN}":
                return web.Response(status=403, text="Forbidden: Invalid authentication token")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def version(_request: web.Request) -> web.Response:
        return web.json_response({"ray_version": "2.60.0", "session_name": "s"})

    async def says(_request: web.Request) -> web.Response:
        return web.json_response({"authentication_mode": mode})

    application = web.Application(middlewares=[middleware])
    application.router.add_get("/api/version", version)
    if mode:
        application.router.add_get("/api/authentication_mode", says)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def judged(
    url: str, profile: Profile = WITH_TOKEN, access: HttpAccess = OWN, client: type[Ray] = Ray
) -> list[str]:
    """INF-05 of a head that is alive; returns the notes. Raises what the check does."""
    notes: list[str] = []
    head = Node(id="1", name="ray-head", state="ALIVE", head=True)
    ray = client(url, access)
    try:
        try:
            version = Answer(await ray.version())
        except Inconclusive as error:
            version = Answer[Version](error=error)
        components: Any = SimpleNamespace(workload=lambda _: None, ray_version=version, ray_nodes=Answer([head]))
        await ray_is_ready(components, Anything(), Anything(), ray, profile, notes.append)  # type: ignore[arg-type]
    finally:
        await ray.close()
    return notes


class Anything:
    """A cluster outside Kubernetes, and evidence that nobody reads."""

    async def operator(self) -> dict[str, Any]:
        return {}

    ray_objects = operator

    async def raycluster_not_ready_reason(self) -> str:
        return ""

    def attach(self, *_: object, **__: object) -> None: ...


@pytest.mark.parametrize("mode", MODES)
async def test_a_head_that_asks_for_the_token_is_as_the_profile_says(mode: str) -> None:
    async with dashboard(mode) as url:
        assert await judged(url) == []
        assert (
            await judged(url, access=HttpAccess(OWN.section, OWN.key, {"X-Ray-Authorization": f"Bearer {TOKEN}"})) == []
        )


async def test_a_head_without_a_token_is_a_finding_that_says_how_to_mend_it() -> None:
    async with dashboard("disabled") as url:
        with pytest.raises(AssertionError) as finding:
            await judged(url)
    line = str(finding.value).partition("\n")[0]
    assert line.startswith(f"Ray's head answers without a token at {url}, and the profile says ray.auth.mode = ")
    assert "it reports that its mode is 'disabled'. Start it with RAY_AUTH_MODE=token, or correct the profile" in line


async def test_a_ray_that_has_no_tokens_yet_is_a_finding_too() -> None:
    async with dashboard("") as url:
        with pytest.raises(
            AssertionError, match=r"answers without a token at .*: it knows no such mode, as before 2\.52"
        ):
            await judged(url)


@pytest.mark.parametrize("mode", ["", "disabled"])
async def test_a_fleet_without_tokens_is_not_asked_for_one(mode: str) -> None:
    async with dashboard(mode) as url:
        assert await judged(url, PLAIN, NONE.ray) == []


async def test_a_wrong_token_of_the_suite_decides_nothing() -> None:
    async with dashboard("token") as url:
        with pytest.raises(Inconclusive, match=r"refuses the suite's credentials, ray\.auth\.token .*403"):
            await judged(url, access=HttpAccess(OWN.section, OWN.key, {"Authorization": "Bearer old"}))
        with pytest.raises(Inconclusive, match=r"wants credentials \(401\)"):
            await judged(url, access=NONE.ray)


async def test_a_gateway_that_asks_is_not_ray() -> None:
    """With another token than Ray's own, which it keeps. What does not say how it is was asked for one all the same."""
    async with dashboard("disabled") as inner, gateway(inner, token=TOKEN) as url:
        with pytest.raises(AssertionError, match=r"asks for no token itself, behind .* its mode is 'disabled'"):
            await judged(url)
    async with dashboard("") as inner, gateway(inner, token=TOKEN) as url:
        assert await judged(url) == []


class AddsTheToken(Ray):
    """A dashboard behind something that lets everybody in."""

    async def lets_in_strangers(self, path: str) -> bool:
        del path
        return True


async def test_where_something_before_ray_adds_the_token_ray_asks_for_it_all_the_same() -> None:
    async with dashboard("token") as url:
        notes = await judged(url, client=AddsTheToken)
    assert notes == [f"{url} lets everybody in: something before Ray adds a token, which Ray itself asks for"]


async def test_an_error_for_strangers_decides_nothing() -> None:
    async with dashboard("token", status=503) as url:
        with pytest.raises(Inconclusive, match="with 503 where no credentials are sent"):
            await judged(url)
