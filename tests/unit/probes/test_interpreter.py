"""A Ray job whose `python` has no Ray goes on with the interpreter with which the raylet starts its workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.probes.packaging import RemoteProgram, reason_in

COMMAND = RemoteProgram("census", {"REQUEST": {}}).command()
#: Stands for a raylet and for the supervisor of a job below it: runs the first argument in a shell.
RAYLET = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1], shell=True).returncode)"


def program(file: Path, text: str) -> Path:
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def ran(folder: Path, *options: str, name: str = "python") -> subprocess.CompletedProcess[str]:
    """What a job's command does below a raylet with these options, where `python` has no Ray."""
    program(folder / name, f'exec "{sys.executable}" -I -S "$@"')
    return subprocess.run(
        [sys.executable, "-c", RAYLET, COMMAND, *options],
        env={"PATH": f"{folder}:{os.defpath}" if name == "python" else str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", ["python", "python3"])
def test_it_goes_on_with_the_interpreter_of_the_workers(tmp_path: Path, name: str) -> None:
    workers = program(tmp_path / "workers python", 'echo "with Ray: $#"')
    done = ran(tmp_path, f'--python_worker_command="{workers}" setup_worker.py --node-ip=1', name=name)
    assert (done.stdout, done.returncode) == ("with Ray: 4\n", 0), done.stderr


@pytest.mark.parametrize("options", [(), ("--python_worker_command=",), ("--python_worker_command=/nowhere/python x",)])
def test_where_there_is_none_the_last_line_says_which_python_it_was_and_what_to_do(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    done = ran(tmp_path, *options)
    assert done.returncode
    reason = reason_in(done.stderr)
    assert reason.startswith(f"ModuleNotFoundError: No module named 'ray' for {sys.executable}, which is on the PATH")
    assert reason.endswith("first on PATH")


def test_one_that_has_no_ray_either_is_not_tried_for_ever(tmp_path: Path) -> None:
    workers = program(tmp_path / "workers", f'exec "{sys.executable}" -I -S "$@"')
    done = ran(tmp_path, f"--python_worker_command={workers} x")
    assert "No module named 'ray' for" in reason_in(done.stderr)
