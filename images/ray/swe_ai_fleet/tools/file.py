"""Files of a workspace, and of nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List

IGNORED = {".git", "__pycache__", ".venv", "node_modules"}


class FileTool:
    """Reads, writes and lists files below one directory; names are relative to it."""

    PURPOSE = "read, write and list files of the workspace"

    def __init__(self, workspace_path: str) -> None:
        self.root = Path(workspace_path).resolve()

    def read(self, name: str) -> str:
        """The text of a file (UTF-8). Raises `PermissionError` outside the workspace, `OSError` when unreadable."""
        return self._inside(name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """Write a file and the directories above it. Raises `PermissionError` outside the workspace."""
        path = self._inside(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def list(self) -> List[str]:
        """All files, sorted, without version control and caches."""
        names = []
        for directory, below, files in os.walk(self.root):
            below[:] = [name for name in below if name not in IGNORED]
            names += [str((Path(directory) / name).relative_to(self.root)) for name in files]
        return sorted(names)

    def _inside(self, name: str) -> Path:
        path = (self.root / name).resolve()  # follows links, so a link cannot lead out
        if path != self.root and self.root not in path.parents:
            raise PermissionError(f"{name} is outside the workspace")
        return path
