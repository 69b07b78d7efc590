"""Where reports go, and which runs write any."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.core.errors import UsageError
from fixtures.report import output_paths
from fixtures.report.output_paths import PRINTING, redirect


def config_of(root: Path, **options: Any) -> Any:
    """pytest's configuration of a run without arguments in `root`."""
    return SimpleNamespace(
        option=SimpleNamespace(**{"markexpr": "", "htmlpath": None, "xmlpath": None, **options}),
        args=[str(root)],
        rootpath=root,
        invocation_params=SimpleNamespace(dir=root),
    )


def test_a_run_of_checks_has_its_reporters_pointed_into_a_folder_that_is_made(tmp_path: Path) -> None:
    paths = redirect(config_of(tmp_path), tmp_path / "reports")
    assert (paths.html, paths.junit) == (tmp_path / "reports" / "report.html", tmp_path / "reports" / "junit.xml")
    assert (tmp_path / "reports").is_dir()


@pytest.mark.parametrize("option", PRINTING)
def test_where_pytest_only_prints_nothing_is_written(tmp_path: Path, option: str) -> None:
    paths = redirect(config_of(tmp_path, **{option: True}), tmp_path / "reports")
    assert (paths.html, paths.ours) == (None, frozenset())
    assert not (tmp_path / "reports").exists()


def test_a_file_in_the_place_of_the_folder_is_one_line_before_a_run_and_no_matter_where_pytest_prints(
    tmp_path: Path,
) -> None:
    (tmp_path / "reports").write_text("a file in the way")
    with pytest.raises(UsageError, match=r"reports cannot be written to .*: file exists; --report-dir names another"):
        redirect(config_of(tmp_path), tmp_path / "reports")
    redirect(config_of(tmp_path, help=True), tmp_path / "reports")


def test_evidence_of_an_earlier_run_is_removed_that_of_rows_too(tmp_path: Path) -> None:
    paths = output_paths.Paths(tmp_path, None, None, None, frozenset())
    for name in ("DEP-04", "DEP-11.google.protobuf", "LOAD-01", "notes", "DEP-04-of-mine"):
        (tmp_path / "evidence" / name).mkdir(parents=True)
    output_paths.clear(paths)
    assert sorted(path.name for path in (tmp_path / "evidence").iterdir()) == ["DEP-04-of-mine", "notes"]
