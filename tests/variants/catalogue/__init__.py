"""All variants, in the order in which they are tried: those that change the same part stand together."""

from tests.variants.catalogue import (
    agents,
    endpoints,
    executor,
    held_calls,
    kubernetes,
    machine,
    messaging,
    nats_access,
    nats_servers,
    orchestrator_behaviour,
    orchestrator_fleets,
    orchestrator_ways,
    other_users,
    packages,
    ray,
    replicas,
    vllm,
)
from tests.variants.catalogue import orchestrator as orchestrators
from tests.variants.model import Variant

VARIANTS: tuple[Variant, ...] = (
    *ray.VARIANTS,
    *packages.VARIANTS,
    *vllm.VARIANTS,
    *messaging.VARIANTS,
    *nats_servers.VARIANTS,
    *nats_access.VARIANTS,
    *orchestrators.VARIANTS,
    *orchestrator_fleets.VARIANTS,
    *orchestrator_behaviour.VARIANTS,
    *held_calls.VARIANTS,
    *orchestrator_ways.VARIANTS,
    *agents.VARIANTS,
    *machine.VARIANTS,
    *other_users.VARIANTS,
    *endpoints.VARIANTS,
    *kubernetes.VARIANTS,
    *replicas.VARIANTS,
    *executor.VARIANTS,
)

#: The few of `./ci/test variants`.
SUBSET: frozenset[str] = frozenset({"stream-captures-more"})
