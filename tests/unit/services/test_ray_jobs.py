"""The suite's Ray jobs leave no record: not of a run that is ended while Ray takes one in, nor, later,
of a killed one.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from fixtures.core.errors import NonConformance
from fixtures.core.server_clock import ServerClock
from fixtures.core.timeouts import TIMEOUTS
from fixtures.exercises.residue import forget_jobs
from fixtures.probes.census import OF_THE_SUITE, run_job
from fixtures.probes.packaging import RemoteProgram
from fixtures.services.ray import Job

RUN, OTHER = "fc-0a1b2c", "fc-dddddd"
WAIT_S = 10.0  # for what comes about at once


@dataclass
class Dashboard:
    """Keeps records as Ray does. A submitted job is there once `admits` is set, and never ends."""

    records: dict[str, Job] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    submitted: asyncio.Event = field(default_factory=asyncio.Event)
    admits: asyncio.Event = field(default_factory=asyncio.Event)
    runs: asyncio.Event = field(default_factory=asyncio.Event)
    clock: ServerClock = field(default_factory=ServerClock)  # of Ray's head

    async def jobs(self) -> list[Job]:
        return list(self.records.values())

    async def submit(self, _entrypoint: str, submission_id: str, _runtime_env: Any, metadata: dict[str, str]) -> None:
        self.submitted.set()
        await self.admits.wait()
        self.records[submission_id] = Job(submission_id=submission_id, status="RUNNING", metadata=metadata)

    async def job_ended(self, _submission_id: str, _timeout: float) -> Job:
        self.runs.set()
        await asyncio.Event().wait()
        raise AssertionError("an event that nobody sets is set")

    async def forget(self, submission_id: str) -> None:
        del self.records[submission_id]
        self.removed.append(submission_id)


@pytest.mark.parametrize("admitted", [True, False], ids=["while it runs", "while it is taken in"])
async def test_a_run_that_is_ended_leaves_no_job(admitted: bool) -> None:
    dashboard = Dashboard()
    ray: Any = dashboard
    job = asyncio.ensure_future(run_job(ray, RemoteProgram("census", {"REQUEST": {}}), f"{RUN}-census", {}, 60))
    async with asyncio.timeout(WAIT_S):
        if admitted:
            dashboard.admits.set()
            await dashboard.runs.wait()
        else:
            await dashboard.submitted.wait()
        job.cancel()
        dashboard.admits.set()
        with pytest.raises(asyncio.CancelledError):
            await job
    assert (dashboard.records, dashboard.removed) == ({}, [f"{RUN}-census"])


async def test_the_first_line_of_a_failed_job_has_the_reason_and_nothing_has_the_program() -> None:
    program = RemoteProgram("census", {"REQUEST": {}})
    output = f"Traceback (most recent call last):\n  {program.command()}\nModuleNotFoundError: No module named 'ray'\n"
    verdict = "Job entrypoint command failed with exit code 1"
    message = f"{verdict}, last available logs (truncated to 20,000 chars):\n{output}"

    class Failing(Dashboard):
        def __init__(self) -> None:
            super().__init__()
            self.admits.set()
            self.failed_job_logs: dict[str, str] = {}

        async def job_ended(self, submission_id: str, _timeout: float) -> Job:
            return Job(submission_id=submission_id, status="FAILED", message=message)

        async def job_logs(self, _submission_id: str) -> str:
            return output

    dashboard: Any = Failing()
    with pytest.raises(NonConformance) as failure:
        await run_job(dashboard, program, f"{RUN}-census", {}, 60)
    first, _, more = str(failure.value).partition("\n")
    assert first == f"the Ray job {RUN}-census ended as FAILED: ModuleNotFoundError: No module named 'ray' ({verdict})"
    assert more.startswith("Traceback")
    assert not [text for text in (str(failure.value), *dashboard.failed_job_logs.values()) if "zlib" in text]


HEADS_TIME = 1767225600.0  # 2026-01-01: not this machine's


def job(submission_id: str, status: str, end_time: float = 0.0, by_the_suite: bool = True) -> Job:
    metadata = OF_THE_SUITE if by_the_suite else {"made-by": "somebody"}
    return Job(submission_id=submission_id, status=status, end_time=end_time * 1000, metadata=metadata)


def jobs() -> tuple[Job, ...]:
    old = HEADS_TIME - TIMEOUTS.abandoned - 60
    return (
        job(f"{RUN}-census", "RUNNING"),
        job(f"{RUN}-jobs", "SUCCEEDED", HEADS_TIME),
        job(f"{OTHER}-census", "FAILED", old),
        job(f"{OTHER}-jobs", "SUCCEEDED", HEADS_TIME),
        job(f"{OTHER}-stock", "RUNNING"),
        job("fc-abc123-nightly-report", "SUCCEEDED", old, by_the_suite=False),
        job(f"report-of-{RUN}-census", "SUCCEEDED", old, by_the_suite=False),
        job("raysubmit_of_somebody", "SUCCEEDED", old, by_the_suite=False),
        Job(submission_id="", status="SUCCEEDED", end_time=old * 1000),
    )


OTHERS = {"fc-abc123-nightly-report", f"report-of-{RUN}-census", "raysubmit_of_somebody", ""}


def dashboard_with_jobs(date: str) -> Dashboard:
    dashboard = Dashboard(records={record.submission_id: record for record in jobs()})
    dashboard.clock.read(date)
    return dashboard


async def test_records_of_killed_runs_are_removed_once_nobody_reads_them() -> None:
    dashboard: Any = dashboard_with_jobs("Thu, 01 Jan 2026 00:00:00 GMT")
    await forget_jobs(dashboard, RUN)
    assert set(dashboard.records) == {f"{OTHER}-jobs", f"{OTHER}-stock", *OTHERS}


async def test_without_the_time_of_the_head_no_record_of_another_run_is_removed() -> None:
    dashboard: Any = dashboard_with_jobs("")
    await forget_jobs(dashboard, RUN)
    assert set(dashboard.records) == {record.submission_id for record in jobs()} - {f"{RUN}-census", f"{RUN}-jobs"}


async def test_this_machines_clock_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop that is three minutes ahead keeps the record of a run that is just reading its logs."""
    monkeypatch.setattr(time, "time", lambda: HEADS_TIME + 180)
    dashboard: Any = dashboard_with_jobs("Thu, 01 Jan 2026 00:00:00 GMT")
    await forget_jobs(dashboard, RUN)
    assert f"{OTHER}-jobs" in dashboard.records
