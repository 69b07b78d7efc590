"""What a run may leave on this machine: its processes, shared memory, and folders below the temporary one."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from fixtures.core.timeouts import TIMEOUTS

MARK = "FLEET_RUN_ID"  # every part of an embedded run has it in its environment


def processes(run_id: str, below: Path | None = None) -> dict[int, str]:
    """Every process that carries the run's id in its environment, with its command line. A port is held by one.

    With a temporary folder of the run's own, `below`, also those that name it or work in it: a process that has set
    its title, as Ray's do, has overwritten its environment.
    """
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or folder.name == str(os.getpid()):
            continue
        try:
            environment, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
            ours = run_id and f"{MARK}={run_id}".encode() in environment
            if below and not ours:
                ours = str(below).encode() in environment + command or below in (folder / "cwd").readlink().parents
            if ours:
                found[int(folder.name)] = command.replace(b"\0", b" ").decode(errors="replace")[:120]
        except OSError:  # it ended, or is somebody else's
            continue
    return found


def shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm"))


def in_use() -> set[str]:
    """Names in /dev/shm that a living process has mapped: such a process would be told itself."""
    found = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            text = maps.read_text()
        except OSError:  # it ended, or is somebody else's
            continue
        found |= {line.partition("/dev/shm/")[2].partition(" ")[0] for line in text.splitlines() if "/dev/shm/" in line}
    return found


def folders(parent: Path, prefixes: tuple[str, ...] = ("fleet-", "ray")) -> set[str]:
    """Run directories, and what Ray makes beside its own."""
    return {name for name in os.listdir(parent) if name.startswith(prefixes)}


@dataclass
class HostSnapshot:
    """What was there before a run, against which it is held after its end."""

    parent: Path = Path("/tmp")
    prefixes: tuple[str, ...] = ("fleet-", "ray")  # of folders that may be a run's; ("",): all are
    shared: set[str] = field(default_factory=shared_memory)
    found: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.found = folders(self.parent, self.prefixes)

    def leaks(self, run_id: str) -> list[str]:
        """One line for each thing that is there now and was not."""
        own = self.parent if self.parent != Path("/tmp") else None
        lines = [f"process {pid}: {words}" for pid, words in processes(run_id, own).items()]
        segments = shared_memory() - self.shared
        if segments:
            segments -= in_use()
        lines += [f"shared memory /dev/shm/{name}" for name in sorted(segments)]
        return lines + [
            f"folder {self.parent / name}" for name in sorted(folders(self.parent, self.prefixes) - self.found)
        ]

    def leaks_in_the_end(self, run_id: str, within: float | None = None) -> list[str]:
        """What is still there after `within` seconds (default: TIMEOUTS.stop):
        whoever cleans up after a run outlives it by a moment.
        """
        deadline = time.monotonic() + (TIMEOUTS.stop if within is None else within)
        while (lines := self.leaks(run_id)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return lines
