"""Running agents: in the Ray cluster, or (AGENT_TYPE=mock) as canned answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Protocol, TypeVar

from nats.js import JetStreamContext
from swe_ai_fleet.orchestrator.ray_jobs import messages

from fleet_orchestrator.ray_thread import AgentFailed, LinkLost, RayClient, translated
from fleet_orchestrator.streams import COMPLETED_SUBJECT

T = TypeVar("T")
log = logging.getLogger(__name__)

PING_EVERY_SECONDS = 5.0
RECONNECT_PAUSE_SECONDS = 1.0
LINK_SECONDS = 30.0
"""How long an agent waits for a connection to Ray before it counts as failed."""


@dataclass(frozen=True)
class AgentCall:
    """One agent of one deliberation: constructor and run keywords of the job class."""

    name: str
    job: Dict[str, Any]
    task: Dict[str, Any]


class Agents(Protocol):
    """How a deliberation's agents are run. Their proposals come back over JetStream, not from here."""

    async def run(self, call: AgentCall) -> None:
        """Return when the agent has done its work. Raises `AgentFailed`."""

    async def end(self, name: str) -> None:
        """Leave nothing of the agent; it may never have been started."""


class RayAgents:
    """Agents as detached actors; the connection to Ray is kept up, and made again whenever it is lost."""

    def __init__(self, client: RayClient) -> None:
        self._client = client
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ray-client")
        self._connected = asyncio.Event()
        self._doubt = asyncio.Event()
        self._connections = 0
        self.problem = "not connected to Ray yet"
        """Why there is no connection; empty while there is one."""

    async def keep_connected(self) -> None:
        """Connect, and whenever the connection is in doubt or lost, check and connect again; forever."""
        while True:
            self._doubt.clear()
            try:
                if self._connected.is_set():
                    await self._call(self._client.ping)
                else:
                    await self._call(self._client.connect)
                    self._connections += 1
                    self.problem = ""
                    self._connected.set()
                    log.info("Connected to Ray")
            except LinkLost as lost:
                self._note(lost)
            pause = PING_EVERY_SECONDS if self._connected.is_set() else RECONNECT_PAUSE_SECONDS
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._doubt.wait(), pause)

    async def check(self, seconds: float) -> str:
        """Ask Ray now and return what is wrong, or nothing. A busy Ray thread is no problem."""
        if self._connected.is_set():
            connection = self._connections
            try:
                await asyncio.wait_for(self._call(self._client.ping), seconds)
            except LinkLost as lost:
                self._lost(lost, connection)
            except asyncio.TimeoutError:
                pass
        return self.problem

    async def run(self, call: AgentCall) -> None:
        """Start the agent and wait for its end, across a lost connection. Raises `AgentFailed`."""
        lost: Optional[LinkLost] = None
        for _ in range(3):
            connection = await self._connection(lost)
            try:
                ending = await self._call(self._client.start, call.name, call.job, call.task)
                await _outcome(ending)
                return
            except LinkLost as error:
                lost = error
                self._lost(error, connection)
        raise AgentFailed(f"Ray was lost again and again: {lost}", "ConnectionError")

    async def end(self, name: str) -> None:
        """End the agent, also one that another replica started."""
        for _ in range(2):
            try:
                connection = await self._connection()
                await self._call(self._client.end, name)
                return
            except LinkLost as lost:
                self._lost(lost, connection)
            except AgentFailed:
                break
        log.warning("Agent %s may be left running: %s", name, self.problem)

    async def disconnect(self) -> None:
        """Leave the cluster; agents run on."""
        await self._call(self._client.disconnect)

    async def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in Ray's thread; a cancelled caller leaves a function that has begun to run to its end."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _connection(self, lost: Optional[LinkLost] = None) -> int:
        """The number of the connection, once there is one. Raises `AgentFailed` after `LINK_SECONDS` without."""
        try:
            await asyncio.wait_for(self._connected.wait(), LINK_SECONDS)
        except asyncio.TimeoutError:
            raise AgentFailed(self.problem or str(lost), "ConnectionError") from lost
        return self._connections

    def _lost(self, lost: LinkLost, connection: int) -> None:
        """Connect again, unless what was lost is an older connection than the present one."""
        if connection == self._connections and self._connected.is_set():
            self._note(lost)
            self._doubt.set()

    def _note(self, lost: LinkLost) -> None:
        if self.problem != str(lost):
            log.warning("%s", lost)
        self.problem = str(lost)
        self._connected.clear()


async def _outcome(ending: "Future[Any]") -> None:
    """Wait for an agent's run. Cancelling the wait must not cancel the future: Ray's thread sets it later."""
    waiting = asyncio.wrap_future(ending)
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.shield(waiting)
    except Exception as error:
        raise translated(error) from error


class MockAgents:
    """Agents that answer at once with a canned proposal: what AGENT_TYPE=mock means in a deployment."""

    def __init__(self, js: JetStreamContext) -> None:
        self._js = js

    async def run(self, call: AgentCall) -> None:
        """Publish a canned proposal."""
        job, task = call.job, call.task
        proposal = {
            "content": f"Mock proposal of {job['agent_id']}",
            "author_id": job["agent_id"],
            "author_role": job["role"],
            "model": "mock",
            "temperature": job["temperature"],
            "tokens": 4,
        }
        message = messages.completed(
            task["task_id"], job["agent_id"], job["role"], proposal, 0, "mock", task["diversity"]
        )
        await self._js.publish(COMPLETED_SUBJECT, json.dumps(message).encode())

    async def end(self, name: str) -> None:
        """Nothing is left."""
