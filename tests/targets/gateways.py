"""An HTTP gateway before a service, as companies have them: another path, a token, compressed answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientSession, web
from yarl import URL

LOOPBACK = "127.0.0.1"
LARGEST_REQUEST = 64 << 20  # bytes: uploaded packages
ADDED = {"Server": "gateway", "Via": "1.1 gateway", "Strict-Transport-Security": "max-age=31536000"}
#: Of one connection, or made anew. Source: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
NOT_PASSED_ON = frozenset({"accept-encoding", "authorization", "connection", "content-length", "host"})
NOT_PASSED_ON |= {"transfer-encoding"}


@asynccontextmanager
async def gateway(upstream: str, *, prefix: str = "", token: str = "", compresses: bool = False) -> AsyncIterator[str]:
    """The URL at which a gateway shows the HTTP service at `upstream` (a URL), below `prefix`.

    With a `token` it wants it as `Authorization: Bearer`, and keeps it. `compresses`: gzip, in chunks of no known
    length, whatever the client accepts.
    """

    async def pass_on(request: web.Request) -> web.StreamResponse:
        if token and request.headers.get("Authorization") != f"Bearer {token}":
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        if not request.raw_path.startswith(f"{prefix}/"):
            return web.Response(status=404)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in NOT_PASSED_ON}
        url = URL(upstream + request.raw_path.removeprefix(prefix), encoded=True)
        content = await request.read()
        async with session.request(request.method, url, data=content, headers=headers, allow_redirects=False) as answer:
            body, kind = await answer.read(), answer.headers.get("Content-Type", "application/octet-stream")
            response = web.Response(status=answer.status, body=body, headers={**ADDED, "Content-Type": kind})
        if compresses:
            response.enable_chunked_encoding()
            response.enable_compression(web.ContentCoding.gzip)
        return response

    application = web.Application(client_max_size=LARGEST_REQUEST)
    application.router.add_route("*", "/{path:.*}", pass_on)
    runner = web.AppRunner(application, access_log=None)
    async with ClientSession() as session:
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, 0).start()
            yield f"http://{LOOPBACK}:{runner.addresses[0][1]}{prefix}"
        finally:
            await runner.cleanup()
