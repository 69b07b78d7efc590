"""``python -m vllm_stub.proxy``: a transparent HTTP proxy that can make things go wrong.

It is between the agents and a vLLM server, real or stub. Requests are read whole, answers are passed on as they
come. Without fault rules it changes nothing but the connection: same status, headers and bytes.
"""

from __future__ import annotations

import argparse
from typing import AsyncIterator, Iterable, Mapping

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from multidict import CIMultiDict
from yarl import URL

from vllm_stub.answers import drop, error
from vllm_stub.interception import new_app
from vllm_stub.launch import add_address, serve

CONNECT_S = 10.0
"""Seconds to connect to the upstream. There is no other limit: how long to wait is the client's decision."""

PER_CONNECTION = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
"""Headers of one connection, which are not passed on (RFC 9110, 7.6.1); those that Connection names are not either."""

UPSTREAM = web.AppKey("upstream", URL)
CLIENT = web.AppKey("client", ClientSession)


def make_app(upstream: URL) -> web.Application:
    """The proxy as an application."""
    app = new_app()
    app[UPSTREAM] = upstream
    app.cleanup_ctx.append(client_session)
    app.router.add_route("*", "/{rest:.*}", forward)
    return app


async def client_session(app: web.Application) -> AsyncIterator[None]:
    """One session towards the upstream; a connection per request, so that a stale one can never look like a fault."""
    connector = TCPConnector(limit=0, force_close=True)
    timeout = ClientTimeout(total=None, sock_connect=CONNECT_S)
    async with ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        app[CLIENT] = session
        yield


def passed_on(headers: Mapping[str, str], also_without: Iterable[str] = ()) -> CIMultiDict[str]:
    """``headers`` without those that concern one connection."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    dropped = PER_CONNECTION | named | set(also_without)
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


async def forward(request: web.Request) -> web.StreamResponse:
    """Pass the request on and the answer back. An upstream that cannot be asked is a 502; one that breaks off in the
    middle of its answer breaks off here too. When the client goes, the request upstream is cancelled."""
    upstream = request.app[UPSTREAM]
    target = upstream.with_path(request.rel_url.raw_path, encoded=True).with_query(None)
    if request.rel_url.raw_query_string:
        target = URL(f"{target}?{request.rel_url.raw_query_string}", encoded=True)
    body = await request.read()
    try:
        answer = await request.app[CLIENT].request(
            request.method,
            target,
            headers=passed_on(request.headers, also_without={"host", "content-length"}),
            data=body or None,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
    except (ClientError, OSError) as cause:
        message = f"The fault proxy cannot reach its upstream {upstream}: {cause or type(cause).__name__}"
        return web.json_response(error(502, "BadGatewayError", message), status=502)
    async with answer:
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=passed_on(answer.headers))
        await response.prepare(request)
        try:
            async for part in answer.content.iter_any():
                await response.write(part)
        except ClientError:
            drop(request)
        return response


def http_url(text: str) -> URL:
    """A base URL with scheme, host and port, for argparse."""
    url = URL(text)
    if url.scheme not in ("http", "https") or not url.host or url.path not in ("", "/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a base URL such as http://127.0.0.1:8000")
    return url


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="vllm_stub.proxy", description="A fault-injecting HTTP proxy before vLLM.")
    add_address(parser)
    parser.add_argument("--upstream", type=http_url, required=True, metavar="URL", help="server to pass requests on to")
    arguments = parser.parse_args()
    serve(make_app(arguments.upstream), f"fault proxy for {arguments.upstream}", arguments.host, arguments.port)


if __name__ == "__main__":
    main()
