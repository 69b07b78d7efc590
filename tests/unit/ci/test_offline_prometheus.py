"""ci/offline/prometheus builds both programs once, and says where they are; a stand-in is the compiler."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from fixtures.core.paths import ROOT

COMMAND = ROOT / "ci" / "offline" / "prometheus"
GO = """#!/bin/bash
case $1 in
env) [ -n "$RELEASE" ] && echo "$RELEASE" ;;
build)
    echo "$*" >>"$STATE/built"
    [ "$RELEASE" != go1.99 ] || { echo "cannot find module" >&2; exit 1; }
    while [ "$1" != -o ]; do shift; done
    touch "$2/prometheus" "$2/promtool" ;;
esac
"""


@pytest.fixture
def compiler(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    go = tmp_path / "bin" / "go"
    go.write_text(GO)
    go.chmod(0o755)
    return tmp_path


def ran(folder: Path, *arguments: str, release: str = "go1.25.3") -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{folder}/bin:/usr/bin:/bin",
        "FLEET_CACHE": str(folder / "cache"),
        "STATE": str(folder),
        "RELEASE": release,
    }
    argv = ["bash", str(COMMAND), *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=20)


def test_it_is_built_once(compiler: Path) -> None:
    first, second, present = ran(compiler), ran(compiler), ran(compiler, "--present")
    assert first.returncode == second.returncode == present.returncode == 0, first.stderr
    assert first.stdout == second.stdout == present.stdout
    assert {file.name for file in Path(first.stdout.strip()).iterdir()} == {"prometheus", "promtool"}
    assert len((compiler / "built").read_text().splitlines()) == 1


def test_where_it_is_not_built_nothing_is(compiler: Path) -> None:
    asked = ran(compiler, "--present")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "ci/offline/prometheus does it" in asked.stderr and not (compiler / "built").exists()


@pytest.mark.parametrize("release", ["go1.24.9", ""])
def test_a_compiler_that_is_too_old_is_named(compiler: Path, release: str) -> None:
    asked = ran(compiler, release=release)
    assert asked.returncode == 4 and "needs Go 1.25.0 or newer" in asked.stderr


def test_a_build_that_fails_leaves_nothing_that_looks_built(compiler: Path) -> None:
    failed = ran(compiler, release="go1.99")
    assert failed.returncode == 1 and "cannot find module" in failed.stderr
    assert ran(compiler, "--present", release="go1.99").returncode == 1


def test_both_programs_are_of_one_pinned_version() -> None:
    pins = (ROOT / "ci/offline/go/prometheus/go.mod").read_text()
    assert set(re.findall(r"prometheus/prometheus/cmd/(\w+)$", pins, re.MULTILINE)) == {"prometheus", "promtool"}
    (version,) = re.findall(r"github.com/prometheus/prometheus (v\S+)", pins)
    assert f"github.com/prometheus/prometheus {version} h1:" in (ROOT / "ci/offline/go/prometheus/go.sum").read_text()
