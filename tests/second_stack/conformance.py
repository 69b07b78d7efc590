"""Runs all checks on the second stack: it must be conformant, and exactly what is listed must not apply.

usage: python -m tests.second_stack.conformance REPORT_DIR [suite options]
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.second_stack.cluster import FOLDER
from tests.support import program
from tests.support.suite_process import CI_E2E, SuiteProcess

ARGUMENTS = ("-q", "-p", "tests.second_stack.cluster", "-m", "e2e")
#: Id → the part that the fleet lacks.
NOT_APPLICABLE: Mapping[str, str] = tomllib.loads((FOLDER / "not_applicable.toml").read_text(encoding="utf-8"))


def complaints(status: int, document: Mapping[str, Any]) -> list[str]:
    """What is not as it should be, one line each. `document`: of conformance.json."""
    wrong = [] if status == 0 else [f"exit status {status}, not 0"]
    if document.get("conformant") is not True:
        wrong.append(f"it is not conformant, but {document.get('verdict', 'without a report')}")
    rows = document.get("checks", ())
    seen = {row["id"]: row["absent"] for row in rows if row["status"] == "not_applicable"}
    wrong += [
        f"{check} does not apply ({part}), and is not listed"
        for check, part in seen.items()
        if check not in NOT_APPLICABLE
    ]
    wrong += [
        f"{check} applies, and is listed for the lack of {part}"
        if check not in seen
        else f"{check} lacks {seen[check]}, not {part}"
        for check, part in NOT_APPLICABLE.items()
        if seen.get(check) != part
    ]
    wrong += [f"{row['id']}: {row['status']}: {row['detail']}" for row in rows if row["status"] in ("failed", "broken")]
    return wrong


def command() -> int:
    reports, *options = sys.argv[1:]
    with SuiteProcess(Path(reports), *ARGUMENTS, *options, command=CI_E2E) as suite:
        status = suite.wait()
    wrong = complaints(status, suite.report.document)
    print("\n".join(wrong) or "the second stack is conformant, and what does not apply to it is what is listed")
    return int(bool(wrong))


if __name__ == "__main__":
    program.run(command)
