"""What is in the wheel: the suite as it is here, and nothing that is not needed to run it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from fixtures.core.paths import ROOT
from tests.package.installation import build

MAX_BYTES = 2_000_000  # bytes
SUITE = "fleet_conformance/_suite/"
OURS = re.compile(r"(fixtures|images|tests/e2e|tests/__init__|ci/(kind|attach|allure)|docs|conftest|pyproject|COMMIT)")


def test_two_builds_are_equal_and_small(wheel: Path, tmp_path: Path) -> None:
    again = build(tmp_path)
    assert again.name == wheel.name and again.read_bytes() == wheel.read_bytes()
    assert wheel.stat().st_size < MAX_BYTES


def test_the_suite_in_it_is_the_one_here_byte_for_byte(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(SUITE)]
        differing = [
            name
            for name in names
            if not name.endswith("/COMMIT") and archive.read(name) != (ROOT / name.removeprefix(SUITE)).read_bytes()
        ]
        assert differing == []
        assert re.fullmatch(r"[0-9a-f]{12}\n|", archive.read(f"{SUITE}COMMIT").decode())
    assert [name for name in names if not OURS.match(name.removeprefix(SUITE))] == []
    assert not [name for name in names if "__pycache__" in name]


def test_every_module_of_the_suite_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("fixtures", "tests/e2e"):
        modules = {str(file.relative_to(ROOT)) for file in (ROOT / folder).rglob("*") if file.is_file()}
        missing = {name for name in modules if "__pycache__" not in name and SUITE + name not in names}
        assert missing == set()
