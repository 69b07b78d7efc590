"""Reading a workspace's git repository."""

from __future__ import annotations

import subprocess

TIMEOUT_SECONDS = 30


class GitTool:
    """Status, difference and history; nothing here changes the repository.

    Every method raises `RuntimeError` with git's own words when git fails or is not installed.
    """

    PURPOSE = "show the status, difference and history of the workspace"

    def __init__(self, workspace_path: str) -> None:
        self.workspace_path = workspace_path

    def status(self) -> str:
        """Changed files, one per line, in git's short format."""
        return self._git("status", "--short")

    def diff(self) -> str:
        """What is changed against the last commit."""
        return self._git("diff", "HEAD")

    def log(self, count: int = 10) -> str:
        """The newest commits, one per line."""
        return self._git("log", "--oneline", f"-{count}")

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", self.workspace_path, *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeError(f"git {arguments[0]}: {error}") from error
        if done.returncode != 0:
            raise RuntimeError(f"git {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")
