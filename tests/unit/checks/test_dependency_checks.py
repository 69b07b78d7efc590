"""What the checks of dependencies make of a census: nodes of one name, versions, and what a fleet does not need."""

from __future__ import annotations

import platform
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Feature
from fixtures.core.errors import Inconclusive
from fixtures.probes.census import Census, WorkerReport, parse
from fixtures.profile.dependencies import Dependency
from fixtures.profile.model import load
from fixtures.services.ray import Node
from tests.e2e.test_dependencies import test_agent_class as agent_class_imports
from tests.e2e.test_dependencies import test_further_package as further_package_imports
from tests.e2e.test_dependencies import test_package as package_imports
from tests.e2e.test_dependencies import test_python as python_is_the_profiles
from tests.e2e.test_dependencies import test_same_distributions as same_distributions
from tests.e2e.test_infrastructure_ray import test_one_ray_version as one_ray_version
from tests.e2e.test_infrastructure_ray import test_ray_resources as ray_resources

PROFILE = load("embedded").replaced("ray", python="3.11")
EVIDENCE: Any = SimpleNamespace(attach=lambda *_: None)
PLAIN_ENDPOINTS: Any = SimpleNamespace(unsupported={Feature.REPLICAS: "there are none"})
FIRST, SECOND = "1a2b3c4d" + "0" * 48, "5e6f7a8b" + "0" * 48
OK = {"ok": True, "file": "/packages/nats/__init__.py"}
MISSING = {"ok": False, "error": "ModuleNotFoundError: No module named 'nats'", "traceback": "…"}
SOUND = {"ray": "2.49.2", "nats-py": "2.10.0"}


def node(node_id: str, *, nats: dict[str, Any] = OK, python: str = "3.11.9", head: bool = False, **more: str) -> Any:
    distributions = SOUND | {name.replace("_", "-"): version for name, version in more.items()}
    modules = {"nats": nats}
    place = {"node_id": node_id, "node_name": "head" if head else "worker", "head": head}
    return place | {"python": python, "modules": modules, "distributions": distributions}


def census(*nodes: Any) -> Census:
    return parse({"nodes": [node("c" * 56, head=True), *nodes]})


async def package(census: Census, profile: Any = PROFILE) -> None:
    await package_imports("nats", census, profile, EVIDENCE)


async def test_the_one_of_two_namesakes_that_lacks_a_package_is_named_by_its_id() -> None:
    for nodes, name in (
        ((node(FIRST, nats=MISSING), node(SECOND)), "1a2b3c4d"),
        ((node(FIRST), node(SECOND, nats=MISSING)), "5e6f7a8b"),
    ):
        with pytest.raises(AssertionError, match=rf": worker \({name}\): ModuleNotFoundError: No module named 'nats'"):
            await package(census(*nodes))
    await package(census(node(FIRST), node(SECOND)))


async def test_each_of_two_namesakes_has_its_own_version() -> None:
    for nodes in ((node(FIRST, ray="2.48.0"), node(SECOND)), (node(FIRST), node(SECOND, ray="2.48.0"))):
        with pytest.raises(AssertionError, match=r"Ray 2\.48\.0"):
            await one_ray_version(census(*nodes), PROFILE)
        with pytest.raises(AssertionError, match=r"worker \(5e6f7a8b\)"):
            await same_distributions(census(*nodes), PLAIN_ENDPOINTS, PROFILE)
    for nodes in ((node(FIRST, python="3.10.1"), node(SECOND)), (node(FIRST), node(SECOND, python="3.10.1"))):
        with pytest.raises(AssertionError, match=r"worker \(.{8}\)': '3.10.1'"):
            await python_is_the_profiles(census(*nodes), PROFILE)
    await one_ray_version(census(node(FIRST), node(SECOND)), PROFILE)


async def test_a_profile_that_asks_for_the_hosts_python_is_met_by_it_however_it_is_attached_to() -> None:
    """What is loaded has a version, for clusters of every kind, those of a plug-in as well."""
    profile, here = load("embedded"), platform.python_version()
    sound = parse({"nodes": [node("c" * 56, python=here, head=True), node(FIRST, python=here)]})
    await one_ray_version(sound, profile)
    await python_is_the_profiles(sound, profile)
    other = f"3.{sys.version_info.minor + 1}.0"
    with pytest.raises(AssertionError, match=f"Python 3.{sys.version_info.minor} is expected on every worker"):
        await python_is_the_profiles(parse({"nodes": [node(FIRST, python=other)]}), profile)


async def test_a_version_counts_not_its_spelling() -> None:
    await package(census(node(FIRST, nats_py="2.10.0+fleet.1"), node(SECOND, nats_py="2.10")))
    await one_ray_version(census(node(FIRST, ray="2.49.2+cu121"), node(SECOND)), PROFILE)
    spelt = PROFILE.agent.dependencies[-1].model_copy(update={"distribution": "NATS_py"})
    await package(census(node(FIRST), node(SECOND)), PROFILE.replaced("agent", dependencies=(spelt,)))
    for other in ("2.9.0", "2.10.0.post1", ""):
        with pytest.raises(AssertionError, match="not usable"):
            await package(census(node(FIRST), node(SECOND, nats_py=other)))


async def further(module: str, requirement: str, *nodes: Any) -> None:
    listed = (Dependency.model_validate({"module": module, "requirement": requirement}),)
    await further_package_imports(module, census(*nodes), PROFILE.replaced("agent", dependencies=listed), EVIDENCE)


