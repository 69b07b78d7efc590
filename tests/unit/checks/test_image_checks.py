"""What the checks of images conclude from instances, replaced workers and roll-outs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.clusters.base import Completed, Component, Feature, Replica, Workload
from fixtures.clusters.kubernetes.workloads import together
from fixtures.core.errors import Inconclusive
from fixtures.core.polling import StateNotReached
from fixtures.core.timeouts import Timeouts
from fixtures.probes.census import Census, parse
from fixtures.probes.packaging import BEGIN, END
from fixtures.profile.amounts import Span
from fixtures.profile.behaviour import Tools
from fixtures.profile.model import Profile, load
from fixtures.profile.ray_section import Group
from fixtures.services.ray import Node
from tests.e2e import test_image as image_checks
from tests.e2e.test_image import behind

PROFILE = load("swe-ai-fleet")
JOB = PROFILE.agent.job_class
EVIDENCE: Any = SimpleNamespace(attach=lambda *_: None, problems=[])
ABSENT = {"ok": False, "error": "ModuleNotFoundError: No module named 'swe_ai_fleet'", "missing": "swe_ai_fleet"}
UNSET = {"ok": False, "error": "KeyError: 'NATS_URL'"}


OF_TWO_GROUPS = PROFILE.replaced(
    "ray", groups=(Group(name="gpu", workers=1), Group(name="models", workers=1, runs_agents=False))
)


def group(*replicas: Replica, name: str = "gpu", image: str = "x:1") -> Workload:
    return Workload(name, Component.RAY_WORKER, len(replicas), image, "", replicas)


FOR_OTHER_WORK = group(name="models", image="model:1")


def replica(name: str, ready: bool = True, image: str = "x:1", address: str = "") -> Replica:
    return Replica(name, Component.RAY_WORKER, "gpu", image, "", ready, address=address, running=True)


def node(id: str, address: str) -> Node:
    return Node(id=id, name=address, address=address, state="ALIVE")


def probed(profile: Profile = PROFILE, **answers: dict[str, Any]) -> dict[str, Any]:
    """A probe's document of an interpreter that has all that agents need, but for these answers by module; `job`: of
    the agent's class."""
    modules = {name: {"ok": True} for name in ("ray", *image_checks.required(profile))}
    versions = {wanted.distribution: wanted.asked for wanted in profile.agent.dependencies}
    job = answers.pop("job", {"ok": True})
    return {"modules": modules | answers, "symbols": {JOB: job}, "distributions": versions}


# -- the image alone ---------------------------------------------------------------------------------------------------


class Images:
    """A cluster whose groups have these images, each of which answers the probe so."""

    profile = OF_TWO_GROUPS

    def __init__(self, *documents: dict[str, Any], also: Sequence[Workload] = (FOR_OTHER_WORK,)) -> None:
        self.documents = {f"x:{number}": document for number, document in enumerate(documents, 1)}
        self.also, self.asked = also, dict[str, Any]()
        self.run: list[str] = []

    async def ray_groups(self) -> tuple[Workload, ...]:
        head = Workload("head", Component.RAY_HEAD, 1, "h:1", "", ())
        return head, *(group(name=f"g{image}", image=image) for image in self.documents), *self.also

    async def run_image(self, image: str, argv: Sequence[str], *, stdin: str, timeout: float) -> Completed:
        self.asked = json.loads(stdin)
        self.run.append(image)
        assert argv[0] == "sh" and "command -v python3" in argv[2] and timeout
        document = self.documents[image]
        kept = {name: row for name, row in document["symbols"].items() if name in self.asked["symbols"]}
        return Completed(tuple(argv), 0, f"{BEGIN}{json.dumps({**document, 'symbols': kept})}{END}", "")


async def image_alone(document: dict[str, Any], **agent: Any) -> dict[str, Any]:
    """Runs IMG-04. Returns what the instance was asked."""
    cluster: Any = Images(document)
    await image_checks.test_image_alone(cluster, PROFILE.replaced("agent", **agent), EVIDENCE)
    asked: dict[str, Any] = cluster.asked
    return asked


async def test_an_image_needs_the_agents_class_where_it_comes_with_the_image() -> None:
    asked = await image_alone(probed(), delivery="image")
    assert asked["symbols"] == [JOB]
    assert asked["packages"] == {"ray": "ray", "requests": "requests", "aiohttp": "aiohttp", "nats": "nats-py"}
    with pytest.raises(AssertionError, match=r"lacks: .*:VLLMAgentJob: .*No module named 'swe_ai_fleet'"):
        await image_alone(probed(job=ABSENT), delivery="image")
    assert (await image_alone(probed(job=ABSENT), delivery="job", tools=Tools()))["symbols"] == []


