"""The machine that the suite runs on, its environment and its clock, and other users of the fleet."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import httpx

from fixtures.core.polling import StateNotReached, wait_until
from fixtures.core.timeouts import TIMEOUTS, Timeouts
from fixtures.probes.census import OF_THE_SUITE
from fixtures.services.ray import Ray
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import restarted
from tests.variants.model import Variant

USERS = "users-agents"
USES = f"""
import time
import ray

class Visitor:
    def work(self):
        time.sleep(3)

ray.init(logging_level="ERROR")
half = max(1, int(ray.cluster_resources()["CPU"]) // 2)
visitor = ray.remote(num_cpus=1)(Visitor)
working, count = {{}}, 0
while True:
    while len(working) < half:
        count += 1
        actor = visitor.options(name="{USERS}-%d" % count, scheduling_strategy="SPREAD").remote()
        working[actor.work.remote()] = actor
    ended, _ = ray.wait(list(working))
    for answer in ended:
        del working[answer]
"""


async def _visitors(ray: Ray) -> int:
    """How many of the users' agents are at work."""
    living = await ray.actors(USERS, state="ALIVE")
    return len(living)


@asynccontextmanager
async def fleet_is_used(target: EmbeddedTarget) -> AsyncIterator[None]:
    """Somebody's Ray job keeps half of the CPUs busy with actors of three seconds; it is ended in the end."""
    ray = Ray(target.cluster.endpoints.dashboard)

    async def gone() -> bool:
        return await _visitors(ray) == 0

    try:
        await ray.submit(f"python -c {shlex.quote(USES)}", USERS)
        try:
            await wait_until(lambda: _visitors(ray), "the users' first agent", TIMEOUTS.job)
            yield
        finally:
            await ray.forget(USERS)
            await wait_until(gone, "the end of the users' agents", TIMEOUTS.settle)
    finally:
        await ray.close()


async def users_are_there(target: EmbeddedTarget) -> bool:
    """Agents of three seconds come and go: one of them is at work now, or is about to be."""
    ray = Ray(target.cluster.endpoints.dashboard)
    try:
        await wait_until(lambda: _visitors(ray), "a user's agent", TIMEOUTS.settle)
    except StateNotReached:
        return False
    finally:
        await ray.close()
    return True


NOBODY = "http://127.0.0.1:9"  # where no proxy listens
PROXIES = ("grpc_proxy", "http_proxy", "https_proxy", "all_proxy")
EXCEPTIONS = ("no_proxy", "no_grpc_proxy")


@contextmanager
def environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """This process has these variables; None: it lacks them."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@asynccontextmanager
async def proxies_are_set(target: EmbeddedTarget) -> AsyncIterator[None]:
    """For the sessions, and for the orchestrators, which are started under it."""
    ways = dict.fromkeys((*PROXIES, *(name.upper() for name in PROXIES)), NOBODY)
    exceptions = dict.fromkeys((*EXCEPTIONS, *(name.upper() for name in EXCEPTIONS)), None)
    async with AsyncExitStack() as started:  # ended without the proxies
        with environment({**ways, **exceptions}):
            await started.enter_async_context(restarted(target, target.orchestrators))
            yield


async def proxies_lead_nowhere(target: EmbeddedTarget) -> bool:
    """Whether a client that follows the environment reaches nothing, as it reaches vLLM without these variables."""
    async with httpx.AsyncClient(timeout=TIMEOUTS.request) as http:
        try:
            await http.get(f"{target.cluster.endpoints.vllm}/health")
        except httpx.TransportError:
            return True
    return False


AHEAD = 180.0  # seconds
OF_ANOTHER_RUN, OF_A_USER = "fc-0ffc1c-census", "fc-abc123-nightly-report"  # ids of Ray jobs


@asynccontextmanager
async def clock_is_ahead(target: EmbeddedTarget) -> AsyncIterator[None]:
    """For the sessions. Two Ray jobs have just ended, whose records others are about to read."""
    ray, right = Ray(target.cluster.endpoints.dashboard), time.time
    try:
        await ray.submit("true", OF_ANOTHER_RUN, metadata=OF_THE_SUITE)
        await ray.submit("true", OF_A_USER)
        for submission_id in (OF_ANOTHER_RUN, OF_A_USER):
            await ray.job_ended(submission_id, TIMEOUTS.job)
        time.time = lambda: right() + AHEAD
        try:
            yield
        finally:
            time.time = right
            for job in await ray.jobs():
                if job.submission_id in (OF_ANOTHER_RUN, OF_A_USER):
                    await ray.forget(job.submission_id)
    finally:
        await ray.close()


async def clocks_differ_and_records_are_kept(target: EmbeddedTarget) -> bool:
    """The record of another run is kept for two minutes by the fleet's clock, a user's for ever."""
    ray = Ray(target.cluster.endpoints.dashboard)
    try:
        kept = {job.submission_id: job for job in await ray.jobs()}
        now = ray.clock.now()
    finally:
        await ray.close()
    if now is None or OF_A_USER not in kept or time.time() - now < AHEAD / 2:
        return False
    since_the_end = now - kept[OF_A_USER].end_time / 1000  # they ended together
    return OF_ANOTHER_RUN in kept or since_the_end > TIMEOUTS.abandoned


ZONE = "Pacific/Chatham"  # 12:45 or 13:45 hours before Greenwich
MASK = 0o077
SETTINGS = {"TZ": ZONE, "LC_ALL": "C", "LANG": "C", "PYTHONIOENCODING": None, "PYTHONUTF8": None}


@asynccontextmanager
async def settings_are_others(target: EmbeddedTarget) -> AsyncIterator[None]:
    """For the sessions, and for the orchestrators, which are started under it."""
    async with AsyncExitStack() as started:  # ended with the settings of before
        mask = os.umask(MASK)
        try:
            with environment(SETTINGS):
                time.tzset()
                await started.enter_async_context(restarted(target, target.orchestrators))
                yield
        finally:
            os.umask(mask)
            time.tzset()


async def settings_differ(target: EmbeddedTarget) -> bool:
    del target
    mask = os.umask(MASK)
    os.umask(mask)
    return mask == MASK and time.timezone == -(12 * 60 + 45) * 60


#: Of these each asks a service by HTTP or gRPC, by itself or for what it is decided from.
BY_HTTP = ("INF-03", "INF-05", "INF-07", "INF-08", "NET-04", *(f"DEP-0{number}" for number in range(1, 9)))
BY_HTTP += ("JOB-01", "JOB-08", "JOB-09", "JOB-10", "JOB-13")
BY_GRPC = ("INF-11", "ORC-01", "ORC-02", "ORC-03", "ORC-06", "ORC-07", "ORC-09", "ORC-11", "ORC-15", "ORC-16", "E2E-01")

VARIANTS = (
    Variant(
        name="users-agents-come-and-go",
        description="the fleet is in use: somebody's Ray job fills half of its CPUs with agents of three seconds",
        apply=fleet_is_used,
        is_present=users_are_there,
        # A run's own wait, not an experiment's short one: half of the fleet takes twice as long for thirty agents.
        profile={"timeouts.deliberation": Timeouts().deliberation},
        stretches=("JOB-02", "JOB-11", "ORC-17", "E2E-02"),
    ),
    Variant(
        name="proxies-are-set",
        description="a company's proxy is in all eight variables, in small letters and in capitals, without exceptions",
        apply=proxies_are_set,
        is_present=proxies_lead_nowhere,
        stretches=(*BY_HTTP, *BY_GRPC),
    ),
    Variant(
        name="clock-is-ahead",
        description="this machine is three minutes ahead of the fleet, where others have Ray jobs that have just ended",
        apply=clock_is_ahead,
        is_present=clocks_differ_and_records_are_kept,
        stretches=("INF-05", "INF-11", "JOB-01", "ORC-16", "E2E-01", "E2E-05"),
    ),
    Variant(
        name="settings-are-others",
        description="another time zone, no locale, and files that are for their owner alone (umask 077)",
        apply=settings_are_others,
        is_present=settings_differ,
        stretches=("INF-08", "DEP-01", "DEP-02", "DEP-07", "IMG-04", "JOB-01", "JOB-06", "JOB-13", "ORC-09", "E2E-01"),
    ),
)
