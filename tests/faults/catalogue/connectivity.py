"""Who reaches whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from tests.faults.catalogue.configuration import NO_RAY, NOTHING_COMES
from tests.faults.model import Fault
from tests.targets.decoy_servers import AddressSource, another_nats, orchestrator_led
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import killed, restarted
from tests.targets.links import Treatment, closed_port, greets, link, passes, swallows, wall
from tests.targets.target import Change

NO_NATS = ("NET-05", "CFG-05", "ORC-01")
NO_VLLM = ("NET-01", "CFG-02", "CFG-03")
FULL = b'INFO {"server_id":"N","version":"2.10.0","max_payload":1048576}\r\n-ERR \'maximum connections exceeded\'\r\n'


def walled(component: str, to: str, only: int) -> Change:
    """One of the `workers` or `orchestrators` is started again behind a wall before one of the cluster's endpoints."""

    def injected(target: EmbeddedTarget) -> AbstractAsyncContextManager[None]:
        return restarted(target, [getattr(target, component)[only]], *wall(getattr(target.cluster.endpoints, to)))

    return injected


def nats_link(treatment: Treatment) -> AddressSource:
    """A way to NATS that is treated so."""

    @asynccontextmanager
    async def way(target: EmbeddedTarget) -> AsyncIterator[str]:
        async with link(target.cluster.endpoints.nats.removeprefix("nats://"), treatment) as address:
            yield f"nats://{address}"

    return way


@asynccontextmanager
async def slow_proxy(target: EmbeddedTarget) -> AsyncIterator[str]:
    async with link(target.cluster.endpoints.fault_proxy.removeprefix("http://"), passes(delay=0.3)) as address:
        yield f"http://{address}"


@asynccontextmanager
async def stranger(target: EmbeddedTarget) -> AsyncIterator[str]:
    """A NATS that wants a password, and a URL with another."""
    async with another_nats(target, "--user", "fleet", "--pass", "right") as url:
        yield url.replace("nats://", "nats://fleet:wrong@")


def workers_led(way: AddressSource) -> Change:
    """The workers' way to NATS."""

    @asynccontextmanager
    async def injected(target: EmbeddedTarget) -> AsyncIterator[None]:
        async with way(target) as url:
            with target.overridden(inside=replace(target.cluster.inside, nats=url)):
                yield

    return injected


@asynccontextmanager
async def vllm_moved(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The workers' address of vLLM leads nowhere."""
    async with closed_port() as address:
        with target.overridden(inside=replace(target.cluster.inside, vllm=f"http://{address}")):
            yield


WORKERS = ("ray-worker-1", "ray-worker-2")

FAULTS = (
    Fault(
        name="one-replica-cannot-reach-vllm",
        description="a firewall in the second replica refuses the port of vLLM",
        inject=walled("orchestrators", "fault_proxy", 1),
        expected_failures=NO_VLLM,
        expected_terms=("orchestrator-2", "vLLM", "refused"),
    ),
    Fault(
        name="no-replica-can-reach-vllm",
        description="what stands between the orchestrator and vLLM is down",
        inject=lambda target: killed(target, "fault-proxy"),
        expected_failures=(*NO_VLLM, "NET-02", *NOTHING_COMES),
        expected_terms=("orchestrator-1", "orchestrator-2", "vLLM", "refused"),
    ),
    Fault(
        name="vllm-is-far-from-the-orchestrator",
        description="each answer of vLLM to the orchestrator comes 300 ms late",
        inject=orchestrator_led("VLLM_URL", slow_proxy),
        expected_failures=("NET-02",),
        expected_terms=("latency", "100 ms", "slowest of 11", "orchestrator-1", "orchestrator-2"),
    ),
    Fault(
        name="one-worker-cannot-reach-vllm",
        description="a firewall in the second worker refuses the port of vLLM",
        inject=walled("workers", "vllm", 1),
        expected_failures=("NET-03",),
        expected_terms=("ray-worker-2", "vLLM", "refused"),
    ),
    Fault(
        name="no-worker-can-reach-vllm",
        description="vLLM cannot be had at the address by which workers know it",
        inject=vllm_moved,
        expected_failures=("NET-03",),
        expected_terms=(*WORKERS, "vLLM", "refused"),
    ),
    Fault(
        name="one-worker-cannot-reach-nats",
        description="a firewall in the first worker refuses the port of NATS",
        inject=walled("workers", "nats", 0),
        expected_failures=("NET-04",),
        expected_terms=("ray-worker-1", "tcp", "refused"),
    ),
    Fault(
        name="nats-port-speaks-something-else",
        description="where the workers look for NATS, an SSH server greets",
        inject=workers_led(nats_link(greets(b"SSH-2.0-OpenSSH_9.6\r\n"))),
        expected_failures=("NET-04",),
        expected_terms=(*WORKERS, "protocol", "SSH-2.0"),
    ),
    Fault(
        name="nats-takes-connections-and-never-answers",
        description="where the workers look for NATS, everything is taken and nothing said",
        inject=workers_led(nats_link(swallows)),
        expected_failures=("NET-04",),
        expected_terms=(*WORKERS, "protocol", "timed out"),
    ),
    Fault(
        name="nats-is-cut-off-in-its-greeting",
        description="the workers' connections to NATS are cut after 100 bytes",
        inject=workers_led(nats_link(passes(most=100))),
        expected_failures=("NET-04",),
        expected_terms=(*WORKERS, "protocol"),
    ),
    Fault(
        name="nats-takes-no-more-connections",
        description="NATS has as many connections as it may have, and refuses those of the workers",
        inject=workers_led(nats_link(greets(FULL))),
        expected_failures=("NET-04",),
        expected_terms=(*WORKERS, "maximum connections exceeded"),
    ),
    Fault(
        name="nats-refuses-the-orchestrators-password",
        description="the first replica's NATS_URL has a wrong password",
        inject=orchestrator_led("NATS_URL", stranger, only=0),
        expected_failures=(*NO_NATS, "CFG-07"),
        expected_terms=("orchestrator-1", "authentication", "Authorization Violation"),
    ),
    Fault(
        name="one-replica-cannot-reach-nats",
        description="a firewall in the first replica refuses the port of NATS",
        inject=walled("orchestrators", "nats", 0),
        expected_failures=NO_NATS,
        expected_terms=("orchestrator-1", "tcp", "refused"),
    ),
    Fault(
        name="one-replica-cannot-reach-ray",
        description="a firewall in the second replica refuses the port of Ray Client",
        inject=walled("orchestrators", "ray_client", 1),
        expected_failures=("NET-06", *NO_RAY),
        expected_terms=("orchestrator-2", "RAY_ADDRESS", "refused"),
    ),
)
