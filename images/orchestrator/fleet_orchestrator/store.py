"""Deliberations and councils in JetStream key-value buckets, where every replica reads and writes them.

Each change is a compare-and-swap on the key's revision; the loser reads again. No locks.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Callable, Dict, List, Optional

from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from fleet_orchestrator import deliberation
from fleet_orchestrator.deliberation import Deliberation


class Conflict(Exception):
    """The compare-and-swap was lost again and again: the store is contended beyond reason."""


@dataclass(frozen=True)
class Request:
    """What the agents of a deliberation are asked. Kept apart from the state: it is large and never changes."""

    description: str
    constraints: Dict[str, Any]
    agent_type: str


@dataclass(frozen=True)
class Council:
    """The agents of one role."""

    council_id: str
    role: str
    agents: List[str]
    model: str
    agent_type: str


class DeliberationStore:
    """The bucket of deliberations: `state.<task>` and `request.<task>`."""

    ATTEMPTS = 50

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def create(self, state: Deliberation, request: Request) -> bool:
        """Store a new deliberation; False when the task id is taken. Raises `MaxPayloadError` when it is too large."""
        await _create(self._bucket, _key("request", state.task_id), json.dumps(asdict(request)).encode())
        return await _create(self._bucket, _key("state", state.task_id), deliberation.to_json(state))

    async def get(self, task_id: str) -> Optional[Deliberation]:
        """The current state, or None for an unknown task id."""
        entry = await _get(self._bucket, _key("state", task_id))
        return deliberation.from_json(entry.value) if entry else None

    async def request(self, task_id: str) -> Request:
        """What was asked. Raises `KeyNotFoundError` for an unknown task id."""
        entry = await self._bucket.get(_key("request", task_id))
        return Request(**json.loads(entry.value))

    async def update(self, task_id: str, change: Callable[[Deliberation], Deliberation]) -> Optional[Deliberation]:
        """Apply a change and return the state after it; None for an unknown task id. Raises `Conflict`."""
        key = _key("state", task_id)
        for _ in range(self.ATTEMPTS):
            entry = await _get(self._bucket, key)
            if entry is None:
                return None
            state = deliberation.from_json(entry.value)
            changed = change(state)
            if changed is state:
                return state
            try:
                await self._bucket.update(key, deliberation.to_json(changed), last=entry.revision)
                return changed
            except KeyWrongLastSequenceError:
                continue
        raise Conflict(f"{task_id}: {self.ATTEMPTS} attempts to store a change were overtaken")

    async def count(self) -> int:
        """How many deliberations the bucket holds: each is a state and a request."""
        return int((await self._bucket.status()).values) // 2

    async def watch(self) -> KeyValue.KeyWatcher:
        """A watcher over all states: first those that exist, then every change."""
        return await self._bucket.watch("state.*")


class CouncilStore:
    """The bucket of councils, one per role."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def create(self, council: Council) -> bool:
        """Store a new council; False when the role has one."""
        return await _create(self._bucket, council.role, json.dumps(asdict(council)).encode())

    async def get(self, role: str) -> Optional[Council]:
        """The council of a role, or None."""
        entry = await _get(self._bucket, role)
        return Council(**json.loads(entry.value)) if entry else None


async def _get(bucket: KeyValue, key: str) -> Optional[KeyValue.Entry]:
    try:
        return await bucket.get(key)
    except KeyNotFoundError:
        return None


async def _create(bucket: KeyValue, key: str, value: bytes) -> bool:
    try:
        await bucket.create(key, value)
    except KeyWrongLastSequenceError:
        return False
    return True


def _key(kind: str, task_id: str) -> str:
    """A valid key for any task id: whatever a key may not contain is written as `=` and its bytes in hex."""
    safe = re.sub(r"[^-_a-zA-Z0-9]", lambda match: "".join(f"={byte:02x}" for byte in match.group().encode()), task_id)
    return f"{kind}.{safe}"
