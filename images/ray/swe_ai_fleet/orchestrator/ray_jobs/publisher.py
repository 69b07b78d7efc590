"""Publishing on JetStream, with the server's acknowledgement. The one module of the job that needs `nats`."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Dict, Optional

try:
    import nats
    import nats.errors
    from nats.js.errors import Error as JetStreamError
except Exception as error:
    # A shadowed or half-installed package fails in ways of its own; the submitter needs one type and one name.
    if isinstance(error, ModuleNotFoundError) and error.name == "nats":
        raise
    raise ModuleNotFoundError(f"No module named 'nats' can be imported here: {error!r}", name="nats") from error

log = logging.getLogger(__name__)


class Publisher:
    """A NATS connection for the length of one run: `async with Publisher(url, connect_seconds=5) as publisher`.

    Entering raises `ConnectionError` with the last reason when NATS cannot be reached.
    """

    def __init__(self, url: str, connect_seconds: float) -> None:
        self._url = url
        self._connect_seconds = connect_seconds
        self._last_error: Optional[Exception] = None

    async def __aenter__(self) -> "Publisher":
        try:
            self._connection = await nats.connect(
                self._url,
                connect_timeout=self._connect_seconds,
                max_reconnect_attempts=2,
                reconnect_time_wait=0.5,
                error_cb=self._remember,
            )
        except (OSError, nats.errors.Error, asyncio.TimeoutError) as error:
            server, reason = self._url.rsplit("@", 1)[-1], self._last_error or error  # without user and password
            raise ConnectionError(f"NATS at {server} cannot be reached: {reason}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def publish(self, message: Dict[str, Any], seconds: float) -> int:
        """Publish a message under its status and return its sequence number in the stream.

        The message id lets JetStream drop the second copy when a restarted actor runs again. Raises
        `RuntimeError` when JetStream does not acknowledge (no stream listens on the subject, or no answer).
        """
        subject = f"agent.response.{message['status']}"
        message_id = f"{message['task_id']}:{message['agent_id']}:{message['status']}"
        try:
            ack = await self._connection.jetstream().publish(
                subject, json.dumps(message).encode(), timeout=seconds, headers={"Nats-Msg-Id": message_id}
            )
        except (nats.errors.Error, JetStreamError, asyncio.TimeoutError) as error:
            raise RuntimeError(f"JetStream did not acknowledge {subject}: {error or type(error).__name__}") from error
        return int(ack.seq)

    async def publish_if_possible(self, message: Dict[str, Any], seconds: float) -> None:
        """Publish a failure; when that fails too, log it: the run's exception still reaches the submitter."""
        try:
            await self.publish(message, seconds)
        except RuntimeError as error:
            log.error("The failure of %s could not be published: %s", message["task_id"], error)

    async def _remember(self, error: Exception) -> None:
        self._last_error = error
