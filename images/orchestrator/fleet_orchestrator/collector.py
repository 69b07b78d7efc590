"""Reading a durable pull consumer that all replicas share: every message is settled, none can stall the next."""

from __future__ import annotations

import asyncio
import logging
from typing import Awaitable, Callable

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import Error as JetStreamError

from fleet_orchestrator.responses import Malformed

log = logging.getLogger(__name__)

FETCH_SECONDS = 5.0
"""How long a pull request stays open: an idle consumer costs one request in this time."""
RETRY_SECONDS = 1.0

Handler = Callable[[bytes], Awaitable[None]]


async def collect(js: JetStreamContext, stream: str, durable: str, handle: Handler) -> None:
    """Hand over messages forever: acknowledged once handled, terminated when malformed, redelivered otherwise."""
    subscription = await js.pull_subscribe_bind(durable, stream)
    while True:
        try:
            # One at a time: nats-py holds a larger batch back until it is full or the time is up.
            (message,) = await subscription.fetch(1, timeout=FETCH_SECONDS)
        except (nats.errors.TimeoutError, asyncio.TimeoutError):
            continue
        except (nats.errors.Error, JetStreamError) as error:
            log.error("Consumer %s cannot be read: %s", durable, error or type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
            continue
        await _settle(message, durable, handle)


async def _settle(message: Msg, durable: str, handle: Handler) -> None:
    sequence = message.metadata.sequence.stream
    try:
        await handle(message.data)
        await message.ack_sync()
    except Malformed as error:
        # The stream keeps the message for those who look into it; no replica will see it again.
        log.error("Message %d of %s set aside, it is malformed: %s", sequence, durable, error)
        await message.term()
    except Exception:
        log.exception("Message %d of %s could not be handled; it will be delivered again", sequence, durable)
        if not message.is_acked:
            await message.nak(delay=RETRY_SECONDS)
