"""The stand-in's routes."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Middleware

from vllm_stub import __version__
from vllm_stub.answers import completion, error, model_rows, send_completion
from vllm_stub.chat import Refused, read_chat
from vllm_stub.faults import CHAT_PATH, HEALTH_PATH, decode
from vllm_stub.interception import Handler, new_app
from vllm_stub.metrics import Counters
from vllm_stub.proposals import write

MODEL = web.AppKey("model", str)
ALIASES = web.AppKey("aliases", tuple)
MAX_MODEL_LEN = web.AppKey("max_model_len", int)
COUNTERS = web.AppKey("counters", Counters)
routes = web.RouteTableDef()


def make_app(
    model: str, max_model_len: int, api_keys: Sequence[str] = (), aliases: Sequence[str] = ()
) -> web.Application:
    """The stub as an application; ``max_model_len`` in tokens, as ``chat.estimate_tokens`` counts them.

    ``aliases``: further names of the model. With ``api_keys``, requests to ``/v1`` must carry one of them.
    """
    app = new_app()
    if api_keys:
        app.middlewares.insert(0, only_with(api_keys))
    app.middlewares.append(framework_errors)
    app[MODEL] = model
    app[ALIASES] = tuple(aliases)
    app[MAX_MODEL_LEN] = max_model_len
    app[COUNTERS] = Counters(model)
    app.add_routes(routes)
    return app


def only_with(api_keys: Sequence[str]) -> Middleware:
    """As vLLM's ``--api-key``: 401 below ``/v1`` without ``Authorization: Bearer KEY``; health and metrics are open."""

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        known = [hmac.compare_digest(given.strip().encode(), key.encode()) for key in api_keys]
        if (
            request.path.startswith("/v1")
            and request.method != "OPTIONS"
            and not (kind.lower() == "bearer" and any(known))
        ):
            return web.json_response({"error": "Unauthorized"}, status=401)
        return await handler(request)

    return authenticate


@web.middleware
async def framework_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Unknown routes and methods are answered as vLLM's web framework does: ``{"detail": reason}``."""
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as unknown:
        allow = {"Allow": unknown.headers["Allow"]} if "Allow" in unknown.headers else None
        return web.json_response({"detail": unknown.reason}, status=unknown.status, headers=allow)


@routes.get(HEALTH_PATH)
async def health(_: web.Request) -> web.Response:
    """200 with an empty body."""
    return web.Response()


@routes.get("/version")
async def version(_: web.Request) -> web.Response:
    """The vLLM version that is imitated, marked as a stub."""
    return web.json_response({"version": __version__})


@routes.get("/v1/models")
async def models(request: web.Request) -> web.Response:
    """The one model that is served, under each of its names."""
    app, aliases = request.app, request.app[ALIASES]
    return web.json_response(model_rows(app[MODEL], app[MAX_MODEL_LEN], aliases))


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """Prometheus text."""
    return web.Response(text=request.app[COUNTERS].exposition(), content_type="text/plain")


@routes.post(CHAT_PATH)
async def chat_completions(request: web.Request) -> web.StreamResponse:
    """A proposal made from the prompt, or vLLM's error."""
    if request.content_type != "application/json":
        message = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
        return web.json_response(error(400, "Bad Request", message), status=400)
    try:
        app, aliases = request.app, request.app[ALIASES]
        asked = read_chat(decode(await request.read()), app[MODEL], app[MAX_MODEL_LEN], aliases)
    except Refused as refused:
        return web.json_response(refused.document, status=refused.status)
    choices, completion_tokens = write(asked)
    counters = request.app[COUNTERS]
    counters.prompt_tokens += asked.prompt_tokens
    counters.generation_tokens += completion_tokens
    for one in choices:
        counters.finished[one["finish_reason"]] += 1
    counters.running += 1
    try:
        whole = completion(asked.model, choices, asked.prompt_tokens, completion_tokens)
        return await send_completion(request, whole, asked.stream, asked.include_usage)
    finally:
        counters.running -= 1
