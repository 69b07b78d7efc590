"""What happens before every request, in stub and proxy alike: note the prompt, apply a fault, debug routes."""

from __future__ import annotations

import time

from aiohttp import web

from vllm_stub.faults import ACTIONS, CHAT_PATH, BadRule, FaultBook, parse_rule
from vllm_stub.outcomes import Handler, carry_out
from vllm_stub.prompts import PromptLog, decode

LARGEST_BODY = 64 * 2**20
"""Bytes of a request body; larger ones are refused with 413."""

FAULTS = web.AppKey("faults", FaultBook)
PROMPTS = web.AppKey("prompts", PromptLog)


def new_app() -> web.Application:
    """An application with the debug routes and the interception; the caller adds what it intercepts."""
    app = web.Application(middlewares=[intercept], client_max_size=LARGEST_BODY)
    app[FAULTS] = FaultBook()
    app[PROMPTS] = PromptLog()
    app.router.add_get("/debug/prompts", list_prompts)
    app.router.add_get("/debug/faults", list_faults)
    app.router.add_post("/debug/faults", add_fault)
    app.router.add_delete("/debug/faults", clear_faults)
    app.router.add_delete("/debug/faults/{id}", remove_fault)
    app.router.add_route("*", "/debug{rest:(/.*)?}", no_debug_route)
    app.on_shutdown.append(release)  # type: ignore[arg-type]  # aiohttp's type wants a synchronous return of Awaitable
    return app


@web.middleware
async def intercept(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every request but those to the debug routes: keep its prompt, then the first fault that fits, else the answer."""
    if request.path.split("/", 2)[1] == "debug":
        return await handler(request)
    body = await request.read()
    document = decode(body)
    rule = request.app[FAULTS].take(request.path, body, document)
    row = None
    if request.path == CHAT_PATH and isinstance(document, dict):
        row = request.app[PROMPTS].add(document, fault=rule.id if rule else None)
    response = await handler(request) if rule is None else await carry_out(rule, request, document, handler)
    if row is not None:
        row["answered"] = time.time()
    return response


async def list_prompts(request: web.Request) -> web.Response:
    """``GET /debug/prompts?contains=TEXT``: the last requests, oldest first."""
    return web.json_response({"prompts": request.app[PROMPTS].find(request.query.get("contains", ""))})


async def list_faults(request: web.Request) -> web.Response:
    """``GET /debug/faults``: the rules in force with their hits, and the actions there are."""
    return web.json_response({"faults": request.app[FAULTS].listing(), "actions": ACTIONS})


async def add_fault(request: web.Request) -> web.Response:
    """``POST /debug/faults``: 201 with the rule, 400 with ``error`` for one that cannot be used."""
    try:
        rule = parse_rule(decode(await request.read()))
        request.app[FAULTS].add(rule)
    except BadRule as bad:
        return web.json_response({"error": str(bad)}, status=400)
    return web.json_response(rule.as_document(), status=201)


async def remove_fault(request: web.Request) -> web.Response:
    """``DELETE /debug/faults/ID``: 200, or 404 for an id that is not there."""
    rule_id = request.match_info["id"]
    if not request.app[FAULTS].remove(rule_id):
        return web.json_response({"error": f"no fault rule {rule_id!r}"}, status=404)
    return web.json_response({"removed": 1})


async def clear_faults(request: web.Request) -> web.Response:
    """``DELETE /debug/faults``: ends all rules."""
    return web.json_response({"removed": request.app[FAULTS].clear()})


async def no_debug_route(request: web.Request) -> web.Response:
    """Debug paths are never passed on to the server."""
    return web.json_response({"error": f"no debug route {request.method} {request.path}"}, status=404)


async def release(app: web.Application) -> None:
    """At shutdown, let go of the requests that faults keep waiting."""
    app[FAULTS].clear()
