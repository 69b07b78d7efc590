"""Where names are looked up, with the probe as it really runs in pods."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fixtures.clusters.base import Completed, Component, Endpoints, Replica, Unsupported, Workload
from fixtures.core.errors import Inconclusive
from fixtures.probes.census import Census, WorkerReport
from fixtures.probes.name_resolution import unresolved
from fixtures.profile.model import load

NOBODY = "nobody.invalid"


def replica(name: str, component: Component, address: str = "10.0.0.1") -> Replica:
    return Replica(name, component, "group", "image:1", "", True, address=address)


class Pods:
    """A head, a worker, one that has no address yet, and one replica; what runs in them runs here."""

    def __init__(
        self,
        vllm: str = "http://localhost:8000",
        replicas_vllm: str = "http://localhost:8000",
        replicas_nats: str = "not a URL",
    ) -> None:
        self.inside = Endpoints(vllm, "http://localhost:8265", "ray://localhost:10001", "nats://127.0.0.1:4222")
        self.environments = {"VLLM_URL": replicas_vllm, "NATS_URL": replicas_nats}
        self.profile = load("embedded")
        self.asked: list[str] = []
        self.status = 0

    async def ray_groups(self) -> tuple[Workload, ...]:
        head, worker = replica("head", Component.RAY_HEAD), replica("worker", Component.RAY_WORKER)
        late = replica("late", Component.RAY_WORKER, address="")
        return (
            Workload("head", Component.RAY_HEAD, 1, "image:1", "", (head,)),
            Workload("workers", Component.RAY_WORKER, 2, "image:1", "", (worker, late)),
        )

    async def workload(self, component: Component) -> Workload:
        return Workload("orchestrator", component, 1, "image:1", "", (replica("orchestrator-1", component),))

    async def environment(self, _: Replica) -> dict[str, str]:
        return self.environments

    async def exec(self, one: Replica, argv: Sequence[str], *, stdin: str = "", **_: float) -> Completed:
        self.asked.append(one.name)
        child = await asyncio.create_subprocess_exec(sys.executable, *argv[1:], stdin=PIPE, stdout=PIPE)
        output, _errors = await child.communicate(stdin.encode())
        return Completed(tuple(argv), self.status or child.returncode or 0, output.decode(), "no such thing")


def census(localhost: str = "", error: str = "", *, up: bool = False) -> Census:
    """Of one worker; `localhost` is why that name does not resolve, `error` why the worker could not be asked. With
    `up` one of that name does resolve."""
    seen = {"localhost": {"ok": not localhost, "error": localhost}}
    seen |= {"up": {"ok": True, "error": ""}} if up else {}
    node = WorkerReport("n1", "worker", False, "3.11", "session", {}, resolve=seen, error=error)
    return Census((node,), {})


async def test_with_a_census_no_pod_of_ray_is_asked() -> None:
    pods = Pods()
    assert await unresolved(pods, census()) == []  # type: ignore[arg-type]
    assert pods.asked == ["orchestrator-1"]


async def test_what_the_census_says() -> None:
    wrong = await unresolved(Pods(), census("gaierror: no"))  # type: ignore[arg-type]
    assert wrong == ["worker: localhost: gaierror: no"]


@pytest.mark.parametrize(
    "taken", [Inconclusive("no job runs"), census(error="no task runs")], ids=["no census", "a hole"]
)
async def test_without_one_every_pod_that_has_an_address_is_asked(taken: Census | Inconclusive) -> None:
    pods = Pods(vllm=f"http://{NOBODY}:8000")
    wrong = await unresolved(pods, taken)  # type: ignore[arg-type]
    assert [line.rpartition(": gaierror")[0] for line in wrong] == [f"head: {NOBODY}", f"worker: {NOBODY}"]
    assert sorted(pods.asked) == ["head", "orchestrator-1", "worker"]


async def test_what_a_replica_is_configured_with_is_looked_up_in_it_and_is_enough() -> None:
    pods = Pods(replicas_vllm=f"http://{NOBODY}:8000")
    wrong = await unresolved(pods, Inconclusive("no job runs"))  # type: ignore[arg-type]
    assert [line.rpartition(": gaierror")[0] for line in wrong] == [f"orchestrator-1: {NOBODY}"]
    assert pods.asked == ["orchestrator-1"]


@pytest.mark.parametrize(
    ("vllm", "nats", "unknown"),
    [
        ("localhost", f"nats://{NOBODY}:4222,nats://localhost:4222", []),
        ("localhost", f"nats://{NOBODY}:4222,nats://other.{NOBODY}:4222", [NOBODY, f"other.{NOBODY}"]),
        (NOBODY, f"nats://{NOBODY}:4222,nats://localhost:4222", [NOBODY]),
        ("localhost", f"nats://{NOBODY}:4222", [NOBODY]),
    ],
)
async def test_of_a_list_of_servers_one_name_is_enough(vllm: str, nats: str, unknown: list[str]) -> None:
    pods = Pods(replicas_vllm=f"http://{vllm}:8000", replicas_nats=nats)
    wrong = await unresolved(pods, census())  # type: ignore[arg-type]
    assert [line.rpartition(": gaierror")[0] for line in wrong] == [f"orchestrator-1: {host}" for host in unknown]


async def test_workers_need_one_name_of_the_list_of_theirs() -> None:
    pods = Pods()
    up = replace(pods.inside, vllm="http://up:8000", ray_client="ray://up:10001")
    pods.inside = replace(up, nats="nats://localhost:4222,nats://up:4222")
    assert await unresolved(pods, census("gaierror: no", up=True)) == []  # type: ignore[arg-type]


async def test_a_pod_in_which_nothing_runs_leaves_it_open() -> None:
    pods = Pods()
    pods.status = 127
    with pytest.raises(Inconclusive, match="orchestrator-1: the probe ended with 127: no such thing"):
        await unresolved(pods, Inconclusive("no job runs"))  # type: ignore[arg-type]


class ShutPods(Pods):
    """Those of Ray may not be entered."""

    async def exec(self, one: Replica, argv: Sequence[str], *, stdin: str = "", **options: float) -> Completed:
        if one.component is not Component.ORCHESTRATOR:
            raise Unsupported("the suite may not run commands in pods")
        return await super().exec(one, argv, stdin=stdin, **options)


async def test_pods_of_ray_that_may_not_be_entered_leave_it_open_for_as_long_as_ray_cannot_be_asked() -> None:
    with pytest.raises(Inconclusive, match=r"may not run commands in pods; and Ray .*: no job runs") as left_open:
        await unresolved(ShutPods(), Inconclusive("no job runs"))  # type: ignore[arg-type]
    assert not isinstance(left_open.value, Unsupported)
    assert await unresolved(ShutPods(), census()) == []  # type: ignore[arg-type]


class Elsewhere(Pods):
    """Ray, the orchestrator, or both are known by an address alone; `closed`: nobody may enter pods."""

    def __init__(self, *unknown: str, closed: bool = False) -> None:
        super().__init__()
        self.unknown, self.closed = unknown, closed

    async def ray_groups(self) -> tuple[Workload, ...]:
        if "ray" in self.unknown:
            raise Unsupported("ray.url says where it is reached")
        return await super().ray_groups()

    async def workload(self, component: Component) -> Workload:
        if component.value in self.unknown:
            raise Unsupported("orchestrator.url says where it is reached")
        return await super().workload(component)

    async def exec(self, one: Replica, argv: Sequence[str], *, stdin: str = "", **named: float) -> Completed:
        if self.closed:
            raise Unsupported("the suite may not run commands in pods")
        return await super().exec(one, argv, stdin=stdin, **named)


async def test_nodes_are_judged_where_nothing_is_known_of_the_orchestrators_pods() -> None:
    fleet: Any = Elsewhere("orchestrator")
    assert await unresolved(fleet, census()) == [] and fleet.asked == []
    assert await unresolved(fleet, census("gaierror: no")) == ["worker: localhost: gaierror: no"]


async def test_what_is_wrong_on_a_node_is_so_where_nobody_may_enter_a_replica() -> None:
    fleet: Any = Elsewhere(closed=True)
    assert await unresolved(fleet, census("gaierror: no")) == ["worker: localhost: gaierror: no"]
    with pytest.raises(Unsupported, match="may not run commands"):
        await unresolved(fleet, census())


async def test_nodes_that_neither_ray_nor_kubernetes_shows_are_undecided() -> None:
    fleet: Any = Elsewhere("ray")
    with pytest.raises(Inconclusive, match=r"ray\.url .*; and Ray itself could not ask its nodes: no job runs") as seen:
        await unresolved(fleet, Inconclusive("no job runs"))
    assert not isinstance(seen.value, Unsupported)
