"""What the agents asked: the last chat requests, so that a check can see the prompt that really arrived."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import Any, Optional

KEPT = 1000
FIELDS = ("model", "messages", "temperature", "max_tokens", "stream")


class PromptLog:
    """The last KEPT chat requests, oldest first, whatever became of them."""

    def __init__(self) -> None:
        self._rows: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def add(self, document: dict[str, Any], fault: Optional[str]) -> dict[str, Any]:
        """Keep the request's FIELDS (null where absent), its time (Unix seconds) and the id of the fault it met.

        Returns the row, for what becomes of it: "answered", when its answer was ready (null until then).
        """
        row = {name: document.get(name) for name in FIELDS}
        row = {"time": time.time(), "answered": None, "fault": fault, **row}
        self._rows.append(row)
        return row

    def find(self, contains: str) -> list[dict[str, Any]]:
        """The requests with ``contains`` in any of their strings; all for an empty text."""
        return [row for row in self._rows if any(contains in text for text in strings(row["messages"]))]


def decode(body: bytes) -> object:
    """The JSON value of a request body, None where it is not JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def strings(value: object) -> list[str]:
    """Every string in a JSON value, in order; an empty value has one empty string."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [text for part in parts for text in strings(part)]
    return found or [""]
