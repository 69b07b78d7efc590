"""Objects of Kubernetes that are made, patched or replaced for a while: each is removed or put back, and waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fixtures.clusters.kind.readiness import replicas_missing
from fixtures.clusters.kubernetes.client.api import APPS, DEPLOYMENTS, PODS, RBAC, STATEFULSETS, AnyResource, Resource
from fixtures.clusters.kubernetes.client.errors import NotFound
from fixtures.clusters.kubernetes.client.schemas import KubernetesObject, Pod, ReplicatedWorkload
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.clusters.kubernetes.lookup import selector_of
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile.amounts import least
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.target import Change

JOBS = Resource("apis/batch/v1", "jobs", KubernetesObject)
AUTOSCALERS = Resource("apis/autoscaling/v2", "horizontalpodautoscalers", KubernetesObject)
BUDGETS = Resource("apis/policy/v1", "poddisruptionbudgets", KubernetesObject)
REPLICA_SETS = Resource(APPS, "replicasets", KubernetesObject)
QUOTAS = Resource("api/v1", "resourcequotas", KubernetesObject)
PRIORITIES = Resource("apis/scheduling.k8s.io/v1", "priorityclasses", KubernetesObject, namespaced=False)
ROLES = Resource(RBAC, "roles", KubernetesObject)
ROLE_BINDINGS = Resource(RBAC, "rolebindings", KubernetesObject)

#: Waits, and ends when it is asked to: as the first process of a container it would not by itself.
WAIT = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); signal.pause()"


#: The same program with one argument more, which it does not read.
ARGUMENTS = ["python", "-m", "fleet_orchestrator", "--as-before"]


async def exists(target: KubernetesTarget, resource: AnyResource, name: str, namespace: str = "") -> bool:
    try:
        await target.api.get(resource, name, namespace)
    except NotFound:
        return False
    return True


@asynccontextmanager
async def made(target: KubernetesTarget, resource: AnyResource, body: Document) -> AsyncIterator[None]:
    """An object that is not there otherwise. One that an earlier try has left is replaced."""
    name, namespace = body["metadata"]["name"], body["metadata"].get("namespace", "")

    async def gone() -> bool:
        return not await exists(target, resource, name, namespace)

    async def removed() -> None:
        if await target.api.delete(resource, name, namespace, grace_s=1 if resource is PODS else None):
            await wait_until(gone, f"the end of {resource.name} {name}", TIMEOUTS.pods_up)

    await removed()
    await target.api.create(resource, body, namespace)
    try:
        yield
    finally:
        await removed()


def inverse(patch: Document, before: Document) -> Document:
    """The merge patch that undoes another one: what was not there is null."""
    return {
        key: inverse(value, before[key])
        if isinstance(value, dict) and isinstance(before.get(key), dict)
        else before.get(key)
        for key, value in patch.items()
    }


@asynccontextmanager
async def patched(
    target: KubernetesTarget, resource: AnyResource, name: str, namespace: str, patch: Document
) -> AsyncIterator[None]:
    """An object with a merge patch, which is undone in the end."""
    undo = inverse(patch, (await target.api.get(resource, name, namespace)).raw)
    await target.api.patch(resource, name, patch, namespace)
    try:
        yield
    finally:
        await target.api.patch(resource, name, undo, namespace)


async def pods_of(target: KubernetesTarget, workload: ReplicatedWorkload) -> list[Pod]:
    return await target.api.list(PODS, workload.metadata.namespace, labels=selector_of(workload.pod_labels))


async def rolled_out(target: KubernetesTarget, resource: Resource[ReplicatedWorkload], name: str) -> None:
    """Wait until a workload of the fleet has replaced its pods, and the old ones are gone."""
    namespace = target.profile.kubernetes.namespace

    async def complete() -> bool:
        workload = await target.api.get(resource, name, namespace)
        leaving = [pod for pod in await pods_of(target, workload) if pod.metadata.deletionTimestamp]
        return not replicas_missing(workload) and not leaving

    replicas = (await target.api.get(resource, name, namespace)).desired
    await wait_until(complete, f"the roll-out of {name}", max(replicas, 1) * TIMEOUTS.pods_up)


@asynccontextmanager
async def templated(
    target: KubernetesTarget, resource: Resource[ReplicatedWorkload], name: str, changed: Callable[[Document], Document]
) -> AsyncIterator[None]:
    """A workload of the fleet with another template of its pods, which it has rolled out."""
    namespace = target.profile.kubernetes.namespace
    before: Document = (await target.api.get(resource, name, namespace)).raw["spec"]["template"]

    async def put(template: Document) -> None:
        operation = {"op": "replace", "path": "/spec/template", "value": template}
        await target.api.patch(resource, name, [operation], namespace)
        await rolled_out(target, resource, name)

    try:
        await put(changed(before))
        yield
    finally:
        await put(before)


async def orchestrator(target: KubernetesTarget) -> ReplicatedWorkload:
    name, namespace = target.profile.orchestrator.workload, target.profile.kubernetes.namespace
    return await target.api.get(DEPLOYMENTS, name, namespace)


def helper(main: Document, name: str = "helper", code: str = WAIT) -> Document:
    """A container of the same image and rights as `main`, which runs `code`."""
    return {
        "name": name,
        "image": main["image"],
        "imagePullPolicy": main.get("imagePullPolicy", "IfNotPresent"),
        "command": ["python", "-c", code],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": main.get("securityContext", {}),
    }


def pod_template(workload: ReplicatedWorkload, code: str, **container: Any) -> Document:
    """Of pods with the workload's labels and none of its template's, that run `code` to its end."""
    template = workload.raw["spec"]["template"]["spec"]
    main = template["containers"][0]
    return {
        "metadata": {"labels": dict(workload.pod_labels)},
        "spec": {
            "restartPolicy": "Never",
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": template.get("securityContext", {}),
            "containers": [{**helper(main, code=code), **container}],
        },
    }


@asynccontextmanager
async def remade(
    target: KubernetesTarget,
    resource: Resource[ReplicatedWorkload],
    workload: ReplicatedWorkload,
    kind: str,
    **spec: Any,
) -> AsyncIterator[None]:
    """A Deployment of the fleet as a workload of another kind, with the same name, labels and template. Each is up
    before the other one goes."""
    metadata = {key: workload.raw["metadata"][key] for key in ("name", "namespace", "labels")}
    name, namespace, before = metadata["name"], metadata["namespace"], workload.raw["spec"]
    kept = {key: before[key] for key in ("selector", "template")}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": before}
    other = {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": {**kept, **spec}}

    async def removed(old: AnyResource, keeper: str) -> None:
        await target.api.delete(old, name, namespace)

        async def gone() -> bool:
            pods = await pods_of(target, workload)
            return not any(pod.metadata.controller and pod.metadata.controller.kind == keeper for pod in pods)

        await wait_until(gone, f"the end of the pods of {old.name} {name}", TIMEOUTS.pods_up)

    try:
        await target.api.apply(resource, other)
        await rolled_out(target, resource, name)
        await removed(DEPLOYMENTS, "ReplicaSet")
        yield
    finally:
        await target.api.apply(DEPLOYMENTS, deployment)
        await rolled_out(target, DEPLOYMENTS, name)
        await removed(resource, kind)


def orchestrator_is_a_stateful_set(**spec: Any) -> Change:
    """Ordinal names, all started at the same time."""

    @asynccontextmanager
    async def change(target: KubernetesTarget) -> AsyncIterator[None]:
        workload = await orchestrator(target)
        more = {
            "replicas": workload.spec.replicas,
            "serviceName": target.profile.orchestrator.service,
            "podManagementPolicy": "Parallel",
            **spec,
        }
        async with remade(target, STATEFULSETS, workload, "StatefulSet", **more):
            yield

    return change


def arguments_differ_between_replicas() -> Change:
    """The orchestrator is a StatefulSet whose roll-out of other arguments ends at a partition: only the last replica
    has them.
    """

    @asynccontextmanager
    async def change(target: KubernetesTarget) -> AsyncIterator[None]:
        name, namespace = target.profile.orchestrator.workload, target.profile.kubernetes.namespace
        last = least(target.profile.orchestrator.replicas) - 1
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": last}}

        async def updated() -> bool:
            workload = await target.api.get(STATEFULSETS, name, namespace)
            pods = await pods_of(target, workload)
            return all(pod.status.is_ready for pod in pods) and workload.status.updatedReplicas == 1

        async with orchestrator_is_a_stateful_set(updateStrategy=strategy)(target):
            arguments = {"op": "add", "path": "/spec/template/spec/containers/0/args", "value": ARGUMENTS}
            await target.api.patch(STATEFULSETS, name, [arguments], namespace)
            await wait_until(updated, f"other arguments in {name}-{last}", TIMEOUTS.pods_up)
            yield

    return change


def new_object(resource: AnyResource, body: Callable[[Any], Document]) -> Change:
    """An object that the fleet does not have otherwise; `body` makes it from a profile."""
    return lambda target: made(target, resource, body(target.profile))


def orchestrator_is(changed: Callable[[Document], Document]) -> Change:
    """The orchestrator's Deployment with another template of its pods."""
    return lambda target: templated(target, DEPLOYMENTS, target.profile.orchestrator.workload, changed)
