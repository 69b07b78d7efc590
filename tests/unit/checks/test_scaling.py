"""INF-01, INF-06 and INF-11 while the number of replicas changes: what starts or ends is told from what is missing."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Replica, Workload
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.probes.components import Answer, Components
from fixtures.profile.amounts import Span
from fixtures.profile.model import Profile, load
from fixtures.profile.ray_section import Group
from fixtures.profile.remedy_values import KubernetesTarget
from fixtures.services.ray import Node
from tests.e2e.test_infrastructure_messaging import test_orchestrator_replicas as replicas_serve
from tests.e2e.test_infrastructure_vllm import test_vllm_replicas_are_ready as replicas_are_ready
from tests.support.workers import agree

FLEET = load("swe-ai-fleet")
NOTHING: Answer[Any] = Answer()
IMAGE = f"o:{FLEET.orchestrator.version}"
FELL: dict[str, Any] = {"running": True, "lost": True}
STARTS: dict[str, Any] = {"reason": "ContainerCreating"}


def replica(number: int, component: Component, group: str = "gpu", ready: bool = True, **more: Any) -> Replica:
    return Replica(f"r-{number}", component, group, IMAGE, "", ready, address=f"10.0.0.{number}", **more)


# -- the orchestrator -------------------------------------------------------------------------------------------------


def orchestrators(desired: int, ready: int, *late: dict[str, Any], silent: tuple[int, ...] = ()) -> Components:
    """Each replica is asked, and those that are `silent`, which may be gone."""
    kind = Component.ORCHESTRATOR
    there = [replica(n, kind) for n in range(ready)]
    there += [replica(n, kind, ready=False, **more) for n, more in enumerate(late, ready)]
    asked: dict[str, Answer[Any]] = {one.name: Answer("healthy") for one in there}
    asked |= {f"r-{n}": Answer(error=NonConformance(f"r-{n} answers with UNAVAILABLE")) for n in silent}
    workload = Workload("orchestrator", kind, desired, IMAGE, "", tuple(there))
    return Components(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, asked, {kind: Answer(workload)})


def of(replicas: int | Span) -> Profile:
    return FLEET.replaced("orchestrator", replicas=replicas)


WIDE = of(Span(min=2, max=6))


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (orchestrators(3, 2, STARTS), r"^orchestrator was scaled to 3: r-2: ContainerCreating$"),
        (orchestrators(3, 2), r"^orchestrator was scaled to 3: 1 of 3 replicas do not exist$"),
        (
            orchestrators(3, 2, STARTS, silent=(2,)),
            r"scaled to 3: r-2: ContainerCreating; gRPC does not .* UNAVAILABLE",
        ),
        (orchestrators(2, 2, silent=(2,)), r"^orchestrator was scaled to 2; gRPC does not answer .* r-2 answers with"),
    ],
)
def test_an_orchestrator_that_starts_or_has_just_ended_decides_nothing(seen: Components, words: str) -> None:
    with pytest.raises(Inconclusive, match=words):
        replicas_serve(seen, WIDE)


@pytest.mark.parametrize(
    ("seen", "profile", "words"),
    [
        (orchestrators(3, 2, STARTS), of(2), "2 of 3 replicas are ready|3 replicas were found"),
        (orchestrators(3, 2, STARTS), of(3), "2 of 3 replicas are ready"),
        (orchestrators(3, 1, STARTS, STARTS), WIDE, "1 of 3 replicas are ready"),  # fewer than it wants
        (orchestrators(7, 6, STARTS), WIDE, "7 replicas were found, the profile asks for 2 to 6"),
        (orchestrators(3, 2, FELL), WIDE, "2 of 3 replicas are ready"),
        (orchestrators(3, 2, FELL, silent=(2,)), WIDE, "gRPC does not answer on every replica: r-2"),
        (orchestrators(3, 2, STARTS, silent=(1,)), WIDE, "gRPC does not answer on every replica: r-1"),
        (orchestrators(3, 2, STARTS, silent=(1, 2)), WIDE, "gRPC does not answer on every replica: r-1"),
        (orchestrators(2, 2, silent=(2,)), of(2), "gRPC does not answer on every replica: r-2"),
        (orchestrators(1, 1, silent=(1,)), WIDE, "gRPC does not answer on every replica: r-1"),
        (orchestrators(3, 3, silent=(2,)), WIDE, "gRPC does not answer on every replica: r-2"),
    ],
)
def test_an_orchestrator_that_is_missing_or_does_not_answer_is_refused(
    seen: Components, profile: Profile, words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        replicas_serve(seen, profile)


def test_one_that_is_stuck_is_refused() -> None:
    seen = orchestrators(3, 2, {"reason": "o: CrashLoopBackOff"})
    stuck = replace(seen.workloads[Component.ORCHESTRATOR].get(), stuck=True)
    seen = replace(seen, workloads={Component.ORCHESTRATOR: Answer(stuck)})
    with pytest.raises(AssertionError, match=r"2 of 3 replicas are ready \(r-2: o: CrashLoopBackOff\)"):
        replicas_serve(seen, WIDE)


# -- vLLM -------------------------------------------------------------------------------------------------------------


def test_a_server_that_was_ready_does_not_start() -> None:
    """Beyond those that the profile wants, too."""
    servers = (*(replica(n, Component.VLLM) for n in range(2)), replica(2, Component.VLLM, ready=False, **FELL))
    workload = Workload("vllm", Component.VLLM, 3, IMAGE, "", servers)
    seen = Components(Answer(2), NOTHING, NOTHING, NOTHING, NOTHING, {}, {Component.VLLM: Answer(workload)})
    cluster: Any = SimpleNamespace(kubernetes_target=KubernetesTarget())
    with pytest.raises(AssertionError, match=r"2 of 3 replicas are ready \(r-2: not ready\)"):
        replicas_are_ready(seen, FLEET.replaced("vllm", replicas=2), cluster)


# -- Ray's workers ----------------------------------------------------------------------------------------------------


def workers(
    desired: int, ready: int, *late: dict[str, Any], alive: tuple[int, ...] | None = None, **more: Any
) -> Components:
    """Of one group, `gpu`; `alive`: the numbers of those that Ray lists, else all that are ready."""
    kind = Component.RAY_WORKER
    there = [replica(n, kind) for n in range(ready)]
    there += [replica(n, kind, ready=False, **state) for n, state in enumerate(late, ready)]
    listed = range(ready) if alive is None else alive
    nodes = [Node(id=f"{n}", address=f"10.0.0.{n}", state="ALIVE") for n in listed]
    by_group = more.pop("by_group", {"gpu": desired})
    workload = Workload("gpu", kind, desired, IMAGE, "", tuple(there), by_group=by_group, **more)
    return Components(NOTHING, NOTHING, NOTHING, Answer(nodes), NOTHING, {}, {kind: Answer(workload)})


def group_of(number: int | Span, *others: Group) -> Profile:
    return FLEET.replaced("ray", groups=(Group(name="gpu", workers=number), *others))


OPEN = group_of(Span(min=1, max=4))
AUTOSCALED: dict[str, Any] = {"autoscaled": ("gpu",)}


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (workers(3, 2, STARTS), r"^2 of 3 worker replicas run .*: gpu was scaled to 3: r-2: ContainerCreating$"),
        (workers(3, 2, STARTS, **AUTOSCALED), r"Creating \(the autoscaler may change the number of gpu\)$"),
        (workers(3, 2, {"running": True}), "gpu was scaled to 3: r-2: not ready"),  # it has not joined yet
        (workers(3, 2), "gpu was scaled to 3: 1 of 3 replicas do not exist"),
        (workers(2, 3), "has 3 living workers .*, not 2: gpu was scaled to 2, and 3 run"),
        (workers(2, 2, alive=(0, 1, 9), ending=("r-9",)), "has 3 living workers .*, not 2: being ended: r-9"),
    ],
)
async def test_a_worker_that_starts_or_ends_decides_nothing(seen: Components, words: str) -> None:
    with pytest.raises(Inconclusive, match=words):
        await agree(seen, OPEN)


@pytest.mark.parametrize(
    ("seen", "profile", "words"),
    [
        (workers(3, 2, STARTS), group_of(3), "2 of 3 worker replicas run"),
        (workers(3, 2, STARTS), group_of(Span(min=3, max=4)), "2 of 3 worker replicas run"),
        (workers(5, 4, STARTS), OPEN, "the specification asks for 5 workers, the profile for 1 to 4"),
        (workers(4, 5), OPEN, "has 5 living workers .*, not 4"),
        (workers(2, 3), group_of(2), "has 3 living workers .*, not 2"),
        (workers(3, 2, {"reason": "r: ImagePullBackOff"}, stuck=True), OPEN, "2 of 3 worker replicas run"),
        (workers(3, 2, FELL), OPEN, "2 of 3 worker replicas run"),  # its raylet is dead
        (workers(3, 3, alive=(0, 1)), OPEN, "has 2 living workers .*, not 3"),
        (workers(3, 2, STARTS, alive=(0,)), OPEN, "2 of 3 worker replicas run"),
        (workers(2, 2, alive=(0, 1, 9)), OPEN, "has 3 living workers .*, not 2"),  # a stranger
        (workers(2, 2, alive=(0, 1, 9), ending=("r-9",)), group_of(2), "has 3 living workers .*, not 2"),
        (workers(2, 2, alive=(0, 1, 8, 9), ending=("r-9",)), OPEN, "has 4 living workers .*, not 2"),
        (workers(3, 3, **AUTOSCALED), group_of(2), r"3 workers, the profile for 2 \(the autoscaler may change"),
        (workers(2, 1, STARTS, **AUTOSCALED), group_of(2), r"1 of 2 worker .* \(the autoscaler may change"),
        (workers(0, 0, suspended=("gpu",)), group_of(2), r"0 workers, the profile for 2 \(group gpu is suspended\)"),
    ],
)
async def test_workers_that_are_missing_or_too_many_are_refused(seen: Components, profile: Profile, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        await agree(seen, profile)


async def test_a_group_of_a_fixed_number_is_judged_beside_one_that_is_open() -> None:
    """Of the other group one more runs than it must have, so that there are enough together."""
    profile = group_of(Span(min=1, max=4), Group(name="cpu", workers=2))
    kind, by_group = Component.RAY_WORKER, {"gpu": 2, "cpu": 2}
    seen = workers(4, 2, by_group=by_group)
    whole = seen.workloads[kind].get()

    def with_cpu(*ready: bool) -> Components:
        there = tuple(replica(n, kind, "cpu", one) for n, one in enumerate(ready, 2))
        nodes = [Node(id=f"{n}", address=f"10.0.0.{n}", state="ALIVE") for n in range(2 + sum(ready))]
        judged = replace(whole, replicas=(*whole.replicas, *there))
        return replace(seen, ray_nodes=Answer(nodes), workloads={kind: Answer(judged)})

    await agree(with_cpu(True, True), profile)
    with pytest.raises(AssertionError, match="3 of 4 worker replicas run"):
        await agree(with_cpu(True, False), profile)


async def test_what_ray_lists_a_moment_later_counts() -> None:
    """A worker that has joined, one whose pod is gone, and one that took its place."""
    assert await agree(workers(3, 3, alive=(0, 1)), OPEN, workers(3, 3)) == []
    for profile in (OPEN, group_of(2)):
        assert await agree(workers(2, 2, alive=(0, 1, 9)), profile, workers(2, 2)) == []
    with pytest.raises(AssertionError, match="2 of 3 worker replicas run"):
        await agree(workers(3, 3, alive=(0, 1)), OPEN, workers(3, 2, FELL))


async def test_that_a_group_is_suspended_is_noted() -> None:
    assert await agree(workers(0, 0, suspended=("gpu",)), group_of(Span(min=0, max=4))) == ["group gpu is suspended"]
