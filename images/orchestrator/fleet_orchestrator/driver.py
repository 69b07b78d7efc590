"""Driving a deliberation from its creation to the end of its last agent."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Awaitable, Callable, Dict, Iterable, Mapping, Set

from fleet_orchestrator import deliberation
from fleet_orchestrator.agents import AgentCall, Agents
from fleet_orchestrator.config import Settings
from fleet_orchestrator.deliberation import Answer, Deliberation
from fleet_orchestrator.peers import Peers
from fleet_orchestrator.ray_thread import AgentFailed
from fleet_orchestrator.store import DeliberationStore, Request

log = logging.getLogger(__name__)


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass
class Driver:
    """Runs the agents of the deliberations that this replica owns; `agents` by agent type (`vllm`, `mock`)."""

    settings: Settings
    store: DeliberationStore
    agents: Mapping[str, Agents]
    problem: Callable[[], str]
    peers: Peers = field(init=False)
    _tasks: Dict[str, "asyncio.Task[None]"] = field(init=False, default_factory=dict)

    def launch(self, task_id: str) -> None:
        """Drive a deliberation in the background; one that is driven already is left alone."""
        if task_id not in self._tasks:
            self._tasks[task_id] = task = asyncio.ensure_future(self._drive(task_id))
            task.add_done_callback(lambda done: self._done(task_id, done))

    async def abandon(self) -> None:
        """Stop driving, and leave the agents to the replica that takes over."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task_id: str, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(task_id, None)
        self.peers.forget(task_id)
        if not task.cancelled() and task.exception() is not None:
            log.error("Deliberation %s is no longer driven", task_id, exc_info=task.exception())

    async def _drive(self, task_id: str) -> None:
        finished = self.peers.finished(task_id)
        state = await self.store.get(task_id)
        if state is None:
            return
        request = await self.store.request(task_id)
        agents = self.agents[request.agent_type]
        calls = [self._call(state, request, agent) for agent in state.agents]
        left = {call.name for call in calls}
        if not state.finished:
            runs = [self._run(agents, call, left) for call in calls if call.job["agent_id"] in state.unanswered]
            await self._until_finished(state, request, runs, finished)
        for name in sorted(left):
            await agents.end(name)
        await self.store.update(task_id, deliberation.close)

    async def _until_finished(
        self, state: Deliberation, request: Request, agent_runs: Iterable[Awaitable[None]], finished: asyncio.Event
    ) -> None:
        runs = [asyncio.ensure_future(run) for run in agent_runs]
        try:
            await asyncio.wait_for(finished.wait(), max(0.0, (state.deadline_ms - now_ms()) / 1000))
        except asyncio.TimeoutError:
            problem = self.problem() if request.agent_type != "mock" else ""
            await self.store.update(state.task_id, lambda s: deliberation.expire(s, now_ms(), problem))
        finally:
            for run in runs:
                run.cancel()
            for outcome in await asyncio.gather(*runs, return_exceptions=True):
                if isinstance(outcome, Exception):
                    log.error("An agent's run ended badly", exc_info=outcome)

    async def _run(self, agents: Agents, call: AgentCall, left: Set[str]) -> None:
        try:
            await agents.run(call)
        except AgentFailed as error:
            answer = Answer(call.job["agent_id"], now_ms(), error=str(error), error_type=error.error_type)
            log.warning("Agent %s failed: %s: %s", call.name, error.error_type, error)
            await self.store.update(call.task["task_id"], lambda s: deliberation.record(s, answer, now_ms()))
        # At once, not with the last agent: an actor holds its CPU until it ends, and others wait for one.
        await agents.end(call.name)
        left.discard(call.name)

    def _call(self, state: Deliberation, request: Request, agent: str) -> AgentCall:
        settings = self.settings
        job = {
            "agent_id": agent,
            "role": state.role,
            "vllm_url": settings.vllm_url,
            "model": settings.vllm_model,
            "nats_url": settings.agent_nats_url,
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "timeout": settings.agent_timeout,
            "enable_tools": settings.enable_tools,
        }
        task = {
            "task_id": state.task_id,
            "task_description": request.description,
            "constraints": request.constraints,
            "diversity": agent != state.agents[0],
        }
        # The name of the actor: unique in the namespace, and the same for every replica.
        return AgentCall(f"{state.task_id}/{agent}", job, task)
