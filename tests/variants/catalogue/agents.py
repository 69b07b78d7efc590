"""Agents that differ."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from fixtures.core.timeouts import TIMEOUTS
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import orchestrator_has, stub_answers
from tests.variants.model import Variant

THOUGHT = 64  # tokens that the model spends before it says anything
MAX_TOKENS = 512  # tokens: what production grants there


@asynccontextmanager
async def model_thinks_first(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The model server has a reasoning parser; the orchestrators' agents leave it room."""
    rule = stub_answers({"action": "think", "tokens": THOUGHT})
    async with rule(target), orchestrator_has(MAX_TOKENS=str(MAX_TOKENS))(target):
        yield


async def model_thinks(target: EmbeddedTarget) -> bool:
    """Whether a short question gets no content, and a longer one gets some."""
    profile, contents = target.cluster.profile, []
    async with httpx.AsyncClient(
        base_url=target.cluster.endpoints.vllm, trust_env=False, timeout=TIMEOUTS.request
    ) as http:
        for limit in (THOUGHT, MAX_TOKENS):
            question = {"model": profile.vllm.model, "messages": [{"role": "user", "content": "Do you think?"}]}
            answer = await http.post("/v1/chat/completions", json=question | {"max_tokens": limit})
            contents.append(answer.json()["choices"][0]["message"]["content"])
    return contents[0] is None and bool(contents[1])


VARIANTS = (
    Variant(
        name="model-thinks-first",
        description="a model with a reasoning parser: the first 64 tokens of each answer are thoughts, and no content",
        apply=model_thinks_first,
        is_present=model_thinks,
        profile={"agent.max_tokens": MAX_TOKENS},
        stretches=("JOB-04", "JOB-05", "JOB-06", "JOB-07", "LOAD-01", "E2E-01"),
    ),
)
