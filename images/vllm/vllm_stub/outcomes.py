"""Carrying out a fault rule on one request. What a fault answers is made up here; the proxied server is not asked."""

from __future__ import annotations

import asyncio
from typing import Awaitable, Callable, Optional

from aiohttp import web

from vllm_stub.answers import Document, choice, completion, drop, model_rows, send_completion, send_part
from vllm_stub.chat import estimate_tokens
from vllm_stub.faults import Rule

OTHER_MODEL = "fault/another-model"
OTHER_MODEL_LEN = 40960
CONTENT = "An answer made up by a fault rule, in place of the model's."
PAGE = "<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>It works</h1></body></html>"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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


def _made_up(action: str, asked: Document) -> Document:
    """A well-formed completion with the one defect that ``action`` names."""
    model = OTHER_MODEL if action == "wrong-model" else str(asked.get("model") or "")
    content: Optional[str] = None if action == "null-content" else CONTENT
    choices = [] if action == "empty-choices" else [choice(0, content, "stop")]
    messages = asked.get("messages")
    prompt_tokens = estimate_tokens(messages if isinstance(messages, list) else [])
    return completion(model, choices, prompt_tokens, len(CONTENT.split(" ")) if choices else 0)
