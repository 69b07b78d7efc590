"""Orchestrators that differ."""

from __future__ import annotations

from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import orchestrator_has
from tests.variants.model import Presence, Variant

TELEMETRY = {
    "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.uid=1-2,k8s.node.name=b,service.instance.id=fleet.orchestrator-2",
    "DD_AGENT_HOST": "10.0.0.2",
    "DD_ENTITY_ID": "en-init/1-2/cid",
}


def only_the_second_has(environment: dict[str, str]) -> Presence:
    """Whether the second replica was started with these variables, and the first with none of them."""

    async def present(target: EmbeddedTarget) -> bool:
        first, second = (target.member(name).part.environment() for name in target.orchestrators[:2])
        return environment.items() <= second.items() and not environment.keys() & first.keys()

    return present


VARIANTS = (
    Variant(
        name="telemetry-differs-by-pod",
        description="agents of telemetry put the pod's uid, its node and their own address into its environment",
        apply=orchestrator_has(1, **TELEMETRY),
        is_present=only_the_second_has(TELEMETRY),
        stretches=("CFG-07",),
    ),
)
