"""RayClusters that are known by a label, of which the newest is not ready."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fixtures.clusters.kubernetes.client.api import RAY_CLUSTERS
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from tests.targets.kubernetes_objects import made, patched
from tests.targets.kubernetes_target import KubernetesTarget

NEXT = "ray-next"  # the name of the newest
LABELS = {"team": "agents"}
SELECTOR = "team=agents"
SUSPENDED = "suspended"  # KubeRay's word for its state


@asynccontextmanager
async def the_newest_is_suspended(target: KubernetesTarget) -> AsyncIterator[None]:
    """The fleet's RayCluster has the label, and so has a younger one of the same specification, which has no pods."""
    name, namespace = target.profile.ray.cluster, target.profile.ray.namespace
    spec = (await target.api.get(RAY_CLUSTERS, name, namespace)).raw["spec"]
    metadata = {"name": NEXT, "namespace": namespace, "labels": LABELS}
    body = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": metadata, "spec": {**spec, "suspend": True}}

    async def suspended() -> bool:
        return (await target.api.get(RAY_CLUSTERS, NEXT, namespace)).status.state == SUSPENDED

    async with (
        patched(target, RAY_CLUSTERS, name, namespace, {"metadata": {"labels": LABELS}}),
        made(target, RAY_CLUSTERS, body),
    ):
        await wait_until(suspended, f"RayCluster {NEXT}", TIMEOUTS.pods_up)
        yield
