"""What happens before every request, in stub and proxy alike: note the prompt, apply a fault, debug routes.

What a fault answers is made up here; the proxied server is not asked. The prompts let a check see what really arrived.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Awaitable, Callable, Optional

from aiohttp import web

from vllm_stub.answers import Document, choice, completion, drop, model_rows, send_completion, send_part
from vllm_stub.chat import estimate_tokens
from vllm_stub.faults import ACTIONS, CHAT_PATH, BadRule, FaultBook, Rule, decode, parse_rule, strings

MAX_BODY_BYTES = 64 * 2**20
"""Of a request; larger ones are refused with 413."""
MAX_PROMPTS = 1000
PROMPT_FIELDS = ("model", "messages", "temperature", "max_tokens", "stream")

OTHER_MODEL = "fault/another-model"
OTHER_MODEL_LEN = 40960
CONTENT = "An answer made up by a fault rule, in place of the model's."
THOUGHT = "Thinking that a fault rule made up, cut off at max_tokens."
PAGE = "<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>It works</h1></body></html>"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
FAULTS = web.AppKey("faults", FaultBook)
PROMPTS: web.AppKey["deque[Document]"] = web.AppKey("prompts", deque)
debug = web.RouteTableDef()


def new_app() -> web.Application:
    """An application with the debug routes and the interception; the caller adds what it intercepts."""
    app = web.Application(middlewares=[intercept], client_max_size=MAX_BODY_BYTES)
    app[FAULTS] = FaultBook()
    app[PROMPTS] = deque(maxlen=MAX_PROMPTS)
    app.add_routes(debug)
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
    prompt: Document = {"time": time.time(), "answered": None, "fault": rule.id if rule else None}
    if request.path == CHAT_PATH and isinstance(document, dict):
        prompt.update((name, document.get(name)) for name in PROMPT_FIELDS)
        request.app[PROMPTS].append(prompt)
    response = await handler(request) if rule is None else await carry_out(rule, request, document, handler)
    prompt["answered"] = time.time()
    return response


@debug.get("/debug/prompts")
async def list_prompts(request: web.Request) -> web.Response:
    """The last requests, oldest first, all or those with ``contains`` in one of the strings of their messages.

    Times are Unix seconds; ``answered`` is null until the answer was ready, ``fault`` where no rule was applied.
    """
    contains = request.query.get("contains", "")
    prompts = [row for row in request.app[PROMPTS] if any(contains in text for text in strings(row["messages"]))]
    return web.json_response({"prompts": prompts})


@debug.get("/debug/faults")
async def list_faults(request: web.Request) -> web.Response:
    """The rules in force with their hits, and the actions there are."""
    rules = request.app[FAULTS].rules.values()
    return web.json_response({"faults": [rule.as_document() for rule in rules], "actions": ACTIONS})


@debug.post("/debug/faults")
async def add_fault(request: web.Request) -> web.Response:
    """201 with the rule, 400 with ``error`` for one that cannot be used."""
    try:
        rule = parse_rule(decode(await request.read()))
        request.app[FAULTS].add(rule)
    except BadRule as bad:
        return web.json_response({"error": str(bad)}, status=400)
    return web.json_response(rule.as_document(), status=201)


@debug.delete("/debug/faults/{id}")
async def remove_fault(request: web.Request) -> web.Response:
    """200, or 404 for an id that is not there."""
    rule_id = request.match_info["id"]
    if not request.app[FAULTS].remove(rule_id):
        return web.json_response({"error": f"no fault rule {rule_id!r}"}, status=404)
    return web.json_response({"removed": 1})


@debug.delete("/debug/faults")
async def clear_faults(request: web.Request) -> web.Response:
    """Ends all rules."""
    book = request.app[FAULTS]
    return web.json_response({"removed": book.remove(*book.rules)})


@debug.route("*", "/debug{rest:(/.*)?}")
async def no_debug_route(request: web.Request) -> web.Response:
    """Debug paths are never passed on to the server."""
    return web.json_response({"error": f"no debug route {request.method} {request.path}"}, status=404)


async def release(app: web.Application) -> None:
    """At shutdown, let go of the requests that faults keep waiting."""
    app[FAULTS].remove(*app[FAULTS].rules)


async def carry_out(rule: Rule, request: web.Request, document: object, answer: Handler) -> web.StreamResponse:
    """Answer ``request`` as ``rule`` says; ``answer`` is the normal way."""
    if rule.action == "delay":
        await asyncio.sleep(rule.seconds)
        return await answer(request)
    if rule.action == "hold":
        await rule.removed.wait()
        return await answer(request)
    if rule.action == "hang":
        await rule.removed.wait()
    if rule.action in ("hang", "close"):
        drop(request)
        return web.Response()
    if rule.action == "status":
        return _status(rule)
    if rule.action == "unhealthy":
        return web.Response(status=503)
    if rule.action == "html":
        return web.Response(text=PAGE, content_type="text/html")
    asked = document if isinstance(document, dict) else {}
    if rule.action == "think":
        limit = asked.get("max_completion_tokens") or asked.get("max_tokens")
        if not isinstance(limit, int) or limit > rule.tokens:
            return await answer(request)
        return await send_completion(request, _thought(asked, limit), asked.get("stream") is True)
    if rule.action == "wrong-model" and request.method == "GET":
        return web.json_response(model_rows(OTHER_MODEL, OTHER_MODEL_LEN))
    stream = asked.get("stream") is True
    whole = _made_up(rule.action, asked)
    if rule.action == "cut-stream":
        return await send_part(request, whole, stream)
    return await send_completion(request, whole, stream)


def _status(rule: Rule) -> web.Response:
    if rule.body is None or isinstance(rule.body, str):
        return web.Response(status=rule.code, text=rule.body or "")
    return web.json_response(rule.body, status=rule.code)


def _thought(asked: Document, limit: int) -> Document:
    """What vLLM answers with a reasoning parser when ``max_tokens`` ends before the model's thinking does.

    https://docs.vllm.ai/en/latest/features/reasoning_outputs.html
    """
    part = choice(0, None, "length")
    part["message"]["reasoning"] = THOUGHT
    return completion(str(asked.get("model") or ""), [part], _prompt_tokens(asked), limit)


def _made_up(action: str, asked: Document) -> Document:
    """A well-formed completion with the one defect that ``action`` names."""
    model = OTHER_MODEL if action == "wrong-model" else str(asked.get("model") or "")
    content: Optional[str] = None if action == "null-content" else CONTENT
    choices = [] if action == "empty-choices" else [choice(0, content, "stop")]
    return completion(model, choices, _prompt_tokens(asked), len(CONTENT.split(" ")) if choices else 0)


def _prompt_tokens(asked: Document) -> int:
    messages = asked.get("messages")
    return estimate_tokens(messages if isinstance(messages, list) else [])
