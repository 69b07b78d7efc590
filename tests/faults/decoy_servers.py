"""Other servers beside the fleet's own, such as a stale address leads to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial

from fixtures.clusters.base import Component
from fixtures.clusters.embedded import processes
from fixtures.clusters.embedded.ports import PortBlock
from fixtures.clusters.embedded.ray_parts import RayParts, RayPorts
from fixtures.clusters.embedded.replica import Launch, Member
from fixtures.clusters.embedded.supervised_process import Part
from fixtures.core.timeouts import TIMEOUTS
from tests.faults.embedded_target import Lab
from tests.faults.injectors import among, restarted
from tests.faults.model import Injection

Way = Callable[[Lab], AbstractAsyncContextManager[str]]
"""Where an address leads to: the context's value is the URL."""


def free_port(lab: Lab) -> int:
    """A port of the run's block."""
    assert lab.cluster._ports is not None, "the fleet is not running"
    return lab.cluster._ports.take()


@asynccontextmanager
async def _running(lab: Lab, member: Member) -> AsyncIterator[None]:
    launcher = lab.fleet.launcher
    await launcher.spawn(member)
    try:
        await launcher.ready(member)
        yield
    finally:
        await launcher.end(member)


@asynccontextmanager
async def another_vllm(lab: Lab, model: str = "") -> AsyncIterator[str]:
    """The URL of a second stub, which serves the profile's model, or the one named."""
    plan, made = lab.fleet.plan, lab.fleet.made
    profile = plan.profile.replaced("vllm", model=model or plan.profile.vllm.model)
    port = free_port(lab)
    part = Part("other-vllm", made.run)
    launch = partial(processes.vllm_stub, profile, port)
    async with _running(lab, Member("other-vllm", Component.VLLM, "", plan.stub, part, launch, TIMEOUTS.vllm_stub_up)):
        yield f"http://{processes.LOOPBACK}:{port}"


@asynccontextmanager
async def another_nats(lab: Lab, *arguments: str) -> AsyncIterator[str]:
    """The URL of a second NATS with JetStream, started with further arguments."""
    plan, made = lab.fleet.plan, lab.fleet.made
    port, monitor = free_port(lab), free_port(lab)

    def launch() -> Launch:
        storage = made.run.path / "other-jetstream"
        launch = processes.nats(processes.nats_program(), port, monitor, storage)
        return replace(launch, arguments=[*launch.arguments, *arguments])

    part = Part("other-nats", made.run)
    async with _running(lab, Member("other-nats", Component.NATS, "", plan.nats, part, launch, TIMEOUTS.nats_up)):
        yield f"nats://{processes.LOOPBACK}:{port}"


@asynccontextmanager
async def another_ray(lab: Lab) -> AsyncIterator[str]:
    """The address (ray://…) of a second Ray head, without workers."""
    plan, made = lab.fleet.plan, lab.fleet.made
    block = PortBlock.claim()
    ray = RayParts(plan.profile, RayPorts.of(block), block, made.run.path / "ray2")
    part = Part("other-head", made.run, grace=TIMEOUTS.stop)
    launch = partial(ray.head, "other-head")
    head = Member("other-head", Component.RAY_HEAD, "", plan.ray, part, launch, TIMEOUTS.ray_head_up)
    try:
        async with _running(lab, head):
            yield ray.ports.client_url
    finally:
        block.close()


def orchestrator_led(variable: str, way: Way, only: int | None = None) -> Injection:
    """An address in the environment of every replica, or of the one of that number, from 0, that leads there."""

    @asynccontextmanager
    async def injected(lab: Lab) -> AsyncIterator[None]:
        names = among(lab.orchestrators, only)
        async with way(lab) as url, restarted(lab, names, environment={variable: url}):
            yield

    return injected
