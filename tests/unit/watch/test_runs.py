"""Who runs, as Kubernetes lists it and as services say it of themselves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.clusters.base import Component, Feature, Replica, Unsupported, Workload
from fixtures.core.errors import NonConformance
from fixtures.profile.model import load
from fixtures.services.jetstream import ServerInfo
from fixtures.services.ray import Node
from fixtures.watch import runs as module
from fixtures.watch.fleet import Fleet
from fixtures.watch.replacements import Sightings
from fixtures.watch.runs import Runs

PROFILE = load("embedded")
DIGEST = "docker.io/x@sha256:" + "a" * 64


def pod(name: str, component: Component, image: str = "x:1", **values: Any) -> Replica:
    fields: dict[str, Any] = {"image_id": DIGEST, "ready": True, "started": 100.0, "running": True} | values
    return Replica(name, component, "group", image, **fields)


class Pods:
    """A cluster that lists its workloads."""

    unsupported: tuple[Feature, ...] = ()

    def __init__(self) -> None:
        self.groups = [
            Workload("head", Component.RAY_HEAD, 1, "ray:1", "", (pod("h", Component.RAY_HEAD, "ray:1"),)),
            Workload("gpu", Component.RAY_WORKER, 1, "ray:1", "", (pod("w", Component.RAY_WORKER, "ray:1"),)),
        ]
        self.pods: dict[Component, list[Replica]] = {}
        self.errors: dict[Component, Exception] = {}
        self.not_settled: Exception | str = ""

    async def ray_groups(self) -> list[Workload]:
        return self.groups

    async def workload(self, component: Component) -> Workload:
        if component in self.errors:
            raise self.errors[component]
        replicas = self.pods.get(component, [pod(component.value, component)])
        return Workload(component.value, component, 1, "x:1", "", tuple(replicas))

    async def unsettled(self) -> str:
        if isinstance(self.not_settled, Exception):
            raise self.not_settled
        return self.not_settled


def runs_of(cluster: Any, **clients: Any) -> Runs:
    return Runs(cast(Fleet, SimpleNamespace(cluster=cluster, profile=PROFILE, **clients)))


async def test_pods_are_listed_with_what_they_run() -> None:
    rows = {row.name: row for row in await runs_of(Pods()).now()}
    assert rows.keys() == {"h", "w", "nats", "vllm", "orchestrator"}
    assert (rows["w"].component, rows["w"].group, rows["w"].image) == ("ray-worker", "gpu", "ray:1 (aaaaaaaaaaaa)")
    assert rows["h"].compared_as == rows["w"].compared_as == "ray"


async def test_groups_of_different_images_are_compared_by_themselves() -> None:
    cluster = Pods()
    cluster.groups[1] = Workload("gpu", Component.RAY_WORKER, 1, "ray:gpu", "", cluster.groups[1].replicas)
    rows = {row.name: row for row in await runs_of(cluster).now()}
    assert (rows["h"].compared_as, rows["w"].compared_as) == ("head", "gpu")


async def test_a_pod_that_does_not_run_yet_has_taken_no_place_and_a_container_that_began_again_is_another() -> None:
    cluster, sightings = Pods(), Sightings()
    runs = runs_of(cluster)
    cluster.pods[Component.NATS] = [pod("nats-0", Component.NATS)]
    sightings.note(0, await runs.now())
    cluster.pods[Component.NATS] = [pod("nats-0", Component.NATS, ready=False, running=False, started=150.0)]
    assert sightings.note(5, await runs.now()) == []
    cluster.pods[Component.NATS] = [pod("nats-0", Component.NATS, started=160.0)]
    (row,) = sightings.note(10, await runs.now())
    assert (row.before, row.after) == ("nats-0", "nats-0")


async def test_what_cannot_be_listed_now_is_as_it_was_and_what_never_can_is_noted() -> None:
    cluster = Pods()
    runs = runs_of(cluster)
    cluster.errors[Component.VLLM] = Unsupported("it is known by its URL alone")
    await runs.now()
    cluster.errors[Component.NATS] = NonConformance("no such service")
    assert "nats" in {row.name for row in await runs.now()}
    assert runs.notes == ["vllm: its replicas are not seen: it is known by its URL alone"]


async def test_what_is_not_settled_is_a_line() -> None:
    cluster = Pods()
    cluster.not_settled = NonConformance("no RayCluster\nand more")
    assert await runs_of(cluster).unsettled() == "no RayCluster"


# -- by plain endpoints -------------------------------------------------------------------------------------------


class Services:
    """What services say of themselves, as a test has it."""

    def __init__(self) -> None:
        self.node_ids = ["id-head", "id-1"]
        self.server = ServerInfo(server_id="N1", version="2.12")
        self.started = "1000.5"
        self.uptimes: dict[str, float | Exception | None] = {"orchestrator-1": 50.0}
        self.tells_status = True

    async def nodes(self) -> list[Node]:
        return [Node(id=id, name=id, head=id == "id-head", state="ALIVE") for id in self.node_ids]

    async def info(self) -> ServerInfo:
        return self.server

    async def identity(self) -> str:
        return self.started

    async def version(self) -> str:
        return "0.32"

    @property
    def replicas(self) -> list[Any]:
        async def status(name: str) -> Any:
            uptime = self.uptimes[name]
            if isinstance(uptime, Exception):
                raise uptime
            return SimpleNamespace(uptime_s=uptime)

        return [SimpleNamespace(name=name, status=lambda name=name: status(name)) for name in self.uptimes]


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
def runs(services: Services) -> Runs:
    endpoints = SimpleNamespace(nats="nats://one:4222")
    cluster = SimpleNamespace(unsupported={Feature.REPLICAS: "plain endpoints"}, endpoints=endpoints)
    return runs_of(cluster, ray=services, nats=services, vllm=services, orchestrator=services)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    now = {"s": 1000.0}
    monkeypatch.setattr(module, "monotonic", lambda: now["s"])
    return now


async def test_services_that_began_again_are_others(services: Services, runs: Runs, clock: dict[str, float]) -> None:
    sightings = Sightings()
    sightings.note(0, await runs.now())
    clock["s"] += 5
    services.uptimes["orchestrator-1"] = 55.4
    assert sightings.note(5, await runs.now()) == []
    clock["s"] += 60
    services.uptimes["orchestrator-1"] = 58.0  # more than before, and yet of another process
    services.node_ids = ["id-head", "id-2"]
    services.server = ServerInfo(server_id="N2", version="2.14")
    services.started = "2000.5"
    rows = {row.component: row for row in sightings.note(10, await runs.now())}
    assert rows.keys() == {"orchestrator", "ray-worker", "nats", "vllm"}
    assert (rows["nats"].image_before, rows["nats"].image_after) == ("2.12", "2.14")
    assert (rows["ray-worker"].before, rows["ray-worker"].after) == ("id-1", "id-2")


async def test_one_that_does_not_answer_keeps_its_place(
    services: Services, runs: Runs, clock: dict[str, float]
) -> None:
    sightings = Sightings()
    sightings.note(0, await runs.now())
    services.uptimes["orchestrator-1"] = NonConformance("UNAVAILABLE")
    assert sightings.note(5, await runs.now()) == []
    assert sightings.gone == []
    clock["s"] += 30
    services.uptimes["orchestrator-1"] = 2.0
    assert [row.after for row in sightings.note(10, await runs.now())] == ["orchestrator-1"]


async def test_servers_that_cannot_be_told_apart_are_noted_once(services: Services, runs: Runs) -> None:
    services.server = ServerInfo(server_id="N1", cluster="c")
    services.started = ""
    services.uptimes["orchestrator-1"] = None
    for _ in range(2):
        assert {row.component for row in await runs.now()} == {"ray-head", "ray-worker"}
    assert [note.partition(":")[0] for note in runs.notes] == ["nats", "vllm", "orchestrator"]
