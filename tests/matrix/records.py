"""What came of each cell, kept in docs/reference/compatibility.json for when only some cells are run again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fixtures.core.errors import UsageError
from fixtures.core.paths import ROOT

FILE = ROOT / "docs" / "reference" / "compatibility.json"
SCHEMA = "fleet-compatibility/v1"


@dataclass(frozen=True)
class Record:
    """One run."""

    date: str  # ISO 8601, UTC, when it began
    commit: str
    verdict: str
    passed: int  # MUST checks
    applies: int  # checks that apply to the profile
    seconds: float  # of the whole run, its clean-up included
    versions: Mapping[str, str]  # as the parts themselves said
    cause: str = ""  # the first one's first line; "" where nothing failed

    @property
    def good(self) -> bool:
        return self.verdict in ("conformant", "partial") and not self.cause

    def older_than(self, days: int, now: datetime) -> bool:
        return now - datetime.fromisoformat(self.date) > timedelta(days=days)

    @classmethod
    def of(cls, document: Mapping[str, Any], seconds: float, began: datetime) -> Record:
        """From a run's conformance.json."""
        rows = document["checks"]
        wrong = [row for row in rows if row["status"] in ("failed", "broken") and row["level"] == "MUST"]
        causes = [row for row in wrong if not row.get("cause")] or wrong
        cause = f"{causes[0]['id']}: {causes[0]['detail'].partition(chr(10))[0]}" if causes else ""
        return cls(
            date=began.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ"),
            commit=str(document["suite"].get("commit", ""))[:12],
            verdict=str(document["verdict"]),
            passed=sum(row["status"] == "passed" and row["level"] == "MUST" for row in rows),
            applies=int(document["scope"]["applies"]),
            seconds=round(seconds),
            versions=dict(document["cluster"].get("versions", {})),
            cause=str(document.get("aborted") or cause),
        )


Records = dict[str, Record]  # by the cell's key


def read(path: Path = FILE) -> Records:
    """All that are kept; none where there is no file. Raises UsageError where it is not as it should be."""
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("schema") != SCHEMA:
            raise UsageError(f'{path}: its "schema" is not {SCHEMA}')
        return TypeAdapter(Records).validate_python(document["cells"])
    except (OSError, ValueError, KeyError, AttributeError, ValidationError) as error:
        raise UsageError(f"{path}: is no list of runs: {str(error).splitlines()[0]}") from error


def write(records: Records, path: Path = FILE) -> None:
    """Replace the file in one step."""
    document = {"schema": SCHEMA, "cells": {key: asdict(record) for key, record in sorted(records.items())}}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
