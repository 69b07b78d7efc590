"""Who reaches whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from tests.faults.catalogue.configuration import NO_RAY, NOTHING_COMES
from tests.faults.decoy_servers import Way, another_nats, orchestrator_led
from tests.faults.embedded_target import Lab
from tests.faults.injectors import killed, restarted
from tests.faults.links import Treatment, closed_port, link, passes, says, swallows, wall
from tests.faults.model import Fault, Injection

NO_NATS = ("NET-05", "CFG-05", "ORC-01")
NO_VLLM = ("NET-01", "CFG-02", "CFG-03")
FULL = b'INFO {"server_id":"N","version":"2.10.0","max_payload":1048576}\r\n-ERR \'maximum connections exceeded\'\r\n'


def walled(component: str, to: str, only: int) -> Injection:
    """One of the `workers` or `orchestrators` is started again behind a wall before one of the cluster's endpoints."""

    def injected(lab: Lab) -> AbstractAsyncContextManager[None]:
        return restarted(lab, [getattr(lab, component)[only]], *wall(getattr(lab.cluster.endpoints, to)))

    return injected


def nats_link(treatment: Treatment) -> Way:
    """A way to NATS that is treated so."""

    @asynccontextmanager
    async def way(lab: Lab) -> AsyncIterator[str]:
        async with link(lab.cluster.endpoints.nats.removeprefix("nats://"), treatment) as address:
            yield f"nats://{address}"

    return way


@asynccontextmanager
async def slow_proxy(lab: Lab) -> AsyncIterator[str]:
    async with link(lab.cluster.endpoints.fault_proxy.removeprefix("http://"), passes(delay=0.3)) as address:
        yield f"http://{address}"


@asynccontextmanager
async def stranger(lab: Lab) -> AsyncIterator[str]:
    """A NATS that wants a password, and a URL with another."""
    async with another_nats(lab, "--user", "fleet", "--pass", "right") as url:
        yield url.replace("nats://", "nats://fleet:wrong@")


def workers_led(way: Way) -> Injection:
    """The workers' way to NATS."""

    @asynccontextmanager
    async def injected(lab: Lab) -> AsyncIterator[None]:
        async with way(lab) as url:
            with lab.told(inside=replace(lab.cluster.inside, nats=url)):
                yield

    return injected


@asynccontextmanager
async def vllm_moved(lab: Lab) -> AsyncIterator[None]:
    """The workers' address of vLLM leads nowhere."""
    async with closed_port() as address:
        with lab.told(inside=replace(lab.cluster.inside, vllm=f"http://{address}")):
            yield


WORKERS = ("ray-worker-1", "ray-worker-2")

FAULTS = (
    Fault(
        name="one-replica-cannot-reach-vllm",
        says="a firewall in the second replica refuses the port of vLLM",
        inject=walled("orchestrators", "fault_proxy", 1),
        breaks=NO_VLLM,
        words=("orchestrator-2", "vLLM", "refused"),
    ),
    Fault(
        name="no-replica-can-reach-vllm",
        says="what stands between the orchestrator and vLLM is down",
        inject=lambda lab: killed(lab, "fault-proxy"),
        breaks=(*NO_VLLM, "NET-02", *NOTHING_COMES),
        words=("orchestrator-1", "orchestrator-2", "vLLM", "refused"),
    ),
    Fault(
        name="vllm-is-far-from-the-orchestrator",
        says="each answer of vLLM to the orchestrator comes 300 ms late",
        inject=orchestrator_led("VLLM_URL", slow_proxy),
        breaks=("NET-02",),
        words=("latency", "100 ms", "orchestrator-1", "orchestrator-2"),
    ),
    Fault(
        name="one-worker-cannot-reach-vllm",
        says="a firewall in the second worker refuses the port of vLLM",
        inject=walled("workers", "vllm", 1),
        breaks=("NET-03",),
        words=("ray-worker-2", "vLLM", "refused"),
    ),
    Fault(
        name="no-worker-can-reach-vllm",
        says="vLLM cannot be had at the address by which workers know it",
        inject=vllm_moved,
        breaks=("NET-03",),
        words=(*WORKERS, "vLLM", "refused"),
    ),
    Fault(
        name="one-worker-cannot-reach-nats",
        says="a firewall in the first worker refuses the port of NATS",
        inject=walled("workers", "nats", 0),
        breaks=("NET-04",),
        words=("ray-worker-1", "tcp", "refused"),
    ),
    Fault(
        name="nats-port-speaks-something-else",
        says="where the workers look for NATS, an SSH server greets",
        inject=workers_led(nats_link(says(b"SSH-2.0-OpenSSH_9.6\r\n"))),
        breaks=("NET-04",),
        words=(*WORKERS, "protocol", "SSH-2.0"),
    ),
    Fault(
        name="nats-takes-connections-and-never-answers",
        says="where the workers look for NATS, everything is taken and nothing said",
        inject=workers_led(nats_link(swallows)),
        breaks=("NET-04",),
        words=(*WORKERS, "protocol", "timed out"),
    ),
    Fault(
        name="nats-is-cut-off-in-its-greeting",
        says="the workers' connections to NATS are cut after 100 bytes",
        inject=workers_led(nats_link(passes(most=100))),
        breaks=("NET-04",),
        words=(*WORKERS, "protocol"),
    ),
    Fault(
        name="nats-takes-no-more-connections",
        says="NATS has as many connections as it may have, and refuses those of the workers",
        inject=workers_led(nats_link(says(FULL))),
        breaks=("NET-04",),
        words=(*WORKERS, "maximum connections exceeded"),
    ),
    Fault(
        name="nats-refuses-the-orchestrators-password",
        says="the first replica's NATS_URL has a wrong password",
        inject=orchestrator_led("NATS_URL", stranger, only=0),
        breaks=(*NO_NATS, "CFG-07"),
        words=("orchestrator-1", "authentication", "Authorization Violation"),
    ),
    Fault(
        name="one-replica-cannot-reach-nats",
        says="a firewall in the first replica refuses the port of NATS",
        inject=walled("orchestrators", "nats", 0),
        breaks=NO_NATS,
        words=("orchestrator-1", "tcp", "refused"),
    ),
    Fault(
        name="one-replica-cannot-reach-ray",
        says="a firewall in the second replica refuses the port of Ray Client",
        inject=walled("orchestrators", "ray_client", 1),
        breaks=("NET-06", *NO_RAY),
        words=("orchestrator-2", "RAY_ADDRESS", "refused"),
    ),
)
