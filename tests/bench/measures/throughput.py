"""Agent jobs a second with so many in flight, beside bare actors with the same completion and publication."""

from __future__ import annotations

from typing import Any

from fixtures.exercises.agent_jobs import AgentJobs
from fixtures.exercises.load.jobs import Load, run_load
from fixtures.services.nats import Nats
from fixtures.services.ray import Ray
from tests.bench import floor
from tests.bench.figures import Figure, Measured, ratio
from tests.bench.settings import Settings, fleet

TITLE = "Agent jobs a second, beside bare actors; what is lost or doubled"
SHARE = 0.8  # of the bare actors' throughput, at least


def lost(load: Load) -> int:
    """Jobs whose result is nowhere."""
    return load.asked - sum(bool(job.completed) for job in load.jobs)


def doubled(load: Load) -> int:
    """Results beyond the one of each job, and messages of no job."""
    return sum(max(0, len(job.completed) - 1) for job in load.jobs) + sum(load.strangers.values())


async def measure(settings: Settings) -> Measured:
    figures, details, loads = [], {}, []
    async with fleet(settings) as cluster:
        ray, nats = Ray(cluster.endpoints.dashboard), Nats(cluster.endpoints.nats, "bench")
        try:
            await floor.prepare(nats)
            for in_flight, count in settings.load:
                found: dict[str, list[float]] = {"agents": [], "bare": [], "latency": []}
                for number in range(1, settings.runs + 1):
                    name = f"{in_flight}-{number}"
                    jobs = AgentJobs(ray, nats, cluster.profile, cluster.inside, f"{cluster.run_id}-{name}")
                    load = await run_load(jobs, count, in_flight, lambda _: None)
                    bare = await floor.actors(jobs, floor.BARE, "bare", count, in_flight)
                    loads.append(load)
                    found["agents"].append(load.per_second)
                    found["bare"].append(bare.per_second)
                    found["latency"] += [job.seconds for job in load.good]
                    settings.say(
                        f"{in_flight} in flight, {number}/{settings.runs}: {load.per_second:.2f} agent jobs a second, "
                        f"{bare.per_second:.2f} bare actors; {lost(load)} lost, {doubled(load)} doubled of {count}"
                    )
                agents = Figure(
                    f"agents {in_flight}", f"agent jobs, {in_flight} in flight", "1/s", found["agents"], better="higher"
                )
                actors = Figure(
                    f"bare {in_flight}", f"bare actors, {in_flight} in flight", "1/s", found["bare"], better="higher"
                )
                share = f"agent jobs ÷ bare actors, {in_flight} in flight"
                figures += [agents, actors, ratio(f"agents ÷ bare {in_flight}", share, agents, actors, SHARE, "higher")]
                details[str(in_flight)] = {name: [round(one, 4) for one in samples] for name, samples in found.items()}
        finally:
            await nats.close()
            await ray.close()
    jobs_in_all = sum(load.asked for load in loads)
    counts: dict[str, Any] = {"lost": lost, "doubled": doubled}
    figures += [
        Figure(
            name,
            f"results {name}, in {len(loads)} loads of {jobs_in_all} jobs in all",
            "",
            [sum(count(one) for one in loads)],
            0,
        )
        for name, count in counts.items()
    ]
    return Measured(figures, details)
