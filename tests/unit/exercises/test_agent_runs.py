"""The suite's own agent jobs: what they are given, whose result is whose, and what the checks make of the results."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Endpoints
from fixtures.core.errors import Inconclusive
from fixtures.exercises.agent_jobs import AgentJobs, Scenario, standard_scenarios
from fixtures.exercises.agent_run import AgentRun, AgentRuns
from fixtures.profile.model import load
from fixtures.services.ray import Actor, Node, PlacementGroup, Task, shown_names
from fixtures.services.stream_messages import Message
from fixtures.services.vllm import ModelNames
from tests.e2e.test_agent_job import test_actor_starts as actor_starts
from tests.e2e.test_agent_job import test_job_generates as job_generates
from tests.e2e.test_agent_job import test_run_raises_nothing as run_raises_nothing
from tests.e2e.test_agent_job_failures import test_missing_nats_is_reported as missing_nats_is_reported
from tests.e2e.test_agent_job_failures import test_vllm_unreachable as vllm_unreachable
from tests.support.agent_messages import agent_message

PROFILE = load("embedded")
NAMES = ModelNames(frozenset([PROFILE.vllm.model]), complete=True)
FIRST, SECOND = "1a2b3c4d" + "0" * 48, "5e6f7a8b" + "0" * 48
EVIDENCE: Any = SimpleNamespace(attach=lambda *_: None)


def worker(id: str, name: str = "worker", address: str = "") -> Node:
    return Node(id=id, name=name, address=address, state="ALIVE", resources={"CPU": 4.0})


class Fleet:
    """Ray's actor table, and a stream: one actor of each scenario, on its node; no messages."""

    def __init__(self, tasks: dict[str, str]) -> None:
        self.tasks = tasks  # id of the node by the task's id

    async def actors(self, *, job_id: str) -> list[Actor]:
        assert job_id == "05000000"
        rows = self.tasks.items()
        return [Actor(id=task, name=task, state="DEAD", node_id=node, pid=7) for task, node in rows]

    async def messages(self, *_: Any, **__: Any) -> list[Message]:
        return []

    async def nodes(self) -> list[Node]:
        return [worker(id) for id in self.tasks.values()]


def jobs_of(fleet: Fleet | None = None, profile: Any = PROFILE) -> AgentJobs:
    stand_in: Any = fleet or Fleet({})
    return AgentJobs(stand_in, stand_in, profile, Endpoints("", "", "", ""), "fc-1")


# -- what they are given -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [32, 2048])
def test_agents_ask_with_the_profiles_tokens(tokens: int) -> None:
    profile = PROFILE.replaced("agent", max_tokens=tokens)
    assert jobs_of(profile=profile).keywords("t", Scenario("load"))["keywords"]["max_tokens"] == tokens


# -- two workers of one name -------------------------------------------------------------------------------------------


def test_nodes_are_shown_by_name_and_told_apart_by_id() -> None:
    nodes = [worker(FIRST), worker(SECOND), worker("c" * 56, "other"), worker("d" * 56, "", "10.0.0.7")]
    assert list(shown_names(nodes).values()) == ["worker (1a2b3c4d)", "worker (5e6f7a8b)", "other", "10.0.0.7"]


async def results(ok: dict[str, bool]) -> AgentRuns:
    """A batch on two workers of one name; `ok`: whether the job on the node of this id returned."""
    scenarios = standard_scenarios([worker(id) for id in ok], "a/model")[: len(ok)]
    tasks = {jobs_of().task_id("jobs", scenario): scenario for scenario in scenarios}
    assert len(tasks) == len(ok), "two actors would have one name"
    rows: list[dict[str, Any]] = []
    for task, scenario in tasks.items():
        assert scenario.node
        row = {"task": task, "name": scenario.name, "ok": ok[scenario.node.id], "started": 1.0, "ended": 2.0}
        rows.append(row | ({} if row["ok"] else {"error": "RuntimeError: no CUDA"}))
    fleet = Fleet({task: scenario.key for task, scenario in tasks.items()})
    return await jobs_of(fleet).collect("jobs", scenarios, {"job_id": "05000000", "runs": rows}, 0)


