"""Which nodes have no room for an agent: by what they offer, and by what others hold."""

from __future__ import annotations

import pytest

from fixtures.exercises.placement import busy, held_up, needed, unfit
from fixtures.services.ray import Actor, Node, PlacementGroup

CPU = {"CPU": 1.0}
NAMES = {"n1": "ray-worker-1", "n2": "ray-worker-2", "head": "ray-head"}


def node(id: str, cpus: float = 4.0, state: str = "ALIVE") -> Node:
    return Node(id=id, state=state, resources={"CPU": cpus})


def actor(node_id: str = "n1", pid: int = 7, **resources: float) -> Actor:
    return Actor(id="a", state="ALIVE", node_id=node_id, pid=pid, resources=resources)


def in_group(cpus: float) -> Actor:
    """An actor on the first node that takes so many CPUs of a placement group's bundle, as Ray lists it."""
    resources = {"CPU_group_0_ab": cpus, "CPU_group_ab": cpus, "bundle_group_ab": 0.001}
    return actor().model_copy(update={"resources": resources})


def group(state: str = "CREATED", **cpus: float) -> PlacementGroup:
    """A placement group as Ray's dashboard lists it: one bundle with so many CPUs on each of these nodes."""
    bundles = [
        {"bundle_id": {"bundle_index": index}, "node_id": id, "unit_resources": {"CPU": amount}}
        for index, (id, amount) in enumerate(cpus.items())
    ]
    return PlacementGroup.of({"placement_group_id": "p", "state": state, "creator_job_id": "06", "bundles": bundles})


def test_bundles_of_placement_groups_are_held_on_their_nodes() -> None:
    assert busy(node("n1"), CPU, [], [group(n1=4, n2=1)]) == "busy: 4 of 4 CPU are held by others"
    assert busy(node("n2"), CPU, [], [group(n1=4, n2=1)]) == ""
    assert busy(node("n1"), CPU, [actor(CPU=2.0)], [group(n1=2)]) == "busy: 4 of 4 CPU are held by others"


@pytest.mark.parametrize("state", ["PENDING", "REMOVED", "RESCHEDULING"])
def test_groups_that_are_not_placed_hold_nothing(state: str) -> None:
    assert busy(node("n1"), CPU, [], [group(state, n1=4)]) == ""


def test_what_an_actor_takes_of_a_group_counts_once() -> None:
    inside = in_group(2.0)
    assert busy(node("n1"), {"CPU": 2.0}, [inside], [group(n1=2)]) == ""
    assert busy(node("n1"), {"CPU": 3.0}, [inside], [group(n1=2)]) == "busy: 2 of 4 CPU are held by others"
    assert needed(inside) == {}


def test_an_actor_that_waits_and_asks_for_nothing_needs_a_cpu() -> None:
    assert needed(actor("", pid=0)) == needed(None) == CPU
    assert needed(actor()) == {}
    assert needed(actor(pid=0, CPU=2.0, GPU=1.0)) == {"CPU": 2.0, "GPU": 1.0}
    assert unfit(node("n1", 0.0), needed(actor("", pid=0))) == "offers 0 CPU, an agent needs 1"


def test_an_agent_is_held_up_where_others_leave_no_room_on_any_node_that_fits() -> None:
    nodes = [node("n1"), node("n2"), node("head", 0.0), node("gone", state="DEAD")]
    everything = held_up(NAMES, nodes, CPU, [actor("n1", CPU=4.0)], [group(n2=3.5)])
    assert everything == (
        "ray-worker-1 is busy: 4 of 4 CPU are held by others; ray-worker-2 is busy: 3.5 of 4 CPU are held by others"
    )
    assert held_up(NAMES, nodes, CPU, [actor("n1", CPU=4.0)], []) == ""


def test_an_agent_that_fits_nowhere_is_held_up_by_nobody() -> None:
    assert held_up(NAMES, [node("n1"), node("n2")], {"CPU": 64.0}, [actor("n1", CPU=4.0)], []) == ""
    assert held_up(NAMES, [], CPU, [], []) == ""
