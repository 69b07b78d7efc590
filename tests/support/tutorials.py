"""A tutorial page, done word by word: its files are written, its commands run, and what it promises is looked for."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"(?:^`([\w./-]+)`:\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of the page: a file ("`NAME`:" before it), commands ("sh"), or what they print ("text")."""

    file: str
    kind: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*match) for match in BLOCK.findall(page.read_text(encoding="utf-8"))]


def follow(page: Path, folder: Path, variables: Mapping[str, str], timeout: float) -> list[str]:
    """Do what the page says in a folder, in order. Returns which of what it promises was not printed, and where.

    Line breaks do not matter. Raises subprocess.TimeoutExpired where a block of commands takes longer.
    """
    printed, missing = "", []
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.kind == "sh":
            command = ["bash", "-c", block.text]
            done = subprocess.run(
                command, cwd=folder, env=dict(variables), capture_output=True, text=True, timeout=timeout, check=False
            )
            printed = " ".join((done.stdout + done.stderr).split())
        elif block.kind == "text":
            missing += [f"{line}, in: {printed}" for line in block.text.splitlines() if line not in printed]
    return missing
