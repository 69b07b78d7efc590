"""Other servers beside the fleet's own, such as a stale address leads to."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from fixtures.clusters.base import Component
from fixtures.clusters.embedded import processes
from fixtures.clusters.embedded.ports import PortBlock
from fixtures.clusters.embedded.ray_parts import RayParts, RayPorts
from fixtures.clusters.embedded.replica import LaunchSpec, LocalReplica
from fixtures.clusters.embedded.supervised_process import SupervisedProcess, suite_program
from fixtures.core.timeouts import TIMEOUTS
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import FileChange, among, packages_in, restarted, ruled
from tests.targets.links import round_robin
from tests.targets.target import Change

AddressSource = Callable[[EmbeddedTarget], AbstractAsyncContextManager[str]]
"""Where an address leads to: the context's value is the URL."""


def free_port(target: EmbeddedTarget) -> int:
    """A port of the run's block."""
    assert target.cluster._ports is not None, "the fleet is not running"
    return target.cluster._ports.take()


@asynccontextmanager
async def running(target: EmbeddedTarget, member: LocalReplica, *changes: FileChange) -> AsyncIterator[None]:
    launcher = target.fleet.launcher
    if changes:
        await launcher.store.remove(member.name)
        member.folder = await launcher.store.instance(member.image, member.name)
        for change in changes:
            change.apply(packages_in(member.folder))
        launcher.begin(member, member.launch())
    else:
        await launcher.spawn(member)
    try:
        await launcher.ready(member)
        yield
    finally:
        await launcher.end(member)


@asynccontextmanager
async def another_vllm(target: EmbeddedTarget, model: str = "", *changes: FileChange) -> AsyncIterator[str]:
    """The URL of a second stub, which serves the profile's model, or the one named; with changed packages."""
    plan, made = target.fleet.plan, target.fleet.factory
    profile = plan.profile.replaced("vllm", model=model or plan.profile.vllm.model)
    port = free_port(target)
    part = SupervisedProcess("other-vllm", made.run)
    launch = partial(processes.vllm_stub, profile, port, made.debug_token)
    member = LocalReplica("other-vllm", Component.VLLM, "", plan.stub, part, launch, TIMEOUTS.vllm_stub_up)
    async with running(target, member, *changes):
        yield f"http://{processes.LOOPBACK}:{port}"


@asynccontextmanager
async def another_nats(
    target: EmbeddedTarget,
    *arguments: str,
    name: str = "other-nats",
    launched: Callable[[LaunchSpec], LaunchSpec] = lambda launch: launch,
) -> AsyncIterator[str]:
    """The URL of a second NATS with JetStream, or as `launched` makes it, started with further arguments."""
    plan, made = target.fleet.plan, target.fleet.factory
    port, monitor = free_port(target), free_port(target)
    storage = made.run.path / f"{name}-jetstream"

    def launch() -> LaunchSpec:
        launch = launched(processes.nats(suite_program("nats-server"), port, monitor, storage))
        return replace(launch, arguments=[*launch.arguments, "--name", name, *arguments])

    part = SupervisedProcess(name, made.run)
    try:
        async with running(target, LocalReplica(name, Component.NATS, "", plan.nats, part, launch, TIMEOUTS.nats_up)):
            yield f"nats://{processes.LOOPBACK}:{port}"
    finally:  # an orchestrator that was led here has made its stream, which the next one must not find
        shutil.rmtree(storage, ignore_errors=True)


@asynccontextmanager
async def another_ray(target: EmbeddedTarget) -> AsyncIterator[str]:
    """The address (ray://…) of a second Ray head, without workers."""
    plan, made = target.fleet.plan, target.fleet.factory
    block = PortBlock.claim()
    ray = RayParts(plan.profile, RayPorts.of(block), block, made.run.path / "ray2", plan.ray_auth)
    part = SupervisedProcess("other-head", made.run, grace=TIMEOUTS.stop)
    launch = partial(ray.head, "other-head")
    head = LocalReplica("other-head", Component.RAY_HEAD, "", plan.ray, part, launch, TIMEOUTS.ray_head_up)
    try:
        async with running(target, head):
            yield ray.ports.client_url
    finally:
        block.close()


class TwoServers:
    """A second model server beside the fleet's own, and one address for both: each connection meets the other one."""

    second = ""  # the URL of the second one alone, while it is there

    @asynccontextmanager
    async def behind_one_address(self, target: EmbeddedTarget) -> AsyncIterator[None]:
        """Sessions, Ray workers and the suite's proxy, to which VLLM_URL leads, reach vLLM at that address."""
        outside, inside = target.cluster.endpoints, target.cluster.inside
        async with another_vllm(target) as self.second:
            targets = [urlsplit(url).netloc for url in (outside.vllm, self.second)]
            async with round_robin(*targets) as address:
                url = f"http://{address}"
                seen = {"endpoints": replace(outside, vllm=url), "inside": replace(inside, vllm=url)}
                with target.overridden(**seen):
                    async with restarted(target, ["fault-proxy"], launch=partial(_towards, url)):
                        yield

    def second_answers(self, *rules: Mapping[str, Any]) -> Change:
        """Fault rules in the second server alone."""
        return lambda target: ruled(target, self.second, *rules)


def _towards(url: str, launch: LaunchSpec) -> LaunchSpec:
    """The fault proxy, with another server behind it."""
    arguments = list(launch.arguments)
    arguments[arguments.index("--upstream") + 1] = url
    return replace(launch, arguments=arguments)


def orchestrator_led(variable: str, way: AddressSource, only: int | None = None) -> Change:
    """An address in the environment of every replica, or of the one of that number, from 0, that leads there."""

    @asynccontextmanager
    async def injected(target: EmbeddedTarget) -> AsyncIterator[None]:
        names = among(target.orchestrators, only)
        async with way(target) as url, restarted(target, names, environment={variable: url}):
            yield

    return injected