@pytest.mark.parametrize("failing", [FIRST, SECOND])
async def test_each_of_two_workers_of_one_name_has_its_own_result(failing: str) -> None:
    runs = await results({id: id != failing for id in (FIRST, SECOND)})
    assert {run.node_id: run.ok for run in runs.healthy} == {FIRST: failing != FIRST, SECOND: failing != SECOND}
    assert all(run.actor and run.actor.node_id == run.node_id for run in runs.healthy)
    with pytest.raises(AssertionError, match=rf"worker worker \({failing[:8]}\): RuntimeError: no CUDA"):
        await job_generates(runs, PROFILE, NAMES)


# -- what run() raised -------------------------------------------------------------------------------------------------

LOOP = "RuntimeError: asyncio.run() cannot be called from a running event loop"


async def raised(*causes: str, reported: bool = False, started: bool = True) -> None:
    """JOB-14 on workers whose run() raised so, "" where it returned."""
    ids = [f"{number}" * 56 for number, _ in enumerate(causes, 1)]
    runs = {}
    for id, run in (await results(dict.fromkeys(ids, True))).runs.items():
        cause = causes[ids.index(id)]
        actor = run.actor if started else None
        message = agent_message(PROFILE.contract.messages, "failed", {"task_id": run.task_id})
        update = {"ok": not cause, "cause": cause, "actor": actor, "messages": (message,) if reported else ()}
        runs[id] = run.model_copy(update=update)
    await run_raises_nothing(AgentRuns(runs, (), ""), PROFILE, EVIDENCE)


async def test_what_run_raised_is_the_first_thing_that_is_said_and_that_it_was_so_on_every_worker() -> None:
    with pytest.raises(AssertionError) as failure:
        await raised(LOOP, LOOP)
    first = str(failure.value).partition("\n")[0]
    assert first == f"run() raised {LOOP} on every worker (2), and nothing of it is on NATS"


async def test_where_workers_differ_each_error_has_its_workers() -> None:
    with pytest.raises(AssertionError, match=r"run\(\) raised KeyError: 'A' on worker \(1{8}\), and") as failure:
        await raised("KeyError: 'A'", "")
    assert "every worker" not in str(failure.value)
    with pytest.raises(AssertionError, match=r"KeyError: 'A' on worker \(1+\), worker \(3+\); OSError: no on worker"):
        await raised("KeyError: 'A'", "OSError:\n no", "KeyError: 'A'")


async def test_a_failure_that_is_on_nats_or_came_before_run_is_judged_elsewhere() -> None:
    await raised("", "")
    await raised(LOOP, LOOP, reported=True)
    await raised(LOOP, LOOP, started=False)


async def test_the_worker_on_which_no_actor_starts_is_named_by_its_id_too() -> None:
    runs = await results({FIRST: False, SECOND: True})
    dead = runs.runs[FIRST].model_copy(update={"actor": None})
    with pytest.raises(AssertionError, match=r"no agent actor started on worker \(1a2b3c4d\): .*no CUDA \(no actor\)"):
        await actor_starts(AgentRuns({**runs.runs, FIRST: dead}, (), ""), EVIDENCE)


async def test_a_result_that_is_missing_is_named() -> None:
    scenarios = standard_scenarios([worker(FIRST), worker(SECOND)], "a/model")[:2]
    row = {"task": jobs_of().task_id("jobs", scenarios[0]), "name": "w", "ok": True, "started": 1.0}
    with pytest.raises(Inconclusive, match=r"nothing about worker worker \(5e6f7a8b\)"):
        await jobs_of().collect("jobs", scenarios, {"job_id": "05000000", "runs": [row]}, 0)


# -- workers without room ----------------------------------------------------------------------------------------------

WAITED = {"ok": False, "started": 1.0, "ended": 36.0, "error": "Get timed out", "type": "GetTimeoutError"}
NO_PLACE = {"ok": False, "started": 1.0, "error": "The actor is not schedulable", "type": "ActorUnschedulableError"}
RETURNED = {"ok": True, "started": 1.0, "ended": 2.0}


