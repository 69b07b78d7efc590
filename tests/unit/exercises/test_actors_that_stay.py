"""Actors that outlive the run's agents are reported with what an operator needs to find and end them."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from fixtures.core.errors import Inconclusive
from fixtures.core.timeouts import Timeouts
from fixtures.exercises import residue
from fixtures.exercises.agent_jobs import AgentRun, AgentRuns
from fixtures.services.ray import Actor, Node
from tests.e2e.test_agent_job_failures import test_agents_end as agents_end

RUN = "fc-0a1b2c"
AGENT = Actor(id="a1", name=f"{RUN}-jobs-worker-1", state="DEAD", node_id="n1", pid=10, job_id="05000000")
HELPER = Actor(
    id="a2",
    class_name="VLLMAgentJob.__init__.<locals>.Helper",
    state="ALIVE",
    node_id="n1",
    pid=77,
    job_id="05000000",
    detached=True,
    resources={"CPU": 0.25},
)
OF_ANOTHER = Actor(
    id="a3", name="trainer", class_name="Trainer", state="ALIVE", node_id="n1", pid=78, job_id="06000000"
)
WITHOUT_A_JOB = Actor(id="a4", name="old", state="ALIVE", node_id="n1", pid=79)


@dataclass
class Dashboard:
    """Ray's tables of actors and nodes."""

    table: list[Actor]

    async def actors(self) -> list[Actor]:
        return self.table

    async def nodes(self) -> list[Node]:
        return [Node(id="n1", name="ray-worker-1", state="ALIVE")]


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residue, "TIMEOUTS", Timeouts(settle=0.1))


async def stay(*table: Actor) -> list[str]:
    return await residue.actors_that_stay(Dashboard(list(table)), RUN, f"{RUN}-jobs")  # type: ignore[arg-type]


async def test_a_helper_without_a_name_is_reported_with_class_node_process_and_what_it_holds() -> None:
    (line,) = await stay(AGENT, HELPER, OF_ANOTHER, WITHOUT_A_JOB)
    assert line == (
        "a2 (class VLLMAgentJob.__init__.<locals>.Helper) on ray-worker-1, pid 77, ALIVE, detached, "
        "holds 0.25 CPU, made in Ray job 05000000"
    )


async def test_an_actor_of_the_run_is_reported_whoever_made_it() -> None:
    (line,) = await stay(OF_ANOTHER.model_copy(update={"name": f"{RUN}-story-agent", "node_id": "gone"}), OF_ANOTHER)
    assert line.startswith(f"{RUN}-story-agent (class Trainer) on node gone, pid 78")


async def test_actors_that_have_ended_and_those_of_others_are_not_reported() -> None:
    assert await stay(AGENT, HELPER.model_copy(update={"state": "DEAD"}), OF_ANOTHER, WITHOUT_A_JOB) == []


async def test_job_11_reports_everything_that_stays_also_where_the_cpus_do_not_show_it() -> None:
    """CPUs that an earlier load's leftovers held, and gave back meanwhile, hide those of a helper."""
    ray, jobs, none = Dashboard([AGENT, HELPER]), SimpleNamespace(run_id=RUN), AgentRuns({}, (), None, None)
    for before, words in ((3.0, ()), (4.0, ("4 CPUs were free before the jobs, 3.75 are after them",))):
        with pytest.raises(AssertionError) as failure:
            await agents_end(AgentRuns({}, ("late",), before, 3.75), none, ray, jobs)  # type: ignore[arg-type]
        said = str(failure.value)
        assert said.startswith(
            "actors live on after the agents' end (1): a2 (class VLLMAgentJob.__init__.<locals>.Helper)"
        )
        assert all(word in said for word in ("agents lived on although nobody held them: late", *words))
        assert ("CPUs were free" in said) == bool(words)


async def test_job_11_is_not_decided_where_an_agents_connections_were_not_counted() -> None:
    ray, jobs, none = Dashboard([AGENT]), SimpleNamespace(run_id=RUN), AgentRuns({}, (), None, None)
    uncounted = AgentRun(
        name="worker 1", ok=True, started=1.0, task_id="t", agent_id="a", messages=(), connections_unknown="no /proc"
    )
    counted = uncounted.model_copy(update={"open_connections": 0})
    await agents_end(AgentRuns({"worker 1": counted}, (), 4.0, 4.0), none, ray, jobs)  # type: ignore[arg-type]
    with pytest.raises(Inconclusive, match=r"connections to NATS were not counted: .*no /proc"):
        await agents_end(AgentRuns({"worker 1": uncounted}, (), 4.0, 4.0), none, ray, jobs)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="agents lived on"):
        await agents_end(AgentRuns({"worker 1": uncounted}, ("late",), 4.0, 4.0), none, ray, jobs)  # type: ignore[arg-type]
