"""Agents that differ."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from fixtures.clusters.base import Component
from fixtures.core.timeouts import TIMEOUTS
from tests.faults.catalogue.agent_ends import JOINED
from tests.faults.catalogue.agents import CLIENT, JOB, everywhere
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, agent_code, orchestrator_has, packages_in, stub_answers
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


DECORATED = "@ray.remote(num_cpus=1, max_restarts=2, max_task_retries=2"  # where the class is defined
DETACHED = Edit(JOB, f"{DECORATED})\n", f'{DECORATED}, lifetime="detached")\n')


async def is_detached(target: EmbeddedTarget) -> bool:
    nodes = [*target.members(Component.RAY_HEAD), *target.members(Component.RAY_WORKER)]
    return all('lifetime="detached")' in (packages_in(node.folder) / JOB).read_text(encoding="utf-8") for node in nodes)


async def is_a_plain_class(target: EmbeddedTarget) -> bool:
    nodes = [*target.members(Component.RAY_HEAD), *target.members(Component.RAY_WORKER)]
    return all("@ray.remote" not in (packages_in(node.folder) / JOB).read_text(encoding="utf-8") for node in nodes)


#: The class as Python's own: nothing decorates it, run() is a plain function, and its coroutines are elsewhere.
PLAIN_CLASS = (
    Edit(JOB, f"{DECORATED})\n", ""),
    Edit(JOB, "    async def run(\n", "    def run(\n"),
    Edit(
        JOB,
        JOINED,
        "        if task_id not in self._runs:\n"
        "            work = _Work(self)._run(task_id, task_description, constraints or {}, diversity)\n"
        "            self._runs[task_id] = asyncio.run(work)\n"
        "        return self._runs[task_id]\n",
    ),
    Edit(
        JOB,
        "    async def _run(\n",
        '\nclass _Work:\n    """One run of an agent."""\n\n'
        "    def __init__(self, agent: Any) -> None:\n        self.__dict__.update(agent.__dict__)\n\n"
        "    async def _run(\n",
    ),
)

#: Constructor and method take what the contract gives them, and more.
TAKES_MORE = (
    Edit(
        JOB, "        enable_tools: bool = False,\n", "        enable_tools: bool = False,\n        **further: Any,\n"
    ),
    Edit(
        JOB,
        "constraints: Optional[Dict[str, Any]] = None, diversity: bool = False\n",
        "constraints: Optional[Dict[str, Any]] = None, diversity: bool = False, *, priority: int = 0\n",
    ),
)


async def takes_more(target: EmbeddedTarget) -> bool:
    nodes = [*target.members(Component.RAY_HEAD), *target.members(Component.RAY_WORKER)]
    texts = [(packages_in(node.folder) / JOB).read_text(encoding="utf-8") for node in nodes]
    return all("**further: Any" in text and "priority: int = 0" in text for text in texts)


#: As clients of OpenAI's API do by default: two more requests where the server is to blame, or could not be reached.
TRIES_AGAIN = (
    Edit(CLIENT, "import json\n", "import asyncio\nimport json\n"),
    Edit(CLIENT, "async def chat(", "async def _once("),
    Edit(
        CLIENT,
        "def _completion(",
        "async def chat(*words, **named) -> Completion:\n"
        "    for seconds in (0.2, 0.4):\n"
        "        try:\n"
        "            return await _once(*words, **named)\n"
        "        except ConnectionError:\n"
        "            pass\n"
        "        except RuntimeError as error:\n"
        "            if not str(error).startswith(('vLLM answered 5', 'vLLM answered 429')):\n"
        "                raise\n"
        "        await asyncio.sleep(seconds)\n"
        "    return await _once(*words, **named)\n"
        "\n\ndef _completion(",
    ),
)


async def try_again(target: EmbeddedTarget) -> bool:
    nodes = target.members(Component.RAY_WORKER)
    return all("async def _once(" in (packages_in(node.folder) / CLIENT).read_text(encoding="utf-8") for node in nodes)


VARIANTS = (
    Variant(
        name="agents-try-again",
        description="agents ask the model up to three times where it fails, cannot be reached, or has too much to do",
        apply=agent_code(*TRIES_AGAIN),
        is_present=try_again,
        stretches=("JOB-08", "JOB-09", "JOB-10", "ORC-07", "ORC-08"),
    ),
    Variant(
        name="agent-is-detached",
        description="the decorator of the agent's class has its actors live until somebody kills them",
        apply=everywhere(DETACHED),
        is_present=is_detached,
        stretches=("JOB-02", "JOB-11", "LOAD-01"),
    ),
    Variant(
        name="agent-is-a-plain-class",
        description="nothing decorates the agent's class, and its run() is no coroutine",
        apply=everywhere(*PLAIN_CLASS),
        is_present=is_a_plain_class,
        stretches=(
            *("JOB-01", "JOB-02", "JOB-03", "JOB-04", "JOB-05", "JOB-06", "JOB-07", "JOB-08", "JOB-09", "JOB-10"),
            *("JOB-11", "JOB-12", "JOB-13", "JOB-14", "DEP-07", "ORC-04", "ORC-19", "LOAD-01"),
        ),
    ),
    Variant(
        name="agent-takes-more-keywords",
        description="the agent's class and its run() take further keywords, named ones with defaults and any others",
        apply=everywhere(*TAKES_MORE),
        is_present=takes_more,
        stretches=("DEP-12", "JOB-02", "JOB-04", "JOB-14"),
    ),
    Variant(
        name="model-thinks-first",
        description="a model with a reasoning parser: the first 64 tokens of each answer are thoughts, and no content",
        apply=model_thinks_first,
        is_present=model_thinks,
        profile={"agent.max_tokens": MAX_TOKENS},
        stretches=("JOB-04", "JOB-05", "JOB-06", "JOB-07", "ORC-19", "LOAD-01", "E2E-01"),
    ),
)
