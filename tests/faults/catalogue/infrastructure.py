"""Parts that are missing, dead, frozen, or not as they should be."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from fixtures.clusters.base import Component
from fixtures.clusters.embedded.image_table import named
from fixtures.clusters.embedded.replica import LaunchSpec
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from tests.faults.model import Fault
from tests.targets.decoy_servers import free_port
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, frozen, head_has_record, killed, processes_of, restarted, tree
from tests.targets.target import Change

NO_VLLM = ("INF-01", "INF-02", "INF-03", "INF-04", "NET-03")
#: What is asked through Ray.
THROUGH_RAY = ("INF-08", *(f"DEP-{number:02}" for number in (*range(1, 11), 12)), "NET-03", "NET-04")
NO_RAY = ("INF-05", "INF-06", "INF-07")


def argued(name: str, option: str, value: str) -> Change:
    """A replica is started again with another value of an option (`--option value` or `--option=value`)."""

    def other(launch: LaunchSpec) -> LaunchSpec:
        words = list(launch.arguments)
        if option in words:
            words[words.index(option) + 1] = value
        else:
            (target,) = [target for target, word in enumerate(words) if word.startswith(f"{option}=")]
            words[target] = f"{option}={value}"
        return replace(launch, arguments=words)

    return lambda target: restarted(target, [name], launch=other)


def with_ray(spoil: Callable[[EmbeddedTarget], Awaitable[None]]) -> Change:
    """What is done to Ray's head costs the cluster: in the end it is started again."""

    @asynccontextmanager
    async def injected(target: EmbeddedTarget) -> AsyncIterator[None]:
        try:
            await spoil(target)
            yield
        finally:
            await target.cluster.restart_ray()

    return injected


async def kill_head(target: EmbeddedTarget) -> None:
    await target.fleet.launcher.end(*target.members(Component.RAY_HEAD))


async def freeze_gcs(target: EmbeddedTarget) -> None:
    for pid in processes_of(target.member("ray-head"), "gcs/gcs_server"):
        os.kill(pid, signal.SIGSTOP)


async def given_up(target: EmbeddedTarget, name: str) -> None:
    """Wait until Ray takes a node for dead."""

    async def dead() -> bool:
        return name not in await target.fleet.factory.ray.alive_nodes()

    await wait_until(dead, f"that Ray gives {name} up", TIMEOUTS.settle)


@asynccontextmanager
async def worker_killed(target: EmbeddedTarget) -> AsyncIterator[None]:
    name = target.workers[1]
    async with killed(target, name):
        await given_up(target, name)
        yield


