"""ci/clean: what is removed from the cache is what nobody needs."""

import fcntl
import os
from pathlib import Path

import pytest

from fixtures.clusters import clean
from fixtures.core.paths import ROOT

OLD, NEW = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two of each kind; the second is the newer one."""
    for place, name in (("", "suite"), ("images", "ray-custom"), ("offline/programs", "etcd")):
        for age, key in ((200, OLD), (100, NEW)):
            folder = tmp_path / place / f"{name}-{key}"
            folder.mkdir(parents=True)
            (folder / "file").write_bytes(b"x" * 5000)
            os.utime(folder, (1e9 - age, 1e9 - age))
    (tmp_path / "kind").mkdir()
    (tmp_path / "images" / f"ray-custom-{OLD}.lock").touch()
    return tmp_path


def names(cache: Path, folders: list[Path]) -> list[str]:
    return [str(folder.relative_to(cache)) for folder in folders]


def test_the_older_of_each_name_are_unused(cache: Path) -> None:
    stale = clean.unused(cache, set(), "")
    assert names(cache, stale) == [f"images/ray-custom-{OLD}", f"offline/programs/etcd-{OLD}", f"suite-{OLD}"]


def test_what_this_checkout_or_a_process_uses_stays(cache: Path) -> None:
    mapped = f"7f00 r-xp 0 08:01 5 {cache}/suite-{OLD}/lib/python3.11/x.so\n"
    assert names(cache, clean.unused(cache, {cache / "images" / f"ray-custom-{OLD}"}, mapped)) == [
        f"offline/programs/etcd-{OLD}"
    ]


def test_a_process_is_seen_by_what_it_was_started_from(tmp_path: Path) -> None:
    assert os.__file__.rpartition("/")[0] in clean.running_from()


def test_nothing_is_removed_unasked(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEET_CACHE", str(cache))
    before = sorted(cache.rglob("*"))
    assert clean.main([]) == 0
    shown = capsys.readouterr().out
    assert f"suite-{OLD}" in shown and NEW not in shown and "--remove removes it" in shown
    assert sorted(cache.rglob("*")) == before
    assert clean.main(["--remove"]) == 0
    assert not list(cache.rglob(f"*{OLD}"))
    assert len(list(cache.rglob(f"*{NEW}"))) == 3


def test_what_is_being_made_stays(cache: Path) -> None:
    folder = cache / "images" / f"ray-custom-{OLD}"
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not clean.remove(folder)
    assert folder.is_dir()
    assert clean.remove(folder)


def test_what_this_checkout_uses_is_known() -> None:
    used = {folder.name.rpartition("-")[0] for folder in clean.used_here()}
    assert {"ray-custom", "ray-stock", "orchestrator", "vllm-stub"} <= used


def test_the_command_says_how_it_is_used() -> None:
    assert "--remove" in (ROOT / "ci" / "clean").read_text()
