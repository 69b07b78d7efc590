"""What the orchestrator offers, in terms of its own: councils and deliberations. gRPC and NATS both call this."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional

import nats.errors

from fleet_orchestrator import ROLES, deliberation
from fleet_orchestrator.config import Settings
from fleet_orchestrator.deliberation import FAILED, Deliberation
from fleet_orchestrator.driver import Driver, now_ms
from fleet_orchestrator.responses import agent_answer, plan_approved
from fleet_orchestrator.store import Council, CouncilStore, DeliberationStore, Request

MOST_AGENTS = 50
AGENT_TYPES = {"MOCK": "mock", "VLLM": "vllm", "RAY_VLLM": "vllm"}


class Refused(Exception):
    """A request that cannot be fulfilled; `code` is the name of a gRPC status code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass
class Service:
    """One replica's service; all state is in the stores."""

    replica: str
    settings: Settings
    deliberations: DeliberationStore
    councils: CouncilStore
    driver: Driver

    async def create_council(self, role: str, num_agents: int, agent_type: str) -> Council:
        """A new council. Raises `Refused`: unknown role, role taken, impossible number or type."""
        role = _known(role)
        number = _number(num_agents) or self.settings.council_agents
        if agent_type and agent_type.upper() not in AGENT_TYPES:
            raise Refused("INVALID_ARGUMENT", f"agent_type {agent_type!r} is none of {', '.join(AGENT_TYPES)}")
        chosen = AGENT_TYPES[agent_type.upper()] if agent_type else self.settings.agent_type
        council = Council(
            council_id=f"council-{role.lower()}",
            role=role,
            agents=_agents(role, number),
            model="mock" if chosen == "mock" else self.settings.vllm_model,
            agent_type=chosen,
        )
        if not await self.councils.create(council):
            raise Refused("ALREADY_EXISTS", f"there is a council for role {role}")
        return council

    async def list_councils(self, role_filter: str) -> List[Council]:
        """The councils there are, of one role or of all."""
        roles = [role for role in ROLES if not role_filter or role == role_filter.upper()]
        found = [await self.councils.get(role) for role in roles]
        return [council for council in found if council is not None]

    async def deliberate(
        self, description: str, role: str, constraints: Dict[str, Any], num_agents: int, timeout_seconds: float
    ) -> Deliberation:
        """Start a deliberation and return its first state; the agents are started in the background.

        Raises `Refused`: unknown role, no council, nothing to do, too many agents, too large.
        """
        role = _known(role)
        if not description.strip():
            raise Refused("INVALID_ARGUMENT", "task_description is empty")
        if timeout_seconds < 0:
            raise Refused("INVALID_ARGUMENT", "timeout_seconds is negative")
        council = await self.councils.get(role)
        if council is None:
            raise Refused("FAILED_PRECONDITION", f"there is no council for role {role}; create one first")
        number = _number(num_agents) or len(council.agents)
        task_id = f"task-{uuid.uuid4().hex}"
        state = self._new(task_id, council.role, _agents(role, number), timeout_seconds)
        request = Request(description, constraints, self._agent_type(council))
        try:
            await self.deliberations.create(state, request)
        except nats.errors.MaxPayloadError:
            raise Refused("INVALID_ARGUMENT", "the task is larger than NATS accepts in one message") from None
        self.driver.launch(task_id)
        return state

    async def result(self, task_id: str) -> Deliberation:
        """The state of a deliberation that any replica started. Raises `Refused` for an unknown task id."""
        state = await self.deliberations.get(task_id) if task_id else None
        if state is None:
            raise Refused("NOT_FOUND", f"no deliberation has the task id {task_id!r}")
        return state

    async def on_answer(self, data: bytes) -> None:
        """Count an agent's published answer; those to tasks unknown here are not ours. Raises `Malformed`."""
        task_id, answer = agent_answer(data, now_ms())
        await self.deliberations.update(task_id, lambda state: deliberation.record(state, answer, now_ms()))

    async def on_plan_approved(self, data: bytes) -> None:
        """Start one deliberation per role; delivered again, it changes nothing. Raises `Malformed`."""
        plan = plan_approved(data)
        text = f"Plan {plan.plan_id} of story {plan.story_id} is approved"
        text += f" by {plan.approved_by}." if plan.approved_by else "."
        for role in plan.roles:
            task_id = f"{plan.story_id}-{role}-deliberation"
            metadata = {"story_id": plan.story_id, "plan_id": plan.plan_id}
            council = await self.councils.get(role.upper()) if role.upper() in ROLES else None
            agents = council.agents if council else []
            state = self._new(task_id, role.upper(), agents, 0)
            if council is None:
                # The caller is gone; the next one who asks for the result gets the error.
                reason = f"there is no council for role {role}"
                state = replace(state, status=FAILED, error=reason, finished_ms=state.created_ms, closed=True)
            request = Request(f"{text} Work out the part of {role}.", {"metadata": metadata}, self._agent_type(council))
            if await self.deliberations.create(state, request) and not state.closed:
                self.driver.launch(task_id)

    def _agent_type(self, council: Optional[Council]) -> str:
        """The council's, but a replica that is set to mock has no other agents."""
        return council.agent_type if council and self.settings.agent_type != "mock" else self.settings.agent_type

    def _new(self, task_id: str, role: str, agents: List[str], timeout_seconds: float) -> Deliberation:
        created = now_ms()
        seconds = timeout_seconds or self.settings.deliberation_timeout
        return Deliberation(task_id, role, tuple(agents), self.replica, created, created + round(seconds * 1000))


def _known(role: str) -> str:
    if role.upper() not in ROLES:
        raise Refused("NOT_FOUND", f"role {role!r} is none of {', '.join(ROLES)}")
    return role.upper()


def _number(num_agents: int) -> Optional[int]:
    if not 0 <= num_agents <= MOST_AGENTS:
        raise Refused("INVALID_ARGUMENT", f"num_agents is {num_agents}; expected 1 to {MOST_AGENTS}, or 0 (default)")
    return num_agents or None


def _agents(role: str, number: int) -> List[str]:
    return [f"agent-{role.lower()}-{index:03d}" for index in range(1, number + 1)]
