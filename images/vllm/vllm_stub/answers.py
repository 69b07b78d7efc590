"""The documents a vLLM server sends (model rows, completions, chunks of a stream, errors), and their way onto the wire.

Shapes were compared with vLLM's own answers; fields that vLLM always sends as null are left out where no client of
this suite reads them.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Sequence
from typing import Any, Iterator, Optional

from aiohttp import web

Document = dict[str, Any]
EVENT_STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}


def error(code: int, kind: str, message: str, param: Optional[str] = None) -> Document:
    """vLLM's error document; ``code`` repeats the HTTP status."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def model_rows(model: str, max_model_len: int, aliases: Sequence[str] = ()) -> Document:
    """The answer of ``/v1/models``; ``created`` is the time of the answer (Unix seconds), as with vLLM."""
    row = {
        "object": "model",
        "created": int(time.time()),
        "owned_by": "vllm-stub",
        "root": model,
        "parent": None,
        "max_model_len": max_model_len,
        "permission": [],
    }
    return {"object": "list", "data": [{"id": name, **row} for name in (model, *aliases)]}


def choice(index: int, content: Optional[str], finish_reason: str) -> Document:
    """One choice of a chat completion."""
    return {
        "index": index,
        "message": {"role": "assistant", "content": content, "refusal": None, "reasoning": None},
        "logprobs": None,
        "finish_reason": finish_reason,
        "stop_reason": None,
    }


def completion(model: str, choices: list[Document], prompt_tokens: int, completion_tokens: int) -> Document:
    """A chat completion."""
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex[:16]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "service_tier": None,
        "system_fingerprint": "vllm-stub",
        "usage": {
            "prompt_tokens": prompt_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "completion_tokens": completion_tokens,
            "prompt_tokens_details": None,
        },
    }


def chunks(whole: Document, include_usage: bool) -> Iterator[Document]:
    """The events of a streamed answer with the contents of ``whole``: roles, words, then usage if asked for."""
    head = {"id": whole["id"], "object": "chat.completion.chunk", "created": whole["created"], "model": whole["model"]}

    def chunk(index: int, delta: Document, finish_reason: Optional[str] = None) -> Document:
        return {**head, "choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]}

    for part in whole["choices"]:
        yield chunk(part["index"], {"role": "assistant", "content": ""})
    for part in whole["choices"]:
        content = part["message"]["content"]
        words = re.split("(?= )", content) if content else [None]  # each with the space before it
        for number, word in enumerate(words, start=1):
            last = part["finish_reason"] if number == len(words) else None
            yield chunk(part["index"], {"content": word}, last)
    if include_usage or not whole["choices"]:
        yield {**head, "choices": [], **({"usage": whole["usage"]} if include_usage else {})}


def events(whole: Document, include_usage: bool) -> list[bytes]:
    """``whole`` as server-sent events, but for the end of the stream."""
    documents = (json.dumps(document, separators=(",", ":")) for document in chunks(whole, include_usage))
    return [f"data: {document}\n\n".encode() for document in documents]


async def send_completion(
    request: web.Request, whole: Document, stream: bool, include_usage: bool = False
) -> web.StreamResponse:
    """Answer with a completion, as JSON or as an event stream."""
    if not stream:
        return web.json_response(whole)
    response = web.StreamResponse(headers=EVENT_STREAM)
    await response.prepare(request)
    for event in [*events(whole, include_usage), b"data: [DONE]\n\n"]:
        await response.write(event)
    return response


async def send_part(request: web.Request, whole: Document, stream: bool) -> web.StreamResponse:
    """Begin an answer that promises more than it sends, then drop the connection: no end of stream, no last byte."""
    if stream:
        headers, body = EVENT_STREAM, b"".join(events(whole, include_usage=False))
    else:
        body = json.dumps(whole).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    drop(request)
    return response


def drop(request: web.Request) -> None:
    """Close the client's connection once what was written has been sent."""
    if request.transport is not None:
        request.transport.close()
