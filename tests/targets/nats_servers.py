"""NATS as other fleets have it: a cluster of servers, leaf nodes. In the end the fleet's own server is as it was."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from types import MappingProxyType
from urllib.parse import urlsplit

import nats
import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, StreamConfig

from fixtures.clusters.base import Component
from fixtures.clusters.embedded import probes
from fixtures.clusters.embedded.replica import LaunchSpec
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from tests.targets.decoy_servers import another_nats, free_port
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import restarted
from tests.targets.links import LOOPBACK, round_robin
from tests.targets.nats_injectors import configured, plain, served

NAMES = ("nats-1", "nats-2", "nats-3")
CLUSTER, EDGE = "fleet-nats", "edge-nats"
HUB, LEAF = "hub", "leaf"  # domains of JetStream, and the leaf node's name


@dataclass(frozen=True)
class Layout:
    """The streams and buckets of a NATS, and the durable consumers of each."""

    streams: tuple[StreamConfig, ...]
    consumers: Mapping[str, tuple[ConsumerConfig, ...]]

    @classmethod
    async def of(cls, js: JetStreamContext) -> Layout:
        streams = tuple(info.config for info in await js.streams_info())
        names = [str(config.name) for config in streams]
        return cls(streams, {name: tuple([c.config for c in await js.consumers_info(name)]) for name in names})

    async def make(self, js: JetStreamContext, replicas: int) -> None:
        for config in self.streams:
            await js.add_stream(config.evolve(num_replicas=replicas))
            for consumer in self.consumers[str(config.name)]:
                if consumer.durable_name:
                    await js.add_consumer(str(config.name), consumer)


@asynccontextmanager
async def cluster_of_three(
    target: EmbeddedTarget,
    *,
    copies: int = len(NAMES),
    one_is_lost: bool = False,
    configurations: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[None]:
    """Three servers with routes, behind the address of the fleet's own; streams and buckets have so many replicas.

    `configurations`: of these servers, by name, in addition. The orchestrator starts again when all is there.
    `one_is_lost`: then the last server ends, which the address does not lead to.
    Source: https://docs.nats.io/running-a-nats-service/configuration/clustering/jetstream_clustering
    """
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        layout = await Layout.of(client.jetstream())
    routes = [f"nats://{LOOPBACK}:{free_port(target)}" for _ in NAMES]
    port, storage = free_port(target), target.fleet.factory.run.path / "clustered-jetstream"

    def arguments(name: str, route: str) -> list[str]:
        cluster = ["--cluster_name", CLUSTER, "--cluster", route, "--routes", ",".join(routes)]
        return [*cluster, *with_file(target, name, configurations.get(name, ""))]

    def clustered(launch: LaunchSpec) -> LaunchSpec:
        own = with_options(launch.arguments, {"-p": str(port), "-sd": str(storage)})
        return replace(launch, arguments=[*own, "--name", NAMES[0], *arguments(NAMES[0], routes[0])])

    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, storage, ignore_errors=True)  # each cluster begins with servers that know nothing
        await target.fleet.launcher.end(*target.members(Component.ORCHESTRATOR))
        await stack.enter_async_context(served(target, clustered))
        servers = [f"{LOOPBACK}:{port}"]
        last = AsyncExitStack()
        for name, route in zip(NAMES[1:], routes[1:], strict=True):
            last = await stack.enter_async_context(AsyncExitStack())
            url = await last.enter_async_context(another_nats(target, *arguments(name, route), name=name))
            servers.append(urlsplit(url).netloc)
        await wait_until(partial(_is_complete, target), "the cluster's servers to know each other", TIMEOUTS.nats_up)
        address = urlsplit(target.cluster.endpoints.nats)
        led_to = servers[:-1] if one_is_lost else servers
        await stack.enter_async_context(round_robin(*led_to, port=address.port or 0))
        async with await nats.connect(target.cluster.endpoints.nats) as client:
            await layout.make(client.jetstream(timeout=TIMEOUTS.nats_up), copies)
        await stack.enter_async_context(restarted(target, target.orchestrators))
        await target.make_councils()
        if one_is_lost:
            await last.aclose()
            await wait_until(partial(_has_leaders, target), "new leaders", TIMEOUTS.nats_up)
        yield


@asynccontextmanager
async def another_cluster(target: EmbeddedTarget) -> AsyncIterator[None]:
    """Suite and workers reach NATS through a server of another cluster, which has no JetStream of its own; replicas
    reach the cluster of three directly.

    Source: https://docs.nats.io/running-a-nats-service/configuration/gateways
    """
    gateways = {name: f"{LOOPBACK}:{free_port(target)}" for name in NAMES}
    files = {name: f'gateway {{ name: {CLUSTER}, listen: "{address}" }}' for name, address in gateways.items()}
    remote = f'{{ name: {CLUSTER}, urls: ["nats://{gateways[NAMES[0]]}"] }}'
    own = f'gateway {{ name: {EDGE}, listen: "{LOOPBACK}:{free_port(target)}", gateways: [{remote}] }}'
    cluster = ["--cluster_name", EDGE, "--cluster", f"nats://{LOOPBACK}:{free_port(target)}"]
    outside, inside = target.cluster.endpoints, target.cluster.inside
    async with (
        cluster_of_three(target, configurations=files),
        another_nats(target, *cluster, *with_file(target, EDGE, own), name=EDGE, launched=plain) as url,
    ):
        await wait_until(partial(_has_jetstream, url), "JetStream through the gateway", TIMEOUTS.nats_up)
        with target.overridden(endpoints=replace(outside, nats=url), inside=replace(inside, nats=url)):
            yield


@asynccontextmanager
async def leaf_node(target: EmbeddedTarget) -> AsyncIterator[None]:
    """Suite and workers reach NATS through a leaf node, which has a JetStream of its own, in another domain; replicas
    reach the hub directly.

    Source: https://docs.nats.io/running-a-nats-service/configuration/leafnodes/jetstream_leafnodes
    """
    leafs = f"{LOOPBACK}:{free_port(target)}"
    hub = f'jetstream {{ domain: {HUB} }}\nleafnodes {{ listen: "{leafs}" }}\n'
    own = f'jetstream {{ domain: {LEAF} }}\nleafnodes {{ remotes: [{{ urls: ["nats://{leafs}"] }}] }}\n'
    outside, inside = target.cluster.endpoints, target.cluster.inside
    async with configured(target, hub), another_nats(target, *with_file(target, LEAF, own), name=LEAF) as url:
        await wait_until(
            partial(_has_jetstream, url, HUB), "the hub's JetStream through the leaf node", TIMEOUTS.nats_up
        )
        with target.overridden(endpoints=replace(outside, nats=url), inside=replace(inside, nats=url)):
            yield


@asynccontextmanager
async def over_websocket(target: EmbeddedTarget) -> AsyncIterator[None]:
    """Suite, workers and agents reach NATS by its WebSocket; replicas reach it directly.

    Source: https://docs.nats.io/running-a-nats-service/configuration/websocket/websocket_conf
    """
    address = f"{LOOPBACK}:{free_port(target)}"
    outside, inside = target.cluster.endpoints, target.cluster.inside
    async with configured(target, f'websocket {{ listen: "{address}", no_tls: true }}\n'):
        await target.make_councils()
        url = f"ws://{address}"
        with target.overridden(endpoints=replace(outside, nats=url), inside=replace(inside, nats=url)):
            yield


def with_options(arguments: list[str], values: Mapping[str, str]) -> list[str]:
    """A command line in which these options have other values."""
    changed = list(arguments)
    for option, value in values.items():
        changed[changed.index(option) + 1] = value
    return changed


def with_file(target: EmbeddedTarget, name: str, configuration: str) -> list[str]:
    """The arguments by which a server of that name reads this configuration; none without one."""
    if not configuration:
        return []
    file = target.fleet.factory.run.path / f"{name}.conf"
    file.write_text(configuration, encoding="utf-8")
    return ["-c", str(file)]


async def _has_jetstream(url: str, domain: str | None = None) -> bool:
    """Whether JetStream answers there: that of the server, or of another domain."""
    async with await nats.connect(url) as client:
        with suppress(nats.js.errors.Error, nats.errors.Error):
            await client.jetstream(domain=domain).account_info()
            return True
    return False


async def _has_leaders(target: EmbeddedTarget) -> bool:
    """Whether every stream, and every consumer's state, has a leader that lives."""
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        js = client.jetstream()
        with suppress(nats.js.errors.Error, nats.errors.Error):
            streams = await js.streams_info()
            consumers = [await js.consumers_info(str(stream.config.name)) for stream in streams]
            groups = [info.cluster for info in (*streams, *chain.from_iterable(consumers))]
            return all(group and group.leader not in (None, "", NAMES[-1]) for group in groups)
    return False


async def _is_complete(target: EmbeddedTarget) -> bool:
    """Whether the servers have a leader, and all of them follow it."""
    state = await probes.get_json(f"{target.fleet.factory.nats_monitor}/jsz")
    cluster = state.get("meta_cluster") or {}
    return bool(cluster.get("leader")) and cluster.get("cluster_size") == len(NAMES)
