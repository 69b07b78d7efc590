"""Ray clusters that differ."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fixtures.clusters.base import Component
from fixtures.profile.model import load
from fixtures.services.ray import LIMITS, Node, Ray
from tests.faults.catalogue.agents import HELPER, JOB
from tests.faults.catalogue.infrastructure import argued
from tests.faults.catalogue.load import HOLDER, held
from tests.faults.model import Fault
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, Removed, agent_code, workers_have
from tests.targets.ray_injectors import nodes_of, ray_started, run_in_ray, with_environment, workers_are_all_called
from tests.variants.model import Presence, Variant

WORKER = "ray-worker-2"
ONE_NAME = "worker"
EARLIER_LIVES = 3
LISTED, DEAD = 50, 60  # actors that Ray lists, and those that have died
#: The checks of what agent jobs do on the workers that can take one.
ON_WORKERS = ("JOB-03", "JOB-04", "JOB-05", "JOB-06", "JOB-07")
#: The checks that look at each node, or at what Ray says of it.
OF_NODES = (
    *("INF-06", "INF-07", "INF-08", "DEP-04", "DEP-06", "DEP-07"),
    *("NET-03", "NET-04", "JOB-01", "JOB-02", "JOB-14"),
)

#: Actors that no node fits, killed as they wait: each is a dead actor without ever having cost a process.
LIVED = f"""
import ray

class Visitor:
    pass

ray.init(logging_level="ERROR")
visitors = [ray.remote(num_cpus=1000)(Visitor).options(name="former-%d" % n).remote() for n in range({DEAD})]
for visitor in visitors:
    ray.kill(visitor)
"""

NAMESAKE_LACKS_NATS = Fault(
    name="one-of-two-namesakes-lacks-nats",
    description="of two workers of one name the second lacks nats-py",
    inject=workers_have(Removed("nats"), only=1),
    expected_failures=("DEP-04", "DEP-05", "JOB-03"),
    expected_terms=("nats-py", f"{ONE_NAME} (", "No module named 'nats'"),
)
LEAK_IS_NOT_LISTED = Fault(
    name="leak-is-beyond-the-list",
    description="the agent leaves a detached actor, and Ray lists fewer actors than have died",
    inject=agent_code(Edit(JOB, "        self._runs: Dict", HELPER + "        self._runs: Dict")),
    expected_failures=("JOB-11", "LOAD-06"),
    expected_terms=("-agent-helper", "on ray-worker-", "detached"),
)


async def worker_offers_no_cpu(target: EmbeddedTarget) -> bool:
    nodes: list[Node] = [node for node in await nodes_of(target) if node.alive and node.name == WORKER]
    return len(nodes) == 1 and not nodes[0].resources.get("CPU")


async def worker_is_held(target: EmbeddedTarget) -> bool:
    ray = Ray(target.cluster.endpoints.dashboard)
    try:
        return HOLDER in {actor.name for actor in await ray.actors(HOLDER, state="ALIVE")}
    finally:
        await ray.close()


async def workers_share_a_name(target: EmbeddedTarget) -> bool:
    names = [node.name for node in await nodes_of(target) if node.alive and not node.head]
    return names == [ONE_NAME] * len(target.workers)


@asynccontextmanager
async def worker_lived_before(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The second worker has ended and come up again several times; in the end Ray begins with an empty table."""
    launcher, worker = target.fleet.launcher, target.member(WORKER)
    try:
        for _ in range(EARLIER_LIVES):
            await launcher.end(worker, immediately=False)
            await target.fleet.start_again(worker)
        yield
    finally:
        await target.cluster.restart_ray()


async def earlier_lives_are_listed(target: EmbeddedTarget) -> bool:
    dead = [node for node in await nodes_of(target) if node.name == WORKER and not node.alive]
    return len(dead) >= EARLIER_LIVES


@asynccontextmanager
async def many_have_died(target: EmbeddedTarget) -> AsyncIterator[None]:
    """Ray lists fewer actors than have died."""
    cut = ray_started(ray_head=with_environment(RAY_MAX_LIMIT_FROM_DATA_SOURCE=str(LISTED)))
    async with cut(target):
        await run_in_ray(target, "former-agents", LIVED)
        yield


async def lists_are_cut(target: EmbeddedTarget) -> bool:
    ray = Ray(target.cluster.endpoints.dashboard)
    try:
        return bool((await ray.listed_actors()).cut)
    finally:
        await ray.close()


