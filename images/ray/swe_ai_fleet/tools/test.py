"""Running a workspace's tests."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple, Optional, Sequence


class RunResult(NamedTuple):
    """A finished or interrupted test run: exit status (None when it ran out of time) and output."""

    returncode: Optional[int]
    output: str

    @property
    def passed(self) -> bool:
        """Whether the tests ran to the end and none failed."""
        return self.returncode == 0


class TestTool:
    """Runs a test command in the workspace; the default is pytest with the worker's own interpreter."""

    PURPOSE = "run the tests of the workspace"
    __test__ = False  # not a test case, whatever its name suggests to pytest

    def __init__(self, workspace_path: str) -> None:
        self.workspace_path = workspace_path

    def run(self, command: Optional[Sequence[str]] = None, timeout: float = 300) -> RunResult:
        """Run the tests for at most `timeout` seconds. Raises `OSError` when the command cannot be started."""
        command = list(command or [sys.executable, "-m", "pytest", "-q"])
        try:
            done = subprocess.run(
                command,
                cwd=self.workspace_path,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            output = error.output.decode(errors="replace") if isinstance(error.output, bytes) else error.output or ""
            return RunResult(None, output)
        return RunResult(done.returncode, done.stdout)
