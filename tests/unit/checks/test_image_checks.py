"""What the checks of images conclude from instances, replaced workers and roll-outs."""

from __future__ import annotations

from fixtures.clusters.base import Component, Replica, Workload
from fixtures.services.ray import Node
from tests.e2e.test_image import behind


def group(*replicas: Replica) -> Workload:
    return Workload("gpu", Component.RAY_WORKER, len(replicas), "x:1", "", replicas)


def replica(name: str, ready: bool = True, image: str = "x:1", address: str = "") -> Replica:
    return Replica(name, Component.RAY_WORKER, "gpu", image, "", ready, address=address, running=True)


def node(id: str, address: str) -> Node:
    return Node(id=id, name=address, address=address, state="ALIVE")


# -- the roll-out ------------------------------------------------------------------------------------------------------


def test_workers_that_ray_counts_are_rolled_out_whatever_their_probe_says() -> None:
    alive = [node("n", "10.0.0.2")]
    asleep = replica("w-2", ready=False, address="10.0.0.2")
    assert behind([group(replica("w-1"), asleep)], alive) == []
    assert behind([group(replica("w-1"), asleep)], []) == ["w-2"]
    assert behind([group(replica("w-1", image="x:0"), replica("w-3", ready=False))], alive) == ["w-1", "w-3"]
