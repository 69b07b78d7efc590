"""The stub's text: made from the prompt alone, so that the same request always gets the same proposal."""

from __future__ import annotations

import hashlib
import json

from vllm_stub.answers import Document, choice
from vllm_stub.chat import ChatRequest, texts_of

STEPS = (
    "write the failing test first",
    "keep the change behind one interface",
    "measure before and after",
    "name the invariant and assert it",
    "roll out to one worker, then to all",
    "make the operation idempotent",
    "log what was decided and why",
    "delete what nothing uses",
)
QUOTED_WORDS = 12


def write(request: ChatRequest) -> tuple[list[Document], int]:
    """The choices for ``request`` and the number of completion tokens, one per word."""
    choices, tokens = [], 0
    for index in range(request.n):
        words = _proposal(request, index).split(" ")
        kept = words[: request.max_tokens]
        tokens += len(kept)
        choices.append(choice(index, " ".join(kept), "stop" if len(kept) == len(words) else "length"))
    return choices, tokens


def _proposal(request: ChatRequest, index: int) -> str:
    """A sentence with a digest of messages and temperature, the start of the task, and steps that the digest picks."""
    seed = json.dumps([request.messages, request.temperature, index], sort_keys=True)
    digest = hashlib.sha256(seed.encode("utf-8")).hexdigest()
    task = " ".join(texts_of(request.messages)[-1].split()[:QUOTED_WORDS]) or "(no text)"
    steps = "; ".join(STEPS[int(digest[place], 16) % len(STEPS)] for place in range(3))
    return f"Stub-proposal {digest[:12]} at temperature {request.temperature:g}. Task: {task}. Plan: {steps}."
