"""The orchestrator's gRPC by the contract: the reference's, byte for byte, and one of other names and numbers."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

from fixtures.core.errors import Inconclusive, UsageError
from fixtures.profile import descriptors
from fixtures.profile.contract import Contract, take_contract
from fixtures.services.grpc_contract import GrpcContract, document_of
from fixtures.services.orchestrator import Council, Orchestrator, OrchestratorReplica, Proposal
from fixtures.services.protobuf_wire import count_fields
from tests.support.orchestrator_messages import GRPC, pb
from tests.unit.profile.contracts import second

# -- the reference -----------------------------------------------------------------------------------------------------


def test_the_requests_are_those_of_the_references_proto() -> None:
    constraints = pb.TaskConstraints(rubric="clean", requirements=["tested"], metadata={"run": "r1"}, timeout_seconds=6)
    request = pb.DeliberateRequest(task_description="x", role="DEV", num_agents=3, constraints=constraints)
    values = {"task": "x", "role": "DEV", "agents": 3, "rubric": "clean", "requirements": ["tested"], "deadline": 6}
    assert GRPC.request("start", {**values, "metadata": {"run": "r1"}}) == request.SerializeToString()
    bare = pb.DeliberateRequest(task_description="x", role="DEV", constraints=pb.TaskConstraints())
    assert GRPC.request("start", {"task": "x", "role": "DEV", "agents": 0}) == bare.SerializeToString()
    assert GRPC.request("status", {}) == pb.GetStatusRequest(include_stats=True).SerializeToString()
    assert GRPC.path("start") == "/orchestrator.v1.OrchestratorService/Deliberate"


def test_a_message_is_a_document() -> None:
    answer = pb.GetDeliberationResultResponse(
        status=pb.DELIBERATION_STATUS_IN_PROGRESS,
        duration_ms=2**40,
        results=[pb.DeliberationResult(proposal=pb.Proposal(content="a name"), score=0.5)],
        metadata=pb.OrchestratorMetadata(tags={"failed": "a2"}),
    )
    document = document_of(answer)
    assert (document["status"], document["duration_ms"]) == ("IN_PROGRESS", 2**40)
    assert document["results"][0]["proposal"]["content"] == "a name"
    assert "checks" not in document["results"][0], "a message that is not set is absent"
    assert document["metadata"]["tags"] == {"failed": "a2"}
    assert document_of(pb.GetDeliberationResultResponse(status=77))["status"] == "77"


def test_a_list_longer_than_the_suite_reads_decides_nothing() -> None:
    rows = pb.GetDeliberationResultResponse(results=[pb.DeliberationResult()] * 1001)
    with pytest.raises(Inconclusive, match="a list results of 1001 entries, more than the 1000 that the suite reads"):
        document_of(rows)


def test_an_answer_of_more_fields_than_the_suite_reads_is_refused_before_it_takes_their_memory() -> None:
    """The bytes are within gRPC's 4 MiB, what they ask for is not: tests/unit/hostile measures it."""
    many = b"\x1a\x00" * 300_000
    inside = pb.ListCouncilsResponse.DESCRIPTOR.fields_by_name["councils"].number << 3 | 2
    nested, cut = bytes([inside]) + b"\xc0\xcf\x24" + many, bytes([inside]) + b"\x01\xff"
    for content in (many, nested, nested + cut):  # 600,000 bytes in one message, and one that is cut beside it
        with pytest.raises(Inconclusive, match="more than the 200000 fields that the suite reads of an answer"):
            GRPC.answer("councils", content)


@pytest.mark.parametrize("size", [1, 10, 1000])
def test_fields_are_counted_as_they_are_written(size: int) -> None:
    proposal = pb.Proposal(author_id="a1", author_role="DEV", content="x")
    answer = pb.GetDeliberationResultResponse(
        results=[pb.DeliberationResult(proposal=proposal, score=0.5, rank=1)] * size, duration_ms=2**40
    )
    content, kind = answer.SerializeToString(), type(answer).DESCRIPTOR
    assert count_fields(content, kind, 10_000) == 1 + size * 7
    assert count_fields(content, kind, 5) == 5
    assert count_fields(content[:-1], kind, 10_000) <= 1 + size * 7


def test_what_is_no_message_is_left_to_the_parser() -> None:
    kind = pb.GetStatusResponse.DESCRIPTOR
    for content in (b"", b"\xff" * 1000, b"\x0b", b"\x0a\xff\xff\xff\xff\x0f", bytes(range(256))):
        assert count_fields(content, kind, 1000) < 1000


