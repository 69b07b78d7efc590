"""ci/offline: what another Ray or KubeRay needs is made when it is asked for, and named in what `kind` starts from."""

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
FIRST_KUBERAY, *OTHER_KUBERAYS = recipes().kuberay.versions
#: As ./build has it before it sources versions.sh, with an engine that has the images of Ray 2.60.0 and KubeRay 1.5.1.
BUILD = """
set -euo pipefail
ROOT=$1 OFFLINE=$1/ci/offline IMAGES=$1/ci/offline/images work=$2 python_key=pk python=python:1
CACHE=$2 GO=/go go_release=go1.25.3
die() { printf 'offline: %s\\n' "$1" >&2; exit "$2"; }
key() { for part; do if [ -f "$part" ]; then sha256sum <"$part"; else echo "$part"; fi; done | sha256sum | cut -c1-10; }
present() { [[ $1 = *:2.60.0-* || $1 = *:v1.5.1-* ]]; }
go_key() { key "$(cat "$1"/go.mod "$1/go.sum")"; }
module() { echo "$work/module"; }
context() { mkdir -p "$work/$1" && echo "$work/$1"; }
image() { echo "$@"; }
. "$OFFLINE/versions.sh"
"""


def build(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    argv = ["bash", "-c", BUILD + script, "build", str(ROOT), str(folder)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)


def test_the_versions_are_those_of_the_table(tmp_path: Path) -> None:
    assert build("ray_versions", tmp_path).stdout.split() == [FIRST, *OTHERS]
    assert build("kuberay_versions", tmp_path).stdout.split() == [FIRST_KUBERAY, *OTHER_KUBERAYS]
    assert build("kuberay_first", tmp_path).stdout.split() == [FIRST_KUBERAY]


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ("--ray 2.48.0", (FIRST, *OTHERS)),
        ("--kuberay 1.4.0", (FIRST_KUBERAY, *OTHER_KUBERAYS)),
        ("--kuberay", (FIRST_KUBERAY, *OTHER_KUBERAYS)),
    ],
)
def test_a_version_without_a_lock_is_refused_with_those_that_there_are(
    tmp_path: Path, asked: str, allowed: tuple[str, ...]
) -> None:
    ran = build(f"take_versions --ray {FIRST} {asked}", tmp_path)
    assert ran.returncode == 4
    assert ran.stderr.replace(" : ", ": ") == (
        f"offline: {asked}: there is no lock for it; allowed are {', '.join(allowed)}\n"
    )


def test_versions_are_taken_from_the_beginning_of_a_command_line(tmp_path: Path) -> None:
    ran = build(
        'take_versions --kuberay 1.5.1 --ray 2.60.0 true --ray 9; printf \'%s|\' "${versions[@]}" "${rest[@]}"',
        tmp_path,
    )
    assert ran.stdout == "--kuberay|1.5.1|--ray|2.60.0|true|--ray|9|"


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


@pytest.mark.parametrize("version", [FIRST_KUBERAY, *OTHER_KUBERAYS])
def test_an_operator_is_its_program_and_the_resource_types_of_its_own_module(tmp_path: Path, version: str) -> None:
    (types := tmp_path / "module/config/crd/bases").mkdir(parents=True)
    (types / "rayclusters.yaml").write_text("types\n")
    program = build(f"kuberay_program {version}", tmp_path).stdout.strip()
    assert program.startswith(f"kuberay-{version}-")
    (tmp_path / "programs" / program).mkdir(parents=True)
    (tmp_path / "programs" / program / "ray-operator").write_text("program\n")
    name, folder = build(f"kuberay_image {version}", tmp_path).stdout.split()
    assert name.startswith(f"fleet-offline/kuberay-operator:v{version}-")
    assert name == build(f"kuberay_reference {version}", tmp_path).stdout.strip()
    laid = {file.relative_to(folder).as_posix() for file in Path(folder).rglob("*") if file.is_file()}
    assert laid == {"Dockerfile", "manager", "crds/rayclusters.yaml"}


def test_each_operator_has_a_key_of_its_own(tmp_path: Path) -> None:
    ran = build("for version in $(kuberay_versions); do kuberay_reference $version; done", tmp_path)
    assert len({line.rpartition("-")[2] for line in ran.stdout.split()}) == len(OTHER_KUBERAYS) + 1


