"""Workers that come and go, and those of two architectures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Workload
from fixtures.clusters.kubernetes import workloads
from fixtures.clusters.kubernetes.client.schemas import Pod, RayCluster
from fixtures.clusters.kubernetes.ray_state import RayState
from fixtures.core.errors import Inconclusive
from fixtures.probes.components import Answer, Components
from fixtures.profile.amounts import Span
from fixtures.profile.model import Profile, load
from fixtures.profile.ray_section import Group
from fixtures.services.ray import Node
from tests.support.workers import agree
from tests.variants.documents.kubernetes import RAY, components, pod, ray_cluster
from tests.variants.model import Document

CONTAINER = {"name": "ray-worker", "image": RAY}
RANGE = {"groupName": "gpu", "minReplicas": 1, "maxReplicas": 4}
CREATING = {"waiting": {"reason": "ContainerCreating"}}


def worker(number: int, ready: bool = True, state: dict[str, Any] | None = None, **metadata: Any) -> Pod:
    """Worker `number` of the group; `state` is its container's."""
    document = pod(f"w-{number}", "gpu", CONTAINER, ready=ready).raw
    document["metadata"] |= metadata
    document["status"] |= {"podIP": f"10.0.0.{number}"}
    if state:
        document["status"]["containerStatuses"][0]["state"] = state
    return Pod.of(document)


def scaled(*groups: dict[str, Any], autoscales: bool = True) -> RayCluster:
    document = ray_cluster(*groups).raw
    document["spec"]["enableInTreeAutoscaling"] = autoscales
    return RayCluster.of(document)


def seen(cluster: RayCluster, pods: Sequence[Pod], *alive: int) -> Components:
    """`alive`: the numbers of the workers that Ray lists."""
    _head, *groups = workloads.ray_groups(cluster, pods)
    workers = workloads.together(groups, "gpu")
    nodes = [Node(id=f"{n}", address=f"10.0.0.{n}", state="ALIVE") for n in alive]
    return replace(components(workers, workers, *nodes), workloads={Component.RAY_WORKER: Answer(workers)})


def profile(workers: int | Span) -> Profile:
    return load("swe-ai-fleet").replaced("ray", groups=(Group(name="gpu", workers=workers),))


def the_autoscaler_moves_workers() -> None:
    """It sets `replicas` of a group, and KubeRay makes or ends pods. Source:
    https://docs.ray.io/en/latest/cluster/kubernetes/user-guides/configuring-autoscaling.html
    """
    fleet = profile(Span(min=1, max=4))
    two, three = scaled({**RANGE, "replicas": 2}), scaled({**RANGE, "replicas": 3})
    pods = [worker(1), worker(2)]
    late, ending = worker(3, ready=False, state=CREATING), worker(3, deletionTimestamp="2026-01-01T00:00:00Z")

    def judged(now: Components, later: Components | None = None) -> list[str]:
        return asyncio.run(agree(now, fleet, later))

    settled = seen(two, pods, 1, 2)
    assert judged(settled) == []
    for starting in ([*pods, late], pods):
        with pytest.raises(Inconclusive, match=r"gpu was scaled to 3.*the autoscaler may change the number of gpu"):
            judged(seen(three, starting, 1, 2))
    whole = [*pods, worker(3)]
    assert judged(seen(three, whole, 1, 2), seen(three, whole, 1, 2, 3)) == [], "one that has joined a moment later"
    assert judged(seen(two, [*pods, ending], 1, 2, 3), settled) == [], "one that has ended a moment later"
    with pytest.raises(Inconclusive, match="being ended: w-3"):
        judged(seen(two, [*pods, ending], 1, 2, 3))
    with pytest.raises(Inconclusive, match="gpu was scaled to 2, and 3 run"):
        judged(seen(two, whole, 1, 2, 3))
    for wrong in (seen(two, pods, 1), seen(two, pods, 1, 2, 9), seen(scaled({**RANGE, "replicas": 0}), [], 1)):
        with pytest.raises(AssertionError):
            judged(wrong)


def a_group_is_suspended() -> None:
    suspended = {**RANGE, "replicas": 2, "suspend": True}
    assert asyncio.run(agree(seen(scaled(suspended), []), profile(Span(min=0, max=4)))) == ["group gpu is suspended"]
    with pytest.raises(AssertionError, match=r"asks for 0 workers, the profile for 2 \(group gpu is suspended\)"):
        asyncio.run(agree(seen(scaled(suspended), []), profile(2)))


def on(architecture: str, digest: str, made: Pod, asked: bool = True) -> Pod:
    """That pod on a node of that architecture; `asked`: its specification says so, and the node's labels besides."""
    document = made.raw
    document["spec"]["nodeName"] = f"node-{architecture}"
    if asked:
        document["spec"]["nodeSelector"] = {"kubernetes.io/arch": architecture}
    document["status"]["containerStatuses"][0]["imageID"] = f"x@sha256:{digest}"
    return Pod.of(document)


def two_architectures_have_digests_of_their_own() -> None:
    """Of an image for several, a runtime may report the digest of the one that it has pulled."""
    cluster = ray_cluster({"groupName": "gpu", "replicas": 3})
    nodes = {"node-amd64": "amd64", "node-arm64": "arm64"}

    def group(*digests: tuple[str, str], asked: bool, known: bool) -> Workload:
        pods = [on(arch, digest, worker(n), asked) for n, (arch, digest) in enumerate(digests)]
        groups = workloads.ray_groups(cluster, pods, nodes if known else {})
        assert RayState.of(cluster, groups).holds_again(cluster, groups[1:]) is not bool(groups[1].stale)
        return groups[1]

    for asked, known in ((True, False), (False, True)):
        healthy = group(("amd64", "a"), ("arm64", "b"), ("amd64", "a"), asked=asked, known=known)
        assert not healthy.stale and not healthy.undecided
        moved = group(("amd64", "a"), ("arm64", "b"), ("amd64", "c"), asked=asked, known=known)
        assert len(moved.stale) == 1, "one of two of one architecture"
    assert group(("amd64", "a"), ("arm64", "b"), ("amd64", "a"), asked=False, known=False).stale


DOCUMENTS = (
    Document(
        name="the-autoscaler-moves-workers",
        description="Ray's autoscaler has just asked for one worker more, or for one less",
        holds=the_autoscaler_moves_workers,
        stretches=("INF-06",),
    ),
    Document(
        name="the-only-group-is-suspended",
        description="the only worker group is suspended, and the profile allows that there is no worker",
        holds=a_group_is_suspended,
        stretches=("INF-06",),
    ),
    Document(
        name="nodes-of-two-architectures",
        description="workers run on nodes of two architectures, which have digests of one tag of their own",
        holds=two_architectures_have_digests_of_their_own,
        stretches=("IMG-02", "IMG-06", "ORC-18"),
    ),
)
