"""Which deliberations are open, and which replica drives them: a live view of the store, heartbeats of the replicas.

The owner of a deliberation runs its agents and ends them. When an owner falls silent, another replica takes over.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleet_orchestrator import deliberation
from fleet_orchestrator.deliberation import Deliberation
from fleet_orchestrator.store import DeliberationStore

log = logging.getLogger(__name__)

ALIVE_SUBJECT = "orchestrator.replica.alive"
BEAT_SECONDS = 2.0
SILENCE_SECONDS = 6.0
QUIET_SECONDS = 3600.0


@dataclass
class Peers:
    """One replica's knowledge of the others. `take_over(task_id)` is called for each deliberation it adopted."""

    replica: str
    client: Client
    store: DeliberationStore
    take_over: Callable[[str], None]
    _open: Dict[str, Deliberation] = field(init=False, default_factory=dict)
    _finished: Dict[str, asyncio.Event] = field(init=False, default_factory=dict)
    _heard: Dict[str, float] = field(init=False, default_factory=dict)
    _listening_since: Optional[float] = field(init=False, default=None)

    def finished(self, task_id: str) -> asyncio.Event:
        """Set when the deliberation's outcome is final. For the owner; `forget` it afterwards."""
        return self._finished.setdefault(task_id, asyncio.Event())

    def forget(self, task_id: str) -> None:
        """Drop what `finished` holds."""
        self._finished.pop(task_id, None)

    async def follow(self) -> None:
        """Keep the view of the open deliberations up to date, forever."""
        watcher = await self.store.watch()
        while True:
            try:
                entry = await watcher.updates(timeout=QUIET_SECONDS)
            except nats.errors.TimeoutError:
                continue  # a quiet time
            if entry is not None and entry.operation is None:  # None marks the end of what was there at first
                self.see(deliberation.from_json(entry.value))

    def see(self, state: Deliberation) -> None:
        """Take note of a state."""
        if state.closed:
            self._open.pop(state.task_id, None)
        else:
            self._open[state.task_id] = state
        if state.finished and state.task_id in self._finished:
            self._finished[state.task_id].set()

    async def beat(self) -> None:
        """Say that this replica lives, listen to the others, and adopt what a silent one leaves open; forever."""
        await self.client.subscribe(ALIVE_SUBJECT, cb=self._hear)
        while True:
            if self.client.is_connected:
                self._listening_since = self._listening_since or time.monotonic()
                await self._say(leaving=False)
                for state in self._orphans():
                    await self._adopt(state)
            else:
                self._listening_since = None  # silence means nothing to the deaf
            await asyncio.sleep(BEAT_SECONDS)

    async def leave(self) -> None:
        """Say that this replica goes, so that the others need not wait for its silence."""
        if self.client.is_connected:
            await self._say(leaving=True)
            await self.client.flush()

    async def _say(self, leaving: bool) -> None:
        beat = {"replica": self.replica, "leaving": leaving}
        try:
            await self.client.publish(ALIVE_SUBJECT, json.dumps(beat).encode())
        except nats.errors.Error as error:
            log.warning("No heartbeat could be sent: %s", error)

    async def _hear(self, message: Msg) -> None:
        beat = json.loads(message.data)
        self._heard[beat["replica"]] = time.monotonic() - (SILENCE_SECONDS if beat["leaving"] else 0)

    def _orphans(self) -> List[Deliberation]:
        silent_before = time.monotonic() - SILENCE_SECONDS
        assert self._listening_since is not None
        return [
            state
            for state in self._open.values()
            if state.owner != self.replica and self._heard.get(state.owner, self._listening_since) <= silent_before
        ]

    async def _adopt(self, state: Deliberation) -> None:
        gone = state.owner
        adopted = await self.store.update(state.task_id, lambda s: deliberation.adopt(s, gone, self.replica))
        if adopted and adopted.owner == self.replica:
            log.warning("Replica %s fell silent; taking over %s", gone, state.task_id)
            self.see(adopted)
            self.take_over(state.task_id)
