"""A deliberation of one agent, alone: its legs as they can be seen from outside, beside the floor.

The floor: a bare actor's start, a bare completion and a bare acknowledgement, each measured beside it.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import httpx

from fixtures.clusters.embedded import EmbeddedCluster
from fixtures.core.errors import Inconclusive
from fixtures.exercises.agent_jobs import AgentJobs
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.exercises.deliberations import Deliberations, percentile
from fixtures.services.grpc_contract import GrpcContract
from fixtures.services.nats import Nats
from fixtures.services.orchestrator import Orchestrator
from fixtures.services.ray import Ray
from fixtures.services.vllm import FaultProxy
from tests.bench import floor
from tests.bench.figures import Figure, Measured, ratio
from tests.bench.settings import Settings, fleet

TITLE = "A round trip, by its legs, beside a bare actor, completion and acknowledgement"
OF_EACH = 10  # round trips, and bare ones, for each run
LOOK_EVERY = 0.01  # seconds between two questions for the end of one
PHASES = {
    "submit": "Deliberate's answer",
    "start": "the agent's actor starts, its modules imported",
    "connect": "NATS connected, prompt made",
    "completion": "completion",
    "publish": "publication stored",
    "collect": "collected, and seen to be",
}


async def phases(trip: DeliberationRun, proxy: FaultProxy) -> dict[str, float]:
    """Seconds of each leg, from what the caller, the proxy before vLLM and the stream note; all clocks
    are one machine's.

    The agent tells in its message how long it took until it had its answer: so it is known when its run began.
    """
    prompts = await proxy.prompts(f"Task {trip.marker}.")
    took = [message.seconds for message in trip.messages]
    if not (trip.completed and trip.started and len(prompts) == len(trip.messages) == 1 and took[0] is not None):
        raise Inconclusive(f"a round trip that cannot be followed: {trip.summary}")
    asked, answered = float(prompts[0]["time"]), float(prompts[0]["answered"])
    began, stored = answered - took[0], trip.messages[0].stored.timestamp()
    points = [trip.started.at, trip.started.at + trip.started.seconds, began, asked, answered, stored]
    points.append(trip.started.at + trip.seconds)
    return {leg: max(0.0, end - start) for leg, start, end in zip(PHASES, points[:-1], points[1:], strict=True)}


async def measure(settings: Settings) -> Measured:
    async with fleet(settings) as cluster:
        ray, nats = Ray(cluster.endpoints.dashboard), Nats(cluster.endpoints.nats, "bench")
        orchestrator = Orchestrator(lambda: cluster.endpoints.orchestrators, GrpcContract.of(cluster.profile.contract))
        proxy, http = (
            FaultProxy(cluster.endpoints.fault_proxy, cluster.fault_proxy_access),
            httpx.AsyncClient(timeout=60, trust_env=False),
        )
        try:
            return await _measured(settings, cluster, ray, nats, orchestrator, proxy, http)
        finally:
            for client in (orchestrator, proxy, nats, ray):
                await client.close()
            await http.aclose()


async def _measured(
    settings: Settings,
    cluster: EmbeddedCluster,
    ray: Ray,
    nats: Nats,
    orchestrator: Orchestrator,
    proxy: FaultProxy,
    http: httpx.AsyncClient,
) -> Measured:
    profile = cluster.profile
    role = profile.deliberations.roles[0]
    await orchestrator.any.create_council(role, profile.deliberations.agents)
    await floor.prepare(nats)
    deliberations = Deliberations(orchestrator, nats, ray, profile, cluster.run_id, LOOK_EVERY)
    jobs = AgentJobs(ray, nats, profile, cluster.inside, cluster.run_id)
    await deliberations.run([deliberations.new(role, agents=1)])  # each replica's first has its connection to make
    await deliberations.run([deliberations.new(role, agents=1)])
    trips: list[float] = []
    parts: list[dict[str, float]] = []
    bare: dict[str, list[float]] = {"start": [], "completion": [], "publish": []}
    medians, floors, same = [], [], []
    for number in range(1, settings.runs + 1):
        done = []
        for _ in range(OF_EACH):
            trip = (await deliberations.run([deliberations.new(role, agents=1)]))[0]
            parts.append(await phases(trip, proxy))
            done.append(trip.seconds)
        same += (await floor.actors(jobs, floor.BARE, f"bare-{number}", OF_EACH, 1)).each
        idle = (await floor.actors(jobs, floor.IDLE, f"idle-{number}", OF_EACH, 1)).each
        asked = [await floor.completion(http, cluster.endpoints.vllm, profile.vllm.model) for _ in range(OF_EACH)]
        acked = [await floor.acknowledgement(nats) for _ in range(OF_EACH)]
        for name, samples in zip(bare, (idle, asked, acked), strict=True):
            bare[name] += samples
        trips += done
        medians.append(median(done))
        floors.append(median(idle) + median(asked) + median(acked))
        settings.say(f"round trips {number}/{settings.runs}: p50 {medians[-1]:.2f} s, floor {floors[-1]:.2f} s")
    p50 = Figure("round trip p50", "round trip, p50", "s", medians)
    bound = Figure("floor p50", "its floor: bare actor, completion and acknowledgement, p50", "s", floors)
    figures = [
        p50,
        Figure("round trip p95", "round trip, p95", "s", [percentile(trips, 95)]),
        Figure("round trip p99", "round trip, p99", "s", [percentile(trips, 99)]),
        bound,
        ratio("round trip ÷ floor", "round trip ÷ floor, p50", p50, bound, 1.3),
    ]
    alike = Figure(
        "bare actor", "one bare actor that does the same completion and publication, p50", "s", [median(same)]
    )
    figures += [alike, ratio("round trip ÷ bare actor", "round trip ÷ that, p50", p50, alike)]
    figures += [
        Figure(f"leg {leg}", f"leg: {title}", "s", [row[leg] for row in parts]) for leg, title in PHASES.items()
    ]
    titles = {
        "start": "bare actor that does nothing, its first answer",
        "completion": "bare completion",
        "publish": "bare acknowledgement",
    }
    figures += [Figure(f"bare {name}", titles[name], "s", samples) for name, samples in bare.items()]
    details: dict[str, Any] = {
        "trips": [round(one, 4) for one in trips],
        "legs": {leg: [round(row[leg], 4) for row in parts] for leg in PHASES},
        "floor": {name: [round(one, 4) for one in samples] for name, samples in bare.items()},
    }
    return Measured(figures, details)
