"""Ray started otherwise: its head's and its workers' options and environment, their names, their packages."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from fixtures.clusters.base import Component
from fixtures.clusters.embedded import probes
from fixtures.clusters.embedded.image_table import Image
from fixtures.clusters.embedded.replica import LaunchSpec, LocalReplica, Probe
from fixtures.core.timeouts import TIMEOUTS
from fixtures.services.ray import ENDED, Node, Ray
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import FileChange, packages_in
from tests.targets.target import Change

Relaunch = Callable[[LaunchSpec], LaunchSpec]
HEAD = "ray-head"


def with_option(option: str, value: str) -> Relaunch:
    """Another value of an option that is there as `--option=value`."""

    def relaunched(launch: LaunchSpec) -> LaunchSpec:
        (index,) = [number for number, word in enumerate(launch.arguments) if word.startswith(f"{option}=")]
        words = list(launch.arguments)
        words[index] = f"{option}={value}"
        return replace(launch, arguments=words)

    return relaunched


def value_of(launch: LaunchSpec, option: str) -> str:
    """What an option that is there once as `--option=value` says."""
    (word,) = [word for word in launch.arguments if word.startswith(f"{option}=")]
    return word.partition("=")[2]


def with_environment(**values: str) -> Relaunch:
    return lambda launch: replace(launch, environment={**launch.environment, **values})


@asynccontextmanager
async def _launched(members: Mapping[str, LocalReplica], otherwise: Mapping[str, Relaunch]) -> AsyncIterator[None]:
    """Whenever these members are started, it is otherwise."""

    def other(launch: Callable[[], LaunchSpec], relaunch: Relaunch) -> Callable[[], LaunchSpec]:
        return lambda: relaunch(launch())

    before = {name: members[name].launch for name in otherwise}
    for name, relaunch in otherwise.items():
        members[name].launch = other(before[name], relaunch)
    try:
        yield
    finally:
        for name, launch in before.items():
            members[name].launch = launch


def ray_started(**otherwise: Relaunch) -> Change:
    """The whole of Ray starts again, some nodes otherwise: by name, with underscores. Also where a check starts it."""

    @asynccontextmanager
    async def started(target: EmbeddedTarget) -> AsyncIterator[None]:
        named = {name.replace("_", "-"): relaunch for name, relaunch in otherwise.items()}
        members = {member.name: member for member in target.fleet.members}
        try:
            async with _launched(members, named):
                await target.cluster.restart_ray()
                yield
        finally:
            await target.cluster.restart_ray()

    return started


def workers_are_all_called(name: str) -> Change:
    """Every worker starts again under one name; one is up when the agent of its node answers, and Ray lists all."""

    @asynccontextmanager
    async def started(target: EmbeddedTarget) -> AsyncIterator[None]:
        workers = target.members(Component.RAY_WORKER)
        members = {member.name: member for member in workers}

        def up(agent: str) -> Probe:
            async def probe() -> str:
                listed = len((await target.fleet.factory.ray.alive_nodes()).get(name, ()))
                missing = "" if listed == len(workers) else f"Ray lists {listed} living nodes called {name}"
                return missing or await probes.http_ok(f"http://{agent}/api/local_raylet_healthz")

            return probe

        def called(launch: LaunchSpec) -> LaunchSpec:
            host, port = (value_of(launch, option) for option in ("--node-ip-address", "--dashboard-agent-listen-port"))
            return replace(with_option("--node-name", name)(launch), probe=up(f"{host}:{port}"))

        launcher = target.fleet.launcher
        try:
            async with _launched(members, {member.name: called for member in workers}):
                await launcher.end(*workers, immediately=False)
                await target.fleet.start_again(*workers)
                yield
        finally:
            await launcher.end(*workers, immediately=False)
            await target.fleet.start_again(*workers)

    return started


def images_of_ray_have(*changes: FileChange) -> Change:
    """Every copy of a Ray image has these changes, fresh ones and those of nodes that a check starts, too."""

    @asynccontextmanager
    async def imaged(target: EmbeddedTarget) -> AsyncIterator[None]:
        store = target.fleet.launcher.store
        sound = store.instance

        async def changed_instance(image: Image, name: str) -> Path:
            folder = await sound(image, name)
            if image.name.startswith("ray-"):
                for change in changes:
                    change.apply(packages_in(folder))
            return folder

        store.instance = changed_instance  # type: ignore[method-assign]
        try:
            await target.cluster.restart_ray()
            yield
        finally:
            store.instance = sound  # type: ignore[method-assign]
            await target.cluster.restart_ray()

    return imaged


async def nodes_of(target: EmbeddedTarget) -> list[Node]:
    """Ray's node table, the dead among them."""
    ray = Ray(target.cluster.endpoints.dashboard)
    try:
        return await ray.nodes()
    finally:
        await ray.close()


async def run_in_ray(target: EmbeddedTarget, name: str, program: str) -> None:
    """Run a Python program as a Ray job to its end; its record is removed."""
    ray = Ray(target.cluster.endpoints.dashboard)
    try:
        await ray.submit(f"python -c {shlex.quote(program)}", name)
        try:
            job = await ray.job_ended(name, TIMEOUTS.job)
            assert job.status == ENDED[0], f"{name}: {job.message}"
        finally:
            await asyncio.shield(ray.forget(name))
    finally:
        await ray.close()


#: What ends the orchestrator's agents, wherever they run: they are detached, and have names in its namespace.
END_AGENTS = """
import ray

ray.init(namespace="swe-ai-fleet", logging_level="ERROR")
for name in ray.util.list_named_actors():
    ray.kill(ray.get_actor(name), no_restart=True)
"""


async def end_agents(target: EmbeddedTarget) -> None:
    """End the agents of deliberations that no replica knows any more: each would hold its place for ever."""
    if await target.living_actors():
        await run_in_ray(target, "end-agents", END_AGENTS)


def without_its_agents(change: Change) -> Change:
    """The same; in the end the agents are ended that were begun meanwhile, and that no replica knows by their names."""

    @asynccontextmanager
    async def ended(target: EmbeddedTarget) -> AsyncIterator[None]:
        try:
            async with change(target):
                yield
        finally:
            await end_agents(target)

    return ended
