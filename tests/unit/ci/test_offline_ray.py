"""ci/offline: the base image of another Ray is made when it is asked for, and named in what `kind` starts from."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from fixtures.clusters.image_recipes import recipes
from fixtures.clusters.kind.sources import load
from fixtures.core.errors import UsageError
from fixtures.core.paths import ROOT

OFFLINE = ROOT / "ci" / "offline"
FIRST, *OTHERS = recipes().ray.versions
#: As ./build has it before it sources ray.sh, with an engine that has the images of 2.60.0.
BUILD = """
set -euo pipefail
ROOT=$1 OFFLINE=$1/ci/offline IMAGES=$1/ci/offline/images work=$2 python_key=pk python=python:1
die() { printf 'offline: %s\\n' "$1" >&2; exit "$2"; }
key() { for part; do if [ -f "$part" ]; then sha256sum <"$part"; else echo "$part"; fi; done | sha256sum | cut -c1-10; }
present() { [[ $1 = *:2.60.0-* ]]; }
context() { mkdir -p "$work/$1" && echo "$work/$1"; }
image() { echo "$@"; }
. "$OFFLINE/ray.sh"
"""


def build(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    argv = ["bash", "-c", BUILD + script, "build", str(ROOT), str(folder)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)


def test_the_versions_are_those_of_the_table(tmp_path: Path) -> None:
    assert build("ray_versions", tmp_path).stdout.split() == [FIRST, *OTHERS]


def test_a_version_without_a_lock_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    ran = build("ray_require --ray 2.48.0", tmp_path)
    assert (ran.returncode, ran.stderr) == (
        4,
        f"offline: --ray 2.48.0: there is no lock for it; allowed are {', '.join([FIRST, *OTHERS])}\n",
    )


@pytest.mark.parametrize("version", OTHERS)
def test_an_image_is_made_by_the_first_ones_recipe_from_its_own_lock(tmp_path: Path, version: str) -> None:
    ran = build(f"ray_version_image {version}", tmp_path)
    name, *rest = ran.stdout.split()
    assert name.startswith(f"fleet-offline/ray:{version}-py311-")
    assert rest == [str(tmp_path / f"ray-{version}"), "--build-arg", "BASE=python:1"]
    folder = tmp_path / f"ray-{version}"
    assert {file.name for file in folder.iterdir()} == {"Dockerfile", "stock.lock"}
    assert (folder / "stock.lock").read_text() == (ROOT / "images/ray" / version / "stock.lock").read_text()


def test_each_version_has_a_key_of_its_own(tmp_path: Path) -> None:
    script = f"for version in {' '.join(OTHERS)}; do ray_reference $version; done"
    assert len({line.rpartition("-")[2] for line in build(script, tmp_path).stdout.split()}) == len(OTHERS)


def test_sources_name_the_images_that_the_engine_has(tmp_path: Path) -> None:
    rows = tomllib.loads(build("ray_rows", tmp_path).stdout)
    assert list(rows) == ["2.60.0"]
    assert rows["2.60.0"]["python"] == "3.11"
    assert rows["2.60.0"]["image"] == build("ray_reference 2.60.0", tmp_path).stdout.strip()


def test_what_decides_the_node_image_does_not_know_other_versions() -> None:
    """images.sh is part of the node image's key: a version of Ray must not cost another node image."""
    assert "ray.sh" not in (OFFLINE / "images.sh").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as ci/offline/run looks at; `up` and `docker` are stand-ins that change nothing."""
    for name in ("ci/cache.sh", "ci/offline/run", "ci/offline/lib.sh", "ci/offline/ray.sh", "images/images.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    up = 'cache="$FLEET_CACHE/offline"; mkdir -p "$cache/bin"; printf "%s\\n" "$*" >"$cache/asked"'
    for name, text in {"ci/offline/up": up, "bin/docker": "exit 0"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["true", "--cluster", "kind"], ""),
        (["true", "--cluster", "kind", "--ray-version", "2.60.0"], "--ray 2.60.0"),
        (["true", "--ray-version=2.52.1"], "--ray 2.52.1"),
        (["true", "--ray-version", "2.48.0"], ""),  # for the suite to refuse
        (["--ray", "2.55.1", "--ray", "2.60.0", "true"], "--ray 2.55.1 --ray 2.60.0"),
    ],
)
def test_run_builds_what_its_command_asks_for(checkout: Path, arguments: list[str], asked: str) -> None:
    ran = run(checkout, *arguments)
    assert ran.returncode == 0, ran.stderr
    assert (checkout / "cache" / "offline" / "asked").read_text().strip() == asked


def test_run_refuses_a_version_before_anything_is_started(checkout: Path) -> None:
    ran = run(checkout, "--ray", "2.48.0", "true")
    assert ran.returncode == 4
    assert "--ray 2.48.0: there is no lock for it" in ran.stderr
    assert not (checkout / "cache").exists()


#: Has every image but those of further versions of Ray, until they are built.
DOCKER = """#!/bin/bash
case "$1 $2" in
"image inspect")
    for reference in "${@:3}"; do
        [[ $reference != */ray:* || $reference = *ray:2.49.2-* ]] || grep -qxF "$reference" "$STATE/built" || exit 1
    done ;;
"build --quiet") while [ "$1" != -t ]; do shift; done; echo "$2" >>"$STATE/built" ;;
esac
"""
GO = """#!/bin/bash
case $1 in
env) echo go1.25.0 ;;
build)
    while [ "$1" != -o ]; do shift; done
    for name in kubectl kind; do cp "$0" "$2/$name"; done ;;
esac
"""
#: Debian's docker goes before another one on PATH; here a stand-in has to.
FIRST_ON_PATH = "PATH=/usr/bin:$PATH #"


def test_build_makes_what_is_asked_for_once(tmp_path: Path) -> None:
    """The whole command, with stand-ins for all that it calls: what the default needs is there already."""
    for folder in ("ci", "images"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = tmp_path / "ci" / "offline" / "build"
    assert FIRST_ON_PATH in command.read_text()
    command.write_text(command.read_text().replace(FIRST_ON_PATH, "#"))
    programs = {"docker": DOCKER, "go": GO} | dict.fromkeys(("jq", "mmdebstrap", "iptables", "curl"), "#!/bin/sh\n")
    (tmp_path / "bin").mkdir()
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "built").touch()

    def built(*arguments: str) -> list[str]:
        """The versions that the sources name afterwards."""
        environment = {
            "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
            "FLEET_CACHE": str(tmp_path / "cache"),
            "STATE": str(tmp_path),
            "DOCKER_HOST": "unix:///nonexistent",
        }
        argv = ["bash", str(command), *arguments]
        ran = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return list(load(str(tmp_path / "cache/offline/sources.toml")).ray_versions)

    assert built() == []
    assert built("--ray", FIRST) == [], "its base is always there"
    assert built("--ray", "2.60.0") == built("--ray", "2.60.0") == ["2.60.0"]
    assert built() == ["2.60.0"], "what was built stays"
    assert len((tmp_path / "built").read_text().split()) == 1
    sources = load(str(tmp_path / "cache/offline/sources.toml"))
    with pytest.raises(UsageError, match=r"\(2\.60\.0\); this makes it: /.*/ci/offline/build --ray 2\.52\.1$"):
        sources.ray_image("2.52.1")


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{checkout}/bin:/usr/bin:/bin",
        "FLEET_CACHE": str(checkout / "cache"),
        "HOME": "/nonexistent",
    }
    argv = ["bash", str(checkout / "ci/offline/run"), *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=20)
