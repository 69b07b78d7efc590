"""Where the parts of a fleet are, and by what they are known: namespaces, URLs, labels."""

from __future__ import annotations

import httpx

from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, PODS, STATEFULSETS
from fixtures.clusters.kubernetes.client.errors import NotFound
from fixtures.profile.model import load
from tests.targets.kubernetes_namespaces import MESSAGING, MODELS, parts_have_namespaces
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.kubernetes_unnamed import (
    BARE_POD,
    KEPT_BY,
    SET,
    orchestrator_is_a_replica_set,
    vllm_is_a_bare_pod,
    vllm_is_a_url,
)
from tests.variants.catalogue.kubernetes.services import SERVES_NATS
from tests.variants.catalogue.kubernetes.workloads import SERVES_ORCHESTRATOR, SERVES_VLLM, orchestrator_pods, vllm_pods
from tests.variants.model import Variant

PROFILE = load("kind")
AGENTS_ANSWER = ("JOB-01", "JOB-02", "JOB-05")
LOOKED_UP = "INF-01"  # what asks for vLLM's pods
BY_ITS_URL = tuple(check for check in SERVES_VLLM if check != LOOKED_UP)


async def parts_are_elsewhere(target: KubernetesTarget) -> bool:
    """Whether both have ready replicas in their namespaces, and none where the profile's own file has them."""
    vllm, nats = target.profile.vllm, target.profile.nats
    try:
        copies = [
            await target.api.get(DEPLOYMENTS, vllm.workload, MODELS),
            await target.api.get(STATEFULSETS, nats.service, MESSAGING),
        ]
    except NotFound:
        return False
    originals = [
        await target.api.get(DEPLOYMENTS, vllm.workload, vllm.namespace),
        await target.api.get(STATEFULSETS, nats.service, nats.namespace),
    ]
    return all(copy.status.readyReplicas for copy in copies) and not any(part.status.replicas for part in originals)


async def vllm_answers_at_its_url(target: KubernetesTarget) -> bool:
    """Whether sessions find a URL in their profile, at which the model server answers."""
    url = target.session_values.get("vllm.url")
    if not url:
        return False
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{url}/v1/models")).status_code == 200


async def vllm_has_no_keeper(target: KubernetesTarget) -> bool:
    pods = await vllm_pods(target)
    return [pod.metadata.name for pod in pods] == [BARE_POD] and not pods[0].metadata.controller


async def a_replica_set_keeps_the_orchestrator(target: KubernetesTarget) -> bool:
    pods = await orchestrator_pods(target)
    labels = f"{KEPT_BY}={SET}"
    own = await target.api.list(PODS, target.profile.orchestrator.namespace, labels=labels)
    return bool(own) and len(own) == len(pods)


VARIANTS: tuple[Variant, ...] = (
    Variant(
        name="nats-and-vllm-have-namespaces",
        description="NATS is in a namespace for messages, vLLM in one for models, the orchestrator in a third",
        apply=parts_have_namespaces(),
        is_present=parts_are_elsewhere,
        profile={"vllm.namespace": MODELS, "nats.namespace": MESSAGING},
        stretches=tuple(dict.fromkeys((*SERVES_VLLM, *SERVES_NATS, *SERVES_ORCHESTRATOR, "NET-07", *AGENTS_ANSWER))),
        where="kubernetes",
    ),
    Variant(
        name="vllm-is-a-url-beside-kubernetes",
        description="the profile has an address of vLLM and nothing of its pods; all other parts are in Kubernetes",
        apply=vllm_is_a_url,
        is_present=vllm_answers_at_its_url,
        stretches=(*BY_ITS_URL, "JOB-01", "JOB-02", "INF-11", "ORC-01"),
        exempt={LOOKED_UP: ("unsupported", "vllm.url of the profile says where it is reached")},
        where="kubernetes",
    ),
    Variant(
        name="vllm-is-a-bare-pod",
        description="nobody keeps vLLM's pod, which the profile names by its labels",
        apply=vllm_is_a_bare_pod,
        is_present=vllm_has_no_keeper,
        profile={"vllm.workload": "", "vllm.pods": f"app={PROFILE.vllm.workload}"},
        stretches=SERVES_VLLM,
        where="kubernetes",
    ),
    Variant(
        name="orchestrator-is-a-replicaset",
        description="a ReplicaSet without a Deployment keeps the orchestrator, whose pods the profile names by labels",
        apply=orchestrator_is_a_replica_set,
        is_present=a_replica_set_keeps_the_orchestrator,
        profile={"orchestrator.workload": "", "orchestrator.pods": f"app={PROFILE.orchestrator.workload}"},
        stretches=(*SERVES_ORCHESTRATOR, "ORC-09"),
        where="kubernetes",
    ),
)
