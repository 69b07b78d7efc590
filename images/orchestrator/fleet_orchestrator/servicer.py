"""The gRPC face: messages in and out, errors as status codes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict

import grpc
import nats.errors
from nats.js.errors import Error as JetStreamError

from fleet_orchestrator import VERSION, deliberation
from fleet_orchestrator import orchestrator_pb2 as pb
from fleet_orchestrator.deliberation import Deliberation
from fleet_orchestrator.driver import now_ms
from fleet_orchestrator.service import Refused, Service
from fleet_orchestrator.store import Council

if TYPE_CHECKING:
    from fleet_orchestrator.app import Orchestrator

log = logging.getLogger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["OrchestratorService"]
READY_SECONDS = 0.8


class Servicer:
    """Answers the methods of `OrchestratorService`, each by the method of its name."""

    def __init__(self, orchestrator: "Orchestrator") -> None:
        self._orchestrator = orchestrator
        self._started = time.monotonic()

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to add to a server."""
        handlers: Dict[str, "grpc.RpcMethodHandler[Any, Any]"] = {
            method.name: grpc.unary_unary_rpc_method_handler(
                _guarded(getattr(self, method.name)),
                getattr(pb, method.input_type.name).FromString,
                lambda response: response.SerializeToString(),
            )
            for method in SERVICE.methods
        }
        return grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)

    async def Deliberate(self, request: Any) -> Any:
        """Start a deliberation; its task id is `metadata.execution_id`."""
        begun = time.monotonic()
        asked = request.constraints
        constraints = {
            "rubric": asked.rubric,
            "requirements": list(asked.requirements),
            "metadata": dict(asked.metadata),
            "max_iterations": asked.max_iterations,
        }
        service = await self._service()
        state = await service.deliberate(
            request.task_description, request.role, constraints, request.num_agents, asked.timeout_seconds
        )
        duration = round((time.monotonic() - begun) * 1000)
        return pb.DeliberateResponse(duration_ms=duration, metadata=_metadata(state))

    async def GetDeliberationResult(self, request: Any) -> Any:
        """The state of a deliberation, with the proposals so far, best first."""
        service = await self._service()
        state = await service.result(request.task_id)
        ranked = deliberation.ranking(state)
        results = [
            pb.DeliberationResult(
                proposal=pb.Proposal(
                    author_id=entry.answer.agent_id,
                    author_role=state.role,
                    content=entry.answer.content,
                    created_at_ms=entry.answer.at_ms,
                ),
                checks=pb.CheckSuite(all_passed=True),
                score=entry.score,
                rank=entry.rank,
            )
            for entry in ranked
        ]
        return pb.GetDeliberationResultResponse(
            task_id=state.task_id,
            status=pb.DeliberationStatus.Value(f"DELIBERATION_STATUS_{state.status}"),
            results=results,
            winner_id=ranked[0].answer.agent_id if ranked and state.finished else "",
            duration_ms=(state.finished_ms or now_ms()) - state.created_ms,
            error_message=state.error,
            metadata=_metadata(state),
        )

    async def CreateCouncil(self, request: Any) -> Any:
        """Create the council of a role."""
        service = await self._service()
        council = await service.create_council(request.role, request.num_agents, request.config.agent_type)
        return pb.CreateCouncilResponse(
            council_id=council.council_id, agents_created=len(council.agents), agent_ids=council.agents
        )

    async def ListCouncils(self, request: Any) -> Any:
        """The councils, with their agents where asked."""
        service = await self._service()
        councils = await service.list_councils(request.role_filter)
        return pb.ListCouncilsResponse(councils=[_council(council, request.include_agents) for council in councils])

    async def GetStatus(self, request: Any) -> Any:
        """Whether this replica could run a deliberation now; never refused, for it is asked when things are bad."""
        problem = await self._orchestrator.problem()
        response = pb.GetStatusResponse(
            status=f"degraded: {problem}" if problem else "healthy",
            uptime_seconds=int(time.monotonic() - self._started),
        )
        if request.include_stats and self._orchestrator.service is not None and not self._orchestrator.without_nats:
            response.stats.total_deliberations = await self._orchestrator.service.deliberations.count()
            response.stats.active_councils = len(await self._orchestrator.service.list_councils(""))
        return response

    async def _service(self) -> Service:
        """What does the work; in the first moments after the start it is worth waiting for."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._orchestrator.ready.wait(), READY_SECONDS)
        if self._orchestrator.without_nats:
            raise Refused("UNAVAILABLE", self._orchestrator.without_nats)
        assert self._orchestrator.service is not None
        return self._orchestrator.service


def _guarded(
    method: Callable[[Any], Awaitable[Any]],
) -> Callable[[Any, "grpc.aio.ServicerContext[Any, Any]"], Awaitable[Any]]:
    """A handler that turns the expected exceptions into status codes."""

    async def handle(request: Any, context: "grpc.aio.ServicerContext[Any, Any]") -> Any:
        try:
            return await method(request)
        except Refused as refused:
            await context.abort(grpc.StatusCode[refused.code], str(refused))
        except (nats.errors.Error, JetStreamError) as error:
            log.warning("%s could not be answered: NATS: %s", method.__name__, error or type(error).__name__)
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"NATS: {error or type(error).__name__}")

    return handle


def _metadata(state: Deliberation) -> Any:
    tags: Dict[str, str] = {
        "role": state.role,
        "replica": state.owner,
        "agents_expected": str(len(state.agents)),
        "agents_answered": str(len(state.answers)),
    }
    for answer in state.answers.values():
        if not answer.content:
            tags[f"failed:{answer.agent_id}"] = f"{answer.error_type}: {answer.error}"
    return pb.OrchestratorMetadata(
        orchestrator_version=VERSION, timestamp_ms=now_ms(), execution_id=state.task_id, tags=tags
    )


def _council(council: Council, include_agents: bool) -> Any:
    agents = [pb.AgentInfo(agent_id=agent, role=council.role, status="ready") for agent in council.agents]
    return pb.CouncilInfo(
        council_id=council.council_id,
        role=council.role,
        num_agents=len(council.agents),
        agents=agents if include_agents else [],
        status="active",
        model=council.model,
    )
