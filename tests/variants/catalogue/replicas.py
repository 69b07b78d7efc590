"""How the orchestrator's replicas start in Kubernetes, and how far the suite gets into them."""

from __future__ import annotations

from fixtures.clusters.kubernetes.client.api import connect
from fixtures.clusters.kubernetes.client.errors import Forbidden
from fixtures.clusters.kubernetes.client.schemas import Pod
from fixtures.core.timeouts import TIMEOUTS
from tests.targets.kubernetes_accounts import account_has
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.replica_injectors import (
    entrypoint_sets,
    memory_limit_is_tight,
    no_program_on_path,
    orchestrator_pods,
)
from tests.variants.model import Variant

CONFIGURATION = tuple(f"CFG-{number:02}" for number in range(1, 9))
FROM_REPLICAS = ("NET-01", "NET-02", "NET-05", "NET-06", "NET-07")


def variables(pod: Pod) -> dict[str, str]:
    """The values that its main container's specification has."""
    return {row["name"]: row.get("value", "") for row in pod.spec.containers[0].raw.get("env", ())}


async def addresses_are_not_in_the_specification(target: KubernetesTarget) -> bool:
    pods = await orchestrator_pods(target)
    return bool(pods) and all(
        pod.status.is_ready and pod.spec.raw.get("shareProcessNamespace") and "NATS_URL" not in variables(pod)
        for pod in pods
    )


async def path_leads_nowhere(target: KubernetesTarget) -> bool:
    pods = await orchestrator_pods(target)
    return bool(pods) and all(pod.status.is_ready and variables(pod).get("PATH") == "/none" for pod in pods)


async def limits_are_below_the_reference(target: KubernetesTarget) -> bool:
    """Whether they are, and no container was ended by one."""
    pods = await orchestrator_pods(target)
    limits = [pod.spec.containers[0].raw["resources"]["limits"]["memory"] for pod in pods]
    return bool(limits) and all(limit.isdigit() for limit in limits) and not any(map(restarts, pods))


def restarts(pod: Pod) -> int:
    return sum(row.restartCount for row in pod.status.containerStatuses)


async def commands_are_refused(target: KubernetesTarget) -> bool:
    """Whether whom sessions attach as may not enter a pod."""
    api = connect(target.kubeconfig, None)
    try:
        pod = (await orchestrator_pods(target))[0].metadata
        await api.execute(pod.name, pod.namespace, ["true"], timeout=TIMEOUTS.exec)
    except Forbidden:
        return True
    finally:
        await api.close()
    return False


VARIANTS: tuple[Variant, ...] = (
    Variant(
        name="entrypoint-sets-the-environment",
        description="the orchestrator's entrypoint exports its configuration, and process 1 is the pod's pause",
        apply=entrypoint_sets("AGENT_TYPE", "NATS_URL", "RAY_ADDRESS", "VLLM_MODEL", "VLLM_URL"),
        is_present=addresses_are_not_in_the_specification,
        stretches=(*CONFIGURATION, *FROM_REPLICAS, "INF-11"),
        where="kubernetes",
    ),
    Variant(
        name="replicas-have-no-python-on-path",
        description="neither python nor sh nor cat is on the orchestrator's PATH; its service starts by its full path",
        apply=no_program_on_path(),
        is_present=path_leads_nowhere,
        stretches=(*CONFIGURATION, *FROM_REPLICAS, "INF-11"),
        where="kubernetes",
    ),
    Variant(
        name="memory-limit-is-tight",
        description="a second process that imports Ray would have the orchestrator's containers ended by their limit",
        apply=memory_limit_is_tight(),
        is_present=limits_are_below_the_reference,
        stretches=("CFG-01", "CFG-02", "CFG-03", "CFG-05", "CFG-07", *FROM_REPLICAS, "INF-11"),
        exempt=dict.fromkeys(("CFG-04", "CFG-06"), ("unsupported", "MiB of memory are free")),
        where="kubernetes",
    ),
    Variant(
        name="exec-is-forbidden",
        description="the account that the suite attaches with may not run commands in pods",
        apply=account_has("role", "role-forward"),
        is_present=commands_are_refused,
        stretches=("INF-01", "INF-05", "INF-11", "NET-03", "NET-04", "ORC-01", "E2E-01"),
        exempt=dict.fromkeys((*CONFIGURATION, *FROM_REPLICAS), ("unsupported", "may not run commands in pods")),
        where="kubernetes",
    ),
)
