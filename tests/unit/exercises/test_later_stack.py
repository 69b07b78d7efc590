"""Agents of a factory that return their failures, envelopes, and an executor that is called: by shipped contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from fixtures.checks.contract import AgentMessage
from fixtures.clusters.base import Endpoints
from fixtures.core.polling import StateNotReached
from fixtures.exercises.agent_jobs import AgentJobs, Scenario
from fixtures.exercises.agent_run import AgentRun, AgentRuns, JobEnd
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.exercises.deliberations import Deliberations
from fixtures.exercises.modes import Mode, RpcAsync, RpcThenNats, mode_of
from fixtures.probes.payload.actors import host_of
from fixtures.probes.payload.signatures import signatures
from fixtures.profile.model import Profile, load
from fixtures.services.grpc_contract import GrpcContract
from fixtures.services.orchestrator import Orchestrator
from fixtures.services.vllm import ModelNames
from tests.e2e.test_agent_job import test_message_contract as message_contract
from tests.e2e.test_agent_job import test_returns_what_it_published as returns_what_it_published
from tests.e2e.test_agent_job_failures import test_unknown_model as unknown_model
from tests.support.later_stack import MODEL, REVIEWED, Bus, Executor, RayAgentFactory

URL = "nats://later:4222"
INSIDE = Endpoints(vllm="http://v:8000", dashboard="", ray_client="", nats=URL)
FACTORY = "tests.support.later_stack:RayAgentFactory.create"
PLAIN, ENVELOPED = load("swe-ai-fleet-c-hexagonal"), load("swe-ai-fleet-d-envelope")
NAMES = ModelNames(frozenset([MODEL]), complete=True)
EVIDENCE: Any = SimpleNamespace(attach=lambda *_: None)
by_era = pytest.mark.parametrize("profile", [PLAIN, ENVELOPED], ids=["plain", "enveloped"])


@pytest.fixture
def bus() -> Iterator[Bus]:
    RayAgentFactory.BUSES[URL] = Bus()
    yield RayAgentFactory.BUSES[URL]
    del RayAgentFactory.BUSES[URL]


def jobs_of(profile: Profile) -> AgentJobs:
    stand_in: Any = None
    return AgentJobs(stand_in, stand_in, profile, INSIDE, "fc-1")


def asked(profile: Profile, bus: Bus, model: str = "") -> AgentRun:
    """An agent of the stand-in, made and asked as the suite's job does it, in a bus of the profile's era."""
    bus.enveloped = bool(profile.contract.messages.completed.envelope)
    jobs = jobs_of(profile)
    given = jobs.keywords("t", Scenario("unknown model", model=model))
    result = host_of({**given["agent"], "path": FACTORY})(**given["keywords"]).ask(**given["call"])
    seen = {"task": "t", "name": "unknown model", "ok": True, "started": 1.0, "ended": 2.0, "result": result}
    end = JobEnd.model_validate(seen)
    messages = tuple(jobs.contract.of_tasks(bus.stored, "t"))
    fields = jobs._judged(end) | {"agent_id": "t-agent", "node_id": "1" * 56, "messages": messages}
    return AgentRun.model_validate(fields)


def runs(run: AgentRun) -> AgentRuns:
    return AgentRuns({run.name: run}, (), "")


@by_era
def test_the_factory_takes_what_the_contract_gives(profile: Profile) -> None:
    given = jobs_of(profile).keywords("t", Scenario("load"))
    assert given["agent"]["path"] == "core.ray_jobs:RayAgentFactory.create" and given["agent"]["factory"]
    taken = signatures({**given["agent"], "path": FACTORY})
    assert set(given["keywords"]) <= set(taken["keywords"]["takes"])
    assert set(taken["keywords"]["needs"]) <= set(given["keywords"])


@by_era
async def test_an_answer_is_read_whatever_it_is_wrapped_in(profile: Profile, bus: Bus) -> None:
    run = asked(profile, bus)
    (message,) = run.messages
    assert (run.ok, message.kind, message.agent_id) == (True, "completed", "t-agent")
    assert message.text("content").startswith("t-agent on ")
    await message_contract(runs(run), profile, NAMES)
    await returns_what_it_published(runs(run), profile)


@by_era
async def test_a_failure_is_published_and_returned(profile: Profile, bus: Bus) -> None:
    run = asked(profile, bus, model=f"{MODEL}-does-not-exist")
    assert (run.ok, run.returned_failure) == (False, True)
    assert run.cause == f"RuntimeError: no model {MODEL}-does-not-exist"
    assert [message.kind for message in run.messages] == ["failed"]
    await unknown_model(runs(run), profile, EVIDENCE)


def of_the_other_era(profile: Profile, bus: Bus) -> list[AgentMessage]:
    asked(profile, bus)
    other = ENVELOPED if profile is PLAIN else PLAIN
    return jobs_of(other).contract.read_all(bus.stored)


def test_an_answer_without_its_envelope_lacks_it(bus: Bus) -> None:
    (message,) = of_the_other_era(PLAIN, bus)
    problems = jobs_of(ENVELOPED).contract.problems(message)
    assert message.task_id == "" and any("payload is missing" in line for line in problems), problems


def test_an_answer_in_an_envelope_has_no_task_where_none_is_expected(bus: Bus) -> None:
    (message,) = of_the_other_era(ENVELOPED, bus)
    problems = jobs_of(PLAIN).contract.problems(message)
    assert message.task_id == "" and any("task_id is missing" in line for line in problems), problems


# -- the executor ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def called(profile: Profile, bus: Bus) -> AsyncIterator[tuple[Executor, Mode, Orchestrator]]:
    contract = GrpcContract.of(profile.contract)
    assert contract is not None
    server, executor = grpc.aio.server(), Executor(contract, URL)
    server.add_generic_rpc_handlers([executor])
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    orchestrator = Orchestrator(lambda: {"ray-executor-1": target}, contract)
    nats: Any = bus
    try:
        yield executor, mode_of(profile, orchestrator, nats), orchestrator
    finally:
        await orchestrator.close()
        await server.stop(None)


async def test_a_call_of_the_executor_ends_with_the_answers_of_its_agents(bus: Bus) -> None:
    async with called(ENVELOPED, bus) as (executor, mode, orchestrator):
        assert isinstance(mode, RpcThenNats) and type(mode.caller) is RpcAsync
        assert (await orchestrator.any.status()).healthy
        trip = DeliberationRun("DEV", 3, "fc-1-task-1", mode.asked(0))
        trip.started = await mode.start(trip, "which name?", deadline=30)
        outcome = await mode.outcome(trip, None, 1.0, 0.01)
    assert trip.task_id == "ceremony-fc-1-task-1:story-fc-1-task-1:role-DEV"
    (request,) = executor.asked
    assert (request["task_id"], request["role"], len(request["agents"])) == (trip.task_id, "DEV", 3)
    assert request["constraints"] == {"story_id": "fc-1-task-1", "timeout_seconds": 30}
    assert {message.subject for message in bus.stored} == {REVIEWED}
    assert (outcome.status, len(outcome.proposals)) == ("COMPLETED", 3)
    assert all(proposal.content.startswith(proposal.author) for proposal in outcome.proposals)


def where_reviews_have_no_subject(profile: Profile) -> Profile:
    messages = profile.contract.messages
    completed = messages.completed.model_copy(update={"deliberation_subject": None})
    changed = messages.model_copy(update={"completed": completed})
    return profile.model_copy(update={"contract": profile.contract.model_copy(update={"messages": changed})})


async def test_answers_to_a_review_are_not_seen_where_the_contract_has_no_subject_for_them(bus: Bus) -> None:
    """What is there all the same is said by its subject, with the key that names it."""
    profile = where_reviews_have_no_subject(ENVELOPED)
    async with called(profile, bus) as (_, mode, _):
        trip = DeliberationRun("DEV", 3, "fc-1-task-1", mode.asked(0))
        trip.started = await mode.start(trip, "which name?")
        with pytest.raises(StateNotReached, match="0 answers of 3 agents") as seen:
            await mode.outcome(trip, None, 0.05, 0.01)
    trip.error = str(seen.value)
    trip.messages = deliberations_of(profile).contract.of_tasks(bus.stored, trip.task_id)
    assert trip.summary.endswith(
        f"; 3 messages of it on {REVIEWED} are of no kind that the contract has there "
        "(messages.completed.deliberation_subject)"
    )


def deliberations_of(profile: Profile) -> Deliberations:
    stand_in: Any = None
    return Deliberations(stand_in, stand_in, stand_in, profile, "fc-1")


async def test_an_answer_is_of_its_kind_on_the_subject_of_who_publishes_it_alone(bus: Bus) -> None:
    asked(ENVELOPED, bus)
    async with called(ENVELOPED, bus) as (_, mode, _):
        trip = DeliberationRun("DEV", 3, "fc-1-task-1", mode.asked(0))
        trip.started = await mode.start(trip, "which name?")
    own, *reviews = bus.stored
    contracts = jobs_of(ENVELOPED).contract, deliberations_of(ENVELOPED).contract
    assert [[contract.read(message).kind for message in (own, *reviews)] for contract in contracts] == [
        ["completed", "", "", ""],
        ["", "completed", "completed", "completed"],
    ]
    assert {contract.read(own).task_id for contract in contracts} == {"t"}, "it is found wherever it is"
