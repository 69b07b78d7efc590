"""The agent job: one proposal from vLLM, published on JetStream and returned to the submitter."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Dict, Optional

import ray

from swe_ai_fleet.orchestrator.ray_jobs import messages, prompts

DIVERSITY_FACTOR = 1.3
REPORT_SECONDS = 3.0
"""What is granted beyond the job's own timeout to publish its failure; a conformant job has five seconds."""


@ray.remote(num_cpus=1, max_restarts=2, max_task_retries=2)
class VLLMAgentJob:
    """Ray actor that answers one task.

    `max_task_retries` belongs to `max_restarts`: without it a worker crash restarts the actor but loses the call.
    """

    def __init__(
        self,
        agent_id: str,
        role: str,
        vllm_url: str,
        model: str,
        nats_url: str,
        temperature: float = 0.7,
        max_tokens: int = 2048,
        timeout: float = 60,
        workspace_path: Optional[str] = None,
        enable_tools: bool = False,
    ) -> None:
        """`timeout` is in seconds and covers a whole run; URLs are `http://host:port` and `nats://host:port`."""
        self.agent_id = agent_id
        self.role = role
        self.vllm_url = vllm_url
        self.model = model
        self.nats_url = nats_url
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.timeout = timeout
        self.workspace_path = workspace_path
        self.enable_tools = enable_tools
        self._runs: Dict[str, asyncio.Task[Dict[str, Any]]] = {}

    async def run(
        self, task_id: str, task_description: str, constraints: Optional[Dict[str, Any]] = None, diversity: bool = False
    ) -> Dict[str, Any]:
        """Publish the proposal for a task and return what was published.

        Asked again for a task it already works on or has done, it joins that run: the replica that takes over the watch
        from a dead submitter gets the same answer, and nothing is published twice.

        Raises whatever made the run fail, after `agent.response.failed` went out where NATS is reachable:
        `ModuleNotFoundError` (`.name == "nats"`), `ConnectionError`, `TimeoutError`, `RuntimeError` (vLLM refused),
        `ValueError` (vLLM's answer is no proposal). Only built-in types, so that every submitter can unpickle them.
        """
        if task_id not in self._runs:
            run = self._run(task_id, task_description, constraints or {}, diversity)
            self._runs[task_id] = asyncio.ensure_future(run)
        return await asyncio.shield(self._runs[task_id])

    async def _run(
        self, task_id: str, description: str, constraints: Dict[str, Any], diversity: bool
    ) -> Dict[str, Any]:
        from swe_ai_fleet.orchestrator.ray_jobs.publisher import Publisher  # imports nats: its absence surfaces here

        started = time.monotonic()
        async with Publisher(self.nats_url, connect_seconds=min(5.0, self.timeout)) as publisher:
            try:
                remaining = self.timeout - (time.monotonic() - started)
                message = await asyncio.wait_for(
                    self._answer(task_id, description, constraints, diversity, started), max(remaining, 0.0)
                )
                remaining = self.timeout - (time.monotonic() - started)
                await publisher.publish(message, seconds=max(remaining, REPORT_SECONDS))
                return message
            except Exception as error:
                failure = self._as_failure(error)
                elapsed_ms = _elapsed_ms(started)
                report = messages.failed(task_id, self.agent_id, self.role, failure, elapsed_ms)
                await publisher.publish_if_possible(report, seconds=REPORT_SECONDS)
                raise failure from error

    async def _answer(
        self, task_id: str, description: str, constraints: Dict[str, Any], diversity: bool, started: float
    ) -> Dict[str, Any]:
        from swe_ai_fleet.orchestrator.ray_jobs import vllm_client

        system, user = prompts.system_prompt(self.role, constraints), f"Task: {description}"
        if self.enable_tools:
            from swe_ai_fleet.agents.vllm_agent import briefing

            user += "\n\n" + await asyncio.get_running_loop().run_in_executor(None, briefing, self.workspace_path)
        temperature = self.temperature * DIVERSITY_FACTOR if diversity else self.temperature
        completion = await vllm_client.chat(self.vllm_url, self.model, system, user, temperature, self.max_tokens)
        proposal = {
            "content": completion.content,
            "author_id": self.agent_id,
            "author_role": self.role,
            "model": completion.model,
            "temperature": temperature,
            "tokens": completion.tokens,
        }
        return messages.completed(
            task_id, self.agent_id, self.role, proposal, _elapsed_ms(started), self.model, diversity
        )

    def _as_failure(self, error: Exception) -> Exception:
        """Name what timed out: a bare `TimeoutError` has no text (and is another class before Python 3.11)."""
        if isinstance(error, asyncio.TimeoutError) and not str(error):
            return TimeoutError(f"vLLM at {self.vllm_url} gave no answer within {self.timeout:g} s")
        return error


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