class Crowded(Fleet):
    """Agents need a CPU each; those of `waiting` found none. A stranger holds `held` CPUs of the second worker, by an
    actor or, `by_task`, by the call of a remote function."""

    by_task = False

    def __init__(self, tasks: dict[str, str], waiting: set[str], held: float) -> None:
        super().__init__(tasks)
        self.waiting, self.held = waiting, held

    async def actors(self, *, job_id: str) -> list[Actor]:
        started = await super().actors(job_id=job_id)
        needs = {"resources": {"CPU": 1.0}}
        pending = needs | {"pid": 0, "state": "PENDING_CREATION", "node_id": ""}
        return [actor.model_copy(update=pending if actor.node_id in self.waiting else needs) for actor in started]

    async def living_actors(self) -> list[Actor]:
        if self.by_task:
            return []
        return [Actor(id="s", state="ALIVE", node_id=SECOND, pid=9, resources={"CPU": self.held})]

    async def running_tasks(self) -> list[Task]:
        """Two calls of the stranger's, and one of the suite's own job, which keeps it from nothing."""
        own = Task(id="o", node_id=SECOND, job_id="05000000", resources={"CPU": 1.0})
        half = Task(id="t", node_id=SECOND, job_id="06000000", resources={"CPU": self.held / 2})
        return [own, half, half] if self.by_task else [own]

    async def placement_groups(self) -> list[PlacementGroup]:
        return []

    async def nodes(self) -> list[Node]:
        return [worker(SECOND, "w2"), *(worker(id) for id in self.tasks.values() if id != SECOND)]


async def crowded(ends: dict[str, dict[str, Any]], cpus: dict[str, float], held: float = 0.0) -> AgentRuns:
    """A batch on workers with so many CPUs, of which the jobs ended so."""
    nodes = [worker(id, f"w{n}").model_copy(update={"resources": {"CPU": cpus[id]}}) for n, id in enumerate(ends, 1)]
    scenarios = standard_scenarios(nodes, "a/model")[: len(nodes)]
    tasks = {jobs_of().task_id("jobs", scenario): scenario for scenario in scenarios}
    rows = [{"task": task, "name": scenario.name, **ends[scenario.key]} for task, scenario in tasks.items()]
    waiting = {id for id, end in ends.items() if not end["ok"]}
    fleet = Crowded({task: scenario.key for task, scenario in tasks.items()}, waiting, held)
    return await jobs_of(fleet).collect("jobs", scenarios, {"job_id": "05000000", "runs": rows}, 0)


async def test_a_worker_that_offers_no_cpu_is_left_out_and_named() -> None:
    runs = await crowded({FIRST: RETURNED, SECOND: NO_PLACE}, {FIRST: 4.0, SECOND: 0.0})
    assert runs.left_out == ("worker w2 offers 0 CPU, an agent needs 1: left out",)
    assert [run.node_id for run in runs.healthy] == [FIRST]
    await actor_starts(runs, EVIDENCE)


async def test_where_no_worker_fits_an_agent_the_agent_asks_for_too_much() -> None:
    runs = await crowded({FIRST: NO_PLACE, SECOND: NO_PLACE}, {FIRST: 0.5, SECOND: 0.0})
    assert not runs.left_out
    with pytest.raises(AssertionError, match=r"no agent actor started on w1, w2: .*not schedulable"):
        await actor_starts(runs, EVIDENCE)


@pytest.mark.parametrize("by_task", [False, True], ids=["an actor", "tasks"])
async def test_a_worker_that_others_hold_is_not_decided_on(by_task: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Crowded, "by_task", by_task)
    runs = await crowded({FIRST: RETURNED, SECOND: WAITED}, {FIRST: 4.0, SECOND: 4.0}, held=4.0)
    assert [run.node_id for run in runs.healthy] == [FIRST]
    with pytest.raises(Inconclusive, match="worker w2 is busy: 4 of 4 CPU are held by others"):
        await actor_starts(runs, EVIDENCE)
    alone = await crowded({SECOND: WAITED}, {SECOND: 4.0}, held=3.5)
    with pytest.raises(
        Inconclusive, match=r"an agent job could be tried on no worker: worker w1 is busy: 3\.5 of 4 CPU"
    ):
        await actor_starts(alone, EVIDENCE)


