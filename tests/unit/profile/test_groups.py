"""Groups of workers, ranges, and what Ray is: what a profile may say, and how it is held against a fleet."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Feature, Replica, Unsupported, Workload
from fixtures.clusters.kubernetes.workloads import together
from fixtures.core.errors import Inconclusive, UsageError
from fixtures.exercises.agent_run import AgentRun, AgentRuns
from fixtures.probes.agent_nodes import agent_nodes, marked, pinned_nodes, unplaced, without_agents
from fixtures.probes.census import Census, Unplaced, WorkerReport
from fixtures.probes.components import Answer, Components
from fixtures.profile.amounts import Span, holds, least, most, shown
from fixtures.profile.model import Profile, load
from fixtures.services.ray import Node
from tests.e2e.test_connectivity import test_workers_reach_vllm as workers_reach_vllm
from tests.e2e.test_dependencies import assert_usable
from tests.e2e.test_infrastructure_ray import uneven_groups
from tests.support.profiles import profile_text
from tests.support.workers import agree

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
        ("ray", {"groups": []}, ["ray.groups", "must not be empty"]),
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


async def test_the_suites_agents_are_put_on_the_other_groups_where_there_is_one_for_other_work(tmp_path: Path) -> None:
    fleet: Any = Fleet(loaded(tmp_path, ray={"groups": GROUPS}))
    rows = [Node(id=at, name=at, address=at, state="ALIVE") for at in ("10.0.0.1", "10.0.0.3")]
    ray: Any = SimpleNamespace(nodes=lambda: asyncio.sleep(0, rows))
    assert [node.id for node in await pinned_nodes(fleet, ray) or ()] == ["10.0.0.1"]
    del rows[0]
    with pytest.raises(Inconclusive, match="no worker is alive in a group that runs agents"):
        await pinned_nodes(fleet, ray)
    assert await pinned_nodes(Fleet(load("swe-ai-fleet")), ray) is None  # type: ignore[arg-type]


async def test_a_group_for_other_work_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The flag would be dropped, and its workers judged as those that run agents."""
    named = [GROUPS[0], {**GROUPS[1], "name": "models"}]
    profile = loaded(tmp_path, ray={"groups": named})
    fleet: Any = Fleet(profile)
    words = r"^ray\.groups: the RayCluster has no group models; it has: cpu, gpu$"
    with pytest.raises(Inconclusive, match=words):
        await without_agents(fleet)
    workers = together([CPU, GPU], "cpu")
    nodes = [Node(id=one.name, address=one.address, state="ALIVE") for one in workers.replicas]
    nothing: Answer[Any] = Answer()
    parts = {Component.RAY_WORKER: Answer(workers)}
    with pytest.raises(Inconclusive, match=words):
        await agree(Components(nothing, nothing, nothing, Answer(nodes), nothing, {}, parts), profile)


def reports(*names: str) -> tuple[WorkerReport, ...]:
    return tuple(WorkerReport(name, name, name == "head", "3.9", "s", {}) for name in names)


@pytest.mark.parametrize(
    ("wrong", "undecided"),
    [
        (["w-1"], True),
        (["w-1", "w-1", "w-2"], True),
        (["w-1", "w-2", "w-3"], False),  # all: one of them runs agents
        (["head"], False),  # which loads the agents' class
        ([], False),
    ],
)
def test_what_is_wrong_on_workers_that_may_be_for_other_work_is_not_decided(wrong: list[str], undecided: bool) -> None:
    nodes = reports("head", "w-1", "w-2", "w-3")
    census = Census(nodes, {}, Unplaced(("models",), 2))
    census_of_one = Census(nodes, {}, Unplaced(("models",), 1))
    if undecided:
        with pytest.raises(
            Inconclusive, match=r"^nats is lost; which workers are of models, where no agents run \(ray"
        ):
            census.raise_if_elsewhere(wrong, "nats is lost")
    else:
        census.raise_if_elsewhere(wrong, "nats is lost")
    if len(set(wrong)) != 1 or not undecided:
        census_of_one.raise_if_elsewhere(wrong, "nats is lost")
    Census(nodes, {}).raise_if_elsewhere(wrong, "nats is lost")


async def test_by_plain_endpoints_it_is_known_how_many_nodes_are_for_other_work(tmp_path: Path) -> None:
    profile = loaded(tmp_path, ray={"groups": GROUPS})
    assert await unplaced(Fleet(profile)) == Unplaced()  # type: ignore[arg-type]
    blind: Any = SimpleNamespace(profile=profile, unsupported={Feature.REPLICAS: "by URLs"})
    assert await unplaced(blind) == Unplaced(("gpu",), 4)
    blind.profile = load("swe-ai-fleet")
    assert await unplaced(blind) == Unplaced()


async def test_a_package_and_a_link_that_some_workers_lack_may_be_no_matter_of_agents() -> None:
    lost = {"ok": False, "error": "No module named 'nats'", "traceback": ""}
    good = {"ok": True, "file": "f"}
    profile = load("swe-ai-fleet")
    version = profile.dependency("nats")
    assert version is not None
    nodes = tuple(
        replace(
            node,
            modules={"nats": lost if node.name == "w-2" else good},
            distributions={version.distribution: version.asked},
            http={"vllm": {"ok": node.name != "w-2", "error": "timed out"}},
        )
        for node in reports("w-1", "w-2")
    )
    known, unknown = Census(nodes, {}), Census(nodes, {}, Unplaced(("models",), 1))
    evidence: Any = SimpleNamespace(attach=lambda *_: None)
    with pytest.raises(AssertionError, match="w-2: No module named 'nats'"):
        assert_usable("nats", known, profile, evidence)
    with pytest.raises(Inconclusive, match=r"w-2: No module named 'nats'; which workers are of models"):
        assert_usable("nats", unknown, profile, evidence)
    with pytest.raises(AssertionError, match=r"vLLM is not reached from every worker: w-2: timed out"):
        await workers_reach_vllm(known)
    with pytest.raises(Inconclusive, match=r"w-2: timed out; which workers are of models"):
        await workers_reach_vllm(unknown)


def agent_run(node: str, ok: bool) -> AgentRun:
    return AgentRun(
        task_id=node, name=f"worker {node}", ok=ok, started=1.0, agent_id="a", node_id=node, messages=(), cause="E: no"
    )


def test_agents_that_fail_where_none_need_run_are_untried() -> None:
    runs = AgentRuns({"a": agent_run("a", True), "b": agent_run("b", False)}, (), "01000000")
    assert runs.without_those_elsewhere(Unplaced()) is runs
    seen = runs.without_those_elsewhere(Unplaced(("models",), 1))
    assert [run.node_id for run in seen.healthy] == ["a"]
    assert len(seen.untried) == 1 and seen.untried[0].startswith("worker b: E: no; which workers are of models")
    none = AgentRuns({"b": agent_run("b", False)}, (), "01000000")
    assert none.without_those_elsewhere(Unplaced(("models",), 1)) is none, "a worker at least runs agents"


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
