"""What a run of the benchmarks may choose, and how it says how far it is."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from fixtures.clusters.base import Timeline
from fixtures.clusters.embedded import EmbeddedCluster, EmbeddedOptions
from fixtures.profile import model as profiles


@dataclass(frozen=True)
class Settings:
    """`runs`: samples of each figure. `vllm`: "stub" or "cpu". `workers`: sizes of the fleets whose census is taken."""

    runs: int = 5
    vllm: str = "stub"
    workers: tuple[int, ...] = (2, 8, 32)
    load: tuple[tuple[int, int], ...] = ((1, 10), (10, 40), (100, 200))  # (in flight, agent jobs)

    def say(self, text: str) -> None:
        print(f"  {time.strftime('%H:%M:%S')}  {text}", flush=True)


@dataclass
class Clock:
    """`with clock.sample(): …` adds the seconds of the body."""

    samples: list[float] = field(default_factory=list)

    @contextmanager
    def sample(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.samples.append(time.monotonic() - began)


@asynccontextmanager
async def fleet(
    settings: Settings, workers: int | None = None, booted: Clock | None = None
) -> AsyncIterator[EmbeddedCluster]:
    """A fleet on this machine, with as many workers as wanted; images are built before the clock runs."""
    profile = profiles.load("embedded")
    if workers:
        profile = profile.with_workers(workers)
    cluster = EmbeddedCluster(EmbeddedOptions(profile, vllm=settings.vllm, run_id=f"fc-{secrets.token_hex(3)}"))
    timeline, began = Timeline(), time.monotonic()
    await cluster.start(timeline)
    if booted:
        booted.samples.append(time.monotonic() - began - cluster.build_s)
    try:
        yield cluster
    finally:
        await cluster.stop()
