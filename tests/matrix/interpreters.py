"""Interpreters of this machine, by their minor version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fixtures.core.timeouts import TIMEOUTS


def interpreter(minor: str) -> Path | None:
    """One of that minor version, e.g. "3.12", that has what the suite's environment is made with; None: there is none.

    Looked for in this order: the one that runs this, PATH, pyenv's versions.
    """
    return next((path for path in _candidates(minor) if _runs(path, minor)), None)


def _candidates(minor: str) -> Iterator[Path]:
    yield Path(getattr(sys, "_base_executable", sys.executable))
    for folder in os.get_exec_path():
        if found := shutil.which(f"python{minor}", path=folder):
            yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{minor}.*/bin/python{minor}"), reverse=True)


def _runs(path: Path, minor: str) -> bool:
    """Whether it starts, as pyenv's shims do not for a version that is not chosen, and is of that version."""
    asks = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [str(path), "-c", asks], capture_output=True, text=True, timeout=TIMEOUTS.request, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == minor
