"""Fleets in which an executor sits between the orchestrator and Ray."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from tests.faults.catalogue.executor import WHERE
from tests.targets.executor_target import VARIABLE, EmbeddedExecutorTarget
from tests.targets.injectors import restarted
from tests.variants.model import Variant

SCHEME = "dns:///localhost"  # before the port


def named_as_grpc_does(target: EmbeddedExecutorTarget) -> AbstractAsyncContextManager[None]:
    named = {VARIABLE: f"{SCHEME}:{target.executor.rpartition(':')[2]}"}
    return restarted(target, target.orchestrators, environment=named)


async def is_named_as_grpc_does(target: EmbeddedExecutorTarget) -> bool:
    members = [target.member(name) for name in target.orchestrators]
    return all(member.part.environment()[VARIABLE].startswith(SCHEME) for member in members)


VARIANTS = (
    Variant(
        name="executor-sits-between",
        description="an executor alone is led to Ray, and the orchestrator to the executor, by a target as gRPC has it",
        apply=named_as_grpc_does,
        is_present=is_named_as_grpc_does,
        stretches=("INF-11", "CFG-04", "CFG-05", "CFG-06", "CFG-07", "NET-01", "NET-05", "NET-06", "NET-08", "ORC-01"),
        where=WHERE,
    ),
)
