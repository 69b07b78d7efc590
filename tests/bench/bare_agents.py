"""The floor for agent jobs: actors with as little as can be around what costs. Run in front of the load's
program, in its namespace, so that they need no runtime environment, as agents that are in the image need none."""

from __future__ import annotations

import json
from typing import Any

import ray

SUBJECT = "bench.bare"


@ray.remote(num_cpus=1)
class Idle:
    """Starts and answers: what any actor costs."""

    def __init__(self, **_: Any) -> None: ...

    async def run(self, **_: Any) -> None: ...


@ray.remote(num_cpus=1)
class Bare:
    """The same completion and publication as an agent job, and nothing else: no checks, no limits, no prompt."""

    def __init__(self, vllm_url: str, model: str, nats_url: str, max_tokens: int, **_: Any) -> None:
        self.vllm_url, self.nats_url = vllm_url, nats_url
        self.asked = {"model": model, "max_tokens": max_tokens}

    async def run(self, task_id: str, task_description: str, **_: Any) -> int:
        import aiohttp
        import nats

        connection = await nats.connect(self.nats_url)
        asked = dict(self.asked, messages=[{"role": "user", "content": task_description}])
        url = self.vllm_url + "/v1/chat/completions"
        async with aiohttp.ClientSession() as session, session.post(url, json=asked) as response:
            answer = await response.json()
        message = {"task_id": task_id, "content": answer["choices"][0]["message"]["content"]}
        ack = await connection.jetstream().publish(SUBJECT, json.dumps(message).encode())
        await connection.close()
        return int(ack.seq)
