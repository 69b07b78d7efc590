"""What one session of checks said."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Session:
    """What one session of checks said."""

    statuses: dict[str, str]  # of the checks that were run
    causes: dict[str, str]  # the first line of each failed check that follows from no other
    details: dict[str, str]  # the first line of whatever did not pass
    seconds: float
    because: dict[str, str] = field(default_factory=dict)  # what is reported as a consequence, and of which check

    def ended(self, status: str) -> list[str]:
        return sorted(check for check, seen in self.statuses.items() if seen == status)

    def not_passed(self, checks: Iterable[str]) -> dict[str, str]:
        """Of these checks those that did not pass, with what became of them."""
        seen = {check: self.statuses.get(check, "not run") for check in sorted(checks)}
        return {
            check: f"{status}: {self.details.get(check, '')}".removesuffix(": ")
            for check, status in seen.items()
            if status != "passed"
        }


def first_line(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip().partition("\n")[0])


def read(rows: Iterable[dict[str, Any]], seconds: float, asked: Collection[str] | None = None) -> Session:
    """The session of a report's rows; what was not selected is no part of it.

    A report names what does not apply whether or not it was selected: `asked` are the ids that were, None for all.
    """
    rows = [
        row
        for row in rows
        if not (row["status"] == "disabled" and not row["duration_s"])
        and not (row["status"] == "not_applicable" and asked is not None and row["id"] not in asked)
    ]
    red = [row for row in rows if row["status"] in ("failed", "broken")]
    return Session(
        statuses={row["id"]: row["status"] for row in rows},
        causes={row["id"]: first_line(row["detail"]) for row in red if row["status"] == "failed" and not row["cause"]},
        details={row["id"]: first_line(row["detail"]) for row in rows if row["status"] != "passed"},
        seconds=seconds,
        because={row["id"]: row["cause"] for row in red if row["cause"]},
    )
