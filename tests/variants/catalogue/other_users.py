"""What else is there: a second run of the suite, a second Ray on this machine, and a long history."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import nats
from nats.js import JetStreamContext

from fixtures.clusters.embedded import probes
from fixtures.clusters.embedded.processes import base_environment
from fixtures.clusters.embedded.reaper import descendants
from fixtures.core.polling import StateNotReached, wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.probes.census import OF_THE_SUITE
from fixtures.services.ray import Ray
from tests.interruption.persistent_fleet import attached_profile
from tests.support.reference_stack import free_port
from tests.support.suite_process import SuiteProcess
from tests.targets.embedded_target import EmbeddedTarget
from tests.variants.model import Variant

QUIET = ("-m", "e2e and not disruptive")


class AnotherRun:
    """The quiet checks again and again, by processes of their own, attached to the same fleet by its addresses."""

    def __init__(self) -> None:
        self.statuses: list[int] = []  # exit statuses of the runs that came to their end
        self.output = ""  # of the last of them
        self.working = False

    @asynccontextmanager
    async def at_work(self, target: EmbeddedTarget) -> AsyncIterator[None]:
        """While the body runs, and until one run has come to its end: it must be as green as any."""
        folder = Path(tempfile.mkdtemp(prefix="fleet-other-run-"))
        self.statuses.clear()
        runs = asyncio.create_task(self._run_for_ever(target, folder))
        self.working = True
        try:
            await wait_until(lambda: self.is_at_work(target), "the other run's first Ray job", TIMEOUTS.job)
            yield
            await wait_until(self._one_has_ended, "the end of the other run", 2 * TIMEOUTS.disruptive_check)
        finally:
            self.working = False
            runs.cancel()
            with suppress(asyncio.CancelledError):
                await runs
            shutil.rmtree(folder)
        assert not any(self.statuses), f"the other run ended with {self.statuses}: {self.output[-3000:]}"

    async def _run_for_ever(self, target: EmbeddedTarget, folder: Path) -> None:
        profile = attached_profile(folder, target.cluster.endpoints)
        options = ("--cluster", "attach", "--profile", str(profile), *QUIET)
        while True:
            with SuiteProcess(folder / "reports", *options, log=folder / "log") as run:
                status = await run.ended()
                self.output = run.output
                self.statuses.append(status)

    async def _one_has_ended(self) -> bool:
        return bool(self.statuses)

    async def is_at_work(self, target: EmbeddedTarget) -> bool:
        """Whether a Ray job of another run of the suite comes, while no session is under way here."""
        ray = Ray(target.cluster.endpoints.dashboard)

        async def seen() -> bool:
            return any(job.metadata.items() >= OF_THE_SUITE.items() for job in await ray.jobs())

        try:
            limit = TIMEOUTS.disruptive_check if self.working else TIMEOUTS.settle  # deliberations have no job
            return await wait_until(seen, "a Ray job of the other run", limit)
        except StateNotReached:
            return False
        finally:
            await ray.close()


ANOTHER = AnotherRun()


class SecondRay:
    """A small Ray cluster of somebody else on this machine: a head with one CPU and no dashboard."""

    port = 0

    @asynccontextmanager
    async def running(self, target: EmbeddedTarget) -> AsyncIterator[None]:
        node = target.member(target.workers[0])
        folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # short: the names of its sockets lie below it
        self.port, *others = (free_port() for _ in range(6))
        names = ("node-manager", "object-manager", "dashboard-agent-listen", "metrics-export", "ray-client-server")
        arguments = [f"--{name}-port={port}" for name, port in zip(names, others, strict=True)]
        process = await asyncio.create_subprocess_exec(
            *(str(node.folder / "bin" / "python"), "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--disable-usage-stats", "--include-dashboard=false", "--num-cpus=1", "--object-store-memory=100000000"),
            *(f"--port={self.port}", "--min-worker-port=0", "--max-worker-port=0", f"--temp-dir={folder}", *arguments),
            env=base_environment(node.folder, folder, folder, "another-ray"),
            cwd=folder,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await wait_until(lambda: self.answers(target), "the second Ray", TIMEOUTS.ray_head_up)
            yield
        finally:
            for pid in (*descendants(process.pid), process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await process.wait()
            shutil.rmtree(folder, ignore_errors=True)

    async def answers(self, _target: EmbeddedTarget) -> bool:
        return await probes.tcp_open(self.port) == ""


SECOND_RAY = SecondRay()

ANSWERS, KEYS, JOBS = 20_000, 20_000, 300
BATCH = 1000  # messages from one acknowledgement to the next: those in between are stored before it
HISTORY = "history"  # how the ids of old tasks and jobs begin
#: In the head's interpreter: the table of jobs as Ray itself keeps it (ray/dashboard/modules/job/common.py of 2.49).
RECORDS = f"""
import asyncio, sys, time, ray
from ray._raylet import GcsClient
from ray.dashboard.modules.job.common import JobInfo, JobInfoStorageClient

ray.init(logging_level="ERROR")
jobs = JobInfoStorageClient(GcsClient(address=ray.get_runtime_context().gcs_address))
ended = int(time.time() * 1000) - 86_400_000
old = dict(status="SUCCEEDED", entrypoint="python report.py", start_time=ended - 60_000, end_time=ended, metadata={{}})