async def refuses_long_lists(target: EmbeddedTarget) -> bool:
    """Whether Ray answers a request for as many rows as it allows by itself with an error."""
    ray = Ray(target.cluster.endpoints.dashboard)
    try:
        return (
            await ray.request("GET", "/api/v0/nodes", params={"limit": str(LIMITS[0])})
        ).status_code != HTTPStatus.OK
    finally:
        await ray.close()


def head_is_started_with(variable: str, value: str) -> Presence:
    async def present(target: EmbeddedTarget) -> bool:
        (head,) = target.members(Component.RAY_HEAD)
        return head.part.environment().get(variable) == value

    return present


@asynccontextmanager
async def second_worker_is_gone(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The fleet has one worker, and its specification asks for no more."""
    fleet, worker, profile = target.fleet, target.member(WORKER), target.fleet.plan.profile
    position = fleet.members.index(worker)
    await fleet.launcher.end(worker, immediately=False)
    fleet.members.remove(worker)
    fleet.plan.profile = profile.with_workers(1)
    try:
        yield
    finally:
        fleet.plan.profile = profile
        fleet.members.insert(position, worker)
        await fleet.start_again(worker)


async def has_one_worker(target: EmbeddedTarget) -> bool:
    return len([node for node in await nodes_of(target) if node.alive and not node.head]) == 1


VARIANTS = (
    Variant(
        name="some-workers-fit-no-agent",
        description="the second worker offers no CPU, as one for GPU work does: Ray starts no agent there",
        apply=argued(WORKER, "--num-cpus", "0"),
        is_present=worker_offers_no_cpu,
        stretches=("INF-07", "JOB-02", *ON_WORKERS),
        profile={"ray.resources.cpus": 4},
    ),
    Variant(
        name="one-worker-is-fully-used",
        description="somebody's actor holds all CPUs of the second worker while the suite looks",
        apply=held(WORKER),
        is_present=worker_is_held,
        stretches=(*ON_WORKERS, "JOB-08", "JOB-09", "JOB-10", "JOB-13", "DEP-04", "NET-03"),
        inconclusive={"JOB-02": "busy: "},
    ),
    Variant(
        name="ray-nodes-share-one-name",
        description="all workers have one name, as where each is started with the same --node-name",
        apply=workers_are_all_called(ONE_NAME),
        is_present=workers_share_a_name,
        stretches=(*OF_NODES, *ON_WORKERS, "DEP-01", "DEP-02", "DEP-03", "DEP-05", "DEP-08"),
        detects=(NAMESAKE_LACKS_NATS,),
    ),
    Variant(
        name="nodes-of-earlier-lives-are-listed",
        description="Ray's node table still has dead nodes of the second worker's name",
        apply=worker_lived_before,
        is_present=earlier_lives_are_listed,
        stretches=(*OF_NODES, "CFG-04", "ORC-17"),
    ),
    Variant(
        name="ray-lists-are-cut",
        description="after months of use more actors have died than Ray lists",
        apply=many_have_died,
        is_present=lists_are_cut,
        stretches=("JOB-02", *ON_WORKERS, "JOB-11", "JOB-13", "JOB-14", "ORC-16", "ORC-17", "LOAD-06"),
        detects=(LEAK_IS_NOT_LISTED,),
    ),
    Variant(
        name="ray-allows-short-lists-only",
        description="an operator lowered how many rows one request may ask Ray for",
        apply=ray_started(ray_head=with_environment(RAY_MAX_LIMIT_FROM_API_SERVER="500")),
        is_present=refuses_long_lists,
        stretches=("INF-05", "INF-06", "INF-07", "INF-08", "JOB-02", "JOB-11", "ORC-17"),
    ),
    Variant(
        name="heads-python-is-not-on-path",
        description="Ray was started by a full path: the python on the PATH of its head has no Ray",
        apply=ray_started(ray_head=with_environment(PATH="/usr/bin:/bin")),
        is_present=head_is_started_with("PATH", "/usr/bin:/bin"),
        stretches=(
            *OF_NODES,
            *("DEP-01", "DEP-02", "DEP-03", "DEP-05", "DEP-08", "JOB-08", "JOB-09", "JOB-10", "JOB-13"),
        ),
    ),
    Variant(
        name="one-worker-only",
        description="the smallest fleet has one worker",
        apply=second_worker_is_gone,
        is_present=has_one_worker,
        profile={
            "ray.groups": load("embedded").with_workers(1).ray.groups,
            **{"ray.resources.cpus": 4, "ray.resources.gpus": 1, "ray.resources.memory": "64Gi"},
        },
        stretches=(*OF_NODES, *ON_WORKERS, "JOB-08", "JOB-09", "JOB-10", "JOB-11", "JOB-13", "IMG-01", "IMG-02"),
    ),
)