async def test_a_class_that_needs_what_only_workers_have_is_not_decided_on() -> None:
    with pytest.raises(Inconclusive, match=r"has no ConfigMaps, Secrets and volumes of the workers: .*KeyError"):
        await image_alone(probed(job=UNSET), delivery="image")
    lost = {"ok": False, "error": "ModuleNotFoundError: No module named 'nats'", "missing": "nats"}
    with pytest.raises(AssertionError, match=r"lacks: nats: .*No module named 'nats'"):
        await image_alone(probed(job=UNSET, nats=lost), delivery="image")


async def test_an_image_in_which_a_stray_file_comes_before_a_package_lacks_it() -> None:
    stray = {"ok": True, "file": "/job/requests.py", "shadowed": "/packages/requests/__init__.py"}
    words = r"^.* lacks: requests 2\.32\.3 is installed, but requests is imported from /job/requests\.py$"
    with pytest.raises(AssertionError, match=words):
        await image_alone(probed(requests=stray))
    older = {**probed(requests=stray), "distributions": {**probed()["distributions"], "requests": "2.31.0"}}
    with pytest.raises(AssertionError, match=r" lacks: requests is 2\.31\.0, not 2\.32\.3$"):
        await image_alone(older)
    await image_alone(probed(requests={**stray, "shadowed": ""}))


async def test_each_image_of_a_group_of_agents_is_tried_once() -> None:
    lost = {"ok": False, "error": "ModuleNotFoundError: No module named 'nats'", "missing": "nats"}
    no_ray = {"ok": False, "error": "ModuleNotFoundError: No module named 'ray'", "missing": "ray"}
    sound: Any = Images(probed(), probed(), also=(group(name="more", image="x:1"), FOR_OTHER_WORK))
    await image_checks.test_image_alone(sound, PROFILE, EVIDENCE)
    assert sound.run == ["x:1", "x:2"]
    second: Any = Images(probed(ray=no_ray), probed(nats=lost))
    with pytest.raises(AssertionError, match=r"^x:2 lacks: nats: ModuleNotFoundError"):
        await image_checks.test_image_alone(second, PROFILE, EVIDENCE)
    unknown: Any = Images(probed(ray=no_ray), probed())
    with pytest.raises(Inconclusive, match=r"a fresh instance of x:1 has no Ray"):
        await image_checks.test_image_alone(unknown, PROFILE, EVIDENCE)
    nobody: Any = Images()
    with pytest.raises(AssertionError, match="there is no group of workers that agents run on"):
        await image_checks.test_image_alone(nobody, PROFILE, EVIDENCE)


async def test_an_interpreter_without_ray_is_not_the_one_that_runs_it() -> None:
    lost = {"ok": False, "error": "ModuleNotFoundError: No module named 'ray'", "missing": "ray"}
    with pytest.raises(Inconclusive, match="has no Ray: it is not the interpreter that runs Ray"):
        await image_alone(probed(ray=lost, nats=lost))
    broken = {"ok": False, "error": "ImportError: libstdc++.so.6", "missing": ""}
    with pytest.raises(AssertionError, match="lacks: ray: ImportError"):
        await image_alone(probed(ray=broken))


# -- a replaced worker -------------------------------------------------------------------------------------------------


class Replaced:
    """A cluster and its Ray: a new worker joins at the third look, under a name that is not its pod's. The node of
    before had the same address, and Ray lists it on. The last worker is of a group for other work."""

    profile, unsupported = OF_TWO_GROUPS, dict[Feature, str]()

    def __init__(self, *groups: Workload, joins: bool = True) -> None:
        self.groups = (*(groups or (group(replica("w-1")),)), group(replica("w-9"), name="models"))
        self.joins, self.looks = joins, 0
        self.nodes_of = {f"10.0.0.{number}": f"old-{number}" for number in (1, 2)}
        self.replaced: list[str] = []
        self.new: dict[str, str] = {}

    async def ray_groups(self) -> tuple[Workload, ...]:
        head = Workload("head", Component.RAY_HEAD, 1, "h:1", "", ())
        return head, *self.groups

    async def replace(self, old: Replica) -> Replica:
        assert len(self.new) == len(self.replaced), "the new worker of before has not joined"
        self.replaced.append(old.name)
        self.looks = 1
        return replica(f"{old.name}-new", address=f"10.0.0.{len(self.replaced)}")

    async def ray_objects(self) -> dict[str, Any]:
        return {}

    async def nodes(self) -> list[Node]:
        self.looks += 1
        if self.joins and self.looks > 2 and len(self.new) < len(self.replaced):
            self.new[f"new-{len(self.replaced)}"] = f"10.0.0.{len(self.replaced)}"
        old = [node(id, address) for address, id in self.nodes_of.items()]
        return [*old, *(node(id, address) for id, address in self.new.items())]


