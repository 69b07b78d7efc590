"""The voter: an actor that answers one ballot, publishes its vote, and returns what it published."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass
from typing import Any

from .envelopes import CAST, SPOILED, enveloped

REPORT_SECONDS = 3.0  # for publishing, after the voter's patience is over


@dataclass(frozen=True)
class Settings:
    """Where a voter finds what it needs. `base`: of the model server, with /v1; `bus`: the servers of NATS."""

    base: str
    name: str
    heat: float
    bus: list[str]


class Voter:
    """Votes for an office. A failure is a document that it returns and publishes: nothing is raised but what keeps it
    from publishing at all, a missing module or NATS out of reach."""

    def __init__(self, who: str, office: str, settings: dict[str, Any]) -> None:
        self.voter = {"id": who, "office": office}
        from pydantic import TypeAdapter  # here, since clerks name this class, and have less than workers

        self.settings = TypeAdapter(Settings).validate_python(settings)
        self.strict = os.environ.get("VOTES_STRICT") == "1"  # a ballot without a question is spoiled
        self._cast_votes = 0
        self._ended = asyncio.Condition()

    async def cast(self, ballot: str, question: str, patience: float = 60.0, limit: int = 64) -> dict[str, Any]:
        """Vote on a ballot within `patience` seconds, in at most `limit` tokens."""
        try:
            return await self._cast(ballot, question, patience, limit)
        finally:
            async with self._ended:
                self._cast_votes += 1
                self._ended.notify_all()

    async def leave(self, after: int) -> None:
        """End the actor once so many votes are cast: nobody else ends one whose clerk is gone."""
        from ray.actor import exit_actor

        async with self._ended:
            await self._ended.wait_for(lambda: self._cast_votes >= after)
        exit_actor()

    async def _cast(self, ballot: str, question: str, patience: float, limit: int) -> dict[str, Any]:
        import nats  # here, so that its absence is what the call raises

        began = time.monotonic()
        bus = await nats.connect(self.settings.bus, connect_timeout=5, max_reconnect_attempts=2)
        try:
            subject, document = await self._vote(ballot, question, patience, limit)
            document["took"] = round(time.monotonic() - began, 3)
            payload = json.dumps(enveloped(subject, document)).encode()
            once = {"Nats-Msg-Id": f"{subject}:{ballot}:{self.voter['id']}"}
            await bus.jetstream().publish(subject, payload, timeout=REPORT_SECONDS, headers=once)
        finally:
            await bus.close()
        return document

    async def _vote(self, ballot: str, question: str, patience: float, limit: int) -> tuple[str, dict[str, Any]]:
        """The vote, or why there is none, and the subject of that."""
        from .model_server import ask

        head, settings = {"ballot": ballot, "voter": self.voter}, self.settings
        try:
            if self.strict and not question.strip():
                raise ValueError("the ballot has no question")
            asking = ask(settings.base, settings.name, self.voter["office"], question, settings.heat, limit)
            answer = await asyncio.wait_for(asking, patience)
        except Exception as error:  # noqa: BLE001  whatever it is, it is published
            text = str(error) or f"timed out: {settings.base} gave no answer within {patience:g} s"
            return SPOILED, {**head, "reason": {"kind": type(error).__name__, "text": text}}
        vote = {"text": answer.text, "model": answer.model, "usage": {"completion": answer.tokens}}
        return CAST, {**head, "vote": vote}
