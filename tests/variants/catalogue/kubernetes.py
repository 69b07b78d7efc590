"""What differs in Kubernetes alone."""

from __future__ import annotations

from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, PODS, RAY_CLUSTERS
from fixtures.clusters.kubernetes.lookup import selector_of
from tests.targets.kubernetes_injectors import (
    MAIN,
    SIDE_CAR,
    group_names_least_alone,
    orchestrator_has_a_side_car_first,
    ready_workers,
)
from tests.targets.kubernetes_target import KubernetesTarget
from tests.variants.model import Variant


async def side_car_is_first(target: KubernetesTarget) -> bool:
    """Whether it is in every pod of the orchestrator, and all of them are ready."""
    name, namespace = target.profile.orchestrator.workload, target.profile.kubernetes.namespace
    deployment = await target.api.get(DEPLOYMENTS, name, namespace)
    pods = await target.api.list(PODS, namespace, labels=selector_of(deployment.pod_labels))
    return len(pods) == deployment.spec.replicas and all(
        pod.status.is_ready and [container.name for container in pod.spec.containers] == [SIDE_CAR, MAIN]
        for pod in pods
    )


async def replicas_are_fewer_than_workers(target: KubernetesTarget) -> bool:
    """Whether `replicas` of the worker group is 0, and the profile's workers run all the same."""
    name, namespace = target.profile.ray.cluster, target.profile.kubernetes.ray_namespace
    (group,) = (await target.api.get(RAY_CLUSTERS, name, namespace)).spec.workerGroupSpecs
    return group.replicas == 0 and len(await ready_workers(target)) == target.profile.ray.workers


VARIANTS: tuple[Variant, ...] = (
    Variant(
        name="sidecar-comes-first",
        description="the first container of the orchestrator's pods is a proxy, and the main one is called app",
        apply=orchestrator_has_a_side_car_first(),
        is_present=side_car_is_first,
        stretches=(
            *(f"CFG-{number:02}" for number in range(1, 9)),
            *("NET-01", "NET-02", "NET-05", "NET-06", "INF-11"),
        ),
        where="kubernetes",
    ),
    Variant(
        name="group-names-min-replicas-only",
        description="a worker group has no replicas of its own, and KubeRay keeps its minReplicas",
        apply=group_names_least_alone(),
        is_present=replicas_are_fewer_than_workers,
        stretches=("INF-05", "INF-06", "IMG-05"),
        where="kubernetes",
    ),
)
