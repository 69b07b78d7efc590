"""ci/setup.sh: the suite's environment is made once, in an absolute folder,
and nothing of the user's is overwritten.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures.core.paths import ROOT

#: Stands for Python: it "makes" an environment whose python and uv do nothing.
PYTHON = """#!/bin/bash
case "$*" in
*_base_executable*) echo "$0" ;;
"-m venv "*) mkdir -p "$3/bin" && printf '#!/bin/sh\\n' | tee "$3/bin/python" >"$3/bin/uv" && chmod +x "$3"/bin/* ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout, and an interpreter next to it, with blanks in both paths."""
    root = tmp_path / "check out"
    (root / "ci" / "locks").mkdir(parents=True)
    (root / "ci" / "locks" / "suite.lock").write_text("uv==1 \\\n    --hash=sha256:0\n")
    for name in ("setup.sh", "cache.sh"):
        shutil.copy(ROOT / "ci" / name, root / "ci")
    (tmp_path / "bin").mkdir()
    for path in (tmp_path / "any python", tmp_path / "bin" / "python3"):
        path.write_text(PYTHON)
        path.chmod(0o755)
    return root


def source(checkout: Path, *, path: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Source it in the checkout, change the folder, and print the cache folder and the environment's uv."""
    program = 'source ci/setup.sh; cd /; echo "$FLEET_CACHE"; command -v uv'
    variables = {"PATH": f"{path}{os.defpath}", "FLEET_CACHE": "the cache"}
    variables |= {"FLEET_PYTHON": str(checkout.parent / "any python"), **environment}
    return subprocess.run(
        ["bash", "-c", program], cwd=checkout, env=variables, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_relative_cache_folder_becomes_absolute(checkout: Path) -> None:
    ran = source(checkout)
    assert ran.returncode == 0, ran.stderr
    cache, uv = ran.stdout.splitlines()
    assert cache == str(checkout / "the cache")
    assert Path(uv).parent.parent == (checkout / ".venv").resolve()
    assert Path(uv).is_relative_to(cache)


def test_the_environment_is_made_once(checkout: Path) -> None:
    assert "Preparing the suite" in source(checkout).stderr
    assert source(checkout).stderr == ""


def test_without_a_named_interpreter_python3_is_taken(checkout: Path) -> None:
    ran = source(checkout, path=f"{checkout.parent / 'bin'}:", FLEET_PYTHON="")
    assert ran.returncode == 0, ran.stderr


def test_a_virtual_environment_of_the_users_stays_as_it_is(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    ran = source(checkout)
    assert ran.returncode == 0, ran.stderr
    assert [entry.name for entry in (checkout / ".venv").iterdir()] == ["bin"]


def test_the_link_to_an_older_environment_is_replaced(checkout: Path) -> None:
    (checkout / ".venv").symlink_to(checkout / "gone")
    source(checkout)
    assert (checkout / ".venv" / "complete").exists()


@pytest.mark.parametrize(
    ("cache", "words"),
    [("/proc/nowhere", "cannot create the cache folder /proc/nowhere"), ("/proc", "cannot write to the cache folder")],
)
def test_a_cache_that_cannot_be_written_is_one_line_and_no_verdict(checkout: Path, cache: str, words: str) -> None:
    ran = source(checkout, FLEET_CACHE=cache)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (4, 1), ran.stderr
    assert words in ran.stderr and "FLEET_CACHE=/path names another" in ran.stderr


def test_a_file_system_without_locks_is_one_line_and_no_verdict(checkout: Path) -> None:
    flock = checkout.parent / "bin" / "flock"
    flock.write_text("#!/bin/sh\nexit 1\n")
    flock.chmod(0o755)
    ran = source(checkout, path=f"{flock.parent}:")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (4, 1), ran.stderr
    assert "cannot lock" in ran.stderr


def test_a_finished_environment_needs_no_writable_cache(checkout: Path) -> None:
    """As in an image, or on a machine where an administrator filled the cache."""
    source(checkout)
    flock = checkout.parent / "bin" / "flock"
    flock.write_text("#!/bin/sh\nexit 1\n")
    flock.chmod(0o755)
    assert source(checkout, path=f"{flock.parent}:").returncode == 0


def test_without_a_home_nothing_is_run_from_a_folder_that_anybody_can_make(checkout: Path) -> None:
    ran = source(checkout, FLEET_CACHE="")
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (4, "", 1)
    assert "there is no HOME" in ran.stderr and "FLEET_CACHE" in ran.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_a_cache_folder_of_another_users_is_used_by_name_alone(checkout: Path, tmp_path: Path) -> None:
    cache = tmp_path / "home" / ".cache" / "fleet-conformance"
    cache.mkdir(parents=True)
    home = str(tmp_path / "home")
    assert source(checkout, FLEET_CACHE="", HOME=home).returncode == 0
    os.chown(cache, 65534, 65534)
    ran = source(checkout, FLEET_CACHE="", HOME=home)
    assert ran.returncode == 4
    assert f"{cache} is another user's" in ran.stderr
    assert source(checkout, FLEET_CACHE=str(cache), HOME=home).returncode == 0


@pytest.fixture
def machine(checkout: Path) -> Path:
    """A folder for PATH without a container engine or a browser, on a machine where root could install both."""
    programs = checkout.parent / "programs"
    programs.mkdir()
    for name in ("bash", "dirname", "printf", "mkdir", "rm", "sed", "mktemp"):
        (programs / name).symlink_to(str(shutil.which(name)))
    for name, text in (("apt-get", 'echo "apt-get $*" >>"$CALLS"'), ("id", "echo 0")):
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    shutil.copy(ROOT / "ci" / "test", checkout / "ci")
    (checkout / "ci" / "setup.sh").write_text('ROOT=$PWD; fleet_die() { echo "$1" >&2; exit "${2:-1}"; }\n')
    for name in ("kubernetes", "python"):
        (checkout / "ci" / name).write_text(f'#!/bin/bash\necho "{name} $*" >>"$CALLS"\n')
        (checkout / "ci" / name).chmod(0o755)
    (programs / "python").symlink_to(checkout / "ci" / "python")
    return programs


@pytest.mark.parametrize(
    ("environment", "called", "said"),
    [
        ({}, [], ["Kubernetes is left out", "the pages are left out"]),
        ({"FLEET_OFFLINE": "0"}, [], ["Kubernetes is left out", "the pages are left out"]),
        ({"FLEET_OFFLINE": "1"}, ["kubernetes checklist", "apt-get install", "python -m pytest"], []),
    ],
)
def test_the_suites_own_tests_install_nothing_unasked(
    checkout: Path, machine: Path, environment: dict[str, str], called: list[str], said: list[str]
) -> None:
    calls = checkout.parent / "calls"
    variables = {"PATH": str(machine), "CALLS": str(calls), **environment}
    ran = subprocess.run(
        ["bash", "ci/test", "kubernetes", "browser"],
        cwd=checkout, env=variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    done = calls.read_text() if calls.exists() else ""
    assert all(word in done for word in called)
    assert bool(done) is bool(called)
    assert all(word in ran.stdout for word in said)


def test_a_submission_may_install_what_its_machine_lacks() -> None:
    assert "export FLEET_OFFLINE=${FLEET_OFFLINE:-1}\n" in (ROOT / ".ci" / "run").read_text()
