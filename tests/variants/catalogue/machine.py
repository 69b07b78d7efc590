"""This machine, and other users of the fleet."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fixtures.core.polling import StateNotReached, wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.services.ray import Ray
from tests.targets.embedded_target import EmbeddedTarget
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


VARIANTS = (
    Variant(
        name="users-agents-come-and-go",
        description="the fleet is in use: somebody's Ray job fills half of its CPUs with agents of three seconds",
        apply=fleet_is_used,
        is_present=users_are_there,
        stretches=("JOB-02", "JOB-11", "ORC-17", "E2E-02"),
    ),
)
