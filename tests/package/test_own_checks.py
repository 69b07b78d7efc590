"""The tutorial of own checks, word by word, by the installed suite; and own checks of every kind in every report."""

from __future__ import annotations

import asyncio
import os
import shutil
from functools import partial
from pathlib import Path

from fixtures.core.paths import ROOT
from tests.interruption import persistent_fleet
from tests.package.installation import TIME_S, Installation
from tests.support import tutorials
from tests.support.own_checks import ACME, assert_reported

PAGE = ROOT / "docs" / "tutorial" / "own-checks.md"


async def test_the_tutorial_is_followed_word_by_word_and_every_kind_is_reported(
    installed: Installation, tmp_path: Path
) -> None:
    written = tutorials.blocks(PAGE)
    assert [block.kind for block in written].count("text") == 4 and sum(bool(block.file) for block in written) == 3
    path = f"{installed.folder / 'bin'}:{os.environ['PATH']}"
    variables = {"PATH": path, "HOME": str(tmp_path), "COLUMNS": "120"}
    async with persistent_fleet.fleet("fc-own-checks") as staying:
        profile = persistent_fleet.attached_profile(tmp_path, staying.cluster.endpoints)
        profile.rename(tmp_path / "my-fleet.toml")
        assert await asyncio.to_thread(tutorials.follow, PAGE, tmp_path, variables, TIME_S) == []

        shutil.copytree(ACME, tmp_path / "rules" / "acme")  # anywhere: nothing of the checkout is on the path
        options = ("--profile", "my-fleet.toml", "--checks", "rules/acme", "-k", "ACME", "--report-dir", "reports")
        run = partial(installed.run, "check", *options, cwd=tmp_path, ACME_TOKEN="t")
        assert_reported(
            await asyncio.to_thread(run), ACME_15="unsupported"
        )  # plain endpoints: nothing runs in replicas
