"""Groups of Ray's workers on this machine: each has its workers, and one without agents offers no CPU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component
from fixtures.clusters.embedded.fleet import Fleet
from fixtures.clusters.embedded.ray_parts import RayParts, RayPorts
from fixtures.clusters.ray_auth import RayAuth
from fixtures.profile.model import Profile, load
from fixtures.profile.ray_section import Group


@pytest.fixture
def profile() -> Profile:
    groups = (Group(name="voters", workers=2), Group(name="models", workers=1, runs_agents=False))
    return load("embedded").replaced("ray", groups=groups)


def test_resources_are_shared_by_the_workers_that_run_agents(profile: Profile, tmp_path: Path) -> None:
    block: Any = SimpleNamespace(
        take=lambda: 25000, client_servers=range(25100, 25200), address=lambda number: f"127.97.168.{number}"
    )
    parts = RayParts(profile, RayPorts("127.97.168.1", 1, 2, 3, 4), block, tmp_path, RayAuth())
    arguments = parts.worker("ray-worker-1", runs_agents=True).arguments
    assert {"--num-cpus=4", "--num-gpus=1", f"--memory={64 * 2**30}"} <= set(arguments)
    without = parts.worker("ray-worker-3", runs_agents=False).arguments
    assert {"--num-cpus=0", "--num-gpus=0"} <= set(without)
    assert not [word for word in without if word.startswith("--memory=")]


def test_each_group_has_its_workers(profile: Profile) -> None:
    def member(name: str, component: Component) -> SimpleNamespace:
        return SimpleNamespace(name=name, component=component)

    made: list[tuple[int, str]] = []

    def worker(number: int, group: Group) -> SimpleNamespace:
        made.append((number, group.name))
        return member(f"ray-worker-{number}", Component.RAY_WORKER)

    factory: Any = SimpleNamespace(
        fault_proxy=lambda: member("fault-proxy", Component.VLLM),
        nats=lambda: member("nats-1", Component.NATS),
        head=lambda: member("ray-head", Component.RAY_HEAD),
        vllm=list,
        orchestrators=list,
        worker=worker,
    )
    nothing: Any = None
    fleet = Fleet(SimpleNamespace(profile=profile), nothing, factory, nothing)  # type: ignore[arg-type]
    assert made == [(1, "voters"), (2, "voters"), (3, "models")]
    assert len(fleet.members_of(Component.RAY_WORKER)) == 3