async def replaced(*documents: dict[str, Any], fleet: Any = None) -> list[str]:
    """Runs IMG-05, where each new worker answers the census so, and an old one does not. Returns what was replaced."""
    fleet = fleet or Replaced()
    taken = []

    async def take_census(name: str) -> Census:
        taken.append(name)
        there = {"node_name": "host-7", "hostname": "host-7", "address": "10.0.0.1", "head": False, "session": "s"}
        rows = [{"node_id": f"new-{number}", **there, **document} for number, document in enumerate(documents, 1)]
        return parse({"nodes": [*rows, {"node_id": "old-1", **there, "error": "it is gone"}]})

    await image_checks.test_replaced_worker(fleet, fleet, PROFILE, take_census, EVIDENCE)
    assert taken == ["census-replaced"]
    names: list[str] = fleet.replaced
    return names


def of_two_images(*, second_ready: bool = True) -> Replaced:
    return Replaced(group(replica("w-1"), replica("w-2")), group(replica("c-1", second_ready), name="cpu", image="y:1"))


async def test_a_new_worker_is_asked_once_it_has_joined_whatever_it_is_called() -> None:
    assert await replaced(probed()) == ["w-1"]
    with pytest.raises(AssertionError, match=r"^w-1-new, which took the place of w-1, lacks: .*'swe_ai_fleet'"):
        await replaced(probed(job=ABSENT))
    with pytest.raises(Inconclusive, match=r"^Ray cannot run a task on the new worker w-1-new: no memory$"):
        await replaced({"error": "no memory"})
    with pytest.raises(AssertionError, match=r"^the new worker w-1-new joined Ray and was gone again"):
        await replaced()


async def test_a_worker_of_each_group_that_agents_run_on_is_replaced() -> None:
    """One after another; of several workers in a group the last one."""
    assert await replaced(probed(), probed(), fleet=of_two_images()) == ["w-2", "c-1"]
    lost = {"ok": False, "error": "ModuleNotFoundError: No module named 'nats'", "missing": "nats"}
    for documents, words in (
        ((probed(), probed(nats=lost)), "^c-1-new, which took the place of c-1, lacks: nats: ModuleNotFoundError"),
        ((probed(nats=lost), probed()), "^w-2-new, which took the place of w-2, lacks: nats: ModuleNotFoundError"),
        ((probed(nats=lost), {"error": "no memory"}), "^w-2-new, which took the place of w-2, lacks: nats"),
        ((probed(nats=lost), probed(job=ABSENT)), r"^w-2-new, .* named 'nats'\. c-1-new, .* named 'swe_ai_fleet'"),
    ):
        with pytest.raises(AssertionError, match=words):
            await replaced(*documents, fleet=of_two_images())
    with pytest.raises(Inconclusive, match=r"^Ray cannot run a task on the new worker c-1-new: no memory$"):
        await replaced(probed(), {"error": "no memory"}, fleet=of_two_images())


async def test_a_group_without_a_ready_worker_is_not_decided_on_and_hides_no_other() -> None:
    fleet = of_two_images(second_ready=False)
    with pytest.raises(Inconclusive, match=r"^no worker of the group cpu is ready, to be replaced: c-1: not ready$"):
        await replaced(probed(), fleet=fleet)
    assert fleet.replaced == ["w-2"]
    with pytest.raises(AssertionError, match=r"^w-2-new, which took the place of w-2, lacks"):
        await replaced(probed(job=ABSENT), fleet=of_two_images(second_ready=False))


