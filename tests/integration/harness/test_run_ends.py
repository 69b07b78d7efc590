"""However a run ends, it reports what it can and leaves nothing behind: no process, port, shared memory or folder.

A sample of what `ci/interrupt` does at random moments.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from fixtures.core.paths import ROOT
from tests.interruption.run import Run
from tests.support import suite_process
from tests.support.leaks import processes


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("boot: nats-1", signal.SIGTERM),
        ("boot: nats-1", signal.SIGKILL),
        ("census of the workers", signal.SIGINT),
        ("census of the workers", signal.SIGKILL),
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else value,
)
async def test_a_run_that_is_stopped(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    with Run(tmp_path / "reports", "-k", "INF or DEP") as run:
        await run.prints(moment)
        assert processes(run.run_id)
        run.process.send_signal(number)
        status = await run.ended()
        assert run.leaks() == []
        if number is signal.SIGKILL:
            return
        assert status == pytest.ExitCode.INTERRUPTED
        document = run.report.document
        assert document["verdict"] in ("inconclusive", "nonconformant")
        assert "interrupted" in document["aborted"].lower()


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
    command = (sys.executable, "-m", "pytest", "-p", "fixtures.plugin", "-p", "no:cacheprovider")
    ran = suite_process.run(
        "--rootdir", str(tmp_path), str(file), command=command, environment={"PYTHONPATH": str(ROOT)}
    )
    assert ran.returncode == pytest.ExitCode.INTERRUPTED, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
    assert "it ran on" not in ran.stdout


async def test_a_part_that_dies_in_mid_run(tmp_path: Path) -> None:
    """vLLM is killed after the boot: its checks fail, what cannot be told is broken,
    and the run reports and cleans up.
    """
    with Run(tmp_path / "reports", "-k", "INF or NET or DEP-04") as run:
        await run.prints("boot: vllm-server-1")
        await run.prints("boot: ray-worker-2")
        victim = next(pid for pid, command in processes(run.run_id).items() if "vllm_stub --host" in command)
        os.kill(victim, signal.SIGKILL)
        status = await run.ended(180)
        assert run.leaks() == []
        statuses = {row["id"]: row["status"] for row in run.report.document["checks"]}
    assert status == 1
    assert statuses["INF-02"] == "failed"
    assert statuses["NET-03"] == "failed"
    assert statuses["INF-09"] == "passed"
    assert statuses["DEP-04"] == "passed"
    log = (run.reports / "evidence" / "INF-02" / "vllm-server-1.log").read_text(encoding="utf-8")
    assert "not ready" in log
    assert "http://127.0.0.1" in log, "its log is not there"


def test_a_run_that_selects_no_check_for_this_cluster_starts_nothing(tmp_path: Path) -> None:
    ran = suite_process.run("-k", "NET-07", reports=tmp_path)
    assert "boot:" not in ran.stdout
    assert "1 skipped" in ran.stdout
