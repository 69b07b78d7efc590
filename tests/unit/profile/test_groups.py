"""Groups of workers, ranges, and what Ray is: what a profile may say, and how it is held against a fleet."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Feature, Replica, Unsupported, Workload
from fixtures.clusters.kubernetes.workloads import together
from fixtures.core.errors import Inconclusive, UsageError
from fixtures.probes.agent_nodes import agent_nodes, marked, without_agents
from fixtures.probes.census import Census, WorkerReport
from fixtures.profile.amounts import Span, holds, least, most, shown
from fixtures.profile.model import Profile, load
from fixtures.services.ray import Node
from tests.e2e.test_infrastructure import uneven_groups
from tests.support.profiles import profile_text

GROUPS: list[dict[str, Any]] = [
    {"name": "cpu", "workers": {"min": 2, "max": 20}},
    {"name": "gpu", "image": "ray:gpu", "workers": {"min": 0, "max": 4}, "runs_agents": False},
]


def loaded(tmp_path: Path, **sections: dict[str, Any]) -> Profile:
    file = tmp_path / "mine.toml"
    file.write_text(profile_text("swe-ai-fleet", **sections), encoding="utf-8")
    return load(str(file))


def test_several_groups(tmp_path: Path) -> None:
    ray = loaded(tmp_path, ray={"groups": GROUPS}).ray
    assert (shown(ray.wanted), ray.workers, ray.worker_group) == ("2 to 24", 2, "cpu")
    images = [ray.image_of(group) for group in ("head", "cpu", "gpu", "unknown")]
    assert images == [ray.head_image, ray.head_image, "ray:gpu", ray.head_image]
    assert {group.image for group in ray.with_image("x").groups} == {"x"}


def test_a_number_is_a_range_of_one() -> None:
    assert (least(2), most(2), holds(2, 2), holds(2, 3), shown(2)) == (2, 2, True, False, "2")
    span = Span(min=2, max=4)
    assert (least(span), most(span), holds(span, 4), holds(span, 5)) == (2, 4, True, False)


@pytest.mark.parametrize(
    ("section", "values", "words"),
    [
        ("ray", {"groups": []}, ["ray.groups", "at least 1"]),
        ("ray", {"groups": [{"name": "a", "workers": -1}]}, ["ray.groups.0.workers", "a number", "min = 2"]),
        ("ray", {"groups": [{"name": "a", "workers": {"min": 3, "max": 2}}]}, ["ray.groups.0.workers", "not above"]),
        ("ray", {"groups": [{"name": "a", "workers": {"min": 3}}]}, ["ray.groups.0.workers", "{ min = 2, max = 4 }"]),
        ("ray", {"groups": [GROUPS[0], GROUPS[0]]}, ["ray.groups", "cpu more than once"]),
        ("ray", {"groups": GROUPS[1:]}, ["ray.groups", "has none that runs agents"]),
        ("ray", {"service": "agents"}, ["ray", "needs one of cluster, service, selector, url", "cluster and service"]),
        ("ray", {"cluster": ""}, ["ray", "needs one of", "not none"]),
        ("ray", {"cluster": "", "selector": "app=ray"}, ["ray.head_service", "is missing"]),
        ("vllm", {"replicas": 0}, ["vllm.replicas", "from 1"]),
        ("vllm", {"replicas": "2"}, ["vllm.replicas", "must be a number"]),
        ("orchestrator", {"replicas": {"min": 2.0, "max": 4}}, ["orchestrator.replicas", "must be a number"]),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, section: str, values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, **{section: values})
    text = str(caught.value)
    assert "\n" not in text and all(word in text for word in words), text


def test_the_head_service_follows_the_name(tmp_path: Path) -> None:
    assert loaded(tmp_path, ray={"cluster": "", "service": "agents"}).ray.head_service == "agents-head-svc"


def replica(name: str, group: str) -> Replica:
    return Replica(name, Component.RAY_WORKER, group, "x:1", "", True, address=f"10.0.0.{name[-1]}")


CPU = Workload("cpu", Component.RAY_WORKER, 2, "x:1", "", (replica("w-1", "cpu"), replica("w-2", "cpu")))
GPU = Workload("gpu", Component.RAY_WORKER, 1, "x:1", "", (replica("w-3", "gpu"),))


def test_each_group_is_held_against_its_own_number(tmp_path: Path) -> None:
    profile = loaded(tmp_path, ray={"groups": GROUPS})
    assert not uneven_groups(together([CPU, GPU], "cpu"), profile)
    many = together([CPU, Workload("gpu", Component.RAY_WORKER, 5, "x:1", "", ())], "cpu")
    assert uneven_groups(many, profile) == ["gpu 5, not 0 to 4"]
    assert not uneven_groups(together([CPU], "cpu"), profile), "the profile names other groups: their sum is judged"


class Fleet:
    unsupported: dict[Feature, str]

    def __init__(self, profile: Profile) -> None:
        self.profile, self.unsupported, self.asked = profile, {}, 0

    async def ray_groups(self) -> tuple[Workload, ...]:
        self.asked += 1
        return CPU, GPU


async def test_nodes_of_a_group_for_other_work_run_no_agents(tmp_path: Path) -> None:
    fleet: Any = Fleet(loaded(tmp_path, ray={"groups": GROUPS}))
    elsewhere = await without_agents(fleet)
    assert [one.name for one in elsewhere] == ["w-3"]
    rows = [("h", "10.0.0.9", True), ("a", "10.0.0.1", False), ("b", "10.0.0.3", False)]
    nodes = [Node(id=id, name=at, address=at, head=head, state="ALIVE") for id, at, head in rows]
    assert [node.id for node in agent_nodes(nodes, elsewhere)] == ["a"]
    reports = tuple(WorkerReport(id, id, head, "3.9", "s", {}, address=at) for id, at, head in rows)
    census = marked(Census(reports, {}), elsewhere)
    assert [node.name for node in census.workers] == ["a"]
    assert [node.name for node in census.everyone] == ["h", "a", "b"]


async def test_ray_that_is_known_by_its_address_has_no_groups_that_could_be_listed(tmp_path: Path) -> None:
    async def ray_groups() -> tuple[Workload, ...]:
        raise Unsupported("ray.url says where it is reached")

    fleet: Any = Fleet(loaded(tmp_path, ray={"groups": GROUPS}))
    fleet.ray_groups = ray_groups
    assert await without_agents(fleet) == ()


def test_workers_of_other_groups_are_not_called_absent() -> None:
    head = WorkerReport("h", "head", True, "3.9", "s", {})
    other = WorkerReport("n", "ray-gpu-1", False, "3.9", "s", {}, runs_agents=False)
    for nodes, words in (
        ((head,), "only the head is alive"),
        ((head, other), "alive are the head and ray-gpu-1, whose"),
    ):
        with pytest.raises(Inconclusive, match=f"no worker for agents that could be asked: {words}"):
            _ = Census(nodes, {}).workers


async def test_a_fleet_whose_groups_all_run_agents_is_not_asked() -> None:
    fleet: Any = Fleet(load("swe-ai-fleet"))
    assert await without_agents(fleet) == () and fleet.asked == 0
    blind: Any = SimpleNamespace(profile=load("swe-ai-fleet"), unsupported={Feature.REPLICAS: "by URLs"})
    assert await without_agents(blind) == ()
