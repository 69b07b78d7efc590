"""Between which nodes DEP-09 compares what is installed, and where DEP-10 looks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Feature, Replica, Workload
from fixtures.core.errors import Inconclusive
from fixtures.probes.census import Census, WorkerReport
from fixtures.profile.model import load
from fixtures.profile.ray_section import Group
from tests.e2e import test_dependencies as checks

PROFILE = load("embedded")
BARE, FULL = {"ray": "2.49.2"}, {"ray": "2.49.2", "torch": "2.8"}


def node(name: str, distributions: dict[str, str], **more: Any) -> WorkerReport:
    seen = {"head": name == "head", "python": "3.11.9", "session": "s", "resources": {}, **more}
    return WorkerReport(node_id=name, name=name, distributions=distributions, **seen)


def group(image: str, *names: str, image_id: str = "") -> Workload:
    part = Component.RAY_HEAD if "head" in names else Component.RAY_WORKER
    replicas = tuple(Replica(name, part, "g", image, image_id, ready=True) for name in names)
    return Workload("g", part, len(names), image, image_id, replicas)


def cluster(*groups: Workload) -> Any:
    """As much of a cluster as the check asks; without groups one that cannot list replicas."""

    async def ray_groups() -> tuple[Workload, ...]:
        return groups

    return SimpleNamespace(unsupported={} if groups else {Feature.REPLICAS: "by URLs"}, ray_groups=ray_groups)


def census(*nodes: WorkerReport) -> Census:
    return Census(nodes, {})


async def test_a_head_with_an_image_of_its_own_may_hold_less() -> None:
    nodes = census(node("head", BARE), node("w-1", FULL), node("w-2", FULL))
    await checks.test_same_distributions(
        nodes, cluster(group("slim:1", "head"), group("cuda:1", "w-1", "w-2")), PROFILE
    )


async def test_groups_with_images_of_their_own_may_differ() -> None:
    nodes = census(node("head", BARE), node("w-1", FULL), node("w-2", BARE))
    await checks.test_same_distributions(
        nodes, cluster(group("slim:1", "head"), group("cuda:1", "w-1"), group("cpu:1", "w-2")), PROFILE
    )


async def test_a_head_that_could_not_be_asked_is_left_out() -> None:
    nodes = census(node("head", {}, error="no answer"), node("w-1", FULL))
    await checks.test_same_distributions(nodes, cluster(group("a:1", "head"), group("a:1", "w-1")), PROFILE)


async def test_a_head_of_the_workers_image_must_hold_what_they_do() -> None:
    nodes = census(node("head", BARE), node("w-1", FULL))
    for groups in (
        (group("a:1", "head"), group("a:1", "w-1")),
        (group("a:1", "head", image_id="sha256:1"), group("b:2", "w-1", image_id="sha256:1")),
    ):
        with pytest.raises(AssertionError, match=r"\{'torch': {'head': 'absent', 'w-1': '2.8'}}"):
            await checks.test_same_distributions(nodes, cluster(*groups), PROFILE)


@pytest.mark.parametrize("groups", [(), (group("a:1", "head"), group("a:1", "w-1"))], ids=["by URLs", "one not known"])
async def test_all_workers_are_compared_where_their_images_are_not_known(groups: tuple[Workload, ...]) -> None:
    nodes = census(node("head", BARE), node("w-1", FULL), node("w-2", BARE))
    with pytest.raises(AssertionError, match=r"\{'torch': {'w-1': '2.8', 'w-2': 'absent'}}"):
        await checks.test_same_distributions(nodes, cluster(*groups), PROFILE)


async def test_where_nobody_knows_who_has_which_of_two_images_a_difference_decides_nothing() -> None:
    nodes = census(node("head", BARE), node("w-1", FULL), node("w-2", BARE))
    images = {"cpu": "", "gpu": "g:1", "more": "g:1"}
    cpu, gpu, more = (
        Group.model_validate({"name": name, "image": image, "workers": 1}) for name, image in images.items()
    )
    two = PROFILE.replaced("ray", groups=[cpu, gpu])
    with pytest.raises(
        Inconclusive, match=r"torch.*; which of the 2 images of ray.groups each worker has cannot be told"
    ):
        await checks.test_same_distributions(nodes, cluster(), two)
    await checks.test_same_distributions(census(node("w-1", FULL), node("w-2", FULL)), cluster(), two)
    placed = cluster(group("a:1", "head"), group("a:1", "w-1", "w-2"))
    for profile, fleet in ((two, placed), (PROFILE.replaced("ray", groups=[gpu, more]), cluster())):
        with pytest.raises(AssertionError, match="torch"):
            await checks.test_same_distributions(nodes, fleet, profile)


@pytest.mark.parametrize("name", ["head", "w-1"])
async def test_what_was_installed_by_hand_is_found_on_every_node(name: str) -> None:
    installed = {"installed_since_start": {"tabulate": "0.9.0"}}
    nodes = [node(other, FULL, **(installed if other == name else {})) for other in ("head", "w-1", "w-2")]
    with pytest.raises(AssertionError, match=rf"\{{'{name}': {{'tabulate': '0.9.0'}}}}"):
        await checks.test_nothing_installed_by_hand(census(*nodes), PROFILE)
    await checks.test_nothing_installed_by_hand(census(node("head", BARE), node("w-1", FULL)), PROFILE)
