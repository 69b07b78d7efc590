"""Fault rules: what shall go wrong, for which requests, how often. Data only; ``interception`` carries them out.

A rule is a JSON object::

    {"action": "delay", "seconds": 0.3, "path": "/v1/models", "contains": null, "times": 2, "id": "slow"}

``path`` is a prefix. ``contains`` must occur in the raw body or in one of its decoded strings (so a text with quotes or
line breaks is found although JSON escapes it). ``times`` is how many requests the rule applies to, null for all. The
first rule that fits a request, in the order they were added, is the only one applied to it.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from typing import Any, Optional

CHAT_PATH = "/v1/chat/completions"
HEALTH_PATH = "/health"

ACTIONS = {
    "delay": "wait `seconds`, then answer normally",
    "hold": "keep the request waiting until the rule is deleted, then answer normally",
    "hang": "never answer; when the rule is deleted, drop the connection",
    "close": "drop the connection without an answer",
    "cut-stream": "begin an answer (JSON, or event stream if asked for) and drop the connection in its middle",
    "status": "answer with status `code` and `body` (a JSON value; a string is sent as plain text)",
    "unhealthy": "answer with an empty 503",
    "html": "answer 200 with an HTML page",
    "null-content": "answer 200 with a completion whose content is null",
    "think": "spend the first `tokens` on reasoning: content null and finish_reason length where max_tokens is no more",
    "empty-choices": "answer 200 with a completion without choices",
    "wrong-model": "answer 200 in the name of another model, also in the list of models",
}
OWN_FIELDS = {"delay": ("seconds",), "status": ("code", "body"), "think": ("tokens",)}
FIELDS = ("id", "action", "path", "contains", "times", *(name for names in OWN_FIELDS.values() for name in names))
MAX_DELAY_S = 3600


class BadRule(ValueError):
    """The rule cannot be used; the message says why, for the one who wrote it."""


@dataclass
class Rule:
    """One fault. ``hits`` counts the requests it was applied to; ``removed`` is set when it is deleted."""

    action: str
    path: str
    contains: Optional[str] = None
    times: Optional[int] = None
    seconds: float = 0.0
    code: int = 500
    body: Any = None
    tokens: int = 0
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    hits: int = 0
    removed: asyncio.Event = field(default_factory=asyncio.Event)

    def fits(self, path: str, body: bytes, document: object) -> bool:
        """Whether the rule applies to a request with this path, raw body and decoded body."""
        if not path.startswith(self.path) or (self.times is not None and self.hits >= self.times):
            return False
        if self.contains is None:
            return True
        return self.contains.encode("utf-8") in body or any(self.contains in text for text in strings(document))

    def as_document(self) -> dict[str, Any]:
        """The rule as listed: its own fields and the hits so far."""
        shown = ("id", "action", "path", "contains", "times", *OWN_FIELDS.get(self.action, ()), "hits")
        return {name: getattr(self, name) for name in shown}


def parse_rule(document: object) -> Rule:
    """Make a rule of a decoded JSON body. Must run in an event loop. Raises BadRule."""
    if not isinstance(document, dict):
        raise BadRule("a fault rule is a JSON object")
    unknown = sorted(set(document).difference(FIELDS))
    if unknown:
        raise BadRule(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(FIELDS))}")
    given = {name: value for name, value in document.items() if value is not None}
    action = given.get("action")
    if not isinstance(action, str) or action not in ACTIONS:
        raise BadRule(f"action {action!r} is not one of {', '.join(ACTIONS)}")
    for owner, names in OWN_FIELDS.items():
        for name in names:
            if name in given and action != owner:
                raise BadRule(f"{name} belongs to action {owner!r}, not to {action!r}")
    path = given.setdefault("path", HEALTH_PATH if action == "unhealthy" else CHAT_PATH)
    for name in ("path", "contains", "id"):
        if name in given and not (isinstance(given[name], str) and given[name]):
            raise BadRule(f"{name} must be a text that is not empty, not {given[name]!r}")
    if not path.startswith("/") or path.startswith("/debug"):
        raise BadRule(f"path {path!r} must start with / and not be a debug route")
    times, seconds, code, tokens = (given.get(name) for name in ("times", "seconds", "code", "tokens"))
    if times is not None and not _within(times, int, 1, 10**9):
        raise BadRule(f"times must be a whole number above zero or null, not {times!r}")
    if action == "delay" and (seconds == 0 or not _within(seconds, (int, float), 0, MAX_DELAY_S)):
        raise BadRule(f"a delay needs seconds, above 0 and at most {MAX_DELAY_S}, not {seconds!r}")
    if action == "status" and not _within(code, int, 200, 599):
        raise BadRule(f"a status needs a code from 200 to 599, not {code!r}")
    if action == "think" and not _within(tokens, int, 1, 10**9):
        raise BadRule(f"a model that thinks needs tokens, a whole number above zero, not {tokens!r}")
    return Rule(**given)


def _within(value: Any, types: Any, lowest: float, highest: float) -> bool:
    return isinstance(value, types) and not isinstance(value, bool) and lowest <= value <= highest


class FaultBook:
    """The rules in force by their id, in the order they were added."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}

    def add(self, rule: Rule) -> None:
        """Put a rule in force. Raises BadRule when its id is taken."""
        if rule.id in self.rules:
            raise BadRule(f"a rule with id {rule.id!r} exists; delete it first")
        self.rules[rule.id] = rule

    def take(self, path: str, body: bytes, document: object) -> Optional[Rule]:
        """The rule for this request, with the hit counted, or None."""
        for rule in self.rules.values():
            if rule.fits(path, body, document):
                rule.hits += 1
                return rule
        return None

    def remove(self, *ids: str) -> int:
        """End rules and release what they keep waiting; returns how many of them there were."""
        removed = [self.rules.pop(rule_id) for rule_id in ids if rule_id in self.rules]
        for rule in removed:
            rule.removed.set()
        return len(removed)


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
    return [text for part in parts for text in strings(part)] or [""]
