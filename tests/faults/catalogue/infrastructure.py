"""Parts that are missing, dead, frozen, or not as they should be."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from nats.js.api import AckPolicy, DiscardPolicy, RetentionPolicy, StorageType

from fixtures.clusters.base import Component
from fixtures.clusters.embedded import probes
from fixtures.clusters.embedded.image_table import named
from fixtures.clusters.embedded.replica import Launch
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from tests.faults.decoy_servers import free_port
from tests.faults.embedded_target import Lab
from tests.faults.injectors import Edit, changed, frozen, killed, processes_of, restarted, tree
from tests.faults.jetstream import (
    consumer_is,
    seen_anew,
    small_account,
    stream_is,
    without_consumer,
    without_jetstream,
    without_stream,
)
from tests.faults.model import Fault, Injection

NO_VLLM = ("INF-01", "INF-02", "INF-03", "INF-04", "NET-03")
NO_NATS = ("INF-09", "INF-10", "INF-12", "NET-04", "ORC-01")
#: What is asked through Ray.
THROUGH_RAY = ("INF-08", *(f"DEP-{number:02}" for number in range(1, 11)), "NET-03", "NET-04")
NO_RAY = ("INF-05", "INF-06", "INF-07")
STREAM, CONSUMER = "AGENT_RESPONSES", "deliberation-collector-completed"


def argued(name: str, option: str, value: str) -> Injection:
    """A replica is started again with another value of an option (`--option value` or `--option=value`)."""

    def other(launch: Launch) -> Launch:
        words = list(launch.arguments)
        if option in words:
            words[words.index(option) + 1] = value
        else:
            (place,) = [place for place, word in enumerate(words) if word.startswith(f"{option}=")]
            words[place] = f"{option}={value}"
        return replace(launch, arguments=words)

    return lambda lab: restarted(lab, [name], launch=other)


def with_nats(down: Callable[[Lab], AbstractAsyncContextManager[None]]) -> Injection:
    """What is done to NATS makes the orchestrator look at it anew in the end."""

    @asynccontextmanager
    async def injected(lab: Lab) -> AsyncIterator[None]:
        async with seen_anew(lab), down(lab):
            yield

    return injected


def with_ray(spoil: Callable[[Lab], Awaitable[None]]) -> Injection:
    """What is done to Ray's head costs the cluster: in the end it is started again."""

    @asynccontextmanager
    async def injected(lab: Lab) -> AsyncIterator[None]:
        try:
            await spoil(lab)
            yield
        finally:
            await lab.cluster.restart_ray()

    return injected


async def kill_head(lab: Lab) -> None:
    await lab.fleet.launcher.end(*lab.members(Component.RAY_HEAD))


async def freeze_gcs(lab: Lab) -> None:
    for pid in processes_of(lab.member("ray-head"), "gcs/gcs_server"):
        os.kill(pid, signal.SIGSTOP)


async def given_up(lab: Lab, name: str) -> None:
    """Wait until Ray takes a node for dead."""

    async def dead() -> bool:
        return name not in await probes.alive_nodes(lab.cluster.endpoints.dashboard)

    await wait_until(dead, f"that Ray gives {name} up", TIMEOUTS.settle)


@asynccontextmanager
async def worker_killed(lab: Lab) -> AsyncIterator[None]:
    name = lab.workers[1]
    async with killed(lab, name):
        await given_up(lab, name)
        yield


@asynccontextmanager
async def raylet_killed(lab: Lab) -> AsyncIterator[None]:
    """The process that would end the replica when its raylet is gone does nothing."""
    member = lab.member(lab.workers[1])
    main, raylets = tree(member)[0], processes_of(member, "raylet/raylet")
    os.kill(main, signal.SIGSTOP)
    for raylet in raylets:
        os.kill(raylet, signal.SIGKILL)
    try:
        await given_up(lab, member.name)
        yield
    finally:
        await lab.fleet.start_again(member)


def serving_elsewhere(lab: Lab) -> AbstractAsyncContextManager[None]:
    return restarted(lab, [lab.orchestrators[1]], environment={"GRPC_PORT": str(free_port(lab))}, ready=False)


def of_another_version(lab: Lab) -> AbstractAsyncContextManager[None]:
    image = named("orchestrator")
    older = replace(image, reference=f"{image.reference.rpartition(':')[0]}:v0.7.3")
    return restarted(lab, [lab.orchestrators[1]], image=older)


