"""The way through an executor, in a fleet that has one between its orchestrator and Ray."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.faults.model import Fault
from tests.targets.decoy_servers import orchestrator_led
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.executor_target import NAME, VARIABLE, EmbeddedExecutorTarget
from tests.targets.injectors import killed, restarted
from tests.targets.links import LOOPBACK, link, swallows, wall

WHERE = "embedded-executor"


def walled_from_the_executor(target: EmbeddedExecutorTarget) -> AbstractAsyncContextManager[None]:
    """The second replica of the orchestrator is started again behind a wall."""
    return restarted(target, [target.orchestrators[1]], *wall(f"grpc://{target.executor}"))


def walled_from_ray(target: EmbeddedExecutorTarget) -> AbstractAsyncContextManager[None]:
    return restarted(target, [NAME], *wall(target.cluster.endpoints.ray_client))


@asynccontextmanager
async def another_server(_: EmbeddedTarget) -> AsyncIterator[str]:
    """An address at which something accepts connections, and leads them nowhere."""
    async with link(f"{LOOPBACK}:0", swallows) as address:
        yield address


FAULTS = (
    Fault(
        name="one-replica-cannot-reach-the-executor",
        description="a firewall in the second replica of the orchestrator refuses the port of the executor",
        inject=walled_from_the_executor,
        expected_failures=("NET-08",),
        expected_terms=("orchestrator-2", VARIABLE, "refused"),
        must_pass=("CFG-04", "CFG-06", "NET-05", "NET-06", "INF-11"),
        where=WHERE,
    ),
    Fault(
        name="the-executor-is-down",
        description="the only replica of the executor was killed",
        inject=lambda target: killed(target, NAME),
        expected_failures=("INF-11", "NET-08"),
        tolerated_failures=("CFG-04", "CFG-05", "CFG-06", "NET-05", "NET-06"),  # which nobody can tell
        expected_terms=("executor: 0 of 1 replicas are ready", NAME),
        where=WHERE,
    ),
    Fault(
        name="the-executor-cannot-reach-ray",
        description="a firewall in the executor refuses the port of Ray Client, to which nobody else is led",
        inject=walled_from_ray,
        expected_failures=("NET-06", "CFG-04", "CFG-06"),
        expected_terms=(NAME, "RAY_ADDRESS", "refused"),
        must_pass=("NET-08", "INF-11"),
        where=WHERE,
    ),
    Fault(
        name="another-server-is-where-the-executor-should-be",
        description="the orchestrator's address of the executor leads to a server that says nothing",
        inject=orchestrator_led(VARIABLE, another_server),
        expected_failures=(),
        expected_terms=(),
        inconclusive={"NET-08": "is another address than the executor's"},
        where=WHERE,
    ),
)
