"""Stand-ins for the later software of SWE AI Fleet, as the profiles of its eras C and D describe it, in one process.

What a factory makes publishes its answers and returns its failures; from 2026 on the answers are in envelopes. An
executor is called, has agents answer, and answers itself before they have. Streams are reached by their URL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import grpc

from fixtures.profile import descriptors
from fixtures.services.grpc_contract import GrpcContract, document_of
from fixtures.services.stream_messages import Message

MODEL = "Qwen/Qwen3-0.6B"
REVIEWED = "agent.response.completed.backlog-review.role"  # where answers to a backlog review are


@dataclass
class Bus:
    """A stream that captures everything. `enveloped`: what is published is put into the payload of an event."""

    enveloped: bool = True
    stored: list[Message] = field(default_factory=list)

    async def stream_of(self, subject: str) -> str:
        return "AGENT_RESPONSES" if subject else ""

    async def last_sequence(self, _stream: str) -> int:
        return len(self.stored)

    async def messages(
        self, _stream: str, after: int, *, subjects: Sequence[str], ours: Callable[[bytes], bool]
    ) -> list[Message]:
        return [m for m in self.stored if m.sequence > after and m.subject in subjects and ours(m.data)]

    def put(self, subject: str, document: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        event = {"event_type": subject, "timestamp": now.isoformat(), "payload": document}
        message = event if self.enveloped else document
        self.stored.append(Message(len(self.stored) + 1, subject, json.dumps(message).encode(), message, now))


class RayAgentExecutor:
    """An agent: made by RayAgentFactory alone."""

    def __init__(self, agent_id: str, role: str, model: str, bus: Bus) -> None:
        self.agent_id, self.role, self.model, self.bus = agent_id, role, model, bus

    def run(
        self, task_id: str, task_description: str, constraints: dict[str, Any], diversity: bool = False
    ) -> dict[str, Any]:
        """What was published, also where it has failed: the document without its envelope."""
        document: dict[str, Any] = {
            "task_id": task_id,
            "agent_id": self.agent_id,
            "role": self.role,
            "duration_ms": 1,
            "timestamp": datetime.now(UTC).isoformat(),
            "model": self.model,
        }
        if self.model != MODEL:
            document |= {"status": "failed", "error": f"no model {self.model}", "error_type": "RuntimeError"}
            self.bus.put("agent.response.failed", document)
            return document
        answer = f"{self.agent_id} on {task_description} within {sorted(constraints)}"
        proposal = {"content": answer, "author_id": self.agent_id, "author_role": self.role}
        document |= {"status": "completed", "success": True, "diversity": diversity, "proposal": proposal}
        is_review = task_id.startswith("ceremony-") and ":role-" in task_id
        self.bus.put(REVIEWED if is_review else "agent.response.completed", document)
        return document


class RayAgentFactory:
    """Makes agents of plain values."""

    BUSES: ClassVar[dict[str, Bus]] = {}  # by the URL of NATS

    @staticmethod
    def create(
        agent_id: str,
        role: str,
        vllm_url: str,
        model: str,
        nats_url: str,
        workspace_path: str | None = None,
        enable_tools: bool = False,
        temperature: float = 0.7,
        max_tokens: int = 2048,
        timeout: float = 60,
    ) -> RayAgentExecutor:
        """Raises ValueError where tools have no workspace."""
        assert vllm_url.startswith("http://") and temperature >= 0 and max_tokens > 0 and timeout > 0
        if enable_tools and workspace_path is None:
            raise ValueError("enable_tools=True requires workspace_path to be set")
        return RayAgentExecutor(agent_id, role, model, RayAgentFactory.BUSES[nats_url])


class Executor(grpc.GenericRpcHandler):  # type: ignore[misc,type-arg,unused-ignore]
    """The executor's service, by the descriptor of a contract. It refuses nothing."""

    def __init__(self, contract: GrpcContract, nats_url: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self._nats_url = nats_url
        self._service = descriptors.service(contract.section.descriptor, contract.section.service)

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        rpc = self._service.method(name)

        async def answer(content: bytes, _context: Any) -> bytes:
            request = document_of(rpc.request.FromString(content))
            if name == "GetStatus":
                reply = rpc.response(status="healthy", uptime_seconds=7)
            else:
                self.asked.append(request)
                self._run_agents(request)
                reply = rpc.response(task_id=request["task_id"], deliberation_id="d-1", status="ACCEPTED")
            return bytes(reply.SerializeToString())

        return grpc.unary_unary_rpc_method_handler(answer)

    def _run_agents(self, request: dict[str, Any]) -> None:
        for row in request["agents"]:
            made = RayAgentFactory.create(
                agent_id=row["id"],
                role=row["role"],
                vllm_url=request["vllm_url"],
                model=row["model"],
                nats_url=self._nats_url,
            )
            made.run(request["task_id"], request["task_description"], request["constraints"])
