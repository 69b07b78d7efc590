"""The suite in a process of its own, as a user starts it, and what its report says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fixtures.core.paths import ROOT
from fixtures.core.polling import StateNotReached, wait_until
from tests.support import published

HANGS = 180  # seconds: it has hung; a run that writes reports took 37 s with five processes for each CPU
#: Without hypothesis, as ./ci/e2e: its plugin costs half of the start.
PYTEST = (
    *(sys.executable, "-u", "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"),
    *("-m", "e2e", "tests/e2e"),
)
CI_E2E = (str(ROOT / "ci" / "e2e"),)
LOOK_EVERY = 0.02  # seconds between two looks at the output


@dataclass(frozen=True)
class Report:
    """A run's conformance.json; without one (the run was killed, or refused to start) everything is empty."""

    document: Mapping[str, Any]

    @classmethod
    def read(cls, reports: Path) -> Report:
        """That of the report folder, which is what its schema says. Raises ValueError when the file is not JSON."""
        file = reports / "conformance.json"
        if not file.exists():
            return cls({})
        document = json.loads(file.read_text(encoding="utf-8"))
        if "schema" in document:  # which what a test makes up may lack
            published.validate(document)
        return cls(document)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return list(self.document.get("checks", ()))

    @property
    def verdict(self) -> str:
        return str(self.document.get("verdict", "no report"))

    @property
    def statuses(self) -> dict[str, str]:
        """Check id → status."""
        return {row["id"]: row["status"] for row in self.rows}

    def details(self, *statuses: str) -> dict[str, str]:
        """Check id → detail, of the checks that have one of these statuses and were selected."""
        return {
            row["id"]: row["detail"]
            for row in self.rows
            if row["status"] in statuses and row["detail"] != "not selected"
        }


@dataclass(frozen=True)
class SuiteRun:
    """A run that has ended."""

    returncode: int
    stdout: str
    stderr: str
    reports: Path

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def report(self) -> Report:
        return Report.read(self.reports)


def run(
    *options: str,
    command: Sequence[str] = PYTEST,
    reports: Path | None = None,
    cwd: Path = ROOT,
    environment: Mapping[str, str | None] | None = None,
    timeout: float | None = HANGS,
) -> SuiteRun:
    """Run to the end and keep what it prints. Raises subprocess.TimeoutExpired after `timeout` seconds.

    `reports`: the report folder (default: `reports` in `cwd`); a variable of `environment` that is None is removed.
    """
    done = subprocess.run(
        [*command, *(["--report-dir", str(reports)] if reports else []), *options],
        cwd=cwd,
        env=environment_with(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return SuiteRun(done.returncode, done.stdout, done.stderr, reports or cwd / "reports")


def environment_with(changes: Mapping[str, str | None] | None) -> dict[str, str]:
    """The variables of this process with these changes; None removes one."""
    return {name: value for name, value in {**os.environ, **(changes or {})}.items() if value is not None}


class SuiteProcess:
    """A run in the background. `with` kills it at the latest there."""

    def __init__(
        self,
        reports: Path,
        *options: str,
        command: Sequence[str] = PYTEST,
        environment: Mapping[str, str | None] | None = None,
        log: Path | None = None,
        cwd: Path = ROOT,
    ) -> None:
        """`log` is the file that it prints into; without one it prints where this process does."""
        self.reports, self.log = reports, log
        with open(log or os.devnull, "wb") as out:
            self.process = subprocess.Popen(
                [*command, "--report-dir", str(reports), *options],
                cwd=cwd,
                env=environment_with(environment),
                stdout=out if log else None,
                stderr=out if log else None,
                start_new_session=True,  # Ctrl-C is passed on by `wait`, once
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log else ""

    @property
    def report(self) -> Report:
        return Report.read(self.reports)

    def wait(self) -> int:
        """The exit status. When this process is interrupted, the run is too, and its clean-up is waited for."""
        try:
            return self.process.wait()
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # once is enough
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
            raise

    async def ended(self, timeout: float | None = None) -> int:
        """As `wait`, in an event loop, where being cancelled interrupts the run.

        Raises StateNotReached after `timeout` seconds.
        """
        end = asyncio.ensure_future(asyncio.to_thread(self.process.wait))
        try:
            done, _ = await asyncio.wait([end], timeout=timeout)
        except BaseException:
            self.process.send_signal(signal.SIGINT)
            await end
            raise
        if not done:
            raise StateNotReached(f"it has not ended after {timeout} s: {self.output[-1000:]}")
        return end.result()

    async def prints(self, *texts: str, timeout: float = 120) -> None:
        """Wait for one of `texts` in the log.

        Raises AssertionError when the run ends without it, StateNotReached after `timeout` seconds.
        """

        async def seen() -> bool:
            over = self.process.poll() is not None
            output = self.output
            found = any(text in output for text in texts)
            assert found or not over, f"it ended with {self.process.returncode}: {output[-3000:]}"
            return found

        await wait_until(
            seen, f"one of {texts} in the output", timeout, every=LOOK_EVERY, detail=lambda: self.output[-1000:]
        )