def test_sources_name_the_operators_that_the_engine_has_besides_the_first(tmp_path: Path) -> None:
    rows = tomllib.loads(build("kuberay_rows", tmp_path).stdout)
    assert rows == {"1.5.1": build("kuberay_reference 1.5.1", tmp_path).stdout.strip()}


def test_a_compiler_that_is_too_old_for_a_kuberay_is_named(tmp_path: Path) -> None:
    assert build("kuberay_require_go 1.5.1", tmp_path).returncode == 0
    ran = build("go_release=go1.23.1; kuberay_require_go 1.5.1", tmp_path)
    assert ran.returncode == 4
    assert ran.stderr == "offline: KubeRay 1.5.1 needs Go 1.24.0 or newer; /go is go1.23.1\n"


def test_what_decides_the_node_image_does_not_know_other_versions() -> None:
    """images.sh is part of the node image's key: a version of Ray or KubeRay must not cost another node image."""
    assert "ray.sh" not in (OFFLINE / "images.sh").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as ci/offline/run looks at; `up` and `docker` are stand-ins that change nothing."""
    scripts = (f"ci/offline/{name}" for name in ("run", "lib.sh", "versions.sh", "ray.sh", "kuberay.sh"))
    for name in ("ci/cache.sh", *scripts, "images/images.toml"):
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
        (["true", "--ray-version=2.60.0", "--kuberay-version", "1.5.1"], "--ray 2.60.0 --kuberay 1.5.1"),
        (["true", "--kuberay-version", "1.4.0"], ""),
        (["--kuberay", "1.5.1", "--ray", "2.60.0", "true"], "--kuberay 1.5.1 --ray 2.60.0"),
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


#: Has every image but those of further versions of Ray and KubeRay, until they are built.
DOCKER = """#!/bin/bash
case "$1 $2" in
"image inspect")
    for reference in "${@:3}"; do
        case $reference in
        */ray:2.49.2-* | */kuberay-operator:v1.6.2-*) ;;
        */ray:* | */kuberay-operator:*) grep -qxF "$reference" "$STATE/built" || exit 1 ;;
        esac
    done ;;
"build --quiet") while [ "$1" != -t ]; do shift; done; echo "$2" >>"$STATE/built" ;;
esac
"""
GO = """#!/bin/bash
case $1 in
env) echo go1.25.0 ;;
build)
    while [ "$1" != -o ]; do shift; done
    for name in kubectl kind ray-operator; do cp "$0" "$2/$name"; done ;;
list) mkdir -p "$STATE/module/config/crd/bases" && echo "$STATE/module" ;;
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
        """The versions that the sources name afterwards, of Ray and then of KubeRay."""
        environment = {
            "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
            "FLEET_CACHE": str(tmp_path / "cache"),
            "STATE": str(tmp_path),
            "DOCKER_HOST": "unix:///nonexistent",
        }
        argv = ["bash", str(command), *arguments]
        ran = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert ran.returncode == 0, ran.stderr
        sources = load(str(tmp_path / "cache/offline/sources.toml"))
        return [*sources.ray_versions, *sources.kuberay_versions]

    assert built() == []
    assert built("--ray", FIRST) == [], "its base is always there"
    assert built("--ray", "2.60.0") == built("--ray", "2.60.0") == ["2.60.0"]
    assert built() == ["2.60.0"], "what was built stays"
    assert built("--kuberay", FIRST_KUBERAY) == ["2.60.0"], "it is always there"
    assert built("--kuberay", "1.5.1") == built("--kuberay", "1.5.1") == ["2.60.0", "1.5.1"]
    assert len((tmp_path / "built").read_text().split()) == 2
    programs_built = [entry.name for entry in (tmp_path / "cache/offline/programs").glob("kuberay-*")]
    assert [name.rpartition("-")[0] for name in programs_built] == ["kuberay-1.5.1"]
    sources = load(str(tmp_path / "cache/offline/sources.toml"))
    with pytest.raises(UsageError, match=r"\(2\.60\.0\); this makes it: /.*/ci/offline/build --ray 2\.52\.1$"):
        sources.ray_image("2.52.1")
    with pytest.raises(UsageError, match=r"\(1\.5\.1\); this makes it: /.*/ci/offline/build --kuberay 1\.7\.0$"):
        sources.kuberay_image("1.7.0")


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{checkout}/bin:/usr/bin:/bin",
        "FLEET_CACHE": str(checkout / "cache"),
        "HOME": "/nonexistent",
    }
    argv = ["bash", str(checkout / "ci/offline/run"), *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=20)
