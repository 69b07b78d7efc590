"""What only goes wrong in Kubernetes."""

from __future__ import annotations

from fixtures.profile.model import load
from tests.faults.catalogue.infrastructure import NO_VLLM, THROUGH_RAY
from tests.faults.model import Fault
from tests.targets.kubernetes_injectors import (
    dns_down,
    vllm_at_zero,
    vllm_service_selects_nobody,
    worker_gone,
    workers_name_a_floating_image,
    workers_name_the_stock_image,
)
from tests.targets.kubernetes_objects import arguments_differ_between_replicas
from tests.targets.kubernetes_services import a_stranger_is_behind
from tests.targets.target import profile_is

REPLICAS = ("NET-01", "NET-05", "NET-06", "CFG-02", "CFG-03", "CFG-04", "CFG-05", "CFG-06", "ORC-01", "INF-11")

ASKS_FOR_LESS = Fault(
    name="pods-ask-for-less-than-the-profile",
    description="the profile counts requests: 2 GPUs, 8 CPUs and 128Gi, of which Ray was told; the pods ask for less",
    inject=profile_is({"ray.resources": load("kind").ray.resources.model_copy(update={"counted": "requests"})}),
    where="kubernetes",
    expected_failures=("INF-07",),
    expected_terms=("the pods of the RayCluster ask for", "GPU: 0 of 2", "of 8"),
)

FAULTS = (
    Fault(
        name="cluster-dns-is-down",
        description="CoreDNS is scaled to nothing",
        inject=dns_down(),
        where="kubernetes",
        expected_failures=("NET-07",),
        # Without names a worker of Ray can start nothing, so that whatever the census tells cannot be told.
        tolerated_failures=(*THROUGH_RAY, *REPLICAS, "INF-06", "INF-12"),
        expected_terms=("resolve",),
    ),
    Fault(
        name="the-service-of-vllm-selects-nobody",
        description="the selector of vLLM's service fits no pod, while the pods are ready",
        inject=vllm_service_selects_nobody(),
        where="kubernetes",
        expected_failures=NO_VLLM,
        expected_terms=("service leads to 0 of 1", "selector"),
    ),
    Fault(
        name="vllm-is-scaled-to-zero",
        description="vLLM's Deployment is scaled to nothing: none of no replicas is missing",
        inject=vllm_at_zero(),
        where="kubernetes",
        expected_failures=NO_VLLM,
        expected_terms=("vllm-server", "asks for 0"),
    ),
    Fault(
        name="vllm-is-scaled-below-the-profile",
        description="one vLLM replica is asked for and ready, the profile names two",
        inject=profile_is({"vllm.replicas": 2}),
        where="kubernetes",
        expected_failures=("INF-01",),
        expected_terms=("asks for 1", "the profile for 2"),
    ),
    Fault(
        name="a-worker-group-names-another-image",
        description="the RayCluster's worker group names the stock image; nothing was restarted",
        inject=workers_name_the_stock_image(),
        where="kubernetes",
        expected_failures=("IMG-01", "IMG-02"),
        expected_terms=("gpu-workers",),
    ),
    Fault(
        name="a-worker-group-names-a-floating-image",
        description="the RayCluster's worker group names the image with the tag latest; nothing was restarted",
        inject=workers_name_a_floating_image(),
        where="kubernetes",
        expected_failures=("IMG-01", "IMG-02", "IMG-03"),
        expected_terms=("latest",),
    ),
    Fault(
        name="a-worker-is-gone-and-kuberay-with-it",
        description="a worker's pod is deleted while the operator is down: nobody makes another",
        inject=worker_gone(),
        where="kubernetes",
        expected_failures=("INF-06", "INF-07"),
        tolerated_failures=("INF-05",),
        expected_terms=("1", "2"),
    ),
    ASKS_FOR_LESS,
    Fault(
        name="a-stranger-is-behind-vllms-service",
        description="a pod of another image has the labels and the port that vLLM's service selects",
        inject=a_stranger_is_behind("vllm", "http"),
        where="kubernetes",
        expected_failures=("INF-01", "INF-02", "INF-03", "INF-04"),
        # Every second request goes there, by chance.
        tolerated_failures=("NET-01", "NET-02", "NET-03", "CFG-02", "CFG-03"),
        expected_terms=("stranger", "no controller", "vllm-server-service"),
    ),
    Fault(
        name="a-stranger-is-behind-the-orchestrator",
        description="a pod of another image has the labels and the port that the orchestrator's service selects",
        inject=a_stranger_is_behind("orchestrator", "grpc"),
        where="kubernetes",
        expected_failures=("INF-11",),
        expected_terms=("stranger", "no controller", "no replica of orchestrator"),
    ),
    Fault(
        name="arguments-differ-between-replicas",
        description="a StatefulSet rolls out other arguments to its last replica alone, which its partition keeps so",
        inject=arguments_differ_between_replicas(),
        where="kubernetes",
        expected_failures=("CFG-07",),
        expected_terms=("args", "orchestrator-1"),
    ),
)
