"""What keeps a machine from running `--cluster kind`, told apart in one line each."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from fixtures.clusters.base import Completed
from fixtures.clusters.kind import KindCluster, KindOptions, engine
from fixtures.clusters.kind.cluster_lock import ClusterLock, abandoned_locks
from fixtures.clusters.kind.deployer import node_name
from fixtures.clusters.kind.engine import Engine
from fixtures.core.errors import UsageError
from fixtures.profile import model as profiles

Answer = tuple[int, str, str]  # exit status, output, errors

MISSING = (127, "", "not found")
DENIED = (
    1,
    "",
    "Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: …",
)
STOPPED = (1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")


def machine(**programs: Answer) -> Callable[[Sequence[str]], Completed]:
    """A machine on which programs answer so."""

    def asked(argv: Sequence[str]) -> Completed:
        status, out, err = programs.get(argv[0], MISSING)
        return Completed(tuple(argv), status, out, err)

    return asked


def test_docker_is_taken_where_its_engine_answers() -> None:
    assert engine.find(machine(docker=(0, "29.1\n", ""), podman=(0, "5\n", ""))) == Engine("docker")


@pytest.mark.parametrize("docker", [MISSING, STOPPED, DENIED])
def test_podman_is_taken_where_docker_does_not_answer(docker: Answer) -> None:
    assert engine.find(machine(docker=docker, podman=(0, "5.2\n", ""))) == Engine("podman")


@pytest.mark.parametrize(
    ("programs", "words"),
    [
        ({}, "neither docker nor podman is installed"),
        ({"docker": DENIED}, "no permission to use docker's socket"),
        ({"docker": STOPPED}, "its engine is not running"),
        ({"docker": (124, "", "did not answer within 30 s")}, "does not answer"),
        ({"podman": (125, "", "Error: no subuid ranges\n")}, "podman does not work: Error: no subuid ranges"),
    ],
)
def test_each_obstacle_has_a_line_of_its_own(programs: dict[str, Answer], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        engine.find(machine(**programs))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_kind_must_be_installed() -> None:
    engine.require_kind(machine(kind=(0, "kind v0.30.0", "")))
    with pytest.raises(UsageError, match="the program kind is not installed"):
        engine.require_kind(machine())


def test_too_little_room_is_said_before_anything_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    with pytest.raises(UsageError, match=r"1\.0 GiB are free where docker keeps images"):
        engine.require_room(Engine("docker"), machine(docker=(0, f"{tmp_path}\n", "")))
    engine.require_room(Engine("docker"), machine(docker=(0, "/nowhere/docker\n", "")))  # on another machine


def test_podmans_images_have_the_names_that_nodes_look_for() -> None:
    assert Engine("docker").local("fleet/ray:1") == "fleet/ray:1"
    assert Engine("podman").local("fleet/ray:1") == "docker.io/fleet/ray:1"
    assert Engine("podman").local("registry.example/fleet/ray:1") == "registry.example/fleet/ray:1"
    assert node_name("fleet/ray:1") == "docker.io/fleet/ray:1"
    assert node_name("nats:2") == "docker.io/library/nats:2"


def test_a_cluster_that_is_not_kept_has_a_name_of_its_own() -> None:
    held = profiles.load("kind")
    assert KindOptions(held, run_id="fc-1").name != KindOptions(held, run_id="fc-2").name
    assert KindOptions(held, run_id="fc-1", keep_cluster=True).name == "fleet-conformance"


@pytest.mark.parametrize("name", ["", "-x", "UPPER", "a" * 60, "under_score"])
def test_a_name_that_kind_cannot_take_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--cluster-name"):
        KindCluster(KindOptions(profiles.load("kind"), cluster_name=name, keep_cluster=True))


def test_a_cluster_is_used_by_one_run_at_a_time(tmp_path: Path) -> None:
    first = ClusterLock.take(tmp_path, "dev", kept=True)
    with pytest.raises(UsageError, match="another run works with it"):
        ClusterLock.take(tmp_path, "dev", kept=True)
    first.release(gone=False)
    ClusterLock.take(tmp_path, "dev", kept=True).release(gone=False)


def test_only_clusters_of_dead_runs_that_were_to_go_are_left_behind(tmp_path: Path) -> None:
    ClusterLock.take(tmp_path, "kept", kept=True).release(gone=False)
    ClusterLock.take(tmp_path, "dead", kept=False).release(gone=False)
    ClusterLock.take(tmp_path, "ended", kept=False).release(gone=True)
    alive = ClusterLock.take(tmp_path, "alive", kept=False)
    assert [claim.name for claim in abandoned_locks(tmp_path)] == ["dead"]
    alive.release(gone=True)
