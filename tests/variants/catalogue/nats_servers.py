"""NATS that consists of several servers, or is reached in another way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import nats
import nats.js.errors

from fixtures.services.nats import Nats
from tests.targets.attachment import Urls, attached
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, agent_code, restarted
from tests.targets.links import closed_port
from tests.targets.nats_servers import (
    EDGE,
    HUB,
    LEAF,
    NAMES,
    another_cluster,
    cluster_of_three,
    leaf_node,
    over_websocket,
)
from tests.variants.model import Variant

CONNECTIONS = 2 * len(NAMES)


async def has_three_servers(target: EmbeddedTarget) -> bool:
    """Whether connections meet three servers, and streams and buckets have three replicas."""
    names, copies = set(), set()
    for _ in range(CONNECTIONS):
        async with await nats.connect(target.cluster.endpoints.nats) as client:
            names.add(client._server_info["server_name"])
            copies |= {info.config.num_replicas for info in await client.jetstream().streams_info()}
    return names == set(NAMES) and copies == {len(NAMES)}


async def suite_meets_another_cluster(target: EmbeddedTarget) -> bool:
    """Whether the suite's server is of another cluster than the replicas', and has no JetStream of its own."""
    async with await nats.connect(target.instead.get("endpoints", target.cluster.endpoints).nats) as client:
        seen = client._server_info
    return seen.get("cluster") == EDGE and not seen.get("jetstream")


async def suite_meets_a_leaf_node(target: EmbeddedTarget) -> bool:
    """Whether the suite's server has a JetStream of its own, in another domain than the hub's, without a stream."""
    async with await nats.connect(target.instead.get("endpoints", target.cluster.endpoints).nats) as client:
        own, hub = client.jetstream(), client.jetstream(domain=HUB)
        with suppress(nats.js.errors.ServiceUnavailableError):  # where there is no such domain
            domains = [(await js.account_info()).domain for js in (own, hub)]
            return domains == [LEAF, HUB] and not await own.streams_info()
    return False


#: A fleet that takes several servers, separated by commas, as NATS_URL: its orchestrator and its agents' publisher.
ORCHESTRATOR_SPLITS = (
    Edit("fleet_orchestrator/config.py", 'self._url("NATS_URL", ("nats", "tls"))', 'self._text("NATS_URL")'),
    Edit("fleet_orchestrator/app.py", "self._settings.nats_url,\n", 'self._settings.nats_url.split(","),\n'),
)
PUBLISHER = "swe_ai_fleet/orchestrator/ray_jobs/publisher.py"
AGENT_SPLITS = Edit(PUBLISHER, "self._url,\n", 'self._url.split(","),\n')


@asynccontextmanager
async def url_is_a_list(target: EmbeddedTarget) -> AsyncIterator[None]:
    """Replicas have two servers in their NATS_URL; nobody answers at the first one."""
    async with AsyncExitStack() as stack:
        nobody = await stack.enter_async_context(closed_port())
        await stack.enter_async_context(agent_code(AGENT_SPLITS)(target))
        environment = {"NATS_URL": f"nats://{nobody},{target.cluster.endpoints.nats}"}
        await stack.enter_async_context(
            restarted(target, target.orchestrators, *ORCHESTRATOR_SPLITS, environment=environment)
        )
        yield


async def has_a_list(target: EmbeddedTarget) -> bool:
    urls = {target.member(name).part.environment()["NATS_URL"] for name in target.orchestrators}
    return all("," in url for url in urls)


@asynccontextmanager
async def one_server_of_two(target: EmbeddedTarget) -> AsyncIterator[Mapping[str, Any]]:
    """The profile's first server is down. Agents are given both, and take them."""
    async with closed_port() as nobody, agent_code(AGENT_SPLITS)(target):
        yield {"nats": f"nats://{nobody},{Urls.of(target).nats}"}


async def names_two_servers(target: EmbeddedTarget) -> bool:
    return target.attached is not None and "," in target.attached.nats


async def suite_uses_websocket(target: EmbeddedTarget) -> bool:
    url = target.instead.get("endpoints", target.cluster.endpoints).nats
    if not url.startswith("ws://"):
        return False
    connection = Nats(url, "variant")
    try:
        return await connection.why_unusable() == ""
    finally:
        await connection.close()


VARIANTS = (
    Variant(
        name="nats-is-reached-over-websocket",
        description="suite, workers and agents have a ws:// URL of NATS, as where a gateway lets HTTP alone through",
        apply=over_websocket,
        is_present=suite_uses_websocket,
        stretches=(
            *("INF-09", "INF-10", "INF-12", "NET-04", "NET-05", "CFG-05", "JOB-02", "JOB-05", "JOB-11"),
            *("ORC-05", "ORC-10", "E2E-01"),
        ),
    ),
    Variant(
        name="one-of-two-nats-servers-is-down",
        description="the profile names two servers of NATS, the first of which is down: clients take the other",
        apply=attached(one_server_of_two),
        is_present=names_two_servers,
        stretches=("INF-09", "INF-10", "INF-12", "NET-04", "JOB-02", "JOB-05", "JOB-11", "ORC-05", "ORC-10", "E2E-01"),
    ),
    Variant(
        name="nats-is-a-cluster-of-three",
        description="each client meets another of three servers with routes; streams and buckets have three replicas",
        apply=cluster_of_three,
        is_present=has_three_servers,
        profile={"nats.stream_replicas": len(NAMES)},
        stretches=(
            *("INF-09", "INF-10", "INF-12", "INF-13", "NET-04", "NET-05", "CFG-05", "JOB-05", "E2E-01"),
            *("ORC-01", "ORC-04", "ORC-05", "ORC-06", "ORC-09", "ORC-10", "ORC-11", "ORC-15"),
        ),
    ),
    Variant(
        name="replicas-connect-through-another-cluster",
        description="suite and workers meet a server without JetStream, whose gateway leads to the replicas' cluster",
        apply=another_cluster,
        is_present=suite_meets_another_cluster,
        stretches=("INF-09", "INF-10", "INF-12", "NET-04", "NET-05", "CFG-05", "JOB-05", "ORC-05", "ORC-10"),
    ),
    Variant(
        name="jetstream-is-in-another-domain",
        description="suite and workers meet a leaf node with a JetStream of its own; the stream is in the hub's domain",
        apply=leaf_node,
        is_present=suite_meets_a_leaf_node,
        stretches=("INF-09", "INF-10", "INF-12", "NET-04", "NET-05", "CFG-05", "JOB-05", "ORC-05", "ORC-10"),
        profile={"nats.domain": HUB},
    ),
    Variant(
        name="nats-url-is-a-list",
        description="NATS_URL has two servers, separated by commas, the first of which is down",
        apply=url_is_a_list,
        is_present=has_a_list,
        stretches=("NET-05", "CFG-05", "CFG-07", "ORC-01", "ORC-04", "ORC-05", "E2E-01"),
    ),
)
