"""Ray's nodes on one machine: an address and a folder for each, and the logs that are a node's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.clusters.base import Component
from fixtures.clusters.embedded.image_table import Image
from fixtures.clusters.embedded.ports import MAX_ADDRESSES, PortBlock
from fixtures.clusters.embedded.ray_parts import RayParts, RayPorts
from fixtures.clusters.embedded.replica import LaunchSpec, LocalReplica
from fixtures.clusters.ray_auth import RayAuth
from fixtures.core.errors import Inconclusive
from fixtures.profile.model import load


@pytest.fixture
def block() -> Iterator[PortBlock]:
    block = PortBlock.claim()
    yield block
    block.close()


@pytest.fixture
def parts(block: PortBlock, tmp_path: Path) -> RayParts:
    return RayParts(load("embedded"), RayPorts.of(block), block, tmp_path, RayAuth())


def value_of(launch: LaunchSpec, option: str) -> str:
    (value,) = [word.partition("=")[2] for word in launch.arguments if word.startswith(f"{option}=")]
    return value


def test_each_node_has_an_address_and_a_folder_of_its_own(parts: RayParts, block: PortBlock, tmp_path: Path) -> None:
    head, first, second = parts.head("ray-head"), parts.worker("ray-worker-1"), parts.worker("ray-worker-2")
    network = f"127.{block.base >> 8}.{block.base & 255}"
    addresses = [value_of(launch, "--node-ip-address") for launch in (head, first, second)]
    assert addresses == [f"{network}.1", f"{network}.2", f"{network}.3"]
    assert [launch.arguments[1] for launch in (head, first, second)] == [
        str(tmp_path / name) for name in ("ray-head", "ray-worker-1", "ray-worker-2")
    ]
    assert value_of(head, "--temp-dir") == str(tmp_path / "ray-head")
    again = parts.worker("ray-worker-1")
    assert value_of(again, "--node-ip-address") == addresses[1], "the same in its next life"


def test_head_and_workers_meet_at_the_heads_address(parts: RayParts) -> None:
    head, worker = parts.head("ray-head"), parts.worker("ray-worker-1")
    address = value_of(head, "--node-ip-address")
    assert value_of(head, "--dashboard-host") == address
    assert value_of(worker, "--address") == f"{address}:{parts.ports.gcs}"
    assert parts.ports.dashboard_url == f"http://{address}:{parts.ports.dashboard}"
    assert parts.ports.client_url == f"ray://{address}:{parts.ports.client}"


def test_two_runs_never_share_an_address(block: PortBlock) -> None:
    other = PortBlock.claim()
    try:
        assert other.address(1) != block.address(1)
        assert not block.address(1).startswith("127.0."), "those are everybody's"
    finally:
        other.close()
    with pytest.raises(Inconclusive, match="254 Ray nodes"):
        block.address(MAX_ADDRESSES + 1)


def member(name: str, component: Component) -> LocalReplica:
    nothing: object = None
    return LocalReplica(name, component, "", Image("", "", ""), nothing, nothing, 1.0)  # type: ignore[arg-type]


def test_a_nodes_logs_are_those_of_its_latest_raylet(parts: RayParts, tmp_path: Path) -> None:
    worker = member("ray-worker-1", Component.RAY_WORKER)
    assert parts.logs(worker) == [], "before it has started"
    logs = tmp_path / "ray-worker-1" / "session_latest" / "logs"
    logs.mkdir(parents=True)
    for age, name in enumerate(("raylet.1.out", "raylet.out")):
        (logs / name).touch()
        os.utime(logs / name, (1000 - age, 1000 - age))
    assert parts.logs(worker) == [logs / "raylet.1.out", logs / "raylet.1.err"]


def test_the_heads_logs_are_also_those_of_what_runs_there_alone(parts: RayParts, tmp_path: Path) -> None:
    names = [path.name for path in parts.logs(member("ray-head", Component.RAY_HEAD))]
    assert "gcs_server.out" in names and "dashboard.log" in names
