"""The stand-in for an orchestrator whose calls last until the end, before a stand-in for the reference one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from fixtures.clusters.base import Endpoints
from fixtures.core.timeouts import Timeouts, applied
from fixtures.exercises.deliberations import Deliberations
from fixtures.exercises.modes import RpcSync
from fixtures.profile.model import Profile, load
from fixtures.services.grpc_contract import GrpcContract
from fixtures.services.orchestrator import Orchestrator
from tests.e2e.test_orchestrator import test_unknown_things as unknown_things
from tests.e2e.test_orchestrator_results import test_results_arrive as results_arrive
from tests.support.orchestrator_messages import pb
from tests.targets.held_calls.calls import HeldCalls
from tests.targets.target import with_value
from tests.variants.catalogue import held_calls

REFERENCE = load("embedded")
EVIDENCE: Any = SimpleNamespace(attach=lambda *_: None)
NOBODY: Any = None
FAULTS = [held_calls.NAMES_NO_WINNER, held_calls.ANSWERS_BEFORE_THE_END, held_calls.NEVER_ANSWERS]


class Reference(grpc.GenericRpcHandler):  # type: ignore[misc,type-arg,unused-ignore]
    """The reference's service, where each deliberation ends when it is asked for a second time, as `end` says."""

    def __init__(self, end: str = "COMPLETED") -> None:
        self.end, self.started, self.asked = end, list[Any](), 0

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        request = getattr(pb, f"{name}Request")

        async def answer(content: bytes, context: Any) -> bytes:
            return bytes((await getattr(self, name)(request.FromString(content), context)).SerializeToString())

        return grpc.unary_unary_rpc_method_handler(answer)

    async def Deliberate(self, request: Any, context: Any) -> Any:
        if request.role not in REFERENCE.deliberations.roles:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"role {request.role!r} is none of the councils'")
        self.started.append(request)
        return pb.DeliberateResponse(metadata=pb.OrchestratorMetadata(execution_id=f"e-{len(self.started)}"))

    async def GetDeliberationResult(self, request: Any, _context: Any) -> Any:
        self.asked += 1
        if self.asked < 2:
            return pb.GetDeliberationResultResponse(status=pb.DELIBERATION_STATUS_IN_PROGRESS)
        agents = [f"{request.task_id}-agent-{number}" for number in range(self.started[-1].num_agents)]
        proposals = [pb.Proposal(author_id=name, author_role="DEV", content=f"by {name}") for name in agents]
        ended = pb.GetDeliberationResultResponse(status=pb.DeliberationStatus.Value(f"DELIBERATION_STATUS_{self.end}"))
        if self.end == "COMPLETED":
            ended.results.extend(pb.DeliberationResult(proposal=proposal) for proposal in proposals)
            ended.winner_id = agents[0]
        else:
            ended.error_message = "nobody answered"
        ended.metadata.tags["failed:e-9"] = "HTTP 422"
        return ended

    async def GetStatus(self, _request: Any, _context: Any) -> Any:
        return pb.GetStatusResponse(status="healthy", uptime_seconds=7)

    async def ListCouncils(self, _request: Any, _context: Any) -> Any:
        return pb.ListCouncilsResponse(councils=[pb.CouncilInfo(role="DEV", num_agents=3, model="m")])


def of_a_user(calls: HeldCalls) -> Profile:
    profile = REFERENCE
    for key, value in calls.profile.items():
        profile = with_value(profile, key.split("."), value)
    return profile


class Target:
    """A fleet with one replica of the orchestrator, as changes see it."""

    def __init__(self, target: str) -> None:
        endpoints = Endpoints(vllm="", dashboard="", ray_client="", nats="", orchestrators={"orchestrator-1": target})
        self.cluster: Any = SimpleNamespace(profile=REFERENCE, endpoints=endpoints, inside=endpoints)
        self.instead: dict[str, Any] = {}

    @contextmanager
    def overridden(self, **instead: Any) -> Iterator[None]:
        self.instead.update(instead)
        yield
        self.instead.clear()


