"""What agent jobs are held against: bare actors, a bare completion and a bare acknowledgement of a publication."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from nats.js.api import StreamConfig

from fixtures.core.errors import Inconclusive
from fixtures.core.timeouts import TIMEOUTS
from fixtures.exercises.agent_jobs import AgentJobs, Scenario
from fixtures.exercises.load.jobs import read
from fixtures.probes.census import run_job
from fixtures.probes.packaging import document_in
from fixtures.services.nats import Nats
from tests.bench import bare_agents

IDLE, BARE = "__main__:Idle", "__main__:Bare"
SOURCE = Path(bare_agents.__file__).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Ran:
    """Agents of one kind: seconds of each from its submission to its answer, and of all."""

    each: list[float]
    seconds: float

    @property
    def per_second(self) -> float:
        return len(self.each) / self.seconds


async def prepare(nats: Nats) -> None:
    """A stream for what bare agents publish, with the storage of the fleet's own."""
    await (await nats.jetstream()).add_stream(StreamConfig(name="BENCH", subjects=[bare_agents.SUBJECT]))


async def actors(jobs: AgentJobs, kind: str, name: str, count: int, concurrency: int) -> Ran:
    """Run bare agents exactly as the load runs agent jobs. Raises Inconclusive when one of them fails."""
    submission = f"{jobs.run_id}-{name}"
    load: dict[str, Any] = {
        **jobs.keywords(submission, Scenario("load")),
        "agent": {"path": kind, "factory": False, "method": "run", "async": True, "num_cpus": 1},
        "task": submission,
        "errors": [],
        "jobs": count,
        "at_once": concurrency,
        "seconds": TIMEOUTS.job * count,
        "begin_for": TIMEOUTS.job * count,
        "nodes": [],
    }
    program = replace(jobs.program("load", LOAD=load), before=SOURCE)
    output = await run_job(jobs.ray, program, submission, {}, TIMEOUTS.job * count)
    found = read(document_in(output, f"the bare agents ({submission})"))
    if failed := [row.error for row in found.jobs if row.error]:
        raise Inconclusive(f"{len(failed)} bare agents failed: {failed[0]}")
    return Ran([row.ended - row.started for row in found.jobs], found.seconds)


async def completion(client: httpx.AsyncClient, url: str, model: str) -> float:
    """Seconds of one completion, over a connection that is there."""
    asked = {"model": model, "max_tokens": 32, "messages": [{"role": "user", "content": "Say something."}]}
    began = time.monotonic()
    (await client.post(f"{url}/v1/chat/completions", json=asked)).raise_for_status()
    return time.monotonic() - began


async def acknowledgement(nats: Nats) -> float:
    """Seconds from a publication to JetStream's acknowledgement, over a connection that is there."""
    jetstream = await nats.jetstream()
    began = time.monotonic()
    await jetstream.publish(bare_agents.SUBJECT, b"x" * 500)
    return time.monotonic() - began
