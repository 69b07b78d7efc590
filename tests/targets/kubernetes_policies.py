"""Policies of a cluster that a healthy fleet lives with: quotas, security levels, budgets, owners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fixtures.clusters.kubernetes.client.api import (
    DEPLOYMENTS,
    NAMESPACES,
    RAY_CLUSTERS,
    SERVICES,
    STATEFULSETS,
    AnyResource,
)
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.profile.model import Profile
from tests.targets.kubernetes_objects import BUDGETS, QUOTAS, made, new_object, patched
from tests.targets.kubernetes_ray import workers_have_the_template
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.target import Change, together

QUOTA, BUDGET = "team", "nothing-may-be-evicted"
ENFORCED = "pod-security.kubernetes.io/enforce"
#: Of a container under the level "restricted". Source:
#: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def quota(namespace: str, **hard: str) -> Change:
    """A quota that makes each container say what it may take."""
    metadata = {"name": QUOTA, "namespace": namespace}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}
    return lambda target: made(target, QUOTAS, body)


def restricted(namespace: str) -> Change:
    patch = {"metadata": {"labels": {ENFORCED: "restricted", f"{ENFORCED}-version": "latest"}}}
    return lambda target: patched(target, NAMESPACES, namespace, "", patch)


def _hardened(template: Document) -> Document:
    """A template of Ray's workers with limits for all, as the level demands."""

    def container(before: Document) -> Document:
        resources = before.get("resources", {})
        limits = {"cpu": "4", **resources.get("limits", {})}
        return {**before, "securityContext": RESTRICTED, "resources": {**resources, "limits": limits}}

    spec = template["spec"]
    lists = {key: [container(one) for one in spec[key]] for key in ("initContainers", "containers") if key in spec}
    return {**template, "spec": {**spec, **lists}}


@asynccontextmanager
async def namespaces_are_hardened(target: KubernetesTarget) -> AsyncIterator[None]:
    """Both namespaces have a quota and the level "restricted", and the template of the workers complies."""
    spaces, ray = target.profile.kubernetes, target.profile.ray
    sizes = {"limits.memory": "64Gi", "pods": "40"}
    change = together(
        workers_have_the_template(_hardened),
        quota(spaces.namespace, **sizes),
        quota(ray.namespace, **sizes, **{"limits.cpu": "64"}),
        restricted(spaces.namespace),
        restricted(ray.namespace),
    )
    async with change(target):
        yield


def nothing_may_be_evicted() -> Change:
    """Budgets of the orchestrator, vLLM, NATS and Ray that allow no disruption."""

    def budget(namespace: str, name: str, labels: Document) -> Document:
        metadata = {"name": f"{BUDGET}-{name}", "namespace": namespace}
        spec = {"maxUnavailable": 0, "selector": {"matchLabels": labels}}
        return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}

    def of_ray(profile: Profile) -> Document:
        return budget(profile.ray.namespace, "ray", {"ray.io/cluster": profile.ray.cluster})

    def of(component: str) -> Change:
        def body(profile: Profile) -> Document:
            part = getattr(profile, component)
            name = getattr(part, "workload", "") or part.service
            return budget(profile.kubernetes.namespace, component, {"app": name})

        return new_object(BUDGETS, body)

    return together(new_object(BUDGETS, of_ray), *(of(name) for name in ("orchestrator", "vllm", "nats")))


def _platform_marks(namespace: Document) -> Document:
    """What Helm, Argo CD and kubectl leave in an object's metadata, and an owner."""
    owner = {"apiVersion": "v1", "kind": "Namespace", "name": namespace["name"], "uid": namespace["uid"]}
    annotations = {
        "meta.helm.sh/release-name": "fleet",
        "meta.helm.sh/release-namespace": namespace["name"],
        "argocd.argoproj.io/tracking-id": f"fleet:apps/Deployment:{namespace['name']}/fleet",
        "argocd.argoproj.io/sync-options": "Prune=false",
        "kubectl.kubernetes.io/last-applied-configuration": '{"apiVersion":"v1","data":"' + "x" * 60_000 + '"}\n',
    }
    labels = {
        "app.kubernetes.io/managed-by": "Helm",
        "app.kubernetes.io/instance": "fleet",
        "helm.sh/chart": "fleet-1.2.3",
        "kustomize.toolkit.fluxcd.io/name": "fleet",
    }
    return {"metadata": {"annotations": annotations, "labels": labels, "ownerReferences": [owner]}}


@asynccontextmanager
async def platforms_leave_their_marks(target: KubernetesTarget) -> AsyncIterator[None]:
    """On the RayCluster, the workloads and the services of the fleet, which belong to their namespace."""
    profile, spaces = target.profile, target.profile.kubernetes
    objects: list[tuple[AnyResource, str, str]] = [
        (RAY_CLUSTERS, profile.ray.cluster, profile.ray.namespace),
        (DEPLOYMENTS, profile.orchestrator.workload, spaces.namespace),
        (DEPLOYMENTS, profile.vllm.workload, spaces.namespace),
        (STATEFULSETS, profile.nats.service, spaces.namespace),
        (SERVICES, profile.vllm.service, spaces.namespace),
        (SERVICES, profile.nats.service, spaces.namespace),
        (SERVICES, profile.orchestrator.service, spaces.namespace),
    ]
    async with AsyncExitStack() as stack:
        for resource, name, namespace in objects:
            space = (await target.api.get(NAMESPACES, namespace)).raw["metadata"]
            await stack.enter_async_context(patched(target, resource, name, namespace, _platform_marks(space)))
        yield
