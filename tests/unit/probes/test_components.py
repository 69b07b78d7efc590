"""Components are asked once; a failure takes the place of an answer, and is raised by the check that judges it."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.clusters.base import Component, Feature, Replica, Unsupported, Workload
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.probes.components import Answer, Components, ask
from fixtures.profile.model import load
from fixtures.services.jetstream import ServerInfo
from fixtures.services.orchestrator import Status
from fixtures.services.ray import Version


class Fleet:
    """Stands for the cluster and every client; `fault` is raised by whatever is named in `dead`."""

    name, unsupported, tells_status = "orchestrator-1", dict[Feature, str](), True
    profile = load("embedded")

    def __init__(self, *dead: str, fault: Exception | None = None, ready: bool = True) -> None:
        self.dead, self.fault, self.ready = dead, fault or NonConformance("does not answer\nsecond line"), ready
        self.asked: list[str] = []
        self.replicas = [self]

    def _answer(self, name: str, value: Any) -> Any:
        self.asked.append(name)
        if name in self.dead:
            raise self.fault
        return value

    async def workload(self, component: Component) -> Workload:
        replica = Replica("r-1", component, "g", "i", "", self.ready)
        return self._answer(f"workload {component.value}", Workload("w", component, 1, "i", "", (replica,)))  # type: ignore[no-any-return]

    async def ready_endpoint_count(self, _component: Component) -> int | None:
        return self._answer("service", None)  # type: ignore[no-any-return]

    async def strangers(self, _component: Component) -> list[str]:
        return []

    async def version(self) -> Any:
        return self._answer("version", Version(ray_version="2.49.2"))

    async def nodes(self) -> Any:
        return self._answer("nodes", [])

    async def info(self) -> Any:
        return self._answer("info", ServerInfo())

    async def status(self) -> Any:
        return self._answer("status", Status("healthy", healthy=True))


async def asked(fleet: Fleet) -> Components:
    stand_in: Any = fleet
    return await ask(stand_in, stand_in, stand_in, stand_in, stand_in)


async def test_each_is_asked_once() -> None:
    fleet = Fleet()
    found = await asked(fleet)
    assert fleet.asked.count("version") == 2, "vLLM and Ray"
    assert {fleet.asked.count(name) for name in ("nodes", "info", "status", "service")} == {1}
    assert found.orchestrator["orchestrator-1"].get().status == "healthy"
    assert found.workload(Component.RAY_HEAD) is not None


@pytest.mark.parametrize("name", ["workload vllm", "service", "nodes", "info", "status"])
@pytest.mark.parametrize("fault", [NonConformance("is dead"), Inconclusive("may not be asked"), KeyError("odd")])
async def test_a_failure_takes_the_place_of_its_own_answer_alone(name: str, fault: Exception) -> None:
    found = await asked(Fleet(name, fault=fault))
    answers: dict[str, Answer[Any]] = {
        **{"service": found.vllm_endpoints, "nodes": found.ray_nodes, "info": found.nats},
        **{"status": found.orchestrator["orchestrator-1"], "workload vllm": found.workloads[Component.VLLM]},
    }
    assert {key for key, answer in answers.items() if answer.error is not None} == {name}
    with pytest.raises(type(fault)):
        answers[name].get()
    assert str(fault) in answers[name].why_not


async def test_a_server_without_a_ready_replica_is_not_asked_for_its_version() -> None:
    fleet = Fleet(ready=False)
    assert (await asked(fleet)).vllm_version.get() == ""
    assert fleet.asked.count("version") == 1, "of Ray alone"


async def test_where_replicas_cannot_be_listed_none_is() -> None:
    fleet = Fleet()
    fleet.unsupported = {Feature.REPLICAS: "plain endpoints"}
    found = await asked(fleet)
    assert not found.workloads and found.workload(Component.VLLM) is None
    assert fleet.asked.count("version") == 2


async def test_a_part_that_is_known_by_its_address_alone_is_judged_by_what_it_answers() -> None:
    """INF-05, INF-06 and INF-11 go on as by plain endpoints; what else was raised is raised again."""
    seen = await asked(Fleet("workload ray-head", fault=Unsupported("ray.url says where it is reached")))
    assert seen.workload(Component.RAY_HEAD) is None and seen.workload(Component.RAY_WORKER)
    gone = await asked(Fleet("workload ray-head", fault=NonConformance("there is no RayCluster")))
    with pytest.raises(NonConformance, match="there is no RayCluster"):
        gone.workload(Component.RAY_HEAD)
