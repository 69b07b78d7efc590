"""One question to a model server with OpenAI's HTTP API."""

from __future__ import annotations

from typing import Any, NamedTuple

import aiohttp


class Answer(NamedTuple):
    """The text, the model that wrote it, and how many tokens it has."""

    text: str
    model: str
    tokens: int


async def ask(base: str, model: str, office: str, question: str, heat: float, limit: int) -> Answer:
    """The answer of an office to a question, of at most `limit` tokens; the caller bounds the time.

    `base` ends in /v1. Raises ConnectionError where no server answers, and ValueError, with its own words, where it
    refuses or says nothing.
    """
    lines = [f"You vote for the office {office}. Answer in one sentence.", question]
    messages = [{"role": role, "content": line} for role, line in zip(("system", "user"), lines, strict=True)]
    body = {"model": model, "messages": messages, "temperature": heat, "max_tokens": limit}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
            session.post(f"{base}/chat/completions", json=body) as response,
        ):
            document: Any = await response.json(content_type=None)
            refused = response.status != 200
    except aiohttp.ClientError as error:
        raise ConnectionError(f"no connection to {base}: {error}") from error
    if refused:
        raise ValueError(f"{base} refuses: {(document.get('error') or {}).get('message') or document}")
    text = (document["choices"][0]["message"]["content"] or "").strip()
    if not text:
        raise ValueError(f"{model} wrote nothing")
    return Answer(text, str(document["model"]), int(document["usage"]["completion_tokens"]))
