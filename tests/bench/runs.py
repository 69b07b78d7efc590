"""Runs of `pytest -m e2e` as a user starts them, each in a process of its own, with what it cost."""

from __future__ import annotations

import re
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support.suite_process import SuiteProcess

#: Without plugins that ci/e2e leaves out, and without a trace in the checkout.
COMMAND = (
    *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"),
    *("-q", "tests/e2e"),
)
LOOK_EVERY = 0.5  # seconds between two looks at the processes of a run, which take a tenth of a core

#: What a process is, by the first of these that its command line fits. Those of `SHARED` do not come with
#: each Ray node.
KINDS = {
    "raylets": r"^\S*raylet/raylet ",
    "GCS": r"^\S*gcs_server ",
    "Ray jobs' supervisors and drivers": r"^ray::JobSupervisor|zlib\.decompress",
    "Ray workers (agents, tasks)": r"^ray::|default_worker\.py|setup_worker\.py",
    "Ray Client servers": r"util[./]client[./]server|proxier",
    "agents of Ray's nodes": r"dashboard/agent\.py|runtime_env/agent",
    "Ray's dashboard": r"dashboard/dashboard\.py|spawn_main",
    "starting Ray's nodes": r"start_node\.py",
    "orchestrator": r"fleet_orchestrator",
    "the suite": r"\bpytest\b|tests\.bench",
    "vLLM (stub) and fault proxy": r"vllm",
    "NATS": r"nats-server",
}
SHARED = ("GCS", "Ray jobs' supervisors and drivers", "Ray's dashboard", "the suite")


@dataclass
class Checked:
    """One run.

    `seconds` is its wall clock, builds taken off; `cpu` the CPU seconds by kind of process, where it was watched.
    """

    seconds: float
    document: dict[str, Any]
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def memory_mib(self) -> float:
        return float(self.document["facts"]["measurements"]["suite peak memory MiB"])


class Watch:
    """Looks at the processes below one, itself included, until `ended`, in a thread:
    one has its title only after it has begun.
    """

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._spent: dict[tuple[int, float], tuple[str, float]] = {}
        self._look()
        self._before = {identity: seconds for identity, (_, seconds) in self._spent.items()}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._until_over, daemon=True)
        self._thread.start()

    def _until_over(self) -> None:
        while not self._over.wait(LOOK_EVERY):
            self._look()

    def _look(self) -> None:
        with suppress(psutil.Error):  # the root has ended
            for process in [self._root, *self._root.children(recursive=True)]:
                self._note(process)

    def _note(self, process: psutil.Process) -> None:
        try:
            with process.oneshot():
                times, words = process.cpu_times(), " ".join(process.cmdline())
                identity = (process.pid, process.create_time())
        except psutil.Error:
            return
        known = self._spent.get(identity, ("other", 0.0))[0]
        kind = next((name for name, pattern in KINDS.items() if re.search(pattern, words)), known)
        self._spent[identity] = (kind, times.user + times.system)

    def ended(self) -> dict[str, float]:
        """CPU seconds since it began, by kind, the largest first."""
        self._over.set()
        self._thread.join()
        self._look()
        total: dict[str, float] = defaultdict(float)
        for identity, (kind, seconds) in self._spent.items():
            total[kind] += seconds - self._before.get(identity, 0.0)
        return {kind: round(seconds, 2) for kind, seconds in sorted(total.items(), key=lambda row: -row[1])}


class RunFailed(Exception):
    """A run that was to be measured was not green: its figures would mean nothing."""


async def run(name: str, *options: str, watched: bool = False) -> Checked:
    """Run checks and wait for the end; one that is `watched` is slower.

    Raises RunFailed when they are not all green.
    """
    # short: the names of Ray's sockets lie below it
    with tempfile.TemporaryDirectory(prefix="fb", dir="/tmp") as folder:
        log = Path(folder, "output.log")
        began = time.monotonic()
        with SuiteProcess(
            Path(folder, "reports"), *options, command=COMMAND, environment={"TMPDIR": folder}, log=log
        ) as suite:
            watch = Watch(psutil.Process(suite.process.pid)) if watched else None
            try:
                status = await suite.ended()
            finally:
                cpu = watch.ended() if watch else {}
        seconds = time.monotonic() - began
        if status:
            raise RunFailed(f"{name}: ended with {status}:\n{suite.output[-3000:]}")
        document = dict(suite.report.document)
    return Checked(seconds - float(document["build_s"]), document, cpu)
