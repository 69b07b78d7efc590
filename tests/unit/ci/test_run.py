"""ci/offline/run: one command with an engine around it,
which is stopped afterwards unless a kept cluster lives in it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures.core.paths import ROOT

#: Answers where $STATE/engine exists, and has the kind clusters that are named in $STATE/clusters.
DOCKER = """#!/bin/sh
[ -e "$STATE/engine" ] || exit 1
case $1 in ps) [ ! -e "$STATE/clusters" ] || cat "$STATE/clusters" ;; esac
"""
#: Stand for ./ci/e2e: a cluster that is kept has files of its own in the cache; one that a killed run left has none.
KEEPS = 'echo fleet-conformance >"$STATE/clusters"; touch "$FLEET_CACHE/kind/fleet-conformance.env"'
LEAVES_BEHIND = 'echo fleet-conformance-0a1b >"$STATE/clusters"'
KEEPS_AND_DELETES = f'{KEEPS}; rm "$STATE/clusters"'


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The folder of the stand-ins' state; below it the command with stand-ins for ci/offline/up and down."""
    offline = tmp_path / "the suite" / "ci" / "offline"
    offline.mkdir(parents=True)
    for name in ("run", "lib.sh", "versions.sh", "ray.sh", "kuberay.sh"):
        shutil.copy(ROOT / "ci" / "offline" / name, offline)
    shutil.copy(ROOT / "ci" / "cache.sh", offline.parent)
    for path, text in (
        (offline / "up", '#!/bin/sh\ntouch "$STATE/engine"\n'),
        (offline / "down", '#!/bin/sh\nrm "$STATE/engine"\n'),
        (offline / "env", "#!/bin/sh\necho ENVIRONMENT=given\n"),
        (tmp_path / "bin" / "docker", DOCKER),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / "cache" / "kind").mkdir(parents=True)
    return tmp_path


def environment(state: Path) -> dict[str, str]:
    return {"PATH": f"{state / 'bin'}:/usr/bin:/bin", "STATE": str(state), "FLEET_CACHE": str(state / "cache")}


def run(state: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(state / "the suite" / "ci" / "offline" / "run"), "sh", "-c", command],
        env=environment(state),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def pasted(state: Path, line: str, then: str) -> str:
    """What a shell prints in which the command of this line, after its colon, was run, and then the other."""
    command = ["bash", "-c", f"{line.split(':', 1)[1]}\n{then}"]
    return subprocess.run(
        command, env=environment(state), capture_output=True, text=True, timeout=20, check=True
    ).stdout.strip()


@pytest.mark.parametrize("status", [0, 1])
def test_the_engine_of_a_kept_cluster_stays_and_the_last_lines_say_how_to_stop_it(state: Path, status: int) -> None:
    ran = run(state, f"{KEEPS}; exit {status}")
    assert ran.returncode == status, ran.stderr
    assert (state / "engine").exists()
    kept, use, stop = (line.removeprefix("offline: ") for line in ran.stderr.splitlines())
    assert "keeps running" in kept and "fleet-conformance" in kept
    assert pasted(state, use, 'echo "$ENVIRONMENT"') == "given"
    assert pasted(state, stop, '[ -e "$STATE/engine" ] || echo stopped') == "stopped"


@pytest.mark.parametrize("command", ["true", LEAVES_BEHIND, KEEPS_AND_DELETES, "exit 3"])
def test_the_engine_is_stopped_where_no_cluster_was_kept(state: Path, command: str) -> None:
    ran = run(state, command)
    assert ran.returncode == (3 if command == "exit 3" else 0)
    assert ran.stderr == ""
    assert not (state / "engine").exists()


@pytest.mark.parametrize("command", ["true", KEEPS])
def test_an_engine_that_ran_before_is_left_alone(state: Path, command: str) -> None:
    (state / "engine").touch()
    ran = run(state, command)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (state / "engine").exists()
