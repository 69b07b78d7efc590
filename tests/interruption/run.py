"""`pytest -m e2e` in the background, in a temporary folder and with a block of ports of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from fixtures.clusters.embedded.ports import SIZE, is_free
from fixtures.core.paths import ROOT
from fixtures.core.polling import wait_until
from tests.support.leaks import Before

SOON = 0.02  # seconds between two looks at the output
CLEANED_UP = 30.0  # whoever cleans up after a run outlives it by a moment, on a loaded machine by a longer one
EMBEDDED = ("--vllm", "stub")


class Run:
    """One run of checks, from its start to its end. `with Run(…) as run:` ends it at the latest there."""

    def __init__(
        self,
        report_dir: Path,
        *arguments: str,
        against: tuple[str, ...] = EMBEDDED,
        ports: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`ports`: the first of the block that an embedded fleet gets, which is then looked at in the end."""
        self.reports, self.log, self.ports = report_dir, report_dir.with_suffix(".log"), ports
        self.folder = Path(f"/tmp/e{secrets.token_hex(3)}")  # short: the names of Ray's sockets lie below it
        self.folder.mkdir()
        self.before = Before(self.folder, prefixes=("",))
        command = [sys.executable, "-u", "-m", "pytest", "-m", "e2e", "tests/e2e", "-p", "no:cacheprovider", *against]
        command += ["--report-dir", str(report_dir), *(["--port-base", str(ports)] if ports else []), *arguments]
        self.began = time.monotonic()
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **(environment or {}), "TMPDIR": str(self.folder)},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def run_id(self) -> str:
        return self.output.partition(", run ")[2].partition("\n")[0]

    @property
    def over(self) -> bool:
        return self.process.poll() is not None

    async def says(self, text: str, timeout: float = 120) -> None:
        """Wait for `text` in the output. Raises AssertionError when the run ends without it."""

        async def seen() -> bool:
            over = self.over
            found = text in self.output
            assert found or not over, f"it ended with {self.process.returncode}: {self.output[-3000:]}"
            return found

        await wait_until(seen, f"{text!r} in the output", timeout, every=SOON, detail=lambda: self.output[-1000:])

    async def ended(self, timeout: float = 90) -> int:
        """The exit status, once there is one."""

        async def over() -> bool:
            return self.over

        await wait_until(over, "the end of pytest", timeout, every=SOON, detail=lambda: self.output[-1000:])
        return int(self.process.returncode)

    def left(self) -> list[str]:
        """What is still on this machine after the run's end, one line for each: processes, memory, folders, ports."""
        lines = self.before.left_in_the_end(self.run_id, within=CLEANED_UP)
        block = range(self.ports, self.ports + SIZE) if self.ports else ()
        return lines + [f"port {port}" for port in block if not is_free(port)]

    def document(self) -> dict[str, Any]:
        """conformance.json; {} when there is none."""
        report = self.reports / "conformance.json"
        return json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
