"""Workloads of a fleet in Kubernetes that differ: in who keeps them, and in what else their pods have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fixtures.clusters.kubernetes.client.api import (
    CONFIG_MAPS,
    DAEMONSETS,
    DEPLOYMENTS,
    PODS,
    STATEFULSETS,
    AnyResource,
)
from fixtures.clusters.kubernetes.client.errors import ApiError
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile.model import Profile
from tests.targets.kubernetes_injectors import scaled_to
from tests.targets.kubernetes_objects import (
    AUTOSCALERS,
    JOBS,
    PRIORITIES,
    REPLICA_SETS,
    WAIT,
    helper,
    inverse,
    made,
    new_object,
    orchestrator,
    orchestrator_is,
    patched,
    pod_template,
    pods_of,
    remade,
    rolled_out,
    templated,
)
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.target import Change, together

ENDED = {"completed": "pass", "evicted": "raise SystemExit(1)"}  # pod -> what it runs
JOB, AUTOSCALER, SETTINGS, PRIORITY = "orchestrator-init-councils", "orchestrator", "orchestrator-more", "fleet-serving"
RESTORER = "restores replicas"  # the name of the task
OLD_REPLICA_SETS = ("5d8f9c7b6c", "6c9d8f7b5d")  # hashes of templates that nothing runs any more


@asynccontextmanager
async def ended_pods(target: KubernetesTarget) -> AsyncIterator[None]:
    """One that completed and one that failed, with the labels of the orchestrator and of vLLM."""
    names = (target.profile.orchestrator.workload, target.profile.vllm.workload)
    namespace = target.profile.kubernetes.namespace
    bodies = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            **(template := pod_template(await target.api.get(DEPLOYMENTS, name, namespace), code)),
            "metadata": {**template["metadata"], "name": f"{name}-{word}", "namespace": namespace},
        }
        for name in names
        for word, code in ENDED.items()
    ]

    async def all_ended() -> bool:
        pods = [await target.api.get(PODS, body["metadata"]["name"], namespace) for body in bodies]
        return all(pod.has_ended for pod in pods)

    async with together(*(_made(PODS, body) for body in bodies))(target):
        await wait_until(all_ended, "the end of all pods", TIMEOUTS.pods_up)
        yield


def _made(resource: AnyResource, body: Document) -> Change:
    return lambda target: made(target, resource, body)


@asynccontextmanager
async def running_job(target: KubernetesTarget) -> AsyncIterator[None]:
    """A Job whose pod runs and has the orchestrator's labels."""
    workload, namespace = await orchestrator(target), target.profile.kubernetes.namespace
    template = pod_template(workload, WAIT)
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": JOB, "namespace": namespace},
        "spec": {"template": template},
    }

    async def pods() -> list[str]:
        labels = f"batch.kubernetes.io/job-name={JOB}"
        return [pod.status.phase for pod in await target.api.list(PODS, namespace, labels=labels)]

    async def runs() -> bool:
        return await pods() == ["Running"]

    async def gone() -> bool:
        return not await pods()

    async with made(target, JOBS, body):
        await wait_until(runs, f"the pod of {JOB}", TIMEOUTS.pods_up)
        yield
    await wait_until(gone, f"the end of the pod of {JOB}", TIMEOUTS.pod_gone)


def autoscaler(least: int, most: int) -> Change:
    """A HorizontalPodAutoscaler of the orchestrator."""

    def body(profile: Profile) -> Document:
        name, namespace = profile.orchestrator.workload, profile.kubernetes.namespace
        usage = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
        return {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": AUTOSCALER, "namespace": namespace},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "minReplicas": least,
                "maxReplicas": most,
                "metrics": [{"type": "Resource", "resource": usage}],
            },
        }

    return new_object(AUTOSCALERS, body)


