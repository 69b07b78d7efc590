"""Deliberations whose call lasts until their end: what is asked, and what is read of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from fixtures.core.errors import NonConformance
from fixtures.core.polling import StateNotReached
from fixtures.core.timeouts import Timeouts, applied
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.exercises.deliberations import Deliberations
from fixtures.exercises.modes import Mode, RpcSync, RpcThenNats, mode_of
from fixtures.profile.contract_grpc import ProposalFields, StartResponse
from fixtures.profile.model import Profile, load
from fixtures.services.grpc_contract import GrpcContract
from fixtures.services.orchestrator import Orchestrator, Started
from tests.e2e.test_orchestrator_survival import test_duplicate_counts_once as duplicate_counts_once
from tests.support.orchestrator_messages import pb

PROPOSAL = ProposalFields(author="proposal.author_id", content="proposal.content")
RESPONSE = StartResponse(task_id="metadata.execution_id", proposals="results", winner="winner_id")
Answer = Callable[[Any], Any]
NO_NATS: Any = None


def profile(response: StartResponse = RESPONSE, **deliberations: Any) -> Profile:
    reference = load("embedded")
    assert reference.contract.grpc is not None
    start = reference.contract.grpc.start.model_copy(update={"response": response, "proposal": PROPOSAL})
    served = reference.contract.grpc.model_copy(update={"start": start})
    contract = reference.contract.model_copy(update={"grpc": served})
    held = reference.model_copy(update={"contract": contract})
    return held.replaced("deliberations", mode="rpc-sync", **deliberations)


def answered(*authors: str) -> Any:
    results = [pb.DeliberationResult(proposal=pb.Proposal(author_id=a, content=f"by {a}")) for a in authors]
    metadata = pb.OrchestratorMetadata(execution_id="e-1")
    return pb.DeliberateResponse(results=results, winner_id=next(iter(authors), ""), metadata=metadata)


class Held(grpc.GenericRpcHandler):  # type: ignore[misc,type-arg,unused-ignore]
    """A stand-in for an orchestrator that answers Deliberate with the outcome, after `seconds`."""

    def __init__(self, answer: Answer, seconds: float) -> None:
        self.answer, self.seconds, self.asked = answer, seconds, list[Any]()

    def service(self, details: Any) -> Any:
        assert details.method.endswith("/Deliberate")

        async def deliberate(content: bytes, context: Any) -> bytes:
            request = pb.DeliberateRequest.FromString(content)
            self.asked.append(request)
            await asyncio.sleep(self.seconds)
            if request.role == "NOBODY":
                await context.abort(grpc.StatusCode.NOT_FOUND, "no council")
            return bytes(self.answer(request).SerializeToString())

        return grpc.unary_unary_rpc_method_handler(deliberate)


@asynccontextmanager
async def served(
    fleet: Profile, answer: Answer = lambda _: answered("a-1", "a-2"), seconds: float = 0.0
) -> AsyncIterator[tuple[Held, Mode, Orchestrator]]:
    server, handler = grpc.aio.server(), Held(answer, seconds)
    server.add_generic_rpc_handlers([handler])
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    orchestrator = Orchestrator(lambda: {"orchestrator-1": target}, GrpcContract.of(fleet.contract))
    try:
        yield handler, mode_of(fleet, orchestrator, NO_NATS), orchestrator
    finally:
        await orchestrator.close()
        await server.stop(None)


def a_trip(mode: Mode, role: str = "DEV") -> DeliberationRun:
    return DeliberationRun(role, 2, "fc-1-task-1", mode.asked(0))


async def test_the_answer_is_the_end() -> None:
    async with served(profile()) as (handler, mode, _):
        assert isinstance(mode, RpcSync) and mode.holds_callers
        trip = a_trip(mode)
        trip.started = await mode.start(trip, "which name?", deadline=30)
        outcome = await mode.outcome(trip, None, None, 0.1)
        seen = await mode.reports(trip)
    (asked,) = handler.asked
    assert (asked.task_description, asked.role, asked.num_agents) == ("which name?", "DEV", 2)
    assert asked.constraints.timeout_seconds == 30
    assert trip.started.held and trip.task_id == "e-1"
    assert (outcome.status, outcome.winner) == ("COMPLETED", "a-1")
    assert [(proposal.author, proposal.content) for proposal in outcome.proposals] == [
        ("a-1", "by a-1"),
        ("a-2", "by a-2"),
    ]
    assert seen == {"orchestrator-1": outcome}


async def test_an_answer_without_proposals_is_a_failure() -> None:
    async with served(profile(), lambda _: answered()) as (_, mode, _):
        trip = a_trip(mode)
        trip.started = await mode.start(trip, "which name?")
        assert (await mode.outcome(trip, None, None, 0.1)).status == "FAILED"


async def test_an_answer_says_its_state_where_the_contract_has_a_place_for_it() -> None:
    fleet = profile(RESPONSE.model_copy(update={"state": "winner_id"}))
    async with served(fleet, lambda _: answered("IN_PROGRESS")) as (_, mode, _):
        trip = a_trip(mode)
        trip.started = await mode.start(trip, "which name?")
        with pytest.raises(NonConformance, match="ends the call before the deliberation: status IN_PROGRESS"):
            await mode.outcome(trip, None, None, 0.1)


async def test_a_call_may_last_as_long_as_a_deliberation_and_no_longer() -> None:
    with applied(Timeouts(request=0.05, deliberation=5.0)):
        async with served(profile(), seconds=0.3) as (_, mode, _):
            trip = a_trip(mode)
            trip.started = await mode.start(trip, "which name?")
            assert trip.started.seconds > 0.25
            with pytest.raises(StateNotReached, match=r"came back after 0\.\d s, not within 0\.1 s"):
                await mode.outcome(trip, None, 0.1, 0.1)
    with applied(Timeouts(deliberation=0.1)):
        async with served(profile(), seconds=5.0) as (_, mode, _):
            trip = a_trip(mode)
            with pytest.raises(NonConformance, match="DEADLINE_EXCEEDED"):
                await mode.start(trip, "which name?")


async def test_a_refusal_is_kept_in_the_run() -> None:
    fleet: Any = profile()
    async with served(fleet) as (_, _, orchestrator):
        nobody: Any = None
        deliberations = Deliberations(orchestrator, nobody, nobody, fleet, "fc-1")
        trip = await deliberations.finish(await deliberations.begin(deliberations.new("NOBODY")))
        done = await deliberations.finish(await deliberations.begin(deliberations.new()))
    assert (trip.refusal, trip.started, trip.outcome) == ("NOT_FOUND", None, None)
    assert done.completed and done.seconds > 0


async def test_how_long_such_a_call_takes_is_no_leg() -> None:
    async with served(profile()) as (_, mode, _):
        trip = a_trip(mode)
        trip.started = await mode.start(trip, "which name?")
    trip.outcome, trip.seconds, trip.started = trip.started.end, 2.0, replace(trip.started, at=100.0)
    answer: Any = SimpleNamespace(is_answer=True, seconds=0.4, stored=SimpleNamespace(timestamp=lambda: 101.0))
    trip.messages = [answer]
    assert trip.phases() == pytest.approx({"agents' start": 0.6, "agents' work": 0.4, "collection": 1.0})


def test_what_a_call_has_taken_is_not_waited_for_again() -> None:
    trip = DeliberationRun("DEV", 2, "m", None, started=Started("t", "", 2.0, 0.0, held=True))
    assert (trip.left_of(5.0), trip.left_of(None)) == (3.0, None)
    with pytest.raises(StateNotReached, match=r"t came back after 2\.0 s, not within 1 s"):
        trip.left_of(1.0)
    trip.started = Started("t", "", 2.0, 0.0)
    assert trip.left_of(1.0) == 1.0, "others are waited for from then on"


async def test_its_end_may_be_read_from_nats() -> None:
    async with served(profile(results="nats")) as (_, mode, _):
        assert isinstance(mode, RpcThenNats) and mode.holds_callers
        assert isinstance(mode.caller, RpcSync)


def test_places_for_an_end_are_those_of_the_answer() -> None:
    assert profile().reports("winner") and not profile().reports("error", "tags")


async def test_messages_of_a_task_that_nobody_knows_yet_cannot_be_repeated() -> None:
    stand_in: Any = SimpleNamespace(mode=SimpleNamespace(holds_callers=True))
    with pytest.raises(pytest.skip.Exception, match="only then its task id is known"):
        await duplicate_counts_once(stand_in, stand_in, stand_in, stand_in, stand_in)
