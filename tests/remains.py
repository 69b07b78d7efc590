"""What a run may leave on this machine: its processes, shared memory, and folders below the temporary one."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from fixtures.timeouts import TIMEOUTS

MARK = "FLEET_RUN_ID"  # every part of an embedded run has it in its environment


def processes(run_id: str) -> dict[int, str]:
    """Every process that carries the run's id in its environment, with its command line. A port is held by one."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if f"{MARK}={run_id}".encode() in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120]
        except OSError:  # it ended, or is somebody else's
            continue
    return found


def shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm"))


def folders(parent: Path, prefixes: tuple[str, ...] = ("fleet-", "ray")) -> set[str]:
    """Run directories, and what Ray makes beside its own."""
    return {name for name in os.listdir(parent) if name.startswith(prefixes)}


@dataclass
class Before:
    """What was there before a run, against which it is held after its end."""

    parent: Path = Path("/tmp")
    prefixes: tuple[str, ...] = ("fleet-", "ray")  # of folders that may be a run's; ("",): all are
    shared: set[str] = field(default_factory=shared_memory)
    found: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.found = folders(self.parent, self.prefixes)

    def left(self, run_id: str) -> list[str]:
        """One line for each thing that is there now and was not."""
        lines = [f"process {pid}: {words}" for pid, words in processes(run_id).items()] if run_id else []
        lines += [f"shared memory /dev/shm/{name}" for name in sorted(shared_memory() - self.shared)]
        return lines + [
            f"folder {self.parent / name}" for name in sorted(folders(self.parent, self.prefixes) - self.found)
        ]

    def left_in_the_end(self, run_id: str, within: float = TIMEOUTS.stop) -> list[str]:
        """What is still there after `within` seconds: whoever cleans up after a run outlives it by a moment."""
        deadline = time.monotonic() + within
        while (lines := self.left(run_id)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return lines
