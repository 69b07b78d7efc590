"""Who keeps the fleet's pods, how far that is, and what the pods have beside their main container."""

from __future__ import annotations

import asyncio

from fixtures.clusters.kubernetes.client.api import DAEMONSETS, DEPLOYMENTS, PODS, STATEFULSETS, AnyResource
from fixtures.clusters.kubernetes.client.schemas import Pod
from fixtures.clusters.kubernetes.lookup import selector_of
from tests.targets.kubernetes_injectors import MAIN, SIDE_CAR, orchestrator_has_a_side_car_first
from tests.targets.kubernetes_objects import (
    AUTOSCALERS,
    REPLICA_SETS,
    exists,
    orchestrator,
    orchestrator_is_a_stateful_set,
    pods_of,
)
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.kubernetes_workloads import (
    AUTOSCALER,
    ENDED,
    JOB,
    OLD_REPLICA_SETS,
    PRIORITY,
    RESTORER,
    SETTINGS,
    autoscaler,
    ended_pods,
    nats_and_vllm_have_an_exporter,
    orchestrator_has_helpers,
    orchestrator_has_values_of_its_place,
    paused_with_a_history,
    replicas_are_restored,
    rollouts_are_in_progress,
    running_job,
    vllm_has,
    vllm_is_a_daemon_set,
    vllm_is_on_the_hosts_network,
)
from tests.variants.model import Presence, Variant

CONFIGURATION = tuple(f"CFG-{number:02}" for number in range(1, 9))
SERVES_VLLM = ("INF-01", "INF-02", "INF-03", "INF-04", "CFG-02", "CFG-03", "NET-01", "NET-03")
SERVES_ORCHESTRATOR = (*CONFIGURATION, "INF-11", "NET-01", "NET-05", "NET-06", "ORC-01", "ORC-02")
OUTAGES = ("ORC-11", "ORC-15")


async def orchestrator_pods(target: KubernetesTarget) -> list[Pod]:
    name, namespace = target.profile.orchestrator.workload, target.profile.kubernetes.namespace
    labels = selector_of({"app": name})
    return await target.api.list(PODS, namespace, labels=labels)


async def side_car_is_first(target: KubernetesTarget) -> bool:
    """Whether it is in every pod of the orchestrator, and all of them are ready."""
    deployment = await orchestrator(target)
    pods = await pods_of(target, deployment)
    return len(pods) == deployment.spec.replicas and all(
        pod.status.is_ready and [container.name for container in pod.spec.containers] == [SIDE_CAR, MAIN]
        for pod in pods
    )


async def ended_pods_are_there(target: KubernetesTarget) -> bool:
    namespace = target.profile.kubernetes.namespace
    return sum(pod.has_ended for pod in await target.api.list(PODS, namespace)) == 2 * len(ENDED)


async def job_runs(target: KubernetesTarget) -> bool:
    labels = [pod.metadata.labels.get("batch.kubernetes.io/job-name") for pod in await orchestrator_pods(target)]
    return JOB in labels


def kept_by(resource: AnyResource, kind: str, name_of: str) -> Presence:
    """Whether a workload of that kind is there, and all pods with its labels are its own; `name_of`: in the profile."""

    async def kept(target: KubernetesTarget) -> bool:
        name, namespace = getattr(target.profile, name_of).workload, target.profile.kubernetes.namespace
        pods = await target.api.list(PODS, namespace, labels=selector_of({"app": name}))
        owners = {pod.metadata.controller.kind for pod in pods if pod.metadata.controller}
        return owners == {kind} and await exists(target, resource, name, namespace)

    return kept


async def autoscaler_is_there(target: KubernetesTarget) -> bool:
    return await exists(target, AUTOSCALERS, AUTOSCALER, target.profile.kubernetes.namespace)


async def somebody_restores(_target: KubernetesTarget) -> bool:
    return any(task.get_name() == RESTORER and not task.done() for task in asyncio.all_tasks())


async def surges_wait(target: KubernetesTarget) -> bool:
    """Whether both workloads have one ready pod more than they ask for, and are not done."""
    for name in (target.profile.orchestrator.workload, target.profile.vllm.workload):
        deployment = await target.api.get(DEPLOYMENTS, name, target.profile.kubernetes.namespace)
        ready = [pod for pod in await pods_of(target, deployment) if pod.status.is_ready]
        if not deployment.rollout or len(ready) <= deployment.spec.replicas:
            return False
    return True


async def is_paused(target: KubernetesTarget) -> bool:
    deployment = await orchestrator(target)
    old = [f"{deployment.metadata.name}-{code}" for code in OLD_REPLICA_SETS]
    replica_sets = await target.api.list(REPLICA_SETS, deployment.metadata.namespace)
    names = {replica_set.raw["metadata"]["name"] for replica_set in replica_sets}
    return deployment.spec.paused and names >= set(old)


async def values_are_of_the_place(target: KubernetesTarget) -> bool:
    return any(SETTINGS in str(pod.raw["spec"]["containers"]) for pod in await orchestrator_pods(target))


async def helpers_are_there(target: KubernetesTarget) -> bool:
    pods = await orchestrator_pods(target)
    return bool(pods) and all(
        pod.raw["spec"].get("priorityClassName") == PRIORITY and len(pod.raw["spec"].get("initContainers", ())) == 2
        for pod in pods
    )


async def vllm_pods(target: KubernetesTarget) -> list[Pod]:
    labels = selector_of({"app": target.profile.vllm.workload})
    return await target.api.list(PODS, target.profile.kubernetes.namespace, labels=labels)


