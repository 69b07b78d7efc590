"""What a cluster's policies and platforms do to a fleet that complies."""

from __future__ import annotations

from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, NAMESPACES, connect
from fixtures.clusters.kubernetes.client.errors import Forbidden
from tests.targets.kubernetes_accounts import account_has
from tests.targets.kubernetes_objects import BUDGETS, QUOTAS, exists, orchestrator
from tests.targets.kubernetes_policies import (
    BUDGET,
    ENFORCED,
    QUOTA,
    namespaces_are_hardened,
    nothing_may_be_evicted,
    platforms_leave_their_marks,
)
from tests.targets.kubernetes_target import KubernetesTarget
from tests.variants.model import Variant

LOOKS = ("INF-01", "INF-05", "INF-06", "INF-11", "IMG-01", "IMG-02", "IMG-03")


async def quotas_are_there(target: KubernetesTarget) -> bool:
    for namespace in {target.profile.kubernetes.namespace, target.profile.ray.namespace}:
        labels = (await target.api.get(NAMESPACES, namespace)).raw["metadata"]["labels"]
        if ENFORCED not in labels or not await exists(target, QUOTAS, QUOTA, namespace):
            return False
    return True


async def budgets_are_there(target: KubernetesTarget) -> bool:
    return await exists(target, BUDGETS, f"{BUDGET}-orchestrator", target.profile.kubernetes.namespace)


async def marks_are_there(target: KubernetesTarget) -> bool:
    return bool((await orchestrator(target)).metadata.ownerReferences)


async def others_may_not_be_read(target: KubernetesTarget) -> bool:
    """Whether the sessions' account may read the orchestrator's Deployment, and none that it does not name."""
    api, namespace = connect(target.kubeconfig, None), target.profile.kubernetes.namespace
    try:
        await api.get(DEPLOYMENTS, target.profile.orchestrator.workload, namespace)
        await api.get(DEPLOYMENTS, target.profile.vllm.fault_proxy, namespace)
    except Forbidden:
        return True
    finally:
        await api.close()
    return False


VARIANTS: tuple[Variant, ...] = (
    Variant(
        name="role-names-its-resources",
        description="the suite's account may get and change the objects that its Roles name, and no others",
        apply=account_has("role", "role-exec", "role-forward", "role-disruptive"),
        is_present=others_may_not_be_read,
        stretches=(*LOOKS, "INF-02", "INF-09", "CFG-02", "CFG-05", "CFG-07", "NET-07", "ORC-01", "IMG-04", "ORC-11"),
        where="kubernetes",
    ),
    Variant(
        name="budgets-allow-no-disruption",
        description="PodDisruptionBudgets allow no pod of the fleet to be evicted",
        apply=nothing_may_be_evicted(),
        is_present=budgets_are_there,
        stretches=(*LOOKS, "ORC-11", "IMG-05"),
        where="kubernetes",
    ),
    Variant(
        name="platforms-leave-their-marks",
        description="Helm, Argo CD and Flux label and annotate the fleet's objects, which have an owner",
        apply=platforms_leave_their_marks,
        is_present=marks_are_there,
        stretches=(*LOOKS, "CFG-07", "INF-09", "ORC-01"),
        where="kubernetes",
    ),
    Variant(
        name="namespaces-are-hardened",
        description="both namespaces have a quota on limits and the Pod Security level restricted",
        apply=namespaces_are_hardened,
        is_present=quotas_are_there,
        stretches=(*LOOKS, "IMG-04", "IMG-05", "ORC-11"),
        where="kubernetes",
    ),
)