@asynccontextmanager
async def replicas_are_restored(target: KubernetesTarget) -> AsyncIterator[None]:
    """Somebody puts the orchestrator's replicas back within a second, as a GitOps controller that heals does."""
    workload, namespace = await orchestrator(target), target.profile.kubernetes.namespace
    name, wanted = workload.metadata.name, workload.spec.replicas

    async def heal() -> None:
        while True:
            with suppress(ApiError):  # an API server that is busy is asked again
                if (await target.api.get(DEPLOYMENTS, name, namespace)).spec.replicas != wanted:
                    await target.api.patch(DEPLOYMENTS, name, {"spec": {"replicas": wanted}}, namespace)
            await asyncio.sleep(0.3)

    task = asyncio.create_task(heal(), name=RESTORER)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await rolled_out(target, DEPLOYMENTS, name)


@asynccontextmanager
async def _surging(target: KubernetesTarget, name: str) -> AsyncIterator[None]:
    namespace = target.profile.kubernetes.namespace
    before = await target.api.get(DEPLOYMENTS, name, namespace)
    patch = {
        "spec": {
            "minReadySeconds": 600,
            "progressDeadlineSeconds": 1200,
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"annotations": {"fleet-conformance/rolled": "once"}}},
        }
    }

    async def ready_beyond() -> bool:
        return len([pod for pod in await pods_of(target, before) if pod.status.is_ready]) > before.spec.replicas

    try:
        await target.api.patch(DEPLOYMENTS, name, patch, namespace)
        await wait_until(ready_beyond, f"a surge of {name}", TIMEOUTS.pods_up)
        yield
    finally:
        await target.api.patch(DEPLOYMENTS, name, inverse(patch, before.raw), namespace)
        await rolled_out(target, DEPLOYMENTS, name)


def rollouts_are_in_progress() -> Change:
    """Orchestrator and vLLM have one replica more than they ask for, all of them ready, and wait to go on."""
    return together(
        lambda target: _surging(target, target.profile.vllm.workload),
        lambda target: _surging(target, target.profile.orchestrator.workload),
    )


def _old_replica_set(workload: Any, code: str) -> Document:
    labels = {**workload.pod_labels, "pod-template-hash": code}
    metadata = {"name": f"{workload.metadata.name}-{code}", "namespace": workload.metadata.namespace, "labels": labels}
    template = {**workload.raw["spec"]["template"], "metadata": {"labels": labels}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}


@asynccontextmanager
async def paused_with_a_history(target: KubernetesTarget) -> AsyncIterator[None]:
    """The orchestrator's Deployment is paused before a change was rolled out, and has old ReplicaSets."""
    workload = await orchestrator(target)
    change = {"metadata": {"annotations": {"fleet-conformance/pending": "yes"}}}
    patch = {"spec": {"paused": True, "template": change}}
    old = [_old_replica_set(workload, code) for code in OLD_REPLICA_SETS]
    key = (workload.metadata.name, workload.metadata.namespace)
    steps: list[Change] = [lambda target: patched(target, DEPLOYMENTS, *key, patch)]
    async with together(*steps, *(_made(REPLICA_SETS, body) for body in old))(target):
        yield
    await rolled_out(target, DEPLOYMENTS, workload.metadata.name)


def with_values_of_its_place(template: Document) -> Document:
    """Variables from the pod's own fields and resources, from a ConfigMap, and made of others; links to services."""
    (main,) = template["spec"]["containers"]

    def field(path: str) -> Document:
        return {"fieldRef": {"fieldPath": path}}

    memory = {"resourceFieldRef": {"containerName": main["name"], "resource": "limits.memory"}}
    own = {"ME": field("metadata.name"), "RUNS_ON": field("spec.nodeName"), "INSTANCE": field("metadata.uid")}
    own |= {"REACHED_AT": field("status.podIP"), "MEMORY_BYTES": memory}
    made_of = {
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.uid=$(INSTANCE),k8s.node.name=$(RUNS_ON),service.namespace=fleet",
        "CACHE_FOLDER": "/tmp/$(ME)",
    }
    env = [*main["env"], *({"name": name, "valueFrom": source} for name, source in own.items())]
    env += [{"name": name, "value": value} for name, value in made_of.items()]
    container = {**main, "env": env, "envFrom": [{"configMapRef": {"name": SETTINGS}}]}
    return {**template, "spec": {**template["spec"], "enableServiceLinks": True, "containers": [container]}}


