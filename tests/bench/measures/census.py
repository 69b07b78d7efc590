"""The census of W workers, beside the procedure that it replaces and beside tasks that ask nothing.

The procedure: one `exec` for each worker and package, one probe for each worker and target, one after another, as
people do by hand. Its price in Kubernetes is higher: each `kubectl exec` also has a client to start and an API
server to pass.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import psutil

from fixtures.clusters.base import Component
from fixtures.clusters.embedded import EmbeddedCluster
from fixtures.core.errors import Inconclusive
from fixtures.core.timeouts import TIMEOUTS
from fixtures.probes import census
from fixtures.probes.census import run_job
from fixtures.probes.packaging import RemoteProgram
from fixtures.services.ray import Ray
from tests.bench.figures import Figure, Measured, ratio
from tests.bench.runs import SHARED, Watch
from tests.bench.settings import Clock, Settings, fleet

TITLE = "The census of many workers, beside the manual procedure"
CONNECT = "import socket; socket.create_connection(({host!r}, {port}), 10).close()"
GROWTH = 2.0  # the census of the largest fleet ÷ that of the smallest, at most
FASTER = 20.0  # the manual procedure ÷ the census of the largest fleet, at least


def questions(cluster: EmbeddedCluster) -> list[str]:
    """What a person asks of each worker, one program each: every package, and whether vLLM and NATS can be reached."""
    asked = census.request(cluster.profile, cluster.inside)
    addresses = [urlsplit(url) for url in (cluster.inside.vllm, cluster.inside.nats)]
    reach = [CONNECT.format(host=address.hostname, port=address.port) for address in addresses]
    return [f"import {module}" for module in asked["modules"]] + reach


async def by_hand(cluster: EmbeddedCluster) -> tuple[float, int]:
    """Seconds of the manual procedure, and how many commands it is."""
    clock, commands = Clock(), 0
    with clock.sample():
        for replica in (await cluster.workload(Component.RAY_WORKER)).replicas:
            for program in questions(cluster):
                ran = await cluster.exec(replica, ["python", "-c", program], timeout=TIMEOUTS.exec)
                if ran.returncode:
                    raise Inconclusive(f"{replica.name}: {program!r} ended with {ran.returncode}: {ran.stderr[-300:]}")
                commands += 1
    return clock.samples[0], commands


async def of(workers: int, settings: Settings) -> tuple[list[Figure], dict[str, object]]:
    """Census, tasks that ask nothing, the manual procedure (once: it is a sum of many) and the census's CPU seconds
    outside of the nodes, with so many workers."""
    whole, bare = Clock(), Clock()
    async with fleet(settings, workers) as cluster:
        ray = Ray(cluster.endpoints.dashboard)
        try:
            size = 0
            for number in range(1, settings.runs + 1):
                with whole.sample():
                    found = await census.take(ray, cluster.profile, cluster.inside, f"{cluster.run_id}-census-{number}")
                if len(found.workers) != workers:
                    raise Inconclusive(f"the census has {len(found.workers)} workers, not {workers}")
                size = len(str(found.document))
                with bare.sample():
                    nothing = RemoteProgram("census", {"REQUEST": {}})
                    await run_job(ray, nothing, f"{cluster.run_id}-bare-{number}", {}, TIMEOUTS.census)
                settings.say(
                    f"{workers} workers, {number}/{settings.runs}: census {whole.samples[-1]:.1f} s, "
                    f"tasks that ask nothing {bare.samples[-1]:.1f} s"
                )
            watch = Watch(psutil.Process())
            await census.take(ray, cluster.profile, cluster.inside, f"{cluster.run_id}-watched")
            spent = watch.ended()
        finally:
            await ray.close()
        shared = sum(spent.get(kind, 0.0) for kind in SHARED)
        seconds, commands = await by_hand(cluster)
        settings.say(f"{workers} workers by hand: {seconds:.1f} s, {commands} commands")
    label = f"{workers} workers"
    bare_title = f"a Ray job with a task that asks nothing on each node, {label}"
    shared_title = f"census of {label}: CPU seconds of what is there once (driver, GCS, dashboard, suite)"
    figures = [
        Figure(f"census {workers}", f"census of {label}", "s", whole.samples),
        Figure(f"bare tasks {workers}", bare_title, "s", bare.samples),
        Figure(f"by hand {workers}", f"the manual procedure, {label}", "s", [seconds]),
        Figure(f"census {workers} shared", shared_title, "CPU s", [shared]),
    ]
    return figures, {"commands": commands, "document_bytes": size}


async def measure(settings: Settings) -> Measured:
    found = {workers: await of(workers, settings) for workers in settings.workers}
    least, most = min(found), max(found)
    small, large = found[least][0], found[most][0]
    between = f"{most} workers ÷ {least}"
    figures = [figure for row, _ in found.values() for figure in row]
    figures += [
        ratio("census growth", f"census, {between}", large[0], small[0], GROWTH),
        ratio("bare tasks growth", f"tasks that ask nothing, {between}", large[1], small[1]),
        ratio("shared growth", f"CPU seconds of what is there once, {between}", large[3], small[3]),
        ratio(f"census {most} ÷ bare tasks", f"census ÷ tasks that ask nothing, {most} workers", large[0], large[1]),
        ratio("by hand ÷ census", f"manual procedure ÷ census, {most} workers", large[2], large[0], FASTER, "higher"),
    ]
    further = (large[3].median - small[3].median) / (most - least)
    figures.append(
        Figure("shared per worker", "CPU seconds of what is there once, for each further worker", "CPU s", [further])
    )
    return Measured(figures, {str(workers): row[1] for workers, row in found.items()})
