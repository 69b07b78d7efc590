"""RayClusters that the profile does not name: that of a RayService, which has another one after each upgrade, and the
newest of a label that is ready."""

from __future__ import annotations

from fixtures.clusters.kubernetes.client.api import RAY_CLUSTERS, RAY_SERVICES
from tests.targets.kubernetes_injectors import ready_workers
from tests.targets.kubernetes_objects import exists
from tests.targets.kubernetes_ray_selector import NEXT, SELECTOR, the_newest_is_suspended
from tests.targets.kubernetes_ray_service import PROFILE, SERVICE, active, is_upgraded, ray_is_a_ray_service
from tests.targets.kubernetes_target import KubernetesTarget
from tests.variants.catalogue.kubernetes.ray import GROUPS, IN_WORKERS
from tests.variants.model import Presence, Variant

SERVES_RAY = (*GROUPS, *IN_WORKERS, "INF-07", "INF-08", "CFG-04", "CFG-06", "NET-03", "NET-04", "NET-06", "JOB-01")


def service_is_active(upgraded: bool) -> Presence:
    """Whether the one cluster that the RayService has is active, after an upgrade or before, and the other has no
    worker."""

    async def present(target: KubernetesTarget) -> bool:
        if not await exists(target, RAY_SERVICES, SERVICE, target.profile.ray.namespace):
            return False
        ray_cluster = await active(target)
        seen = ray_cluster is not None and is_upgraded(ray_cluster) == upgraded
        return seen and not await ready_workers(target)

    return present


async def a_newer_one_has_the_label(target: KubernetesTarget) -> bool:
    """Whether two RayClusters have it, the fleet's own and a later one."""
    labelled = await target.api.list(RAY_CLUSTERS, target.profile.ray.namespace, labels=SELECTOR)
    return {cluster.metadata.name for cluster in labelled} == {NEXT, target.profile.ray.cluster}


VARIANTS: tuple[Variant, ...] = (
    Variant(
        name="the-newest-raycluster-is-suspended",
        description="the profile has a label of RayClusters: the newest has no pods yet, an older one serves",
        apply=the_newest_is_suspended,
        is_present=a_newer_one_has_the_label,
        profile={"ray.cluster": "", "ray.selector": SELECTOR},
        stretches=(*GROUPS, "INF-07", "INF-08", "IMG-04", "CFG-04"),
        where="kubernetes",
    ),
    Variant(
        name="ray-is-a-rayservice",
        description="a RayService makes Ray: its active RayCluster has a name that KubeRay chose",
        apply=ray_is_a_ray_service(),
        is_present=service_is_active(False),
        profile=PROFILE,
        stretches=(*SERVES_RAY, "JOB-02", "IMG-04", "NET-07"),
        where="kubernetes",
    ),
    Variant(
        name="rayservice-was-upgraded",
        description="an upgrade of the RayService has made another RayCluster, and the first one is gone",
        apply=ray_is_a_ray_service(upgraded=True),
        is_present=service_is_active(True),
        profile=PROFILE,
        stretches=SERVES_RAY,
        where="kubernetes",
    ),
)
