"""Orchestrators that differ."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import nats

from tests.faults.model import Fault
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import orchestrator_has
from tests.targets.nats_injectors import configured
from tests.variants.model import Presence, Variant

SMALL_MESSAGE = 256 << 10  # bytes

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


def small_messages(target: EmbeddedTarget) -> AbstractAsyncContextManager[None]:
    """NATS takes small messages only; the orchestrator starts again and learns it."""
    return configured(target, f"max_payload: {SMALL_MESSAGE}\n")


async def takes_small_messages(target: EmbeddedTarget) -> bool:
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        return bool(client.max_payload == SMALL_MESSAGE)


#: What the profile does not name.
FURTHER = {"LOG_LEVEL": "debug", "MAX_RETRIES": "3"}
#: What it names.
NAMED = {"AGENT_TYPE": "vllm", "VLLM_MODEL": "Qwen/Qwen3-0.6B", "MAX_TOKENS": "32"}


async def all_have_further_variables(target: EmbeddedTarget) -> bool:
    """Whether every replica was started with them."""
    return all(FURTHER.items() <= target.member(name).environment.items() for name in target.orchestrators)


#: What a vault hands out to each replica. The URL has it, too.
LEASED = tuple(
    {"DB_USER": user, "DB_PASSWORD": word, "DATABASE_URL": f"postgres://{user}:{word}@db:5432/fleet"}
    for user, word in (("v-fleet-7f3a", "lease-of-the-first"), ("v-fleet-90bc", "lease-of-the-second"))
)

SETTING_DRIFTED = Fault(
    name="setting-drifted-among-leases",
    description="the second replica has a setting of its own beside its credentials",
    inject=orchestrator_has(1, RETRIES="5"),
    expected_failures=("CFG-07",),
    expected_terms=("RETRIES", "orchestrator-2"),
)


@asynccontextmanager
async def each_has_a_lease(target: EmbeddedTarget) -> AsyncIterator[None]:
    async with AsyncExitStack() as undone:
        for number, environment in enumerate(LEASED):
            await undone.enter_async_context(orchestrator_has(number, **environment)(target))
        yield


async def leases_differ(target: EmbeddedTarget) -> bool:
    """Whether each replica was started with a lease of its own."""
    started = [target.member(name).part.environment() for name in target.orchestrators]
    return len(started) == len(LEASED) and all(
        lease.items() <= environment.items() for lease, environment in zip(LEASED, started, strict=True)
    )


VARIANTS = (
    Variant(
        name="messages-must-be-small",
        description="NATS takes messages of up to 256 KiB",
        apply=small_messages,
        is_present=takes_small_messages,
        stretches=("ORC-04", "ORC-08", "E2E-01"),
    ),
    Variant(
        name="telemetry-differs-by-pod",
        description="agents of telemetry put the pod's uid, its node and their own address into its environment",
        apply=orchestrator_has(1, **TELEMETRY),
        is_present=only_the_second_has(TELEMETRY),
        stretches=("CFG-07",),
    ),
    Variant(
        name="credentials-differ-by-replica",
        description="a vault gives each replica a database user of its own, which its DATABASE_URL has, too",
        apply=each_has_a_lease,
        is_present=leases_differ,
        profile={"orchestrator.own_variables": ("DB_USER", "DB_PASSWORD")},
        stretches=("CFG-07", "CFG-08"),
        detects=(SETTING_DRIFTED,),
    ),
    Variant(
        name="environment-has-more-than-the-profile",
        description="replicas have settings that the profile does not name, and it spells their addresses otherwise",
        apply=orchestrator_has(None, **FURTHER),
        is_present=all_have_further_variables,
        profile={"orchestrator.environment": NAMED},
        stretches=("CFG-01", "CFG-02", "CFG-03", "CFG-04", "CFG-05", "CFG-07", "CFG-08"),
    ),
)
