"""Fault rules: what shall go wrong, for which requests, how often. Data only; ``outcomes`` carries them out.

A rule is a JSON object::

    {"action": "delay", "seconds": 0.3, "path": "/v1/models", "contains": null, "times": 2, "id": "slow"}

``path`` is a prefix. ``contains`` must occur in the raw body or in one of its decoded strings (so a text with quotes or
line breaks is found although JSON escapes it). ``times`` is how many requests the rule applies to, null for all. The
first rule that fits a request, in the order they were added, is the only one applied to it.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Any, Optional

from vllm_stub.prompts import strings

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
    "empty-choices": "answer 200 with a completion without choices",
    "wrong-model": "answer 200 in the name of another model, also in the list of models",
}
LONGEST_S = 3600.0
FIELDS = {"id", "path", "contains", "action", "times", "seconds", "code", "body"}


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
        shown = {"id", "action", "path", "contains", "times", "hits"}
        if self.action == "delay":
            shown.add("seconds")
        if self.action == "status":
            shown |= {"code", "body"}
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name in shown}


def parse_rule(document: object) -> Rule:
    """Make a rule of a decoded JSON body. Must run in an event loop. Raises BadRule."""
    if not isinstance(document, dict):
        raise BadRule("a fault rule is a JSON object")
    unknown = sorted(set(document) - FIELDS)
    if unknown:
        raise BadRule(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(FIELDS))}")
    given = {name: value for name, value in document.items() if value is not None}
    action = given.get("action")
    if not isinstance(action, str) or action not in ACTIONS:
        raise BadRule(f"action {action!r} is not one of {', '.join(ACTIONS)}")
    path = _text(given, "path", HEALTH_PATH if action == "unhealthy" else CHAT_PATH)
    if not path.startswith("/") or path.startswith("/debug"):
        raise BadRule(f"path {path!r} must start with / and not be a debug route")
    rule = Rule(action=action, path=path, times=_times(given), **_details(given, action))
    if "contains" in given:
        rule.contains = _text(given, "contains")
    if "id" in given:
        rule.id = _text(given, "id")
    return rule


def _text(given: dict[str, Any], name: str, default: str = "") -> str:
    value = given.get(name, default)
    if not isinstance(value, str) or not value:
        raise BadRule(f"{name} must be a text that is not empty, not {value!r}")
    return value


def _whole(value: object, lowest: int, highest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _times(given: dict[str, Any]) -> Optional[int]:
    times = given.get("times")
    if times is not None and not _whole(times, 1, 10**9):
        raise BadRule(f"times must be a whole number above zero or null, not {times!r}")
    return times


def _details(given: dict[str, Any], action: str) -> dict[str, Any]:
    """The fields that only one action has: seconds of a delay, code and body of a status."""
    for name, owner in (("seconds", "delay"), ("code", "status"), ("body", "status")):
        if name in given and action != owner:
            raise BadRule(f"{name} belongs to action {owner!r}, not to {action!r}")
    if action == "delay":
        seconds = given.get("seconds")
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 < seconds <= LONGEST_S:
            raise BadRule(f"a delay needs seconds, above 0 and at most {LONGEST_S:g}, not {seconds!r}")
        return {"seconds": float(seconds)}
    if action == "status":
        if not _whole(given.get("code"), 200, 599):
            raise BadRule(f"a status needs a code from 200 to 599, not {given.get('code')!r}")
        return {"code": given["code"], "body": given.get("body")}
    return {}


class FaultBook:
    """The rules in force, in the order they were added."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}

    def add(self, rule: Rule) -> None:
        """Put a rule in force. Raises BadRule when its id is taken."""
        if rule.id in self._rules:
            raise BadRule(f"a rule with id {rule.id!r} exists; delete it first")
        self._rules[rule.id] = rule

    def take(self, path: str, body: bytes, document: object) -> Optional[Rule]:
        """The rule for this request, with the hit counted, or None."""
        for rule in self._rules.values():
            if rule.fits(path, body, document):
                rule.hits += 1
                return rule
        return None

    def remove(self, rule_id: str) -> bool:
        """End a rule and release what it keeps waiting; False when there is none of that id."""
        rule = self._rules.pop(rule_id, None)
        if rule is not None:
            rule.removed.set()
        return rule is not None

    def clear(self) -> int:
        """End all rules; returns how many there were."""
        return sum(self.remove(rule_id) for rule_id in list(self._rules))

    def listing(self) -> list[dict[str, Any]]:
        """All rules with their hits."""
        return [rule.as_document() for rule in self._rules.values()]
