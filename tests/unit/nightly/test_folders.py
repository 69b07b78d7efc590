"""The dated folders: no two runs share one, none is removed while its run is alive, and what a killed run left is."""

from __future__ import annotations

import errno
import fcntl
from contextlib import ExitStack
from pathlib import Path

import pytest

from fixtures.nightly import folders
from fixtures.report.output_paths import DATED


def names(parent: Path) -> list[str]:
    return sorted(entry.name for entry in parent.iterdir())


def test_runs_that_start_in_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    with ExitStack() as stack:
        claimed = [stack.enter_context(folders.claim(tmp_path)) for _ in range(10)]
        assert len(set(claimed)) == 10
        assert all(folder.is_dir() and DATED.fullmatch(folder.name) for folder in claimed)
        assert claimed == sorted(claimed), "the later one has the later name"
    assert names(tmp_path) == [], "nothing was written into them"


def test_a_folder_of_an_earlier_run_is_not_used_again(tmp_path: Path) -> None:
    with folders.claim(tmp_path) as first:
        (first / "status.md").touch()
    with folders.claim(tmp_path) as second:
        assert second != first
    assert names(tmp_path) == [first.name]


def test_reports_of_a_running_run_are_never_removed(tmp_path: Path) -> None:
    with folders.claim(tmp_path) as running, folders.claim(tmp_path) as newer:
        for folder in (running, newer):
            (folder / "status.md").touch()
        folders.prune(tmp_path, 1)
        assert running.is_dir() and newer.is_dir()
    folders.prune(tmp_path, 1)
    assert names(tmp_path) == [newer.name]


def test_reports_of_a_killed_run_are_removed_in_their_turn(tmp_path: Path) -> None:
    (tmp_path / "2026-01-01T00-00-00Z").mkdir()
    (tmp_path / ".2026-01-01T00-00-00Z.running").touch()  # its lock ended with the process
    with folders.claim(tmp_path) as folder:
        (folder / "status.md").touch()
        folders.prune(tmp_path, 1)
    assert names(tmp_path) == [folder.name]


def test_a_file_system_without_locks_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with folders.claim(tmp_path) as first, folders.claim(tmp_path) as second:
        assert first != second


def test_the_link_to_the_latest_is_replaced(tmp_path: Path) -> None:
    for name in ("2026-01-01T00-00-00Z", "2026-01-02T00-00-00Z"):
        (tmp_path / name).mkdir()
        folders.mark_latest(tmp_path / name)
        assert (tmp_path / "latest").resolve() == tmp_path / name


def test_a_folder_named_latest_is_reported_and_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "2026-01-01T00-00-00Z").mkdir()
    folders.mark_latest(tmp_path / "2026-01-01T00-00-00Z")
    assert "cannot link the latest reports" in capsys.readouterr().err
    assert names(tmp_path) == ["2026-01-01T00-00-00Z", "latest"]
