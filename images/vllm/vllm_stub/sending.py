"""Putting an answer on the wire: as JSON, as an event stream, whole or cut off."""

from __future__ import annotations

import json

from aiohttp import web

from vllm_stub.answers import Document, chunks

EVENT_STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}
DONE = b"data: [DONE]\n\n"


def drop(request: web.Request) -> None:
    """Close the client's connection once what was written has been sent."""
    if request.transport is not None:
        request.transport.close()


async def send_completion(
    request: web.Request, whole: Document, stream: bool, include_usage: bool = False
) -> web.StreamResponse:
    """Answer with a completion, as JSON or as an event stream."""
    if not stream:
        return web.json_response(whole)
    response = web.StreamResponse(headers=EVENT_STREAM)
    await response.prepare(request)
    for document in chunks(whole, include_usage):
        await response.write(event(document))
    await response.write(DONE)
    return response


async def send_part(request: web.Request, whole: Document, stream: bool) -> web.StreamResponse:
    """Begin an answer that promises more than it sends, then drop the connection: no end of stream, no last byte."""
    if stream:
        headers, body = EVENT_STREAM, b"".join(event(document) for document in chunks(whole, include_usage=False))
    else:
        body = json.dumps(whole).encode("utf-8")
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    drop(request)
    return response


def event(document: Document) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(document, separators=(",", ":")).encode("utf-8") + b"\n\n"
