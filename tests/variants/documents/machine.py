"""The machine that the suite runs on, as its own parts see it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

from fixtures.diagnostics.evidence import Evidence
from fixtures.redaction.redact import Redactor
from tests.variants.model import Document


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """No byte more can be written below the folder."""
    write = Path.write_bytes

    def refused(path: Path, _data: bytes) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def written(path: Path, data: bytes) -> int:
        return refused(path, data) if path.is_relative_to(folder) else write(path, data)

    with patch.object(Path, "write_bytes", written):
        yield


def report_folder_is_full() -> None:
    with tempfile.TemporaryDirectory() as name, full(Path(name)):
        problems: list[str] = []
        for check in STRETCHED:
            evidence = Evidence(Path(name), check, Redactor(), problems)
            evidence.attach("seen.json", {"agents": 3})
            assert evidence.paths == [], "what was not written is not listed"
    assert len(problems) == len(STRETCHED), problems
    assert all("No space left on device" in line for line in problems), problems
    assert problems[0].startswith(f"evidence of {STRETCHED[0]}: ")


STRETCHED = ("JOB-02", "ORC-04", "INF-05", "INF-11")
DOCUMENTS: tuple[Document, ...] = (
    Document(
        name="report-folder-is-full",
        description="no byte of evidence can be written: it is said, and no check ends by it",
        holds=report_folder_is_full,
        stretches=STRETCHED,
    ),
)
