"""All faults, in the order in which they are tried: those that change the same part stand together."""

from tests.faults.catalogue import (
    agent_ends,
    agents,
    answers,
    configuration,
    connectivity,
    declared,
    dependencies,
    executor,
    images,
    infrastructure,
    kubernetes,
    load,
    messaging,
    orchestrator_survival,
    ray_nodes,
    ray_tokens,
    replicas,
)
from tests.faults.catalogue import orchestrator as orchestrators
from tests.faults.model import Fault

FAULTS: tuple[Fault, ...] = (
    *dependencies.FAULTS,
    *agents.FAULTS,
    *agent_ends.FAULTS,
    *answers.FAULTS,
    *configuration.FAULTS,
    *connectivity.FAULTS,
    *infrastructure.FAULTS,
    *ray_nodes.FAULTS,
    *messaging.FAULTS,
    *orchestrators.FAULTS,
    *orchestrator_survival.FAULTS,
    *declared.FAULTS,
    *load.FAULTS,
    *images.FAULTS,
    *kubernetes.FAULTS,
    *replicas.FAULTS,
    *ray_tokens.FAULTS,
    *executor.FAULTS,
)

#: The few of `./ci/test faults`, one of each kind of injection.
SUBSET: frozenset[str] = frozenset(
    {"aiohttp-is-missing-on-one-worker", "max-tokens-drifted-on-one-replica", "nats-port-speaks-something-else"}
)
