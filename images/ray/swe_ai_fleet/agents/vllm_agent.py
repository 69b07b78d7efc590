"""What an agent with tools sees of its workspace before it asks the model for a plan."""

from __future__ import annotations

from typing import Optional

from swe_ai_fleet.tools import TOOLS
from swe_ai_fleet.tools.file import FileTool
from swe_ai_fleet.tools.git import GitTool

BRIEFING_FILES = 50


def briefing(workspace_path: Optional[str] = None) -> str:
    """A part of the prompt: the tools there are and, with a workspace (a directory), its files and git status."""
    lines = ["Available tools:"] + [f"- {name}: {tool.PURPOSE}" for name, tool in TOOLS.items()]
    if workspace_path:
        names = FileTool(workspace_path).list()
        lines += ["", "Files:", *names[:BRIEFING_FILES]]
        if len(names) > BRIEFING_FILES:
            lines.append(f"… and {len(names) - BRIEFING_FILES} more")
        lines += ["", f"Git status: {_git_status(workspace_path)}"]
    return "\n".join(lines)


def _git_status(workspace_path: str) -> str:
    """Git's status; its complaint where the workspace is no repository, which is no reason to give up."""
    try:
        return GitTool(workspace_path).status() or "clean"
    except RuntimeError as error:
        return f"not available ({error})"
