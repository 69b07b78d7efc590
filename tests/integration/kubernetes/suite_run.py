"""Runs the checks against a Kubernetes cluster as a user does, in a process of their own,
and reads what they report.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.core.paths import ROOT


@dataclass
class Seen:
    """A run that has ended."""

    returncode: int
    output: str
    reports: Path

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads((self.reports / "conformance.json").read_text(encoding="utf-8")))

    def with_status(self, status: str) -> dict[str, str]:
        """Check id → what it says, of all checks with this status that were selected."""
        rows = self.document["checks"]
        return {row["id"]: row["detail"] for row in rows if row["status"] == status and row["detail"] != "not selected"}


def command(reports: Path, *arguments: str) -> list[str]:
    pytest = [sys.executable, "-u", "-m", "pytest", "-m", "e2e", "tests/e2e", "-p", "no:cacheprovider"]
    return [*pytest, "--cluster", "attach", "--report-dir", str(reports), *arguments]


def run(reports: Path, *arguments: str, timeout: float = 300) -> Seen:
    """Run to the end. `timeout`: seconds."""
    ran = subprocess.run(
        command(reports, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )
    return Seen(ran.returncode, ran.stdout + ran.stderr, reports)
