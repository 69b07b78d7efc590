"""The tutorial of own checks, word by word, by the installed suite; and own checks of every kind in every report."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fixtures.core.paths import ROOT
from tests.interruption import persistent_fleet
from tests.package.installation import TIME_S, Installation
from tests.support.own_checks import ACME, assert_reported

PAGE = ROOT / "docs" / "tutorial" / "own-checks.md"
BLOCK = re.compile(r"(?:^`([\w./-]+)`:\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of the page: a file, commands, or what they print."""

    file: str
    kind: str
    text: str


def blocks() -> list[Block]:
    return [Block(*match) for match in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


def follow(installed: Installation, folder: Path) -> list[str]:
    """Do what the page says, in order; returns which of what it promises was not printed."""
    printed, missing = "", []
    variables = {"PATH": f"{installed.folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder), "COLUMNS": "120"}
    for block in blocks():
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.kind == "sh":
            command = ["bash", "-c", block.text]
            done = subprocess.run(
                command, cwd=folder, env=variables, capture_output=True, text=True, timeout=TIME_S, check=False
            )
            printed = " ".join((done.stdout + done.stderr).split())
        elif block.kind == "text":
            missing += [f"{line}, in: {printed}" for line in block.text.splitlines() if line not in printed]
    return missing


async def test_the_tutorial_is_followed_word_by_word_and_every_kind_is_reported(
    installed: Installation, tmp_path: Path
) -> None:
    assert [block.kind for block in blocks()].count("text") == 4 and sum(bool(block.file) for block in blocks()) == 3
    async with persistent_fleet.fleet("fc-own-checks") as staying:
        profile = persistent_fleet.attached_profile(tmp_path, staying.cluster.endpoints)
        profile.rename(tmp_path / "my-fleet.toml")
        assert await asyncio.to_thread(follow, installed, tmp_path) == []

        shutil.copytree(ACME, tmp_path / "rules" / "acme")  # anywhere: nothing of the checkout is on the path
        options = ("--profile", "my-fleet.toml", "--checks", "rules/acme", "-k", "ACME", "--report-dir", "reports")
        run = partial(installed.run, "check", *options, cwd=tmp_path, ACME_TOKEN="t")
        assert_reported(
            await asyncio.to_thread(run), ACME_15="unsupported"
        )  # plain endpoints: nothing runs in replicas
