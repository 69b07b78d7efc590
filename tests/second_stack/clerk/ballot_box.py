"""Where all clerks keep the ballots: a bucket of JetStream, written by the revision that was read."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from nats.js import JetStreamContext
from nats.js.api import StorageType
from nats.js.errors import (
    BadRequestError,
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NoKeysError,
)
from nats.js.kv import KeyValue

from .ballots import Ballot

BUCKET = "ballots"


def key_of(ballot: str) -> str:
    """A key may not have every sign that an id may."""
    return ballot.encode().hex()


class BallotBox:
    """Made with `await BallotBox.opened(js)`."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    @classmethod
    async def opened(cls, js: JetStreamContext) -> BallotBox:
        """The bucket; made by the first clerk."""
        with suppress(BucketNotFoundError):
            return cls(await js.key_value(BUCKET))
        with suppress(BadRequestError):  # another clerk was faster
            return cls(await js.create_key_value(bucket=BUCKET, storage=StorageType.FILE))
        return cls(await js.key_value(BUCKET))

    async def put_in(self, ballot: Ballot) -> Ballot:
        """A new ballot; the one that is there where it was opened before."""
        with suppress(KeyWrongLastSequenceError):
            await self._bucket.create(key_of(ballot.ballot), json.dumps(ballot.document).encode())
            return ballot
        there = await self.get(ballot.ballot)
        return there or ballot

    async def get(self, ballot: str) -> Ballot | None:
        with suppress(KeyNotFoundError):
            entry = await self._bucket.get(key_of(ballot))
            return Ballot.of(json.loads(entry.value or b"{}"))
        return None

    async def change(self, ballot: str, change: Callable[[Ballot], None]) -> Ballot | None:
        """The ballot with a change, made again where another clerk wrote in between; None where there is none."""
        while True:
            try:
                entry = await self._bucket.get(key_of(ballot))
            except KeyNotFoundError:
                return None
            changed = Ballot.of(json.loads(entry.value or b"{}"))
            before = changed.document
            change(changed)
            if json.dumps(changed.document) == json.dumps(before):
                return changed
            with suppress(KeyWrongLastSequenceError):
                await self._bucket.update(key_of(ballot), json.dumps(changed.document).encode(), last=entry.revision)
                return changed

    async def under_way(self) -> list[Ballot]:
        """Those that are not closed."""
        try:
            keys = await self._bucket.keys()
        except NoKeysError:
            return []
        ballots = [await self.get(bytes.fromhex(key).decode()) for key in keys]
        return [ballot for ballot in ballots if ballot and not ballot.result]