async def test_a_group_that_is_to_have_no_worker_needs_none() -> None:
    """As one that is suspended, or that an autoscaler has shrunk to nothing."""
    assert await replaced(probed(), fleet=Replaced(group(replica("w-1")), group(name="cpu"))) == ["w-1"]
    with pytest.raises(Inconclusive, match=r"^no group that agents run on is to have a worker, to be replaced$"):
        await replaced(fleet=Replaced(group()))


async def test_a_worker_for_other_work_is_not_replaced() -> None:
    """w-9 may lack what agents import."""
    fleet = Replaced(group(replica("w-1", ready=False)))
    with pytest.raises(Inconclusive, match=r"^no worker of the group gpu is ready, to be replaced: w-1: not ready$"):
        await replaced(probed(), fleet=fleet)
    assert fleet.replaced == []


async def test_a_new_worker_that_ray_never_lists_is_the_fleets_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_checks, "TIMEOUTS", Timeouts(ray_worker_up=0.01))
    with pytest.raises(StateNotReached, match="that Ray lists the new worker w-1-new"):
        await replaced(probed(), fleet=Replaced(joins=False))


# -- the roll-out ------------------------------------------------------------------------------------------------------


def test_workers_that_ray_counts_are_rolled_out_whatever_their_probe_says() -> None:
    alive = [node("n", "10.0.0.2")]
    asleep = replica("w-2", ready=False, address="10.0.0.2")
    assert behind([group(replica("w-1"), asleep)], alive) == []
    assert behind([group(replica("w-1"), asleep)], []) == ["w-2"]
    assert behind([group(replica("w-1", image="x:0"), replica("w-3", ready=False))], alive) == ["w-1", "w-3"]


async def rolled_out(head: dict[str, Any], *starting: Replica, workers: int | Span = 1) -> None:
    """Runs IMG-06 to its end, in a fleet without deliberations; the head answers the census so, and the worker has
    all. `starting`: workers that the autoscaler has asked for since, of those that the profile allows."""
    profile = OF_TWO_GROUPS.replaced("deliberations", mode="none")
    gpu, models = profile.ray.groups
    profile = profile.replaced("ray", groups=(gpu.model_copy(update={"workers": workers}), models))
    agents = group(replica("w-1", address="10.0.0.2"), *starting)

    async def of_two(_what: str, *_scenarios: Any) -> Any:
        rows = [("h", "10.0.0.9", True, head), ("w", "10.0.0.2", False, probed())]
        nodes = [
            {"node_id": id, "node_name": id, "hostname": id, "address": at, "head": is_head, "session": "s", **document}
            for id, at, is_head, document in rows
        ]
        return parse({"nodes": nodes})

    async def nothing(*_arguments: Any) -> Any:
        return SimpleNamespace(healthy=[])

    async def groups() -> tuple[Workload, ...]:
        return agents, FOR_OTHER_WORK

    async def workload(_component: Component) -> Workload:
        return together([agents, FOR_OTHER_WORK], "gpu")

    async def nodes() -> list[Node]:
        return [node("w", "10.0.0.2")]

    fleet: Any = SimpleNamespace(profile=profile, unsupported={}, roll_out=nothing, ray_groups=groups, nodes=nodes)
    fleet.workload = workload
    jobs: Any = SimpleNamespace(run=nothing)
    on_stock: Any = SimpleNamespace(run=SimpleNamespace(ok=False, missing_module="nats", error="", summary=""))
    await image_checks.test_roll_out(fleet, jobs, fleet, profile, cast(Any, None), of_two, on_stock, EVIDENCE)


async def test_the_head_may_have_an_image_of_its_own_and_loads_the_agents_class() -> None:
    lost = {"ok": False, "error": "ModuleNotFoundError: No module named 'nats'", "missing": "nats"}
    await rolled_out(probed(nats=lost))
    with pytest.raises(AssertionError, match=r"after the roll-out: h: .*No module named 'swe_ai_fleet'"):
        await rolled_out(probed(job=ABSENT))


async def test_a_worker_that_an_autoscaler_has_asked_for_since_is_not_left_behind() -> None:
    late = Replica("w-2", Component.RAY_WORKER, "gpu", "x:1", "", False, reason="ContainerCreating")
    await rolled_out(probed(), late, workers=Span(min=1, max=3))
    for wrong, workers in ((late, 2), (late, Span(min=2, max=3)), (replace(late, image="x:0"), Span(min=1, max=3))):
        with pytest.raises(AssertionError, match=r"after the roll-out \['w-2'\] do not run what their groups name"):
            await rolled_out(probed(), wrong, workers=workers)
