"""A fleet that stays, to which runs attach by plain endpoints, and what they must leave as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fixtures.clusters.base import Endpoints, Timeline
from fixtures.clusters.embedded import EmbeddedCluster, EmbeddedOptions
from fixtures.core.polling import StateNotReached, wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.probes.census import OF_THE_SUITE
from fixtures.profile import model as profiles
from fixtures.services.grpc_contract import GrpcContract
from fixtures.services.nats import Nats
from fixtures.services.orchestrator import Orchestrator
from fixtures.services.ray import ENDED, Ray
from tests.support.profiles import profile_text


def ended_by_themselves() -> float:
    """Seconds in which a killed run's jobs, and the agents of its deliberations, have ended."""
    return TIMEOUTS.job + TIMEOUTS.agent


def attached_profile(folder: Path, endpoints: Endpoints, more: str = "") -> Path:
    """A profile with these endpoints."""
    text = profile_text(
        "embedded",
        vllm={"url": endpoints.vllm},
        ray={"url": endpoints.dashboard},
        nats={"url": endpoints.nats},
        orchestrator={"url": list(endpoints.orchestrators.values())},
    )
    file = folder / "plain.toml"
    file.write_text(f"{text}{more}\n", encoding="utf-8")
    return file


async def streams(nats: Nats, growing: Collection[str] = ()) -> dict[str, Any]:
    """What a run must leave as it was, by stream, buckets among them: settings, durable consumers, how many others.

    And the last sequence, but for those `growing`, in which a run's messages and results stay.
    """
    found = {}
    for info in await (await nats.jetstream()).streams_info():
        name = info.config.name
        consumers = await (await nats.jetstream()).consumers_info(name)
        durable = sorted(each.name for each in consumers if each.config.durable_name)
        grown = () if name in growing else (info.state.last_seq,)
        found[name] = (info.config.as_dict(), durable, len(consumers) - len(durable), *grown)
    return found


@dataclass
class Fleet:
    """The running fleet, clients for it, and how it was before any run."""

    cluster: EmbeddedCluster
    nats: Nats
    ray: Ray
    streams: Mapping[str, Any] = field(default_factory=dict)
    actors: frozenset[str] = frozenset()  # that live, by name

    async def note(self) -> None:
        """How it is now is how every run must leave it."""
        self.streams, self.actors = await streams(self.nats, self.growing), await self.alive()

    @property
    def growing(self) -> tuple[str, str]:
        """The streams in which messages and results of runs stay, until their limits take them."""
        return self.cluster.profile.nats.stream, f"KV_{self.cluster.profile.nats.results_bucket}"

    async def alive(self) -> frozenset[str]:
        return frozenset(actor.name for actor in await self.ray.living_actors())

    async def jobs_of(self, run_id: str) -> list[str]:
        """What Ray has of the run's jobs, records included."""
        return [f"Ray job {job.submission_id}: {job.status}" for job in await self.ray.jobs(run_id)]

    async def changed(self) -> list[str]:
        """One line for all that is not as it was before: streams, consumers, running jobs, living actors, limits."""
        now, lines = await streams(self.nats, self.growing), []
        for name in sorted({*now, *self.streams}):
            if now.get(name) != self.streams.get(name):
                lines.append(f"stream {name}: {self.streams.get(name)} became {now.get(name)}")
        lines += [
            f"Ray job {job.submission_id}: {job.status}"
            for job in await self.ray.jobs()
            if job.submission_id and job.status not in ENDED  # without an id: the orchestrator's connections
        ]
        lines += [f"actor {name}" for name in sorted(await self.alive() - self.actors)]
        return lines + await self._beyond_limits()

    async def _beyond_limits(self) -> list[str]:
        lines = []
        for name in self.growing:
            info = await (await self.nats.jetstream()).stream_info(name)
            limits, state = info.config, info.state
            if not (limits.max_age or (limits.max_msgs or -1) > 0 or (limits.max_bytes or -1) > 0):
                lines.append(f"stream {limits.name}: nothing ends its messages")
            if 0 < (limits.max_msgs or -1) < state.messages or 0 < (limits.max_bytes or -1) < state.bytes:
                lines.append(f"stream {limits.name}: more than its limits: {state.messages}, {state.bytes} bytes")
        return lines

    async def as_before(self, within: float) -> list[str]:
        """What is still not as it was after `within` seconds."""
        lines: list[str] = []

        async def same() -> bool:
            lines[:] = await self.changed()
            return not lines

        with suppress(StateNotReached):
            await wait_until(same, "the fleet as it was", within, every=0.2)
        return lines

    async def records(self) -> int:
        """How many of Ray's jobs are of runs of the suite."""
        return len([job for job in await self.ray.jobs() if job.metadata.items() >= OF_THE_SUITE.items()])


@asynccontextmanager
async def fleet(run_id: str, ports: int | None = None) -> AsyncIterator[Fleet]:
    """A whole fleet that runs before the suite attaches to it, and after that, with councils as one in use has them."""
    options = EmbeddedOptions(profiles.load("embedded"), vllm="stub", run_id=run_id, port_base=ports)
    cluster = EmbeddedCluster(options)
    await cluster.start(Timeline())
    nats, ray = Nats(cluster.endpoints.nats, "ends"), Ray(cluster.endpoints.dashboard)
    orchestrator = Orchestrator(lambda: cluster.endpoints.orchestrators, GrpcContract.of(cluster.profile.contract))
    try:
        for role in cluster.profile.deliberations.roles:
            await orchestrator.any.create_council(role, cluster.profile.deliberations.agents)
        found = Fleet(cluster, nats, ray)
        await found.note()
        yield found
    finally:
        for client in (orchestrator, nats, ray):
            await client.close()
        await cluster.stop()