# -- another service ---------------------------------------------------------------------------------------------------

STRING, INT64, ENUM, MESSAGE = 9, 3, 14, 11  # FieldDescriptorProto.Type


def field(name: str, number: int, kind: int = STRING, of: str = "", repeated: bool = False) -> FieldDescriptorProto:
    label: Any = 3 if repeated else 1
    made = FieldDescriptorProto(name=name, number=number, type=kind, label=label)  # type: ignore[arg-type]
    if of:
        made.type_name = of
    return made


def ballots() -> FileDescriptorProto:
    """acme.v1.Ballots: nothing has a name or a number of the reference."""
    file = FileDescriptorProto(name="ballots.proto", package="acme.v1", syntax="proto3")
    messages = {
        "OpenRequest": [field("question", 7), field("office", 9), field("closes_s", 2, INT64)],
        "OpenReply": [field("ballot", 4)],
        "TallyRequest": [field("ballot", 3)],
        "Vote": [field("voter", 5), field("text", 6)],
        "TallyReply": [
            field("state", 1, ENUM, ".acme.v1.State"),
            field("votes", 2, MESSAGE, ".acme.v1.Vote", repeated=True),
            field("victor", 8),
        ],
    }
    for name, fields in messages.items():
        file.message_type.add(name=name, field=fields)
    state = file.enum_type.add(name="State")
    for number, word in enumerate(("STATE_OPEN", "STATE_DECIDED", "STATE_VOID")):
        state.value.add(name=word, number=number)
    service = file.service.add(name="Ballots")
    service.method.add(name="Open", input_type=".acme.v1.OpenRequest", output_type=".acme.v1.OpenReply")
    service.method.add(name="Tally", input_type=".acme.v1.TallyRequest", output_type=".acme.v1.TallyReply")
    service.method.add(
        name="Watch", input_type=".acme.v1.TallyRequest", output_type=".acme.v1.TallyReply", server_streaming=True
    )
    return file


BALLOTS: dict[str, Any] = {
    "service": "acme.v1.Ballots",
    "descriptor": "ballots.binpb",
    "start": {
        "method": "Open",
        "request": {"question": "{task}", "office": "{role}", "closes_s": "{deadline}"},
        "response": {"task_id": "ballot"},
    },
    "result": {
        "method": "Tally",
        "request": {"ballot": "{task_id}"},
        "response": {"state": True, "proposals": "votes", "winner": "victor"},
        "proposal": {"author": "voter", "content": "text"},
        "states": {"completed": ["DECIDED"], "failed": ["VOID"]},
    },
}


def contract_of(folder: Path, files: list[FileDescriptorProto], **changes: Any) -> Contract:
    (folder / "ballots.binpb").write_bytes(FileDescriptorSet(file=files).SerializeToString())
    descriptors._services.cache_clear()
    document = {"contract": "reference", "grpc": {**BALLOTS, **changes}}
    return take_contract(document, folder, "profile votes.toml")


class Ballots(grpc.GenericRpcHandler):  # type: ignore[misc,type-arg,unused-ignore]
    """Answers as the acme service, and remembers what it was asked."""

    def __init__(self, contract: GrpcContract) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._service = descriptors.service(contract.section.descriptor, contract.section.service)

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        rpc = self._service.method(name)

        async def answer(content: bytes, _context: Any) -> bytes:
            self.asked.append((details.method, document_of(rpc.request.FromString(content))))
            reply = rpc.response()
            if name == "Open":
                reply.ballot = "b-1"
            else:
                reply.state, reply.victor = 1, "v-2"
                reply.votes.add(voter="v-2", text="yes")
            return bytes(reply.SerializeToString())

        return grpc.unary_unary_rpc_method_handler(answer)


