"""How the suite is run in a process of its own: what is kept of its end, and that no process stays behind."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from fixtures.core.polling import StateNotReached
from tests.interruption.command import over_within
from tests.support.suite_process import Report, SuiteProcess, run

ROWS = [
    {"id": "INF-01", "status": "passed", "detail": ""},
    {"id": "INF-02", "status": "failed", "detail": "down"},
    {"id": "INF-03", "status": "broken", "detail": "unknown"},
    {"id": "INF-04", "status": "disabled", "detail": "not selected"},
]
HANGS = (sys.executable, "-u", "-c", "import time; print('begun'); time.sleep(600)")
CLEANS_UP = (
    *(sys.executable, "-u", "-c"),
    "import sys, time\nprint('begun')\ntry: time.sleep(600)\nexcept KeyboardInterrupt: sys.exit(2)",
)


def test_a_report_says_how_its_checks_ended(tmp_path: Path) -> None:
    (tmp_path / "conformance.json").write_text(json.dumps({"verdict": "nonconformant", "checks": ROWS}))
    report = Report.read(tmp_path)
    assert report.verdict == "nonconformant"
    assert report.statuses == {"INF-01": "passed", "INF-02": "failed", "INF-03": "broken", "INF-04": "disabled"}
    assert report.details("failed", "broken") == {"INF-02": "down", "INF-03": "unknown"}
    assert report.details("disabled") == {}, "what was not selected is not disabled"


def test_without_a_report_everything_is_empty(tmp_path: Path) -> None:
    report = Report.read(tmp_path)
    assert (report.verdict, report.statuses, report.details("failed")) == ("no report", {}, {})


def test_a_run_has_its_status_both_outputs_and_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_TEST_GONE", "there")
    script = "import os, sys; print(os.environ.get('FLEET_TEST_GONE'), sys.argv[1:]); sys.exit('told')"
    ran = run("-x", command=(sys.executable, "-c", script), environment={"FLEET_TEST_GONE": None})
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "None ['-x']\n", "told\n")


async def test_what_it_prints_is_waited_for_and_the_process_ends_with_the_block(tmp_path: Path) -> None:
    with SuiteProcess(tmp_path / "r", command=HANGS, log=tmp_path / "log") as suite:
        await suite.prints("never", "begun")
        assert suite.process.poll() is None
    assert suite.process.poll() is not None


async def test_an_end_without_the_awaited_text_is_reported_with_the_output(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "print('something else')")
    with (
        SuiteProcess(tmp_path / "r", command=command, log=tmp_path / "log") as suite,
        pytest.raises(AssertionError, match="it ended with 0: something else"),
    ):
        await suite.prints("begun")


async def test_a_run_that_does_not_end_in_time_fails_the_wait(tmp_path: Path) -> None:
    with (
        SuiteProcess(tmp_path / "r", command=HANGS, log=tmp_path / "log") as suite,
        pytest.raises(StateNotReached, match=r"has not ended after 0\.01 s"),
    ):
        await suite.ended(0.01)


async def test_a_cancelled_wait_interrupts_the_run_and_waits_for_its_clean_up(tmp_path: Path) -> None:
    with SuiteProcess(tmp_path / "r", command=CLEANS_UP, log=tmp_path / "log") as suite:
        await suite.prints("begun")
        waiting = asyncio.ensure_future(suite.ended())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert suite.process.returncode == 2


async def test_a_run_that_goes_on_is_one_that_a_signal_can_meet(tmp_path: Path) -> None:
    with SuiteProcess(tmp_path / "r", command=HANGS, log=tmp_path / "log") as suite:
        assert not await over_within(suite, 0.01)
        suite.process.kill()
        assert await over_within(suite, 10)
