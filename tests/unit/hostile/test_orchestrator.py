"""Whatever the orchestrator, or who answers in its place, says: a typed answer or a reason, in time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.timeouts import Timeouts, applied
from fixtures.services.orchestrator import OrchestratorReplica, Outcome, Refused, Started, Status
from tests.support.orchestrator_messages import GRPC, pb
from tests.unit.hostile import servers
from tests.unit.hostile.answers import a_reason_at_most

PROPOSAL = pb.Proposal(author_id="a1", author_role="DEV", content="x" * 50)
RESULT = pb.GetDeliberationResultResponse(
    task_id="t",
    status=pb.DELIBERATION_STATUS_COMPLETED,
    results=[pb.DeliberationResult(proposal=PROPOSAL, score=0.5, rank=1)],
    winner_id="a1",
    duration_ms=5,
    metadata=pb.OrchestratorMetadata(execution_id="t", tags={"failed": "a2"}),
)
VALID = {
    "GetDeliberationResult": RESULT,
    "Deliberate": pb.DeliberateResponse(metadata=RESULT.metadata),
    "GetStatus": pb.GetStatusResponse(status="healthy", uptime_seconds=5),
    "ListCouncils": pb.ListCouncilsResponse(councils=[pb.CouncilInfo(role="DEV", num_agents=3)]),
}
QUESTIONS: dict[str, tuple[Any, type]] = {
    "GetDeliberationResult": (lambda replica: replica.result("t"), Outcome),
    "Deliberate": (lambda replica: replica.deliberate("x", "DEV"), Started),
    "GetStatus": (lambda replica: replica.status(), Status),
    "ListCouncils": (lambda replica: replica.councils(), dict),
}


@st.composite
def messages(draw: Any, valid: Any) -> bytes:
    """The valid message in bytes, some of which are others, are missing or come besides; or any bytes at all."""
    if draw(st.integers(0, 5)) == 0:
        return bytes(draw(st.binary(max_size=100)))
    raw = bytearray(valid.SerializeToString())
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(raw)))
        raw[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(raw)


class Server(grpc.GenericRpcHandler):
    """Answers every method with `answer`, or with the gRPC error `refuses`."""

    answer, refuses = b"", ""

    def service(self, _details: Any) -> Any:
        async def behave(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            if self.refuses:
                await context.abort(grpc.StatusCode.INTERNAL, self.refuses)
            return self.answer

        return grpc.unary_unary_rpc_method_handler(behave)


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[tuple[Server, OrchestratorReplica]]:
    handler, server = Server(), grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers([handler])
    replica = OrchestratorReplica("orchestrator-1", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", GRPC)
    await server.start()
    yield handler, replica
    await replica.close()
    await server.stop(None)


@pytest.mark.parametrize("method", QUESTIONS)
@given(data=st.data())
async def test_any_answer(method: str, data: st.DataObject, served: tuple[Server, OrchestratorReplica]) -> None:
    handler, replica = served
    ask, kind = QUESTIONS[method]
    handler.answer, handler.refuses = data.draw(messages(VALID[method])), ""
    with a_reason_at_most(NonConformance):
        assert isinstance(await ask(replica), kind)


@given(details=st.text(min_size=1, max_size=50))
async def test_any_refusal(details: str, served: tuple[Server, OrchestratorReplica]) -> None:
    handler, replica = served
    handler.refuses = details.encode("utf-8", "replace").decode()
    with a_reason_at_most(Refused):
        await replica.status()


HUGE = {
    "a long text": pb.GetStatusResponse(status="x" * (32 << 20)).SerializeToString(),
    "many proposals": b"\x1a\x00" * (2 << 20),
    "proposals in proposals": b"\x1a\x80\x01" * 1000,
}


@pytest.mark.parametrize("name", HUGE)
async def test_huge_answers(name: str, served: tuple[Server, OrchestratorReplica]) -> None:
    handler, replica = served
    handler.answer, handler.refuses = HUGE[name], ""
    with servers.within_bounds(), a_reason_at_most(NonConformance, Inconclusive):
        await replica.result("t")
        pytest.fail("such an answer was understood")


WIRE = {
    "silent": servers.silent,
    "closes at once": servers.sends(b""),
    "HTTP/1.1": servers.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    "bytes without end": servers.floods(b"", bytes(range(256)) * 256),
    "settings without end": servers.floods(b"", b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" * 4096),
    "frame of 16 MiB": servers.floods(
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\xff\xff\xff\x00\x00\x00\x00\x00\x01", b"x" * 65536
    ),
    "settings, then nothing": servers.drips(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", b""),
}


@pytest.mark.parametrize("name", WIRE)
async def test_any_server(name: str) -> None:
    async with servers.serving(WIRE[name]) as port:
        replica = OrchestratorReplica("orchestrator-1", f"127.0.0.1:{port}", GRPC)
        with servers.within_bounds(), a_reason_at_most(Refused):
            with applied(Timeouts(request=servers.PATIENCE)):
                await replica.call("status")
            pytest.fail("such a server was understood")
        await replica.close()