FAULTS = (
    Fault(
        name="vllm-server-is-killed",
        says="the process of the vLLM server is gone",
        inject=lambda lab: killed(lab, "vllm-server-1"),
        breaks=NO_VLLM,
        words=("vllm-server-1", "0 of 1 replicas", "ended"),
    ),
    Fault(
        name="vllm-server-is-frozen",
        says="the vLLM server takes connections and does nothing (SIGSTOP)",
        inject=lambda lab: frozen(lab, "vllm-server-1"),
        breaks=NO_VLLM,
        words=("vllm-server-1", "0 of 1 replicas"),
    ),
    Fault(
        name="vllm-serves-another-model",
        says="vLLM was started with another model",
        inject=argued("vllm-server-1", "--served-model-name", "Qwen/Qwen3-1.7B"),
        breaks=("INF-03", "INF-04", "NET-01", "CFG-03"),
        words=("Qwen/Qwen3-1.7B", "Qwen/Qwen3-0.6B"),
    ),
    Fault(
        name="vllm-context-is-smaller",
        says="vLLM was started with a context of 8192 tokens",
        inject=argued("vllm-server-1", "--max-model-len", "8192"),
        breaks=("INF-04",),
        words=("max_model_len", "8192", "40960"),
    ),
    Fault(
        name="ray-head-is-killed",
        says="the head is gone, with GCS, dashboard and Ray Client",
        inject=with_ray(kill_head),
        breaks=(*NO_RAY, "ORC-01"),
        may_break=THROUGH_RAY,
        words=("ray-head", "ended"),
    ),
    Fault(
        name="gcs-is-frozen",
        says="the head's GCS does nothing (SIGSTOP), while its dashboard answers",
        inject=with_ray(freeze_gcs),
        breaks=NO_RAY,
        may_break=(*THROUGH_RAY, "ORC-01"),
        words=("ray-head", "/api/jobs/", "Timeout"),
    ),
    Fault(
        name="dashboard-is-frozen",
        says="the head's dashboard does nothing (SIGSTOP)",
        inject=lambda lab: frozen(lab, "ray-head", "dashboard/dashboard.py"),
        breaks=NO_RAY,
        may_break=THROUGH_RAY,
        words=("ray-head", "/api/version", "Timeout"),
    ),
    Fault(
        name="worker-is-killed",
        says="the second worker is gone",
        inject=worker_killed,
        breaks=("INF-06", "INF-07"),
        words=("ray-worker-2", "1 of 2 worker", "ended"),
    ),
    Fault(
        name="raylet-is-dead-in-a-running-worker",
        says="the second worker runs, and the raylet in it is gone",
        inject=raylet_killed,
        breaks=("INF-06", "INF-07"),
        words=("ray-worker-2", "node table"),
    ),
    Fault(
        name="worker-has-no-gpu",
        says="the first worker was started without its GPU",
        inject=argued("ray-worker-1", "--num-gpus", "0"),
        breaks=("INF-07",),
        words=("GPU: 1 of 2", "ray-worker-1: GPU 0"),
    ),
    Fault(
        name="worker-has-little-memory",
        says="the second worker was started with 8 GiB",
        inject=argued("ray-worker-2", "--memory", str(8 << 30)),
        breaks=("INF-07",),
        words=("memory", "ray-worker-2"),
    ),
    Fault(
        name="head-has-another-ray",
        says="the head's image has Ray 2.48.0, the workers' has not",
        inject=lambda lab: changed(
            lab, ["ray-head"], Edit("ray-2.49.2.dist-info/METADATA", "\nVersion: 2.49.2\n", "\nVersion: 2.48.0\n")
        ),
        breaks=("INF-08",),
        words=("ray-head", "2.48.0", "2.49.2"),
    ),
    Fault(
        name="jetstream-is-off",
        says="NATS was started without -js",
        inject=without_jetstream,
        breaks=("INF-09", "INF-10", "INF-12", "NET-04"),
        may_break=("INF-11", "ORC-01"),
        words=("NATS", "without JetStream"),
    ),
    Fault(
        name="jetstream-account-is-full",
        says="the account may store 64 KiB on disk: what a handful of answers take",
        inject=lambda lab: small_account(lab, "64KB"),
        breaks=("INF-09",),
        words=("JetStream", "storage", "65536"),
    ),
    Fault(
        name="nats-is-killed",
        says="the process of NATS is gone",
        inject=with_nats(lambda lab: killed(lab, "nats-1")),
        breaks=NO_NATS,
        words=("NATS", "does not answer"),
    ),
    Fault(
        name="nats-is-frozen",
        says="NATS takes connections and does nothing (SIGSTOP)",
        inject=with_nats(lambda lab: frozen(lab, "nats-1")),
        breaks=NO_NATS,
        may_break=("INF-11",),
        words=("NATS", "does not greet"),
    ),
    Fault(
        name="stream-is-missing",
        says="the stream of the agents' answers was deleted, and its consumers with it",
        inject=without_stream(),
        breaks=("INF-10", "INF-12"),
        words=("stream", STREAM),
    ),
    Fault(
        name="stream-captures-other-subjects",
        says="the stream captures agent.answer.> and not agent.response.>; consumers of that cannot exist in it",
        inject=stream_is(subjects=["agent.answer.>"], with_consumers=False),
        breaks=("INF-10", "INF-12"),
        words=(STREAM, "agent.answer.>", "agent.response.>"),
    ),
    Fault(
        name="stream-is-in-memory",
        says="the stream keeps messages in memory, where a restart of NATS loses them",
        inject=stream_is(storage=StorageType.MEMORY),
        breaks=("INF-10",),
        words=(STREAM, "storage", "memory"),
    ),
    Fault(
        name="stream-is-a-work-queue",
        says="the stream drops a message once somebody has it",
        inject=stream_is(retention=RetentionPolicy.WORK_QUEUE),
        breaks=("INF-10",),
        words=(STREAM, "retention", "workqueue"),
    ),
    Fault(
        name="stream-keeps-what-interests",
        says="the stream drops messages that no consumer waits for",
        inject=stream_is(retention=RetentionPolicy.INTEREST),
        breaks=("INF-10",),
        words=(STREAM, "retention", "interest"),
    ),
    Fault(
        name="stream-is-full",
        says="the stream may hold 1000 bytes and refuses what is more",
        inject=stream_is(max_bytes=1000, discard=DiscardPolicy.NEW),
        breaks=("INF-10",),
        words=(STREAM, "full", "1000"),
    ),
    Fault(
        name="consumer-is-missing",
        says="the durable consumer of the proposals was deleted",
        inject=without_consumer(),
        breaks=("INF-12",),
        words=("consumer", CONSUMER),
    ),
    Fault(
        name="consumer-pushes",
        says="the consumer of the proposals pushes to one subscriber instead of being pulled from",
        inject=consumer_is(deliver_subject="deliver.completed", max_waiting=None),
        breaks=("INF-12",),
        words=(CONSUMER, "push"),
    ),
    Fault(
        name="consumer-wants-no-acknowledgement",
        says="the consumer of the proposals takes what it delivered as handled",
        inject=consumer_is(ack_policy=AckPolicy.NONE),
        breaks=("INF-12",),
        words=(CONSUMER, "ack policy", "none"),
    ),
    Fault(
        name="consumer-filters-another-subject",
        says="the consumer of the proposals waits for agent.response.finished",
        inject=consumer_is(filter_subject="agent.response.finished"),
        breaks=("INF-12",),
        words=(CONSUMER, "agent.response.finished"),
    ),
    Fault(
        name="one-orchestrator-is-killed",
        says="the second replica is gone",
        inject=lambda lab: killed(lab, lab.orchestrators[1]),
        breaks=("INF-11", "ORC-01"),
        words=("orchestrator-2", "UNAVAILABLE"),
    ),
    Fault(
        name="one-orchestrator-is-frozen",
        says="the first replica takes connections and does nothing (SIGSTOP)",
        inject=lambda lab: frozen(lab, lab.orchestrators[0]),
        breaks=("INF-11", "ORC-01"),
        words=("orchestrator-1", "DEADLINE_EXCEEDED"),
    ),
    Fault(
        name="one-orchestrator-serves-elsewhere",
        says="the second replica runs and serves gRPC on another port than its service leads to",
        inject=serving_elsewhere,
        breaks=("INF-11", "ORC-01"),
        words=("orchestrator-2", "UNAVAILABLE"),
    ),
    Fault(
        name="one-orchestrator-is-older",
        says="the second replica still runs the image of the last version",
        inject=of_another_version,
        breaks=("INF-11",),
        words=("orchestrator-2", "v0.7.3", "0.8.1"),
    ),
)
