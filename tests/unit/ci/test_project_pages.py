"""The pages for contributors name files and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures.core.paths import ROOT

PAGES = ("CONTRIBUTING.md", "SECURITY.md")
#: Written by a run, or examples.
OTHERS = {"reports/", "tests/e2e/test_AREA.py", "images/ray/VERSION/"}


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    named = re.findall(r"(?<![\w/~.-])(?:\./)?((?:fixtures|tests|ci|docs|images)/[\w./-]*\w/?)", text)
    assert named
    missing = {name for name in named if not (ROOT / name).exists()} - OTHERS
    assert not missing, f"{page} names {sorted(missing)}"


def test_the_tests_that_say_what_is_missing_exist() -> None:
    commands = re.findall(r"(?:^|`)pytest -q ([^`\n]+)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert len(commands) == 4, "for a check, a fault, a variant and a profile key"
    assert all(Path(ROOT / path).exists() for command in commands for path in command.split())


def test_the_changelog_knows_the_version_of_the_project() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased" and headings[1] == version[1]