async def two_servers_are_ready(target: KubernetesTarget) -> bool:
    return sum(pod.status.is_ready and not pod.is_leaving for pod in await vllm_pods(target)) == 2


async def vllm_has_the_nodes_address(target: KubernetesTarget) -> bool:
    pods = await vllm_pods(target)
    return bool(pods) and all(pod.raw["spec"].get("hostNetwork") for pod in pods)


async def exporters_are_first(target: KubernetesTarget) -> bool:
    labels = selector_of({"app": target.profile.nats.service})
    pods = [*await vllm_pods(target), *await target.api.list(PODS, target.profile.kubernetes.namespace, labels=labels)]
    return all(pod.spec.containers[0].name == "exporter" for pod in pods)


VARIANTS: tuple[Variant, ...] = (
    Variant(
        name="sidecar-comes-first",
        description="the first container of the orchestrator's pods is a proxy, and the main one is called app",
        apply=orchestrator_has_a_side_car_first(),
        is_present=side_car_is_first,
        stretches=(*CONFIGURATION, "NET-01", "NET-02", "NET-05", "NET-06", "INF-11"),
        where="kubernetes",
    ),
    Variant(
        name="ended-pods-wear-the-labels",
        description="pods that completed or were evicted lie about with the labels of the orchestrator and of vLLM",
        apply=ended_pods,
        is_present=ended_pods_are_there,
        stretches=(*SERVES_ORCHESTRATOR, *SERVES_VLLM, "ORC-09"),
        where="kubernetes",
    ),
    Variant(
        name="a-job-wears-the-workloads-labels",
        description="a Job that makes the councils runs with the labels of the orchestrator's pods",
        apply=running_job,
        is_present=job_runs,
        stretches=(*SERVES_ORCHESTRATOR, "ORC-06", "ORC-11"),
        where="kubernetes",
    ),
    Variant(
        name="orchestrator-is-a-statefulset",
        description="the orchestrator's pods have ordinal names, and one that ended comes back under its own",
        apply=orchestrator_is_a_stateful_set(),
        is_present=kept_by(STATEFULSETS, "StatefulSet", "orchestrator"),
        stretches=(*SERVES_ORCHESTRATOR, *OUTAGES),
        where="kubernetes",
    ),
    Variant(
        name="orchestrator-has-an-autoscaler",
        description="a HorizontalPodAutoscaler keeps two to four replicas of the orchestrator",
        apply=autoscaler(2, 4),
        is_present=autoscaler_is_there,
        stretches=("INF-11", "CFG-07", "ORC-06", "ORC-11"),
        where="kubernetes",
    ),
    Variant(
        name="rollout-is-in-progress",
        description="orchestrator and vLLM are rolled out: one more is ready of each than they ask for",
        apply=rollouts_are_in_progress(),
        is_present=surges_wait,
        stretches=(*SERVES_ORCHESTRATOR, *SERVES_VLLM, "ORC-06", "ORC-09"),
        where="kubernetes",
    ),
    Variant(
        name="deployment-is-paused-and-has-a-history",
        description="a roll-out was stopped before it began, and ReplicaSets of earlier ones are kept",
        apply=paused_with_a_history,
        is_present=is_paused,
        stretches=("INF-11", "CFG-07", "ORC-01", "ORC-11"),
        where="kubernetes",
    ),
    Variant(
        name="replicas-carry-downward-api-values",
        description="variables of the orchestrator come from the pod's own fields, or name them, or from a ConfigMap",
        apply=orchestrator_has_values_of_its_place(),
        is_present=values_are_of_the_place,
        stretches=(*CONFIGURATION, "INF-11", "NET-05"),
        where="kubernetes",
    ),
    Variant(
        name="orchestrator-pods-have-helpers",
        description="containers that start before the main one, one of which stays; a priority, a spread, volumes",
        apply=orchestrator_has_helpers(),
        is_present=helpers_are_there,
        stretches=SERVES_ORCHESTRATOR,
        where="kubernetes",
    ),
    Variant(
        name="vllm-is-scaled-to-two",
        description="two pods of vLLM behind one service",
        apply=vllm_has(2),
        is_present=two_servers_are_ready,
        profile={"vllm.replicas": 2},
        stretches=SERVES_VLLM,
        where="kubernetes",
    ),
    Variant(
        name="vllm-is-a-daemonset",
        description="a server on each node: its specification names no number of replicas",
        apply=vllm_is_a_daemon_set,
        is_present=kept_by(DAEMONSETS, "DaemonSet", "vllm"),
        stretches=SERVES_VLLM,
        where="kubernetes",
    ),
    Variant(
        name="vllm-is-on-the-hosts-network",
        description="vLLM's pod has its node's address, and a priority",
        apply=vllm_is_on_the_hosts_network(),
        is_present=vllm_has_the_nodes_address,
        stretches=SERVES_VLLM,
        where="kubernetes",
    ),
    Variant(
        name="nats-and-vllm-have-an-exporter",
        description="the first container in the pods of NATS and of vLLM is not theirs",
        apply=nats_and_vllm_have_an_exporter,
        is_present=exporters_are_first,
        stretches=(*SERVES_VLLM, "INF-09", "INF-10", "INF-12", "NET-04", "NET-05", "CFG-05", "ORC-01"),
        where="kubernetes",
    ),
    Variant(
        name="a-controller-restores-replicas",
        description="a controller puts the orchestrator's replicas back within a second, as GitOps that heals does",
        apply=replicas_are_restored,
        is_present=somebody_restores,
        stretches=("INF-11", "ORC-01", "ORC-06", "ORC-09"),
        inconclusive={"ORC-11": "brings replicas back", "ORC-15": "brings replicas back"},
        where="kubernetes",
    ),
)