@asynccontextmanager
async def raylet_killed(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The process that would end the replica when its raylet is gone does nothing."""
    member = target.member(target.workers[1])
    main, raylets = tree(member)[0], processes_of(member, "raylet/raylet")
    os.kill(main, signal.SIGSTOP)
    for raylet in raylets:
        os.kill(raylet, signal.SIGKILL)
    try:
        await given_up(target, member.name)
        yield
    finally:
        await target.fleet.start_again(member)


def serving_elsewhere(target: EmbeddedTarget) -> AbstractAsyncContextManager[None]:
    return restarted(target, [target.orchestrators[1]], environment={"GRPC_PORT": str(free_port(target))}, ready=False)


def of_another_version(target: EmbeddedTarget) -> AbstractAsyncContextManager[None]:
    image = named("orchestrator")
    older = replace(image, reference=f"{image.reference.rpartition(':')[0]}:v0.7.3")
    return restarted(target, [target.orchestrators[1]], image=older)


FAULTS = (
    Fault(
        name="vllm-server-is-killed",
        description="the process of the vLLM server is gone",
        inject=lambda target: killed(target, "vllm-server-1"),
        expected_failures=NO_VLLM,
        expected_terms=("vllm-server-1", "0 of 1 replicas", "ended"),
    ),
    Fault(
        name="vllm-server-is-frozen",
        description="the vLLM server takes connections and does nothing (SIGSTOP)",
        inject=lambda target: frozen(target, "vllm-server-1"),
        expected_failures=NO_VLLM,
        expected_terms=("vllm-server-1", "0 of 1 replicas"),
    ),
    Fault(
        name="vllm-serves-another-model",
        description="vLLM was started with another model",
        inject=argued("vllm-server-1", "--served-model-name", "Qwen/Qwen3-1.7B"),
        expected_failures=("INF-03", "INF-04", "NET-01", "CFG-03"),
        expected_terms=("Qwen/Qwen3-1.7B", "Qwen/Qwen3-0.6B"),
    ),
    Fault(
        name="vllm-context-is-smaller",
        description="vLLM was started with a context of 8192 tokens",
        inject=argued("vllm-server-1", "--max-model-len", "8192"),
        expected_failures=("INF-04",),
        expected_terms=("max_model_len", "8192", "40960"),
    ),
    Fault(
        name="ray-head-is-killed",
        description="the head is gone, with GCS, dashboard and Ray Client",
        inject=with_ray(kill_head),
        expected_failures=(*NO_RAY, "ORC-01"),
        tolerated_failures=THROUGH_RAY,
        expected_terms=("ray-head", "ended"),
    ),
    Fault(
        name="gcs-is-frozen",
        description="the head's GCS does nothing (SIGSTOP), while its dashboard answers",
        inject=with_ray(freeze_gcs),
        expected_failures=NO_RAY,
        tolerated_failures=(*THROUGH_RAY, "ORC-01", "ORC-03"),  # ORC-03 looks agents up by the dashboard
        expected_terms=("ray-head", "/api/jobs/", "Timeout"),
    ),
    Fault(
        name="dashboard-is-frozen",
        description="the head's dashboard does nothing (SIGSTOP)",
        inject=lambda target: frozen(target, "ray-head", "dashboard/dashboard.py"),
        expected_failures=NO_RAY,
        tolerated_failures=(*THROUGH_RAY, "ORC-03"),
        expected_terms=("ray-head", "/api/version", "Timeout"),
    ),
    Fault(
        name="worker-is-killed",
        description="the second worker is gone",
        inject=worker_killed,
        expected_failures=("INF-06", "INF-07"),
        expected_terms=("ray-worker-2", "1 of 2 worker", "ended"),
    ),
    Fault(
        name="raylet-is-dead-in-a-running-worker",
        description="the second worker runs, and the raylet in it is gone",
        inject=raylet_killed,
        expected_failures=("INF-06", "INF-07"),
        expected_terms=("ray-worker-2", "node table"),
    ),
    Fault(
        name="worker-has-no-gpu",
        description="the first worker was started without its GPU",
        inject=argued("ray-worker-1", "--num-gpus", "0"),
        expected_failures=("INF-07",),
        expected_terms=("GPU: 1 of 2", "ray-worker-1: GPU 0"),
    ),
    Fault(
        name="worker-has-little-memory",
        description="the second worker was started with 8 GiB",
        inject=argued("ray-worker-2", "--memory", str(8 << 30)),
        expected_failures=("INF-07",),
        expected_terms=("memory", "ray-worker-2"),
    ),
    Fault(
        name="head-has-another-ray",
        description="the head's image has Ray 2.48.0, the workers' has not",
        inject=head_has_record(Edit("ray-2.49.2.dist-info/METADATA", "\nVersion: 2.49.2\n", "\nVersion: 2.48.0\n")),
        expected_failures=("INF-08", "DEP-09"),
        tolerated_failures=("DEP-10",),  # the record is younger than the running head
        expected_terms=("ray-head", "2.48.0", "2.49.2"),
    ),
    Fault(
        name="one-orchestrator-is-killed",
        description="the second replica is gone",
        inject=lambda target: killed(target, target.orchestrators[1]),
        expected_failures=("INF-11", "ORC-01"),
        expected_terms=("orchestrator-2", "UNAVAILABLE"),
    ),
    Fault(
        name="one-orchestrator-is-frozen",
        description="the first replica takes connections and does nothing (SIGSTOP)",
        inject=lambda target: frozen(target, target.orchestrators[0]),
        expected_failures=("INF-11", "ORC-01"),
        expected_terms=("orchestrator-1", "DEADLINE_EXCEEDED"),
    ),
    Fault(
        name="one-orchestrator-serves-elsewhere",
        description="the second replica runs and serves gRPC on another port than its service leads to",
        inject=serving_elsewhere,
        expected_failures=("INF-11", "ORC-01"),
        expected_terms=("orchestrator-2", "UNAVAILABLE"),
    ),
    Fault(
        name="one-orchestrator-is-older",
        description="the second replica still runs the image of the last version",
        inject=of_another_version,
        expected_failures=("INF-11",),
        expected_terms=("orchestrator-2", "v0.7.3", "0.8.1"),
    ),
)