@asynccontextmanager
async def served(contract: GrpcContract) -> AsyncIterator[tuple[Ballots, OrchestratorReplica]]:
    handler, server = Ballots(contract), grpc.aio.server()
    server.add_generic_rpc_handlers([handler])
    replica = OrchestratorReplica("clerk-1", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", contract)
    await server.start()
    try:
        yield handler, replica
    finally:
        await replica.close()
        await server.stop(None)


async def test_an_orchestrator_of_other_names_is_asked_and_understood(tmp_path: Path) -> None:
    contract = GrpcContract.of(contract_of(tmp_path, [ballots()]))
    assert contract is not None
    async with served(contract) as (handler, replica):
        started = await replica.deliberate("which name?", "LEGAL", 2, deadline=30)
        outcome = await replica.outcome(started.task_id)
        with pytest.raises(Inconclusive, match=r"the contract names no method for it \(grpc\.status\)"):
            await replica.status()
    assert started.task_id == "b-1"
    assert (outcome.status, outcome.winner) == ("COMPLETED", "v-2")
    assert outcome.proposals == (Proposal("v-2", "", "yes", 0.0, 0),)
    assert handler.asked == [
        ("/acme.v1.Ballots/Open", {"question": "which name?", "office": "LEGAL", "closes_s": 30}),
        ("/acme.v1.Ballots/Tally", {"ballot": "b-1"}),
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"result": {**BALLOTS["result"], "response": {"state": True, "proposals": "votes", "winner": "winner_id"}}},
            "grpc.result.response.winner: acme.v1.TallyReply has no field winner_id; it has: state, votes, victor",
        ),
        ({"start": {**BALLOTS["start"], "method": "Watch"}}, "grpc.start.method: acme.v1.Ballots/Watch is a stream"),
        (
            {"start": {**BALLOTS["start"], "request": {"closes_s": "{task}"}}},
            "grpc.start.request.closes_s: acme.v1.OpenRequest.closes_s is int64, not 'text'",
        ),
    ],
)
def test_what_does_not_fit_the_descriptor_is_one_line(tmp_path: Path, changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError) as mistake:
        contract_of(tmp_path, [ballots()], **changes)
    assert str(mistake.value).startswith(f"profile votes.toml: {line}")
    assert "\n" not in str(mistake.value)


def test_a_descriptor_without_what_it_imports_says_how_to_make_one(tmp_path: Path) -> None:
    file = ballots()
    file.dependency.append("google/protobuf/timestamp.proto")
    with pytest.raises(UsageError, match=r"does not hold what ballots\.proto needs .* \./ci/gen-proto --descriptor"):
        contract_of(tmp_path, [file])


def test_a_proto_is_compiled_where_grpcio_tools_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ballots.proto").write_text('syntax = "proto3";\n', encoding="utf-8")
    seen: list[list[str]] = []

    def main(words: list[str]) -> int:
        seen.append(words)
        (out,) = (word.partition("=")[2] for word in words if word.startswith("--descriptor_set_out="))
        Path(out).write_bytes(FileDescriptorSet(file=[ballots()]).SerializeToString())
        return 0

    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    monkeypatch.setitem(sys.modules, "grpc_tools.protoc", SimpleNamespace(main=main))
    contract_of(tmp_path, [ballots()], descriptor="ballots.proto")
    assert seen[0][1:3] == [f"-I{tmp_path}", "--include_imports"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"grpc\.descriptor: .*is a \.proto, and grpcio-tools is not installed"):
        contract_of(tmp_path, [ballots()], descriptor="ballots.proto")


async def test_where_nothing_is_served_over_grpc_there_is_nobody_to_ask() -> None:
    orchestrator = Orchestrator(lambda: {"clerk-1": "127.0.0.1:9"}, GrpcContract.of(second()))
    assert orchestrator.replicas == []
    with pytest.raises(Inconclusive, match=r"no replica that could be asked: the contract has no \[grpc\]"):
        _ = orchestrator.any
    await orchestrator.close()


async def test_councils_are_read_by_their_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = OrchestratorReplica("orchestrator-1", "127.0.0.1:9", GRPC)
    rows = [pb.CouncilInfo(role="DEV", num_agents=3, agents=[pb.AgentInfo()] * 3, model="m"), pb.CouncilInfo(role="QA")]

    async def call(purpose: str, **_: Any) -> dict[str, Any]:
        assert purpose == "councils"
        return document_of(pb.ListCouncilsResponse(councils=rows))

    monkeypatch.setattr(replica, "call", call)
    assert await replica.councils() == {"DEV": Council("DEV", 3, 3, "m"), "QA": Council("QA", 0, 0, "")}
    await replica.close()


def test_the_shipped_descriptor_has_the_numbers_of_the_wire() -> None:
    """ci/gen-proto --check compares it with the .proto, byte for byte."""
    fields = [f"{field.name}={field.number}" for field in pb.DeliberateRequest.DESCRIPTOR.fields]
    assert fields == ["task_description=1", "role=2", "constraints=3", "rounds=4", "num_agents=5"]
