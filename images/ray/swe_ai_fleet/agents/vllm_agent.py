"""An agent with tools: it looks at its workspace before it asks the model for a plan."""

from __future__ import annotations

from typing import Dict, List, Optional

from swe_ai_fleet.tools import TOOLS
from swe_ai_fleet.tools.file import FileTool
from swe_ai_fleet.tools.git import GitTool
from swe_ai_fleet.tools.test import RunResult, TestTool

BRIEFING_FILES = 50


class VLLMAgent:
    """The tools of one role in one workspace (a directory on the worker, or none)."""

    def __init__(self, role: str, workspace_path: Optional[str] = None) -> None:
        self.role = role
        self.files = FileTool(workspace_path) if workspace_path else None
        self.git = GitTool(workspace_path) if workspace_path else None
        self.tests = TestTool(workspace_path) if workspace_path else None

    def briefing(self) -> str:
        """The system prompt: the tools there are and, with a workspace, its files and git status."""
        lines = ["Available tools:"] + [f"- {name}: {purpose}" for name, purpose in self.describe().items()]
        if self.files is not None:
            lines += ["", "Files:", *self._first_files(), "", f"Git status: {self._git_status()}"]
        return "\n".join(lines)

    def describe(self) -> Dict[str, str]:
        """Tool name to purpose."""
        return {name: tool.PURPOSE for name, tool in TOOLS.items()}

    def verify(self, timeout: float = 300) -> RunResult:
        """Run the workspace's tests (seconds). Raises `RuntimeError` without a workspace."""
        if self.tests is None:
            raise RuntimeError("the agent has no workspace to test")
        return self.tests.run(timeout=timeout)

    def _first_files(self) -> List[str]:
        assert self.files is not None
        names = self.files.list()
        more = [f"… and {len(names) - BRIEFING_FILES} more"] if len(names) > BRIEFING_FILES else []
        return names[:BRIEFING_FILES] + more

    def _git_status(self) -> str:
        """Git's status; its complaint where the workspace is no repository, which is no reason to give up."""
        assert self.git is not None
        try:
            return self.git.status() or "clean"
        except RuntimeError as error:
            return f"not available ({error})"
