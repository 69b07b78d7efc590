"""Two disruptive runs never meet in a real fleet, and what a killed one has changed is put back by the next."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.base import Component, Timeline
from fixtures.clusters.kubernetes.client.api import LEASES, RAY_CLUSTERS, Api
from fixtures.clusters.kubernetes.client.errors import NotFound
from fixtures.clusters.kubernetes.cluster import AttachOptions, KubernetesCluster
from fixtures.clusters.kubernetes.lease import DURATION_S, NAME, moment
from fixtures.clusters.kubernetes.workloads import ray_groups
from fixtures.core.errors import UsageError
from fixtures.profile import model as profiles
from tests.support import suite_process
from tests.support.suite_process import SuiteRun


@dataclass(frozen=True)
class Fleet:
    """A fleet that a `--cluster kind --keep-cluster` run left."""

    kubeconfig: str
    profile_file: str
    stock_image: str

    def cluster(self, run_id: str) -> KubernetesCluster:
        return KubernetesCluster(AttachOptions(profiles.load(self.profile_file), self.kubeconfig, None, run_id, True))

    def run(self, reports: Path, *options: str) -> SuiteRun:
        where = ("--cluster", "attach", "--kubeconfig", self.kubeconfig, "--profile", self.profile_file, "-k", "INF-02")
        return suite_process.run(*where, *options, reports=reports, timeout=300)


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet(*(os.environ[f"FLEET_TEST_{name}"] for name in ("KUBECONFIG", "PROFILE", "STOCK_IMAGE")))


@asynccontextmanager
async def started(cluster: KubernetesCluster) -> AsyncIterator[KubernetesCluster]:
    await cluster.start(Timeline())
    try:
        yield cluster
    finally:
        await cluster.stop()


async def kill_run(cluster: KubernetesCluster, api: Api) -> None:
    """It ends without putting anything back, and long enough ago."""
    assert cluster._lease
    assert cluster._access
    assert cluster._api
    await cluster._lease.abandon()
    await cluster._access.close()
    await cluster._api.close()
    past = {"spec": {"renewTime": moment(api.now() - DURATION_S - 10)}}
    await api.patch(LEASES, NAME, past, cluster.profile.kubernetes.namespace)


async def lease_is_gone(api: Api, cluster: KubernetesCluster) -> bool:
    try:
        await api.get(LEASES, NAME, cluster.profile.kubernetes.namespace)
    except NotFound:
        return True
    return False


def notes(ran: SuiteRun) -> str:
    document: dict[str, Any] = dict(ran.report.document)
    return "\n".join(document["cluster"]["notes"])


async def test_a_second_disruptive_run_ends_before_its_start(api: Api, fleet: Fleet, tmp_path: Path) -> None:
    async with started(fleet.cluster("fc-0a1b2c")) as first:
        second = await asyncio.to_thread(fleet.run, tmp_path / "second", "--allow-disruptive")
        assert second.returncode == 4, second.output[-3000:]
        assert re.search(r"another run is at work: fc-0a1b2c on \S+ since \d{4}-", second.output), second.output
        reading = await asyncio.to_thread(fleet.run, tmp_path / "reading")
        assert reading.returncode == 0, reading.output[-3000:]
        assert "another run is at work: fc-0a1b2c on" in notes(reading)
        with pytest.raises(UsageError, match="another run is at work: fc-0a1b2c"):
            await fleet.cluster("fc-dddddd").start(Timeline())
    assert await lease_is_gone(api, first)


async def test_a_size_that_a_killed_run_left(api: Api, fleet: Fleet, tmp_path: Path) -> None:
    killed = fleet.cluster("fc-0a1b2c")
    await killed.start(Timeline())
    before = await killed.workload(Component.ORCHESTRATOR)
    await killed.kill(before.replicas[-1])
    await kill_run(killed, api)
    reading = await asyncio.to_thread(fleet.run, tmp_path / "reading")
    words = notes(reading)
    assert f"replicas {before.desired} (now {before.desired - 1})" in words
    assert re.search(rf"kubectl .* scale deployments {before.name} --replicas {before.desired};", words)
    async with started(fleet.cluster("fc-dddddd")) as later:
        after = await later.workload(Component.ORCHESTRATOR)
        assert (after.desired, len(after.ready)) == (before.desired, before.desired)
        assert len(later.endpoints.orchestrators) == before.desired, "each replica has a way of its own"
        assert any(note.endswith(": done") for note in later.notes), later.notes
    assert await lease_is_gone(api, later)


async def test_images_that_a_killed_run_left(api: Api, fleet: Fleet) -> None:
    killed = fleet.cluster("fc-0a1b2c")
    await killed.start(Timeline())
    before = [group.image for group in await killed.ray_groups()]
    await killed._disruption.set_image(fleet.stock_image)
    await kill_run(killed, api)
    async with started(fleet.cluster("fc-dddddd")) as later:
        assert [group.image for group in await later.ray_groups()] == before
        assert any(f"(now {fleet.stock_image}): done" in note for note in later.notes), later.notes
    profile = later.profile
    there = await api.get(RAY_CLUSTERS, profile.ray.cluster, profile.ray.namespace)
    assert [group.image for group in ray_groups(there, ())] == before
    assert await lease_is_gone(api, later)