@asynccontextmanager
async def a_fleet(replica: Reference) -> AsyncIterator[Any]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([replica])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield Target(f"127.0.0.1:{port}")
    finally:
        await server.stop(None)


@asynccontextmanager
async def a_session(replica: Reference, calls: HeldCalls) -> AsyncIterator[tuple[Deliberations, Any]]:
    """What checks have of a fleet with the stand-ins in it."""
    profile = of_a_user(calls)
    async with a_fleet(replica) as target, calls.before_each_replica(target):
        orchestrators = target.instead["endpoints"].orchestrators
        orchestrator = Orchestrator(lambda: orchestrators, GrpcContract.of(profile.contract))
        try:
            yield Deliberations(orchestrator, NOBODY, NOBODY, profile, "fc-1"), target
        finally:
            await orchestrator.close()


async def test_a_call_lasts_until_the_end_and_answers_with_it() -> None:
    replica = Reference()
    async with a_session(replica, HeldCalls()) as (deliberations, _):
        assert type(deliberations.mode) is RpcSync
        trip = await deliberations.begin(deliberations.new(), deadline=30, rubric="short", requirements=["a", "b"])
        trip = await deliberations.finish(trip)
        await results_arrive([trip], deliberations.profile, EVIDENCE)
    (asked,) = replica.started
    assert (asked.role, asked.num_agents, asked.constraints.timeout_seconds) == ("DEV", 3, 30)
    assert (asked.constraints.rubric, list(asked.constraints.requirements)) == ("short", ["a", "b"])
    assert (trip.task_id, trip.outcome and trip.outcome.winner) == ("e-1", "e-1-agent-0")
    assert trip.outcome and trip.outcome.tags == {"failed:e-9": "HTTP 422"}
    assert replica.asked == 2


@pytest.mark.parametrize("end", ["FAILED", "TIMEOUT"])
async def test_another_end_has_its_reason(end: str) -> None:
    async with a_session(Reference(end), HeldCalls()) as (deliberations, _):
        trip = await deliberations.finish(await deliberations.begin(deliberations.new()))
    assert trip.outcome and (trip.outcome.status, trip.outcome.error) == (end, "nobody answered")


async def test_what_is_not_about_deliberations_is_passed_on() -> None:
    async with a_session(Reference(), HeldCalls()) as (deliberations, _):
        replica = deliberations.orchestrator.any
        status, councils = await replica.status(), await replica.councils()
        await unknown_things(deliberations.orchestrator, deliberations.profile, deliberations.run_id)
    assert (status.healthy, status.uptime_s) == (True, 7)
    assert (councils["DEV"].agents, councils["DEV"].model) == (3, "m")


async def test_it_is_there_as_long_as_the_change() -> None:
    calls = HeldCalls()
    async with a_fleet(Reference()) as target:
        async with calls.before_each_replica(target):
            assert await calls.are_served(target)
        assert not await calls.are_served(target), "the reference has no such method"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_each_fault_of_such_a_call_is_a_finding(fault: Any) -> None:
    with applied(Timeouts(deliberation=1.0)):
        async with a_session(Reference(), held_calls.CALLS) as (deliberations, target), fault.inject(target):
            trip = await deliberations.finish(await deliberations.begin(deliberations.new()))
            with pytest.raises(AssertionError) as finding:
                await results_arrive([trip], deliberations.profile, EVIDENCE)
    assert all(term in str(finding.value) for term in fault.expected_terms), finding.value


async def test_a_call_whose_caller_has_gone_is_over() -> None:
    """Else the stand-in could not be stopped."""
    calls = HeldCalls()
    async with asyncio.timeout(20), a_session(Reference(), calls) as (deliberations, target):
        with applied(Timeouts(deliberation=0.3)):
            async with calls.answer(lambda _: None)(target):
                trip = await deliberations.begin(deliberations.new())
    assert "DEADLINE_EXCEEDED" in trip.error