async def test_a_further_package_imports_in_a_version_that_the_profile_allows() -> None:
    for requirement in ("nats-py", "nats-py>=2.10,<3", "NATS_py~=2.9"):
        await further("nats", requirement, node(FIRST), node(SECOND, nats_py="2.11.0rc1"))
    for requirement, version, words in (
        ("nats-py>=2.10,<3", "2.9.0", r"^nats-py >=2\.10,<3 is not usable .*: worker \(5e6f7a8b\): 2\.9\.0 at"),
        ("nats-py", "", r"^nats-py is not usable .*: worker \(5e6f7a8b\): no version at"),
    ):
        with pytest.raises(AssertionError, match=words):
            await further("nats", requirement, node(FIRST), node(SECOND, nats_py=version))
    with pytest.raises(AssertionError, match=r"^nats-py is not usable .*: worker \(1a2b3c4d\): ModuleNotFoundError"):
        await further("nats", "nats-py", node(FIRST, nats=MISSING), node(SECOND))


STRAY = {"ok": True, "file": "/job/nats.py", "shadowed": "/packages/nats/__init__.py"}


async def test_a_stray_file_before_the_installed_package_is_named_beside_its_version() -> None:
    with pytest.raises(
        AssertionError,
        match=r"^nats-py 2\.10\.0 is not usable on every worker: worker \(5e6f7a8b\): "
        r"nats-py 2\.10\.0 is installed, but nats is imported from /job/nats\.py$",
    ):
        await package(census(node(FIRST), node(SECOND, nats=STRAY)))
    with pytest.raises(AssertionError, match=r"\(1a2b3c4d\): nats-py 2\.11\.0 is installed, but nats is imported from"):
        await further("nats", "nats-py", node(FIRST, nats=STRAY, nats_py="2.11.0"), node(SECOND))
    for version, words in (("2.9.0", "2.9.0"), ("", "no version")):  # which comes first
        with pytest.raises(AssertionError, match=rf"worker \(5e6f7a8b\): {words} at /job/nats\.py$"):
            await package(census(node(FIRST), node(SECOND, nats=STRAY, nats_py=version)))
    await package(census(node(FIRST), node(SECOND, nats={**STRAY, "shadowed": ""})))


async def test_the_agents_class_is_asked_for_on_the_head_and_not_on_workers_for_other_work() -> None:
    without = {PROFILE.agent_code: {"ok": False, "error": "ModuleNotFoundError"}}
    head = WorkerReport("n1", "head", True, "3.9", "s", {}, symbols={PROFILE.agent_code: {"ok": True}})
    other = WorkerReport("n2", "models", False, "3.9", "s", {}, symbols=without, runs_agents=False)
    await agent_class_imports(Census((head, other, replace(other, error="no answer")), {}), PROFILE)
    for lacking in (replace(head, symbols=without), replace(other, runs_agents=True)):
        with pytest.raises(AssertionError, match=f"{lacking.name}: ModuleNotFoundError"):
            await agent_class_imports(Census((head, lacking), {}), PROFILE)
    with pytest.raises(Inconclusive, match="head: no answer"):
        await agent_class_imports(Census((replace(head, error="no answer"), other), {}), PROFILE)


def ray_of(*nodes: Node) -> Any:
    async def listed() -> list[Node]:
        return list(nodes)

    return SimpleNamespace(nodes=listed)


def offering(id: str, cpus: float, *, head: bool = False, state: str = "ALIVE") -> Node:
    resources = {"CPU": cpus, "GPU": 1.0, "memory": float(64 << 30)}
    return Node(id=id, name="head" if head else "worker", head=head, state=state, resources=resources)


NO_CLUSTER: Any = None  # which is not asked


async def test_what_the_head_and_dead_nodes_offer_does_not_count() -> None:
    workers = (offering(FIRST, 4.0), offering(SECOND, 4.0))
    for more in ((), (offering("c", 8.0, head=True),), (offering("d", 4.0, state="DEAD"),)):
        await ray_resources(ray_of(*workers, *more), NO_CLUSTER, PROFILE)
    short = r"workers have too little of CPU: 2 of 8 .*worker \(1a2b3c4d\): GPU 1, CPU 1.*head: .*CPU 8.*\(the head\)"
    with pytest.raises(AssertionError, match=short):
        nodes = (offering(FIRST, 1.0), offering(SECOND, 1.0), offering("c", 8.0, head=True))
        await ray_resources(ray_of(*nodes), NO_CLUSTER, PROFILE)
    with pytest.raises(AssertionError, match="CPU: 4 of 8"):
        await ray_resources(ray_of(offering(FIRST, 4.0), offering(SECOND, 4.0, state="DEAD")), NO_CLUSTER, PROFILE)


async def test_requests_are_those_of_the_ray_cluster_the_heads_among_them() -> None:
    resources = PROFILE.ray.resources.model_copy(update={"counted": "requests"})
    profile = PROFILE.replaced("ray", resources=resources)

    def asking(**amounts: float) -> Any:
        async def requested() -> dict[str, float]:
            return {"GPU": 2.0, "CPU": 8.0, "memory": float(128 << 30), **amounts}

        return SimpleNamespace(requested_resources=requested)

    ray: Any = None  # what it offers may be anything
    await ray_resources(ray, asking(), profile)
    with pytest.raises(AssertionError, match=r"^the pods of the RayCluster ask for too little of CPU: 0.3 of 8 "):
        await ray_resources(ray, asking(CPU=0.3), profile)
