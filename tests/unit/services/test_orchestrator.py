"""What is made of a replica's answers: a wait for an end, and two ends compared."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from fixtures.core.errors import Inconclusive
from fixtures.core.paths import ROOT
from fixtures.core.polling import StateNotReached
from fixtures.core.timeouts import Timeouts, applied
from fixtures.services.orchestrator import OrchestratorReplica, Outcome, Proposal, Refused
from tests.support.orchestrator_messages import GRPC, pb

CERTIFICATE = ROOT / "tests" / "support" / "kubernetes_stand_in.pem"
IMPATIENT = Timeouts(settle=0.02)


def refused(code: str) -> Refused:
    error: Any = SimpleNamespace(code=lambda: grpc.StatusCode[code], details=lambda: "no deliberation task-1")
    return Refused("orchestrator-1", "GetDeliberationResult", error)


def end(status: str = "COMPLETED", *proposals: Proposal, winner: str = "") -> Outcome:
    return Outcome("task-1", status, proposals, winner, "")


@pytest.fixture
async def replica() -> AsyncIterator[OrchestratorReplica]:
    replica = OrchestratorReplica("orchestrator-1", "127.0.0.1:9", GRPC)
    yield replica
    await replica.close()


def answering(replica: OrchestratorReplica, *answers: Outcome | Refused) -> None:
    """The last answer is given for ever."""
    left = list(answers)

    async def result(_task_id: str) -> Outcome:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Refused):
            raise answer
        return answer

    replica.result = result  # type: ignore[assignment,method-assign]


@pytest.mark.parametrize("code", ["NOT_FOUND", "UNAVAILABLE", "RESOURCE_EXHAUSTED"])
async def test_a_refusal_that_passes_does_not_end_the_wait(replica: OrchestratorReplica, code: str) -> None:
    answering(replica, refused(code), end("IN_PROGRESS"), refused(code), end())
    assert (await replica.outcome("task-1", every=0.001)).status == "COMPLETED"


async def test_a_refusal_that_lasts_ends_the_wait(replica: OrchestratorReplica) -> None:
    answering(replica, refused("NOT_FOUND"))
    with applied(IMPATIENT), pytest.raises(Refused, match="NOT_FOUND: no deliberation task-1"):
        await replica.outcome("task-1", every=0.001)


async def test_what_cannot_pass_ends_the_wait_at_once(replica: OrchestratorReplica) -> None:
    answering(replica, refused("INTERNAL"), end())
    with pytest.raises(Refused, match="INTERNAL"):
        await replica.outcome("task-1", every=0.001)


async def test_what_was_seen_last_is_shown(replica: OrchestratorReplica) -> None:
    answering(replica, refused("UNAVAILABLE"))
    with pytest.raises(StateNotReached, match=r"last seen: orchestrator-1 answers .* with UNAVAILABLE"):
        await replica.outcome("task-1", timeout=0.01, every=0.001)


FIRST, SECOND = (Proposal(f"agent-{n}", "DEV", f"text {n}", 1.0 / n, n) for n in (1, 2))


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (end("COMPLETED", SECOND, FIRST, winner="agent-1"), ""),
        (end("FAILED", FIRST, SECOND, winner="agent-1"), "COMPLETED, not FAILED"),
        (end("COMPLETED", FIRST, winner="agent-1"), "COMPLETED with 2 proposals, not 1"),
        (end("COMPLETED", FIRST, SECOND, winner="agent-2"), "the winner agent-1, not agent-2"),
        (
            end("COMPLETED", replace(FIRST, rank=2), SECOND, winner="agent-1"),
            "another content, score or rank of the proposals of agent-1",
        ),
    ],
)
def test_replicas_agree_on_the_end_the_proposals_and_the_winner(other: Outcome, difference: str) -> None:
    assert end("COMPLETED", FIRST, SECOND, winner="agent-1").difference_from(other) == difference


class Gateway(grpc.GenericRpcHandler):  # type: ignore[misc,type-arg,unused-ignore]
    """Refuses every call with one code."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self.code = code

    def service(self, _details: Any) -> Any:
        async def refuse(_request: bytes, context: Any) -> bytes:
            await context.abort(self.code, "RBAC: access denied")
            return b""

        return grpc.unary_unary_rpc_method_handler(refuse)


@asynccontextmanager
async def served_by(handler: grpc.GenericRpcHandler) -> AsyncIterator[OrchestratorReplica]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([handler])
    replica = OrchestratorReplica("orchestrator-1", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", GRPC)
    await server.start()
    try:
        yield replica
    finally:
        await replica.close()
        await server.stop(None)


def behind(code: grpc.StatusCode) -> AbstractAsyncContextManager[OrchestratorReplica]:
    return served_by(Gateway(code))


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
async def test_a_gateway_that_does_not_let_the_suite_in_decides_nothing(code: grpc.StatusCode) -> None:
    async with behind(code) as replica:
        with pytest.raises(Inconclusive, match=rf"lets the suite not in \({code.name}: RBAC: access denied\)"):
            await replica.status()


async def test_what_the_product_does_not_permit_is_its_own_answer() -> None:
    async with behind(grpc.StatusCode.PERMISSION_DENIED) as replica:
        with pytest.raises(Refused, match="PERMISSION_DENIED"):
            await replica.result("task-1")


async def test_a_server_that_wants_tls_is_told_from_one_that_is_dead() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    replica = OrchestratorReplica("orchestrator-1", f"127.0.0.1:{port}", GRPC)
    with pytest.raises(Inconclusive, match=r"wants TLS, and the profile has no \[orchestrator.tls\]"):
        await replica.status()
    server.close()
    await server.wait_closed()
    with pytest.raises(Refused, match="UNAVAILABLE"):
        await replica.status()
    await replica.close()


class Verbose(grpc.GenericRpcHandler):  # type: ignore[misc,type-arg,unused-ignore]
    """Answers every call with the same message."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def service(self, _details: Any) -> Any:
        async def answer(_request: bytes, _context: Any) -> bytes:
            return self.answer

        return grpc.unary_unary_rpc_method_handler(answer)


def answered_with(answer: Any) -> AbstractAsyncContextManager[OrchestratorReplica]:
    return served_by(Verbose(answer.SerializeToString()))


async def test_an_answer_that_any_client_reads_is_read() -> None:
    proposal = pb.DeliberationResult(proposal=pb.Proposal(content="x" * (3 << 20)))
    ended = pb.GetDeliberationResultResponse(status=pb.DELIBERATION_STATUS_COMPLETED, results=[proposal])
    async with answered_with(ended) as replica:
        outcome = await replica.result("task-1")
    assert [len(proposal.content) for proposal in outcome.proposals] == [3 << 20]


async def test_a_list_that_is_not_read_decides_nothing_and_says_whose_it_is() -> None:
    async with answered_with(pb.GetDeliberationResultResponse(results=[pb.DeliberationResult()] * 1001)) as replica:
        with pytest.raises(Inconclusive, match=r"orchestrator-1 .* answers .* with a list results of 1001 entries"):
            await replica.result("task-1")
