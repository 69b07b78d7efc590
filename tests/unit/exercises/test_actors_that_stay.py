"""Actors that outlive the run's agents are reported with what an operator needs to find and end them."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive
from fixtures.core.timeouts import Timeouts
from fixtures.exercises import residue
from fixtures.exercises.agent_run import AgentRun, AgentRuns
from fixtures.services.ray import Actor, Node, PlacementGroup
from tests.e2e.test_agent_job_failures import test_agents_end as agents_end

RUN, JOB, OTHER_JOB = "fc-0a1b2c", "05000000", "06000000"
HELPER = Actor(
    id="a2",
    class_name="VLLMAgentJob.__init__.<locals>.Helper",
    state="ALIVE",
    node_id="n1",
    pid=77,
    job_id=JOB,
    detached=True,
    resources={"CPU": 0.25},
)
OF_ANOTHER = Actor(
    id="a3",
    name="trainer",
    class_name="Trainer",
    state="ALIVE",
    node_id="n1",
    pid=78,
    job_id=OTHER_JOB,
    resources={"CPU": 8.0},
)
WITHOUT_A_JOB = Actor(id="a4", name="old", state="ALIVE", node_id="n1", pid=79)
GROUP = PlacementGroup(id="p1", name="kept", state="CREATED", job_id=JOB, detached=True)


@dataclass
class Dashboard:
    """Ray's tables of living actors, placement groups and nodes; `cut`, `groups_cut`: actors or groups are
    not listed whole."""

    living: list[Actor]
    groups: list[PlacementGroup] = field(default_factory=list)
    cut: str = ""
    groups_cut: str = ""

    async def living_actors(self) -> list[Actor]:
        if self.cut:
            raise Inconclusive(self.cut)
        return self.living

    async def placement_groups(self) -> list[PlacementGroup]:
        if self.groups_cut:
            raise Inconclusive(self.groups_cut)
        return self.groups

    async def nodes(self) -> list[Node]:
        return [Node(id="n1", name="ray-worker-1", state="ALIVE")]


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residue, "TIMEOUTS", Timeouts(settle=0.1))


async def stay(*living: Actor) -> list[str]:
    return await residue.actors_that_stay(Dashboard(list(living)), RUN, JOB)  # type: ignore[arg-type]


async def test_a_helper_without_a_name_is_reported_with_class_node_process_and_what_it_holds() -> None:
    (line,) = await stay(HELPER, OF_ANOTHER, WITHOUT_A_JOB)
    assert line == (
        "a2 (class VLLMAgentJob.__init__.<locals>.Helper) on ray-worker-1, pid 77, ALIVE, detached, "
        "holds 0.25 CPU, made in Ray job 05000000"
    )


async def test_an_actor_of_the_run_is_reported_whoever_made_it() -> None:
    (line,) = await stay(OF_ANOTHER.model_copy(update={"name": f"{RUN}-story-agent", "node_id": "gone"}), OF_ANOTHER)
    assert line.startswith(f"{RUN}-story-agent (class Trainer) on node gone, pid 78")


async def test_those_of_others_are_not_reported() -> None:
    assert await stay(OF_ANOTHER, WITHOUT_A_JOB) == []


class BetweenStates(Dashboard):
    """The first question meets the helper between two states, in no list."""

    asked = 0

    async def living_actors(self) -> list[Actor]:
        self.asked += 1
        return self.living if self.asked > 1 else []


async def test_an_actor_that_one_look_misses_is_reported() -> None:
    dashboard: Any = BetweenStates([HELPER])
    assert len(await residue.actors_that_stay(dashboard, RUN, JOB)) == 1


def runs_of(run: AgentRun | None = None, late: tuple[str, ...] = ()) -> AgentRuns:
    return AgentRuns({run.name: run} if run else {}, late, JOB)


async def end(dashboard: Dashboard, runs: AgentRuns) -> None:
    """JOB-11, with these runs and no hanging ones."""
    ray: Any = dashboard
    jobs: Any = SimpleNamespace(run_id=RUN)
    await agents_end(runs, runs_of(), ray, jobs)


async def test_job_11_reports_everything_that_stays() -> None:
    with pytest.raises(AssertionError) as failure:
        await end(Dashboard([HELPER, OF_ANOTHER], [GROUP]), runs_of(late=("late",)))
    first, *more = str(failure.value).splitlines()
    assert first.startswith("actors live on after the agents' end (1): a2 (class VLLMAgentJob")
    assert [line.strip() for line in more[:2]] == [
        "placement groups hold resources after the agents' end (1): kept, CREATED, detached, made in Ray job 05000000",
        "agents lived on although nobody held them: late",
    ]


async def test_job_11_does_not_count_what_others_hold_meanwhile() -> None:
    others = [GROUP.model_copy(update={"job_id": OTHER_JOB}), GROUP.model_copy(update={"state": "REMOVED"})]
    await end(Dashboard([OF_ANOTHER, WITHOUT_A_JOB], others), runs_of())


async def test_job_11_is_not_decided_by_a_list_that_was_cut() -> None:
    with pytest.raises(Inconclusive, match="Ray lists 10000 of 12000 actors"):
        await end(Dashboard([], cut="Ray lists 10000 of 12000 actors"), runs_of())


async def test_job_11_reports_what_stays_although_another_list_was_cut() -> None:
    words = "Ray lists 10000 of 12000 placement groups"
    with pytest.raises(AssertionError, match=r"actors live on after the agents' end \(1\): a2"):
        await end(Dashboard([HELPER], groups_cut=words), runs_of())
    with pytest.raises(AssertionError, match="agents lived on although nobody held them: late"):
        await end(Dashboard([], groups_cut=words), runs_of(late=("late",)))
    with pytest.raises(AssertionError, match=r"placement groups hold resources after the agents' end \(1\): kept"):
        await end(Dashboard([], [GROUP], cut="Ray lists 10000 of 12000 actors"), runs_of())
    with pytest.raises(Inconclusive, match=words):
        await end(Dashboard([], groups_cut=words), runs_of())


async def test_job_11_is_not_decided_where_an_agents_connections_were_not_counted() -> None:
    uncounted = AgentRun(
        name="worker 1", ok=True, started=1.0, task_id="t", agent_id="a", messages=(), connections_unknown="no /proc"
    )
    await end(Dashboard([]), runs_of(uncounted.model_copy(update={"open_connections": 0})))
    with pytest.raises(Inconclusive, match=r"connections to NATS were not counted: .*no /proc"):
        await end(Dashboard([]), runs_of(uncounted))
    with pytest.raises(AssertionError, match="agents lived on"):
        await end(Dashboard([]), runs_of(uncounted, ("late",)))
    open_still = {"open_connections": 2}
    with pytest.raises(AssertionError, match=r"NATS are still open after run\(\): worker 1: 2"):
        await end(Dashboard([]), runs_of(uncounted.model_copy(update=open_still)))
    with pytest.raises(Inconclusive, match=r"were not counted: .*worker 1: run\(\) had not ended"):
        await end(Dashboard([]), runs_of(uncounted.model_copy(update={**open_still, "type": "GetTimeoutError"})))
