"""Worker groups of a RayCluster as operators write them."""

from __future__ import annotations

from fixtures.profile.ray_section import Resources
from tests.faults.catalogue.kubernetes import ASKS_FOR_LESS
from tests.targets.kubernetes_injectors import group_names_least_alone, ready_workers
from tests.targets.kubernetes_ray import (
    ACCOUNT,
    SECOND,
    desired_cpus,
    group,
    group_asks_for_more_than_its_most,
    one_worker_is_never_ready,
    second_group,
    second_group_counts_with_the_first,
    workers,
    workers_are_placed,
    workers_ask_for,
)
from tests.targets.kubernetes_ray_images import another_image_runs_no_agents
from tests.targets.kubernetes_target import KubernetesTarget
from tests.variants.model import Variant

GROUPS = ("INF-05", "INF-06", "IMG-01", "IMG-02", "IMG-03")
ASKED_FOR = 5  # replicas of the worker group
IN_WORKERS = tuple(f"DEP-{number:02}" for number in range(1, 9))
AGENTS_START = ("JOB-01", "JOB-02")


async def replicas_are_fewer_than_workers(target: KubernetesTarget) -> bool:
    """Whether `replicas` of the worker group is 0, and the profile's workers run all the same."""
    return (await group(target))["replicas"] == 0 and len(await ready_workers(target)) == target.profile.ray.workers


async def replicas_are_more_than_workers(target: KubernetesTarget) -> bool:
    return (await group(target))["replicas"] == ASKED_FOR and len(await ready_workers(target)) < ASKED_FOR


async def second_group_is_suspended(target: KubernetesTarget) -> bool:
    try:
        second = await group(target, 1)
    except IndexError:
        return False
    return bool(second["suspend"]) and not await workers(target, SECOND)


async def second_group_has_a_worker(target: KubernetesTarget) -> bool:
    return len(await workers(target, SECOND)) == 1


async def second_group_has_another_image(target: KubernetesTarget) -> bool:
    """Whether it has one worker, of an image that the first group does not have."""
    agents, others = await workers(target, target.profile.ray.worker_group), await workers(target, SECOND)
    images = {pod.spec.containers[0].image for pod in agents}
    return [pod.spec.containers[0].image for pod in others] == [target.stock_image] and target.stock_image not in images


async def template_says_where(target: KubernetesTarget) -> bool:
    return bool((await group(target))["template"]["spec"].get("serviceAccountName") == ACCOUNT)


async def pods_ask_for_cpus(target: KubernetesTarget) -> bool:
    return await desired_cpus(target) >= 2


async def a_worker_is_not_ready(target: KubernetesTarget) -> bool:
    count = target.profile.ray.workers
    return (len(await workers(target)), len(await ready_workers(target))) == (count, count - 1)


VARIANTS: tuple[Variant, ...] = (
    Variant(
        name="group-names-min-replicas-only",
        description="a worker group has no replicas of its own, and KubeRay keeps its minReplicas",
        apply=group_names_least_alone(),
        is_present=replicas_are_fewer_than_workers,
        stretches=("INF-05", "INF-06", "IMG-05"),
        where="kubernetes",
    ),
    Variant(
        name="group-asks-for-more-than-its-most",
        description="a worker group asks for more replicas than its maxReplicas, which KubeRay keeps",
        apply=group_asks_for_more_than_its_most(ASKED_FOR),
        is_present=replicas_are_more_than_workers,
        stretches=GROUPS,
        where="kubernetes",
    ),
    Variant(
        name="a-worker-group-is-suspended",
        description="a second worker group is suspended: it names two replicas and has none",
        apply=second_group(2, suspend=True),
        is_present=second_group_is_suspended,
        stretches=(*GROUPS, "IMG-04", "INF-07", "JOB-02"),
        where="kubernetes",
    ),
    Variant(
        name="two-worker-groups",
        description="workers for CPUs stand next to those for GPUs, in a group of their own",
        apply=second_group_counts_with_the_first,
        is_present=second_group_has_a_worker,
        stretches=(*GROUPS, *IN_WORKERS, "IMG-04", "IMG-05", "INF-07", "INF-08", "NET-03", "NET-04", *AGENTS_START),
        where="kubernetes",
    ),
    Variant(
        name="a-group-of-another-image-runs-no-agents",
        description="workers for other work have an image without what agents import; the agents' group is a range",
        apply=another_image_runs_no_agents,
        is_present=second_group_has_another_image,
        stretches=(*GROUPS, *IN_WORKERS, "DEP-09", "IMG-04", "INF-07", "INF-08", "NET-03", "NET-04", *AGENTS_START),
        where="kubernetes",
    ),
    Variant(
        name="requests-are-counted",
        description="the profile names what the pods ask for, the head's among them, not what Ray was told to offer",
        apply=workers_ask_for(1),
        is_present=pods_ask_for_cpus,
        # of 8 CPUs that Ray offers, the pods ask for 2 and the head's share
        profile={"ray.resources": Resources(counted="requests", gpus=0, cpus=2, memory="1Gi")},
        stretches=("INF-06", "INF-07", "IMG-02"),
        detects=(ASKS_FOR_LESS,),
        where="kubernetes",
    ),
    Variant(
        name="workers-are-placed-by-policy",
        description="the template of the workers names nodes, an account, a priority, and that no image is pulled",
        apply=workers_are_placed(),
        is_present=template_says_where,
        stretches=(*GROUPS, "IMG-04"),
        where="kubernetes",
    ),
    Variant(
        name="a-worker-has-no-replica-of-serve",
        description="Ray Serve: a worker without a replica of it fails its readiness probe, and Ray counts it",
        apply=one_worker_is_never_ready,
        is_present=a_worker_is_not_ready,
        stretches=("INF-05", "INF-06", "INF-07", "INF-08", "IMG-01", "IMG-02", "IMG-05", "NET-03", "NET-04", "DEP-04"),
        where="kubernetes",
    ),
)
