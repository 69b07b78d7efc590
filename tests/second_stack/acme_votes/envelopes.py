"""What goes over NATS: documents in envelopes, `{"id", "type", "time", "data"}`.

`time` is in milliseconds since the epoch.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

CAST, SPOILED = "votes.cast", "votes.spoiled"
OPENED, CLOSED = "ballots.opened", "ballots.closed"
TYPES = {CAST: "vote.cast", SPOILED: "vote.spoiled", OPENED: "ballot.opened", CLOSED: "ballot.closed"}


def enveloped(subject: str, document: dict[str, Any]) -> dict[str, Any]:
    """The message of a document on this subject."""
    return {"id": uuid.uuid4().hex, "type": TYPES[subject], "time": time.time_ns() // 1_000_000, "data": document}
