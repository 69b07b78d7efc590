"""What happens before every request, in stub and proxy alike: note the prompt, apply a fault, debug routes.

What a fault answers is made up here; the proxied server is not asked. The prompts let a check see what really arrived;
those of anybody but the suite are not kept. Debug routes are for who has the token of FAULT_PROXY_TOKEN.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import re
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
MAX_PROMPT_BYTES = 8 * 2**20
"""Of the bodies of all prompts that are kept: the oldest go first."""
OF_A_RUN = re.compile(r"\bfc-[0-9a-f]{6}\b")
"""The id of a run of the suite, which is in each of its tasks."""
TOKEN_VARIABLE = "FAULT_PROXY_TOKEN"
TOKEN_HEADER = "X-Fault-Proxy-Token"
READY_PATH = "/debug/ready"
PROMPT_FIELDS = ("model", "messages", "temperature", "max_tokens", "stream")

OTHER_MODEL = "fault/another-model"
OTHER_MODEL_LEN = 40960
CONTENT = "An answer made up by a fault rule, in place of the model's."
THOUGHT = "Thinking that a fault rule made up, cut off at max_tokens."
PAGE = "<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>It works</h1></body></html>"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PromptLog:
    """The last prompts of the suite's runs, within MAX_PROMPTS and MAX_PROMPT_BYTES."""

    def __init__(self) -> None:
        self._rows: deque[tuple[Document, int]] = deque()
        self._bytes = 0

    def add(self, prompt: Document, size: int) -> None:
        """Keep a prompt of a run, whose body had ``size`` bytes; any other is forgotten."""
        if size > MAX_PROMPT_BYTES or not any(OF_A_RUN.search(text) for text in strings(prompt["messages"])):
            return
        self._rows.append((prompt, size))
        self._bytes += size
        while len(self._rows) > MAX_PROMPTS or self._bytes > MAX_PROMPT_BYTES:
            self._bytes -= self._rows.popleft()[1]

    def with_text(self, contains: str) -> list[Document]:
        """Those with this text in one of their strings, oldest first."""
        return [row for row, _ in self._rows if any(contains in text for text in strings(row["messages"]))]


FAULTS = web.AppKey("faults", FaultBook)
PROMPTS = web.AppKey("prompts", PromptLog)
TOKEN = web.AppKey("token", str)
debug = web.RouteTableDef()


def new_app() -> web.Application:
    """An application with the debug routes and the interception; the caller adds what it intercepts."""
    app = web.Application(middlewares=[intercept], client_max_size=MAX_BODY_BYTES)
    app[FAULTS] = FaultBook()
    app[PROMPTS] = PromptLog()
    app[TOKEN] = os.environ.get(TOKEN_VARIABLE, "")
    app.add_routes(debug)
    app.on_shutdown.append(release)  # type: ignore[arg-type]  # aiohttp's type wants a synchronous return of Awaitable
    return app


@web.middleware
async def intercept(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every request but those to the debug routes: keep its prompt, then the first fault that fits, else the answer."""
    if request.path.split("/", 2)[1] == "debug":
        refused = request.path != READY_PATH and refusal(request)
        return web.json_response({"error": refused}, status=401) if refused else await handler(request)
    body = await request.read()
    document = decode(body)
    rule = request.app[FAULTS].take(request.path, body, document)
    prompt: Document = {"time": time.time(), "answered": None, "fault": rule.id if rule else None}
    if request.path == CHAT_PATH and isinstance(document, dict):
        prompt.update((name, document.get(name)) for name in PROMPT_FIELDS)
        request.app[PROMPTS].add(prompt, len(body))
    response = await handler(request) if rule is None else await carry_out(rule, request, document, handler)
    prompt["answered"] = time.time()
    return response


def refusal(request: web.Request) -> str:
    """Why a request may not use the debug routes; "" where it may."""
    token = request.app[TOKEN]
    if not token:
        return f"this server was started without {TOKEN_VARIABLE}: nobody may use its debug routes"
    given = request.headers.get(TOKEN_HEADER, "")
    return "" if hmac.compare_digest(given.encode(), token.encode()) else f"{TOKEN_HEADER} is not this server's token"


@debug.get(READY_PATH)
async def ready(_: web.Request) -> web.Response:
    """That this server answers, whatever becomes of its upstream. It needs no token."""
    return web.json_response({})


@debug.get("/debug/prompts")
async def list_prompts(request: web.Request) -> web.Response:
    """The last requests of the suite's runs, oldest first; those with ``contains`` in a string of their messages.

    Times are Unix seconds; ``answered`` is null until the answer was ready, ``fault`` where no rule was applied.
    """
    return web.json_response({"prompts": request.app[PROMPTS].with_text(request.query.get("contains", ""))})


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