@pytest.mark.parametrize(("end", "held"), [(WAITED, 3.0), (NO_PLACE, 4.0)])
async def test_a_worker_with_room_has_no_excuse_and_an_agent_that_did_not_wait_neither(
    end: dict[str, Any], held: float
) -> None:
    runs = await crowded({FIRST: RETURNED, SECOND: end}, {FIRST: 4.0, SECOND: 4.0}, held)
    with pytest.raises(AssertionError, match="no agent actor started on w2"):
        await actor_starts(runs, EVIDENCE)


LEFT = {"ok": False, "started": 1.0, "ended": 3.0, "error": "The actor died: its node was terminated expectedly"}


@pytest.mark.parametrize("state", ["DEAD", ""], ids=["dead", "not listed"])
async def test_a_worker_that_leaves_meanwhile_is_not_decided_on(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nodes(_: Crowded) -> list[Node]:
        return [worker(FIRST), *([worker(SECOND).model_copy(update={"state": state})] if state else [])]

    monkeypatch.setattr(Crowded, "nodes", nodes)
    cpus = {FIRST: 4.0, SECOND: 4.0}
    runs = await crowded({FIRST: RETURNED, SECOND: LEFT}, cpus)
    await run_raises_nothing(runs, PROFILE, EVIDENCE)
    with pytest.raises(Inconclusive, match=r"not every worker could be tried: worker w2 left Ray's cluster meanwhile"):
        await actor_starts(runs, EVIDENCE)
    assert [run.node_id for run in (await crowded({FIRST: RETURNED, SECOND: RETURNED}, cpus)).healthy] == [
        FIRST,
        SECOND,
    ]
    with pytest.raises(AssertionError, match="no agent actor started on w1"):
        await actor_starts(await crowded({FIRST: LEFT, SECOND: RETURNED}, cpus), EVIDENCE)


NOWHERE = Scenario("vllm unreachable", fails=True)


async def waited_where_ray_chooses(held: float, needs: float = 1.0) -> AgentRun:
    """A job that Ray placed nowhere, in a fleet of one worker with four CPUs, of which a stranger holds so many."""
    jobs, task_id = jobs_of(Crowded({}, set(), held)), jobs_of().task_id("jobs", NOWHERE)
    agent = Actor(id="a", name=task_id, state="PENDING_CREATION", resources={"CPU": needs})
    jobs.ray.actors = lambda **_: asyncio.sleep(0, [agent])  # type: ignore[method-assign]
    rows = [{"task": task_id, "name": NOWHERE.name, **WAITED}]
    return (await jobs.collect("jobs", [NOWHERE], {"job_id": "05000000", "runs": rows}, 0)).runs[NOWHERE.name]


@pytest.mark.parametrize("by_task", [False, True], ids=["an actor", "tasks"])
async def test_an_agent_that_waits_for_what_others_hold_decides_nothing_about_its_failures(
    by_task: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Crowded, "by_task", by_task)
    run = await waited_where_ray_chooses(held=4.0)
    words = "vllm unreachable: no node took the agent, .*: w2 is busy: 4 of 4 CPU are held by others"
    with pytest.raises(Inconclusive, match=words):
        await vllm_unreachable(AgentRuns({run.name: run}, (), ""), PROFILE, EVIDENCE)
    with pytest.raises(Inconclusive, match=words):
        await missing_nats_is_reported(run, EVIDENCE)


@pytest.mark.parametrize(("held", "needs"), [(0.0, 1.0), (3.0, 1.0), (4.0, 64.0)])
async def test_an_agent_that_nobody_keeps_from_its_place_fails(held: float, needs: float) -> None:
    run = await waited_where_ray_chooses(held, needs)
    with pytest.raises(AssertionError, match="vllm unreachable: the job neither returned nor raised"):
        await vllm_unreachable(AgentRuns({run.name: run}, (), ""), PROFILE, EVIDENCE)
    with pytest.raises(AssertionError, match="does not get the error that the module nats is missing"):
        await missing_nats_is_reported(run, EVIDENCE)


# -- workers for other work --------------------------------------------------------------------------------------------


async def pinned_to(*ids: str) -> list[Scenario]:
    async def nodes() -> list[Node] | None:
        return [worker(id, id[0]) for id in ids] or None

    jobs = jobs_of()
    jobs.pinned_nodes = nodes
    scenarios = await jobs.with_profile(PROFILE).pinned(standard_scenarios([worker(FIRST)], "a/model"))
    documents = [jobs._document("jobs", scenario) for scenario in scenarios]
    assert [document["node"] for document in documents] == [
        place.id if (place := scenario.node or scenario.pinned_to) else None for scenario in scenarios
    ]
    return scenarios


async def test_where_workers_are_for_other_work_no_job_without_a_node_is_left_to_ray() -> None:
    assert [one.pinned_to.id if one.pinned_to else "" for one in await pinned_to(FIRST, SECOND)] == ["", FIRST, SECOND]
    assert not any(one.pinned_to for one in await pinned_to())
    assert [one.key for one in await pinned_to(FIRST)] == [FIRST, "vllm unreachable", "unknown model"]


@pytest.mark.parametrize("alive", [False, True])
async def test_a_failure_on_a_pinned_node_that_left_decides_nothing(alive: bool) -> None:
    scenario = replace(NOWHERE, pinned_to=worker(SECOND, "w2"))
    jobs, task_id = jobs_of(Crowded({}, set(), 0.0)), jobs_of().task_id("jobs", scenario)
    jobs.ray.nodes = lambda: asyncio.sleep(0, [worker(SECOND)] if alive else [])  # type: ignore[method-assign]
    jobs.ray.actors = lambda **_: asyncio.sleep(0, [])  # type: ignore[method-assign]
    rows = [{"task": task_id, "name": NOWHERE.name, "ok": False, "started": 1.0, "ended": 2.0, "error": "ActorDied"}]
    run = (await jobs.collect("jobs", [scenario], {"job_id": "05000000", "runs": rows}, 0)).runs[NOWHERE.name]
    with pytest.raises(
        AssertionError if alive else Inconclusive, match="0 messages on" if alive else "w2 left Ray's cluster meanwhile"
    ):
        await vllm_unreachable(AgentRuns({run.name: run}, (), ""), PROFILE, EVIDENCE)


async def test_a_pinned_job_waits_for_its_own_node() -> None:
    """Others hold the node on which it must run; that another has room is no matter."""
    scenario = replace(NOWHERE, pinned_to=worker(SECOND, "w2"))
    jobs, task_id = jobs_of(Crowded({}, set(), 4.0)), jobs_of().task_id("jobs", scenario)
    busy, room = worker(SECOND, "w2"), worker(FIRST, "w1")
    jobs.ray.nodes = lambda: asyncio.sleep(0, [busy, room])  # type: ignore[method-assign]
    rows = [{"task": task_id, "name": NOWHERE.name, **WAITED}]

    async def ran(cpus: float) -> AgentRun:
        agent = Actor(id="a", name=task_id, state="PENDING_CREATION", resources={"CPU": cpus})
        jobs.ray.actors = lambda **_: asyncio.sleep(0, [agent])  # type: ignore[method-assign]
        runs = await jobs.collect("jobs", [scenario], {"job_id": "05000000", "runs": rows}, 0)
        return runs.runs[NOWHERE.name]

    assert (await ran(1.0)).held_up == "w2 is busy: 4 of 4 CPU are held by others"
    assert (await ran(8.0)).held_up.startswith("w2 "), "it fits no agent"
    large = room.model_copy(update={"resources": {"CPU": 9.0}})
    jobs.pinned_nodes = lambda: asyncio.sleep(0, [busy, large])
    assert [node.name for node in await jobs.places()] == ["w1"]
