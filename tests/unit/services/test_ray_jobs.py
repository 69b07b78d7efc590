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
from fixtures.core.timeouts import TIMEOUTS
from fixtures.exercises.residue import forget_jobs
from fixtures.probes.census import run_job
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

    async def jobs(self) -> list[Job]:
        return list(self.records.values())

    async def submit(self, _entrypoint: str, submission_id: str, _runtime_env: Any) -> None:
        self.submitted.set()
        await self.admits.wait()
        self.records[submission_id] = Job(submission_id=submission_id, status="RUNNING")

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


async def test_records_of_killed_runs_are_removed_once_nobody_reads_them() -> None:
    now = time.time() * 1000
    old = now - (TIMEOUTS.abandoned + 60) * 1000
    jobs = [
        Job(submission_id=f"{RUN}-census", status="RUNNING"),
        Job(submission_id=f"{RUN}-jobs", status="SUCCEEDED", end_time=now),
        Job(submission_id=f"{OTHER}-census", status="FAILED", end_time=old),
        Job(submission_id=f"{OTHER}-jobs", status="SUCCEEDED", end_time=now),
        Job(submission_id=f"{OTHER}-stock", status="RUNNING"),
        Job(submission_id="raysubmit_of_somebody", status="SUCCEEDED", end_time=old),
        Job(submission_id="", status="SUCCEEDED", end_time=old),
    ]
    ray = Dashboard(records={job.submission_id: job for job in jobs})
    await forget_jobs(ray, RUN)  # type: ignore[arg-type]
    assert set(ray.records) == {f"{OTHER}-jobs", f"{OTHER}-stock", "raysubmit_of_somebody", ""}
