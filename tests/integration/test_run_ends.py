"""However a run ends, it reports what it can and leaves nothing behind: no process, port, shared memory or folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent
MARK = "FLEET_RUN_ID"


def processes(run_id: str) -> dict[int, str]:
    """Every process that carries the run's id in its environment, with its command line."""
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


def folders() -> set[str]:
    return {name for name in os.listdir("/tmp") if name.startswith(("fleet-", "ray"))}


class Run:
    """`pytest -m e2e` in the background."""

    def __init__(self, report_dir: Path, *arguments: str) -> None:
        self.reports, self.log = report_dir, report_dir.with_suffix(".log")
        command = [
            sys.executable,
            "-u",
            "-m",
            "pytest",
            "-m",
            "e2e",
            "tests/e2e",
            "-p",
            "no:cacheprovider",
            "--vllm",
            "stub",
        ]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, "--report-dir", str(report_dir), *arguments],
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def run_id(self) -> str:
        return self.output.partition(", run ")[2].partition("\n")[0]

    async def says(self, text: str, timeout: float = 120) -> None:
        async def seen() -> bool:
            assert self.process.poll() is None or text in self.output, self.output[-3000:]
            return text in self.output

        await wait_until(seen, f"{text!r} in the output", timeout, detail=lambda: self.output[-1000:])

    async def ended(self, timeout: float = 90) -> int:
        async def over() -> bool:
            return self.process.poll() is not None

        await wait_until(over, "the end of pytest", timeout, detail=lambda: self.output[-1000:])
        return self.process.returncode

    async def nothing_left(self) -> None:
        left: dict[int, str] = {}

        async def gone() -> bool:
            left.clear()
            left.update(processes(self.run_id))
            return not left

        await wait_until(gone, "the end of every process of the run", 30, detail=lambda: str(left))

    def document(self) -> dict[str, object]:
        return json.loads((self.reports / "conformance.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@pytest.fixture
def before() -> Iterator[tuple[set[str], set[str]]]:
    yield shared_memory(), folders()


async def left_alone(before: tuple[set[str], set[str]]) -> None:
    async def same() -> bool:
        return shared_memory() <= before[0] and folders() <= before[1]

    await wait_until(
        same, "the removal of folders", 30, detail=lambda: str((shared_memory() - before[0], folders() - before[1]))
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", ["boot: nats-1", "census of the workers"])
async def test_a_run_that_is_stopped(
    tmp_path: Path, before: tuple[set[str], set[str]], number: signal.Signals, moment: str
) -> None:
    run = Run(tmp_path / "reports", "-m", "e2e and not disruptive")
    await run.says(moment)
    assert processes(run.run_id)
    os.kill(run.process.pid, number)
    status = await run.ended()
    await run.nothing_left()
    await left_alone(before)
    if number is signal.SIGKILL:
        return
    assert status == pytest.ExitCode.INTERRUPTED
    document = run.document()
    assert document["verdict"] in ("inconclusive", "nonconformant")
    assert "interrupted" in str(document["aborted"]).lower()


SWALLOWS = """
import os, signal, pytest

def test_first():
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), NUMBER)

def test_second():
    raise AssertionError("it ran on")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupt_that_a_test_swallows_ends_the_run_all_the_same(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "test_swallows.py"
    file.write_text(SWALLOWS.replace("NUMBER", str(int(number))), encoding="utf-8")
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "fixtures.plugin",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(tmp_path),
            str(file),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == pytest.ExitCode.INTERRUPTED, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
    assert "it ran on" not in ran.stdout


async def test_a_part_that_dies_in_mid_run(tmp_path: Path, before: tuple[set[str], set[str]]) -> None:
    """vLLM is killed after the boot: its checks fail, what cannot be told is broken, and the run reports and cleans up."""
    run = Run(tmp_path / "reports", "-k", "INF or NET or DEP-04")
    await run.says("boot: vllm-server-1")
    await run.says("boot: ray-worker-2")
    victim = next(pid for pid, command in processes(run.run_id).items() if "vllm_stub --host" in command)
    os.kill(victim, signal.SIGKILL)
    status = await run.ended(180)
    await run.nothing_left()
    await left_alone(before)
    statuses = {row["id"]: row["status"] for row in run.document()["checks"]}  # type: ignore[attr-defined]
    assert status == 1
    assert statuses["INF-02"] == "failed"
    assert statuses["NET-03"] == "failed"
    assert statuses["INF-09"] == "passed"
    assert statuses["DEP-04"] == "passed"
    last_words = (run.reports / "evidence" / "INF-02" / "vllm-server-1.log").read_text(encoding="utf-8")
    assert "not ready" in last_words
    assert "http://127.0.0.1" in last_words, "its log is not there"


def test_a_run_that_selects_no_check_for_this_cluster_starts_nothing(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "e2e", "tests/e2e", "-k", "NET-07", "--report-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "boot:" not in ran.stdout
    assert "1 skipped" in ran.stdout
