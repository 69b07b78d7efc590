"""One clerk: hears what is opened and what is voted, has voters vote, and closes ballots."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError
from nats.js.errors import Error as JetStreamError

from .ballot_box import BallotBox
from .ballots import Ballot, Malformed, vote_in
from .pool import LEFT, Pool
from .settings import Settings

log = logging.getLogger(__name__)

STREAM = "VOTES"
CLOSED = "ballots.closed"
CONSUMERS = {"clerk": ["votes.cast", "votes.spoiled"], "clerk-ballots": ["ballots.opened"]}
FETCH_SECONDS = 5.0
AGAIN_SECONDS = 1.0
ACK_SECONDS = 30


class Clerk:
    """Runs until it is cancelled."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pool = Pool(settings.pool, settings.voter, {"VOTES_STRICT": "1"})
        self._bus = Client()
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._voters: dict[str, dict[str, Any]] = {}  # by ballot and name, handles of those that this clerk has started
        self._watches: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Connect, and serve."""
        await self._bus.connect(self.settings.bus, name="clerk", max_reconnect_attempts=-1, reconnect_time_wait=1)
        self.js = self._bus.jetstream()
        await prepared(self.js)
        self.box = await BallotBox.opened(self.js)
        for ballot in await self.box.under_way():
            self._set_timer(ballot)
        log.info("The clerk is ready")
        if self.settings.ready_file:
            Path(self.settings.ready_file).touch()
        handlers = {"clerk": self._voted, "clerk-ballots": self._opened}
        await asyncio.gather(*(self._hear(durable, handle) for durable, handle in handlers.items()))

    async def stop(self) -> None:
        """Go; voters end by themselves, and other clerks count their votes."""
        await self._bus.close()
        await self._in_ray(self.pool.close)

    async def _hear(self, durable: str, handle: Callable[[Any], Awaitable[None]]) -> None:
        """Hand on each message: acknowledged once handled, set aside where it is malformed, else delivered again."""
        subscription = await self.js.pull_subscribe_bind(durable, STREAM)
        while True:
            try:
                (message,) = await subscription.fetch(1, timeout=FETCH_SECONDS)
                await self._settle(message, handle)
            except (TimeoutError, nats.errors.TimeoutError):
                continue
            except (nats.errors.Error, JetStreamError) as error:
                log.error("%s: %s", durable, error or type(error).__name__)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _settle(self, message: Msg, handle: Callable[[Any], Awaitable[None]]) -> None:
        try:
            await handle(_document(message.data))
            await message.ack_sync()
        except Malformed as error:
            log.error("Set aside, on %s: %s", message.subject, error)
            await message.term()
        except Exception:
            log.exception("A message on %s is not handled; it will be delivered again", message.subject)
            await message.nak(delay=AGAIN_SECONDS)

    async def _opened(self, document: Any) -> None:
        ballot = await self.box.put_in(Ballot.opened(document, time.time()))
        if ballot.result:
            return
        self._set_timer(ballot)
        started = self._voters.setdefault(ballot.ballot, {})
        for name in ballot.names:
            if name not in {*started, *ballot.votes, *ballot.spoiled}:
                started[name], end = await self._in_ray(self.pool.start, *self._terms(ballot, name))
                self._keep(self._watch(ballot.ballot, name, end))

    async def _in_ray(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.pool.thread, function, *arguments)

    def _terms(self, ballot: Ballot, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """With what a voter is made, and what it is asked."""
        settings = self.settings
        bus = {"base": f"{settings.base}/v1", "name": settings.model, "heat": settings.heat, "bus": settings.bus}
        call = {"ballot": ballot.ballot, "question": ballot.question, "patience": settings.patience}
        return {"who": name, "office": ballot.office, "settings": bus}, {**call, "limit": settings.limit}

    async def _watch(self, ballot: str, voter: str, end: Future[Any]) -> None:
        """A voter that dies, or cannot publish, says so in its call alone. One that has left has published: the word of
        that may come before the answer to its call."""
        try:
            await asyncio.wrap_future(end)
        except Exception as error:  # noqa: BLE001  of the voter
            if LEFT in str(error):
                return
            why = f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:400]}"
            await self._change(ballot, lambda there: there.spoil(voter, why, self.settings.quorum))

    async def _voted(self, document: Any) -> None:
        ballot, voter, text, cast = vote_in(document)

        def change(there: Ballot) -> None:
            (there.count if cast else there.spoil)(voter, text, self.settings.quorum)

        await self._change(ballot, change)

    async def _change(self, ballot: str, change: Callable[[Ballot], None]) -> None:
        """Change a ballot, and close it where it is complete: told again, it is stored once, by its id."""
        changed = await self.box.change(ballot, change)
        if changed is None or not changed.result:
            return
        message = {"type": "ballot.closed", "time": time.time_ns() // 1_000_000, "data": changed.outcome}
        await self.js.publish(CLOSED, json.dumps(message).encode(), headers={"Nats-Msg-Id": f"closed-{ballot}"})
        if timer := self._timers.pop(ballot, None):
            timer.cancel()
        for handle in self._voters.pop(ballot, {}).values():
            if changed.result == "expired":
                await self._in_ray(self.pool.end, handle)

    def _set_timer(self, ballot: Ballot) -> None:
        async def expire() -> None:
            await asyncio.sleep(max(0.0, ballot.closes - time.time()))
            self._timers.pop(ballot.ballot, None)
            await self._change(ballot.ballot, lambda there: there.expire(time.time()))

        if ballot.ballot not in self._timers:
            self._timers[ballot.ballot] = asyncio.ensure_future(expire())

    def _keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)


def _document(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise Malformed(f"no JSON: {error}") from error


async def prepared(js: JetStreamContext) -> None:
    """Make stream and consumers; the same request of two clerks makes one."""
    stream = StreamConfig(name=STREAM, subjects=["votes.>", "ballots.>"], storage=StorageType.FILE)
    with suppress(BadRequestError):  # there already, with other limits
        await js.add_stream(stream)
    for durable, subjects in CONSUMERS.items():
        config = ConsumerConfig(
            durable_name=durable,
            filter_subjects=subjects,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_SECONDS,
            deliver_policy=DeliverPolicy.ALL,
        )
        await js.add_consumer(STREAM, config)
