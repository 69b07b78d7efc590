"""Ray clusters that differ."""

from __future__ import annotations

from fixtures.services.ray import Node, Ray
from tests.faults.catalogue.infrastructure import argued
from tests.faults.catalogue.load import HOLDER, held
from tests.targets.embedded_target import EmbeddedTarget
from tests.variants.model import Variant

WORKER = "ray-worker-2"
#: The checks of what agent jobs do on the workers that can take one.
ON_WORKERS = ("JOB-03", "JOB-04", "JOB-05", "JOB-06", "JOB-07")


async def worker_offers_no_cpu(target: EmbeddedTarget) -> bool:
    ray = Ray(target.cluster.endpoints.dashboard)
    try:
        nodes: list[Node] = [node for node in await ray.nodes() if node.alive and node.name == WORKER]
    finally:
        await ray.close()
    return len(nodes) == 1 and not nodes[0].resources.get("CPU")


async def worker_is_held(target: EmbeddedTarget) -> bool:
    ray = Ray(target.cluster.endpoints.dashboard)
    try:
        return HOLDER in {actor.name for actor in await ray.actors(HOLDER, state="ALIVE")}
    finally:
        await ray.close()


VARIANTS = (
    Variant(
        name="some-workers-fit-no-agent",
        description="the second worker offers no CPU, as one for GPU work does: Ray starts no agent there",
        apply=argued(WORKER, "--num-cpus", "0"),
        is_present=worker_offers_no_cpu,
        stretches=("JOB-02", *ON_WORKERS),
        profile={"ray.resources.cpus": 4},
    ),
    Variant(
        name="one-worker-is-fully-used",
        description="somebody's actor holds all CPUs of the second worker while the suite looks",
        apply=held(WORKER),
        is_present=worker_is_held,
        stretches=ON_WORKERS,
        inconclusive={"JOB-02": "busy: "},
    ),
)
