"""One chat completion from a vLLM server (OpenAI-compatible HTTP API)."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import aiohttp


class Completion(NamedTuple):
    """A non-empty answer, the number of tokens that vLLM generated for it, and the model it names as its author."""

    content: str
    tokens: int
    model: str


async def chat(url: str, model: str, system: str, user: str, temperature: float, max_tokens: int) -> Completion:
    """Ask for a completion; the caller bounds the time.

    Raises `ConnectionError` when the server cannot be reached or breaks off, `RuntimeError` with the model's name
    and vLLM's own message when it refuses, `ValueError` when its answer holds no text.
    """
    request = {
        "model": model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
        "temperature": temperature,
        "max_tokens": max_tokens,
    }
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
            session.post(f"{url.rstrip('/')}/v1/chat/completions", json=request) as response,
        ):
            status, body = response.status, await response.text()
    except aiohttp.ClientError as error:
        raise ConnectionError(f"vLLM at {url} cannot be reached: {error}") from error
    if status != 200:
        raise RuntimeError(f"vLLM answered {status} for model '{model}': {_reason(body)}")
    return _completion(body, model)


def _completion(body: str, model: str) -> Completion:
    try:
        answer = json.loads(body)
        content = answer["choices"][0]["message"]["content"]
        tokens = int(answer["usage"]["completion_tokens"])
        author = str(answer.get("model") or model)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"vLLM's answer for model '{model}' is not a chat completion: {body[:200]}") from error
    if not isinstance(content, str) or not content.strip():
        # A reasoning parser leaves `content: null` when the model spends all its tokens on thinking.
        raise ValueError(f"vLLM's answer for model '{model}' has no content (content is {content!r})")
    return Completion(content, tokens, author)


def _reason(body: str) -> str:
    """vLLM's error message, from either form it has used: `{"error": {...}}` or a bare error object."""
    try:
        answer: Any = json.loads(body)
    except ValueError:
        return body[:500]
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if isinstance(error, dict) and "message" in error:
        return f"{error.get('type', 'error')}: {error['message']}"
    return str(error)[:500]