def orchestrator_has_values_of_its_place() -> Change:
    def settings(profile: Profile) -> Document:
        metadata = {"name": SETTINGS, "namespace": profile.kubernetes.namespace}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"LOG_FORMAT": "json"}}

    return together(new_object(CONFIG_MAPS, settings), orchestrator_is(with_values_of_its_place))


def with_helpers(template: Document) -> Document:
    """Containers that start before the main one, one of which stays; a priority; a spread; more volumes."""
    (main,) = template["spec"]["containers"]
    first, proxy = helper(main, "migrate", "pass"), {**helper(main, "proxy"), "restartPolicy": "Always"}
    labels = {"matchLabels": template["metadata"]["labels"]}
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    item = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    volumes = [{"name": "scratch", "emptyDir": {}}, {"name": "about", "downwardAPI": {"items": [item]}}]
    mounts = [{"name": "scratch", "mountPath": "/scratch"}, {"name": "about", "mountPath": "/about"}]
    return {
        **template,
        "spec": {
            **template["spec"],
            "priorityClassName": PRIORITY,
            "topologySpreadConstraints": [{**spread, "labelSelector": labels}],
            "initContainers": [first, proxy],
            "containers": [{**main, "volumeMounts": mounts}],
            "volumes": volumes,
        },
    }


def priority_class(_profile: Profile) -> Document:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": PRIORITY},
        "value": 1000,
        "description": "what serves users",
    }


def orchestrator_has_helpers() -> Change:
    return together(new_object(PRIORITIES, priority_class), orchestrator_is(with_helpers))


def vllm_has(replicas: int) -> Change:
    """vLLM's Deployment in another size."""

    @asynccontextmanager
    async def change(target: KubernetesTarget) -> AsyncIterator[None]:
        name, namespace = target.profile.vllm.workload, target.profile.kubernetes.namespace
        before = (await target.api.get(DEPLOYMENTS, name, namespace)).spec.replicas
        try:
            await scaled_to(target, name, namespace, replicas)
            yield
        finally:
            await scaled_to(target, name, namespace, before)

    return change


@asynccontextmanager
async def vllm_is_a_daemon_set(target: KubernetesTarget) -> AsyncIterator[None]:
    """A server on each node."""
    name, namespace = target.profile.vllm.workload, target.profile.kubernetes.namespace
    async with remade(target, DAEMONSETS, await target.api.get(DEPLOYMENTS, name, namespace), "DaemonSet"):
        yield


def on_the_hosts_network(template: Document) -> Document:
    spec = {**template["spec"], "hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    return {**template, "spec": {**spec, "priorityClassName": PRIORITY}}


def vllm_is_on_the_hosts_network() -> Change:
    """Its pod has the node's address, and a priority."""
    return together(
        new_object(PRIORITIES, priority_class),
        lambda target: templated(target, DEPLOYMENTS, target.profile.vllm.workload, on_the_hosts_network),
    )


def with_exporter_first(image: Document) -> Callable[[Document], Document]:
    """A pod template with a container before its own one: of the image and the rights of another container."""

    def changed(template: Document) -> Document:
        spec = template["spec"]
        return {**template, "spec": {**spec, "containers": [helper(image, "exporter"), *spec["containers"]]}}

    return changed


@asynccontextmanager
async def nats_and_vllm_have_an_exporter(target: KubernetesTarget) -> AsyncIterator[None]:
    """A second container, of another image, stands first in the pods of both."""
    server, nats = target.profile.vllm.workload, target.profile.nats.service
    changed = with_exporter_first((await orchestrator(target)).raw["spec"]["template"]["spec"]["containers"][0])
    async with templated(target, DEPLOYMENTS, server, changed), templated(target, STATEFULSETS, nats, changed):
        yield
