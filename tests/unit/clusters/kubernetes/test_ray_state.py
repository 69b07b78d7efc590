"""When Ray's pods are back: as many as there were, as ready as they were."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from typing import Any

import pytest

from fixtures.clusters.base import Component
from fixtures.clusters.kubernetes import disruption as disruptions
from fixtures.clusters.kubernetes import workloads
from fixtures.clusters.kubernetes.client.api import RAY_CLUSTERS
from fixtures.clusters.kubernetes.client.schemas import KubernetesObject, Pod, RayCluster
from fixtures.clusters.kubernetes.disruption import Disruption
from fixtures.clusters.kubernetes.lookup import FleetLookup
from fixtures.clusters.kubernetes.ray_state import RayState
from fixtures.core.errors import Inconclusive
from fixtures.core.polling import StateNotReached
from fixtures.core.timeouts import Timeouts
from fixtures.profile.model import load
from tests.variants.documents.kubernetes import RAY, pod
from tests.variants.documents.kubernetes import ray_cluster as made_ray_cluster

OTHER = "fleet/ray-stock:2.49.2"
HEAD = pod("ray-head", "head", {"name": "ray-head", "image": RAY})


def ray_cluster(state: str = "ready", replicas: int = 2) -> RayCluster:
    document = copy.deepcopy(made_ray_cluster({"groupName": "gpu", "replicas": replicas}).raw)
    return RayCluster.of({**document, "status": {"state": state}})


def worker(name: str, ready: bool = True, image: str = RAY) -> Pod:
    document = pod(name, "gpu", {"name": "ray-worker", "image": image}, ready=ready).raw
    document["status"]["containerStatuses"][0]["imageID"] = f"x@sha256:{image}"
    return Pod.of(document)


def starting(name: str) -> Pod:
    """A worker whose container does not run yet."""
    document = copy.deepcopy(worker(name, ready=False).raw)
    document["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
    return Pod.of(document)


def state_of(cluster: RayCluster, *pods: Pod) -> RayState:
    return RayState.of(cluster, workloads.ray_groups(cluster, pods))


AWAKE, ASLEEP = worker("w-1"), worker("w-2", ready=False)


@pytest.mark.parametrize(
    ("before", "now", "back"),
    [
        ((AWAKE, ASLEEP), (worker("w-3"), ASLEEP), True),
        ((AWAKE, ASLEEP), (worker("w-3", ready=False), worker("w-2")), True),
        ((AWAKE, ASLEEP), (worker("w-3", ready=False), ASLEEP), False),
        ((AWAKE, ASLEEP), (AWAKE, starting("w-3")), False),
        ((AWAKE, ASLEEP), (AWAKE,), False),
        ((AWAKE, ASLEEP), (AWAKE, worker("w-3", ready=False, image=OTHER)), False),
        ((AWAKE, worker("w-2")), (AWAKE, ASLEEP), False),
        ((AWAKE, starting("w-2")), (AWAKE, ASLEEP), False),
        ((AWAKE, worker("w-2", ready=False, image=OTHER)), (AWAKE, ASLEEP), False),
    ],
)
def test_workers_may_be_asleep_where_as_many_were(before: tuple[Pod, ...], now: tuple[Pod, ...], back: bool) -> None:
    state = state_of(ray_cluster(), HEAD, *before)
    assert state.holds_again(ray_cluster(), workloads.ray_groups(ray_cluster(), (HEAD, *now))) is back


def test_workers_that_an_autoscaler_asks_for_meanwhile_are_not_awaited() -> None:
    more, fewer = ray_cluster(replicas=3), ray_cluster(replicas=1)
    state = state_of(ray_cluster(), HEAD, AWAKE, worker("w-2"))

    def back(cluster: RayCluster, *pods: Pod) -> bool:
        return state.holds_again(cluster, workloads.ray_groups(cluster, (HEAD, *pods)))

    assert back(more, AWAKE, worker("w-2"), starting("w-3")) and back(fewer, AWAKE)
    assert not back(more, AWAKE, starting("w-3"))
    assert not back(fewer)


@pytest.mark.parametrize(("before", "now", "back"), [("ready", "", False), ("", "", True), ("", "ready", True)])
def test_kuberays_word_is_asked_for_where_it_was_given(before: str, now: str, back: bool) -> None:
    pods = (HEAD, AWAKE, worker("w-2"))
    groups = workloads.ray_groups(ray_cluster(now), pods)
    assert state_of(ray_cluster(before), *pods).holds_again(ray_cluster(now), groups) is back


def test_a_head_is_never_asleep() -> None:
    late = pod("ray-head", "head", {"name": "ray-head", "image": RAY}, ready=False)
    pods = (late, AWAKE, worker("w-2"))
    assert not state_of(ray_cluster(), *pods).holds_again(ray_cluster(), workloads.ray_groups(ray_cluster(), pods))


def test_an_image_that_somebody_puts_back_ends_the_wait() -> None:
    pods = (HEAD, worker("w-1"), worker("w-2"))
    groups = workloads.ray_groups(ray_cluster(), pods)
    state = state_of(ray_cluster(), *pods)
    assert replace(state, image=RAY).holds_again(ray_cluster(), groups)
    with pytest.raises(Inconclusive, match=f"put Ray's image back while {OTHER} was rolled out: head names {RAY}; gpu"):
        replace(state, image=OTHER).holds_again(ray_cluster(), groups)


class KubeRay:
    """Has a worker that is asleep, as KubeRay has not called the cluster ready; `successor` is the next worker."""

    def __init__(self, successor: Pod) -> None:
        self.successor, self.pods = successor, [HEAD, AWAKE, ASLEEP]

    async def get(self, *_: object) -> KubernetesObject:
        return RAY_CLUSTERS.model.of(ray_cluster("").raw)

    async def list(self, *_: object, **__: object) -> list[Pod]:
        return list(self.pods)

    async def delete(self, _resource: object, name: str, _namespace: str) -> None:
        self.pods = [pod for pod in self.pods if pod.metadata.name != name] + [self.successor]


def replaced(api: Any) -> str:
    """The name of the worker that takes the place of the one that is ready."""
    profile = load("swe-ai-fleet")
    profile = profile.replaced("ray", groups=profile.ray.with_group(name="gpu").groups)
    lookup = FleetLookup(api, profile)
    disruption = Disruption(api, lookup, api, api)

    async def new() -> str:
        (old,) = (await lookup.workload(Component.RAY_WORKER)).ready
        return (await disruption.replace(old)).name

    return asyncio.run(new())


def test_a_worker_is_replaced_next_to_one_that_is_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    assert replaced(KubeRay(worker("w-3"))) == "w-3"
    monkeypatch.setattr(disruptions, "TIMEOUTS", Timeouts(ray_pods_up=0.01))
    with pytest.raises(StateNotReached, match=r"gpu: 0 of 2 ready"):
        replaced(KubeRay(starting("w-3")))