async def work():
    for number in range({JOBS}):
        if sys.argv[1] == "write":
            await jobs.put_info(f"{HISTORY}-{{number}}", JobInfo(**old))
        else:
            await jobs.delete_info(f"{HISTORY}-{{number}}")

asyncio.run(work())
"""


async def _records(ray: Ray, what: str) -> None:
    """Write or delete the records of old jobs, by a job that leaves none itself."""
    await ray.submit(f"python -c {shlex.quote(RECORDS)} {what}", f"{HISTORY}-{what}")
    try:
        job = await ray.job_ended(f"{HISTORY}-{what}", TIMEOUTS.job)
        assert job.status == "SUCCEEDED", f"{job.message}: {await ray.job_logs(f'{HISTORY}-{what}')}"
    finally:
        await ray.forget(f"{HISTORY}-{what}")


async def _publish(
    js: JetStreamContext, subject: str, count: int, document: Mapping[str, object], key: str = ""
) -> None:
    """So many messages; with `key`, each on a subject of its own below it."""
    for number in range(count):
        task = f"{HISTORY}-{number}"
        on = f"{subject}.{key}.{task}" if key else subject
        body = json.dumps({**document, "task_id": task}).encode()
        if number % BATCH == BATCH - 1:
            await js.publish(on, body)
        else:
            await js._nc.publish(on, body)


@asynccontextmanager
async def history_is_long(target: EmbeddedTarget) -> AsyncIterator[None]:
    """Old answers, which the orchestrators have seen; old deliberations in their bucket; records of old Ray jobs."""
    profile, ray = target.cluster.profile.nats, Ray(target.cluster.endpoints.dashboard)
    answer = {"agent_id": "a", "role": "DEV", "status": "completed", "proposal": {"content": "x" * 100}}
    state = {"role": "DEV", "agents": ["a"], "owner": "o", "created_ms": 1, "deadline_ms": 2, "status": "COMPLETED"}
    state |= {"answers": {}, "finished_ms": 2, "error": "", "closed": True}
    bucket = f"$KV.{profile.results_bucket}"
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        js = client.jetstream(timeout=TIMEOUTS.request)
        await _publish(js, "agent.response.completed", ANSWERS, answer)
        last = (await js.stream_info(profile.stream)).state.last_seq
        await _publish(js, bucket, KEYS // 2, state, "state")
        await _publish(js, bucket, KEYS // 2, {"description": "x", "constraints": {}, "agent_type": "vllm"}, "request")
        newest = (await js.stream_info(f"KV_{profile.results_bucket}")).state.last_seq

        async def seen() -> bool:
            consumer = await js.consumer_info(profile.stream, profile.consumers.completed)
            return not (consumer.num_pending or consumer.num_ack_pending)

        try:
            await _records(ray, "write")
            await wait_until(seen, "that the orchestrators have seen the old answers", TIMEOUTS.deliberation)
            yield
        finally:
            await js.purge_stream(profile.stream, seq=last + 1)
            await js.purge_stream(f"KV_{profile.results_bucket}", seq=newest + 1)
            await _records(ray, "delete")
            await ray.close()


async def history_is_there(target: EmbeddedTarget) -> bool:
    profile, ray = target.cluster.profile.nats, Ray(target.cluster.endpoints.dashboard)
    try:
        jobs = len([job for job in await ray.jobs(HISTORY) if job.end_time / 1000 < time.time() - 80_000])
    finally:
        await ray.close()
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        js = client.jetstream(timeout=TIMEOUTS.request)
        streams = (profile.stream, f"KV_{profile.results_bucket}")
        counts = [(await js.stream_info(name)).state.messages for name in streams]
    return jobs >= JOBS and min(counts) >= min(ANSWERS, KEYS)


VARIANTS = (
    Variant(
        name="two-runs-at-once",
        description="the nightly run is at the same fleet as a person's: agents, deliberations and messages of both",
        apply=ANOTHER.at_work,
        is_present=ANOTHER.is_at_work,
        stretches=("JOB-01", "JOB-02", "JOB-05", "JOB-11", "ORC-05", "ORC-10", "ORC-13", "ORC-17", "E2E-01", "LOAD-02"),
    ),
    Variant(
        name="another-ray-is-on-this-machine",
        description="somebody else's Ray cluster runs on this machine, too, and was started last",
        apply=SECOND_RAY.running,
        is_present=SECOND_RAY.answers,
        stretches=("INF-05", "INF-06", "INF-07", "INF-08", "CFG-06", "DEP-01", "JOB-01", "JOB-02", "JOB-13", "ORC-17"),
    ),
    Variant(
        name="fleet-has-a-long-history",
        description="20,000 old answers on the stream, 20,000 keys in the bucket of results, 300 records of Ray jobs",
        apply=history_is_long,
        is_present=history_is_there,
        stretches=("INF-10", "INF-12", "JOB-01", "JOB-05", "ORC-05", "ORC-10", "ORC-13", "E2E-01", "LOAD-02"),
    ),
)
