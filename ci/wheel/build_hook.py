"""Writes into the wheel the commit that it is built of."""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """The name is hatchling's."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add COMMIT, empty where the sources are of no repository."""
        del version
        asked = ["git", "-C", self.root, "rev-parse", "--short=12", "HEAD"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        file = Path(tempfile.mkdtemp()) / "COMMIT"
        file.write_text(answer.stdout, encoding="utf-8")
        build_data["force_include"][str(file)] = "fleet_conformance/_suite/COMMIT"
        self._written = file

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was written for it."""
        del version, build_data, artifact_path
        self._written.unlink()
        self._written.parent.rmdir()
