"""What the checks of replicas and images still refuse, next to the variants that they take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Replica, Workload
from fixtures.core.errors import Inconclusive
from fixtures.probes.components import Answer, Components
from fixtures.profile.model import Profile, load
from fixtures.profile.ray_section import Group
from fixtures.profile.remedy_values import KubernetesTarget
from fixtures.services.jetstream import ServerInfo
from fixtures.services.ray import Node, Version
from tests.e2e import test_image as image_checks
from tests.e2e import test_infrastructure_ray as ray_checks
from tests.e2e import test_infrastructure_vllm as vllm_checks
from tests.support.workers import agree


def profile(vllm: int = 1) -> Profile:
    return load("swe-ai-fleet").replaced("vllm", replicas=vllm)


def replicas(ready: int, late: int = 0, **more: Any) -> tuple[Replica, ...]:
    numbers = range(ready + late)
    return tuple(
        Replica(f"r-{n}", Component.RAY_WORKER, "g", "x:1.2.3", "", n < ready, address=f"10.0.0.{n}", **more)
        for n in numbers
    )


def components(desired: int, running: tuple[Replica, ...], behind: int | None = None, *nodes: str) -> Components:
    workload = Workload("w", Component.VLLM, desired, "x:1.2.3", "", running)
    return Components(
        vllm_endpoints=Answer(behind),
        vllm_version=Answer("0.10"),
        ray_version=Answer[Version](),
        ray_nodes=Answer([Node(id=address, address=address, state="ALIVE") for address in nodes]),
        nats=Answer[ServerInfo](),
        orchestrator={},
        workloads={Component.VLLM: Answer(workload), Component.RAY_WORKER: Answer(workload)},
    )


def cluster_of(behind: int | None) -> Any:
    """In Kubernetes where a service leads to the server; else it is of this machine."""
    return SimpleNamespace(kubernetes_target=None if behind is None else KubernetesTarget())


def with_vllm(seen: Components, workload: Workload) -> Components:
    return replace(seen, workloads={**seen.workloads, Component.VLLM: Answer(workload)})


@pytest.mark.parametrize(
    ("desired", "ready", "behind", "asked", "words"),
    [
        (0, 0, 0, 1, "w: the specification asks for 0 replicas"),
        (0, 0, None, 1, "w: the specification asks for 0 replicas"),
        (1, 1, 1, 2, "w: the specification asks for 1, the profile for 2"),
        (2, 1, 1, 2, "1 of 2 replicas are ready"),
        (2, 2, 1, 2, "the service leads to 1 of 2"),
    ],
)
def test_fewer_vllm_replicas_are_refused(desired: int, ready: int, behind: int | None, asked: int, words: str) -> None:
    seen = components(desired, replicas(ready), behind)
    with pytest.raises(AssertionError, match=words):
        vllm_checks.test_vllm_replicas_are_ready(seen, profile(asked), cluster_of(behind))


def test_replicas_behind_an_address_of_the_profile_are_counted_by_their_workload() -> None:
    """vllm.url next to vllm.workload, which was scaled down: no service is asked where it leads."""
    seen = components(1, replicas(1), None)
    with pytest.raises(AssertionError, match="w: the specification asks for 1, the profile for 4"):
        vllm_checks.test_vllm_replicas_are_ready(seen, profile(4), cluster_of(1))


ROLL_OUT = "a roll-out of w is in progress (1 of 2)"


@pytest.mark.parametrize(
    ("desired", "ready", "late", "rollout", "words"),
    [
        (3, 2, 1, "", r"w was scaled to 3: r-2: not ready"),
        (3, 2, 0, "", r"w was scaled to 3: 1 of 3 replicas do not exist"),
        (2, 0, 2, ROLL_OUT, rf"{re.escape(ROLL_OUT)}: r-0: not ready"),
        (2, 1, 0, ROLL_OUT, rf"{re.escape(ROLL_OUT)}: 1 of 2 replicas do not exist"),
    ],
)
def test_vllm_replicas_that_start_decide_nothing(desired: int, ready: int, late: int, rollout: str, words: str) -> None:
    """An autoscaler has just asked for one more, or a roll-out ends a server before it starts the next."""
    seen = components(desired, replicas(ready, late), ready)
    starting = replace(seen.workloads[Component.VLLM].get(), rollout=rollout)
    with pytest.raises(Inconclusive, match=words):
        vllm_checks.test_vllm_replicas_are_ready(with_vllm(seen, starting), profile(2), cluster_of(1))
    stuck = with_vllm(seen, replace(starting, rollout="", stuck=True))
    with pytest.raises(AssertionError, match=f"{ready} of {desired} replicas are ready"):
        vllm_checks.test_vllm_replicas_are_ready(stuck, profile(2), cluster_of(1))


@pytest.mark.parametrize(("desired", "ready", "behind", "asked"), [(1, 1, 1, 1), (3, 4, 4, 2), (1, 1, None, 2)])
def test_as_many_vllm_replicas_or_more_are_taken(desired: int, ready: int, behind: int | None, asked: int) -> None:
    """The suite starts one server on this machine, whatever the profile says of the fleet in Kubernetes."""
    seen = components(desired, replicas(ready), behind)
    vllm_checks.test_vllm_replicas_are_ready(seen, profile(asked), cluster_of(behind))


@pytest.mark.parametrize(
    ("running", "nodes", "words"),
    [
        (replicas(1), ("10.0.0.0",), "1 of 2 worker replicas run"),
        (replicas(1, late=1), ("10.0.0.0", "10.0.0.1"), "1 of 2 worker replicas run"),
        (replicas(1, late=1, running=True), ("10.0.0.0",), "1 of 2 worker replicas run"),
        (replicas(1, late=1, running=True), ("10.0.0.0", "10.9.9.9"), "1 of 2 worker replicas run"),
        (replicas(2), ("10.0.0.0",), "Ray's node table has 1 living workers"),
    ],
)
async def test_workers_that_ray_or_kubernetes_lack_are_refused(
    running: tuple[Replica, ...], nodes: tuple[str, ...], words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        await agree(components(2, running, None, *nodes), profile())


def test_what_the_service_leads_to_beside_vllm_is_named() -> None:
    strangers = {Component.VLLM: Answer[Sequence[str]](["stranger (that no controller keeps, x:1)"])}
    seen = replace(components(1, replicas(1), 2), strangers=strangers)
    with pytest.raises(AssertionError, match=r"no replica of w, too: stranger \(that no controller keeps, x:1\)"):
        vllm_checks.test_vllm_replicas_are_ready(seen, profile(), cluster_of(2))


@pytest.mark.parametrize(
    ("running", "nodes", "on_purpose"),
    [
        (replicas(1, late=1, running=True), ("10.0.0.0", "10.0.0.1"), True),
        (replicas(1, late=1, running=True), ("10.0.0.0",), False),
        (replicas(1, late=1), ("10.0.0.0", "10.0.0.1"), False),
        (replicas(1), ("10.0.0.0",), False),
        (replicas(2), ("10.0.0.0", "10.0.0.1"), False),
    ],
)
def test_workers_that_ray_counts_may_keep_kuberay_from_calling_it_ready(
    running: tuple[Replica, ...], nodes: tuple[str, ...], on_purpose: bool
) -> None:
    seen = components(2, running, None, *nodes)
    assert ray_checks.workers_are_not_ready_on_purpose(seen) is on_purpose


class Fleet:
    """A cluster that knows its Ray groups."""

    def __init__(self, wanted: str, *groups: Workload) -> None:
        self.profile, self.groups = profile().with_ray_image(wanted), groups

    async def ray_groups(self) -> tuple[Workload, ...]:
        return self.groups


def fleet(wanted: str, specified: str, image_id: str = "", *running: tuple[str, str]) -> Any:
    there = tuple(
        Replica(f"r-{n}", Component.RAY_WORKER, "gpu", image, seen, True) for n, (image, seen) in enumerate(running)
    )
    return Fleet(wanted, Workload("gpu", Component.RAY_WORKER, len(there), specified, image_id, there))


@pytest.mark.parametrize(
    ("wanted", "specified", "image_id"),
    [
        ("fleet/x:1", "fleet/x:2", ""),
        ("fleet/x:1", "mirror.example/fleet/x:1", ""),
        ("fleet/x:1@sha256:a", "fleet/x:1@sha256:b", ""),
        ("fleet/x:1@sha256:a", "fleet/x:1", "fleet/x@sha256:b"),
    ],
)
async def test_another_image_in_the_specification_is_refused(wanted: str, specified: str, image_id: str) -> None:
    with pytest.raises(AssertionError, match=f"the profile's image is {wanted}; specified are gpu: {specified}"):
        await image_checks.test_specified_image(fleet(wanted, specified, image_id))


@pytest.mark.parametrize(("wanted", "specified"), [("fleet/x:1", "fleet/x@sha256:a"), ("x:1@sha256:a", "x:1")])
async def test_a_tag_and_a_digest_that_nothing_running_connects_are_not_decided(wanted: str, specified: str) -> None:
    with pytest.raises(Inconclusive, match="gpu names"):
        await image_checks.test_specified_image(fleet(wanted, specified, "sha256:configuration"))


async def test_a_group_of_another_image_is_told_before_one_that_is_not_decided() -> None:
    cluster = fleet("fleet/x:1@sha256:a", "fleet/x:1", "sha256:configuration")
    cluster.groups += (Workload("cpu", Component.RAY_WORKER, 0, "fleet/y:1", "", ()),)
    with pytest.raises(AssertionError, match=r"specified are cpu: fleet/y:1$"):
        await image_checks.test_specified_image(cluster)


async def test_a_group_without_an_image_in_the_profile_may_have_any() -> None:
    """That the head may run what it likes is no reason to look at no group."""
    cluster = fleet("", "fleet/x:1")
    gpu = Group(name="gpu", image="fleet/x:1", workers=1)
    cluster.profile = profile().with_ray_image("").replaced("ray", groups=(gpu,))
    cluster.groups += (Workload("head", Component.RAY_HEAD, 1, "fleet/head:7", "", ()),)
    await image_checks.test_specified_image(cluster)
    cluster.groups = (Workload("gpu", Component.RAY_WORKER, 1, "fleet/x:2", "", ()), *cluster.groups[1:])
    with pytest.raises(AssertionError, match=r"the profile's image is fleet/x:1; specified are gpu: fleet/x:2$"):
        await image_checks.test_specified_image(cluster)
    cluster.groups = cluster.groups[1:]
    with pytest.raises(Inconclusive, match="no group is there of those that the profile names an image of"):
        await image_checks.test_specified_image(cluster)


async def runs_what_is_specified(cluster: Any) -> list[str]:
    """IMG-02; returns the notes."""
    notes: list[str] = []
    await image_checks.test_running_image(cluster, notes.append)
    return notes


async def test_replicas_of_a_digest_that_no_tag_is_known_of_are_not_decided() -> None:
    with pytest.raises(Inconclusive, match="r-0 runs x@sha256:a, specified is x:1"):
        await runs_what_is_specified(fleet("x:1", "x:1", "", ("x@sha256:a", "x@sha256:a")))


async def test_digests_of_two_architectures_are_noted() -> None:
    cluster = fleet("x:1", "x:1", "x@sha256:a", ("x:1", "x@sha256:a"), ("x:1", "x@sha256:b"))
    with pytest.raises(AssertionError, match="r-1 runs x:1"):
        await runs_what_is_specified(cluster)
    (gpu,) = cluster.groups
    first, second = gpu.replicas
    placed = (replace(first, architecture="amd64"), replace(second, architecture="arm64"))
    cluster.groups = (replace(gpu, replicas=placed, image_ids={"amd64": "x@sha256:a", "arm64": "x@sha256:b"}),)
    assert await runs_what_is_specified(cluster) == [
        "gpu: digests were compared within each architecture (amd64, arm64)"
    ]


async def test_a_stale_replica_is_told_before_one_that_is_not_decided() -> None:
    running = (("x@sha256:a", "x@sha256:a"), ("x:2", "x@sha256:b"))
    with pytest.raises(AssertionError, match=r"r-1 runs x:2 \(sha256:b\), specified is x:1 \(digest unknown\)"):
        await runs_what_is_specified(fleet("x:1", "x:1", "", *running))


async def test_a_floating_tag_in_disguise_is_refused() -> None:
    with pytest.raises(AssertionError, match="not pinned: gpu: fleet/x:2-latest"):
        await image_checks.test_pinned(fleet("x:1", "fleet/x:2-latest"))
