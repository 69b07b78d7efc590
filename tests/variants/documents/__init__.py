"""All document variants: no fleet is needed, `./ci/test unit` tries them."""

from tests.variants.documents import (
    agents,
    endpoints,
    executor,
    kubernetes,
    kubernetes_rollouts,
    kubernetes_scaling,
    machine,
    messaging,
    ray,
    replicas,
    services,
    vllm,
)
from tests.variants.model import Document

DOCUMENTS: tuple[Document, ...] = (
    *ray.DOCUMENTS,
    *vllm.DOCUMENTS,
    *messaging.DOCUMENTS,
    *agents.DOCUMENTS,
    *endpoints.DOCUMENTS,
    *kubernetes.DOCUMENTS,
    *kubernetes_rollouts.DOCUMENTS,
    *kubernetes_scaling.DOCUMENTS,
    *replicas.DOCUMENTS,
    *services.DOCUMENTS,
    *executor.DOCUMENTS,
    *machine.DOCUMENTS,
)
