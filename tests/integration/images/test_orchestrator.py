"""Two replicas of the reference orchestrator on a real Ray and a real NATS, with the vLLM stub."""

from __future__ import annotations

import asyncio
import json
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import nats
import pytest
from nats.js import JetStreamContext

from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.services import grpc_access
from tests.support.orchestrator_messages import pb
from tests.support.reference_stack import IMAGES, MODEL, Replica, free_port, nats_server, ray_head, ray_python
from tests.support.stub_process import client, running

RESPONSES = {
    "Deliberate": pb.DeliberateResponse,
    "GetDeliberationResult": pb.GetDeliberationResultResponse,
    "CreateCouncil": pb.CreateCouncilResponse,
    "ListCouncils": pb.ListCouncilsResponse,
    "GetStatus": pb.GetStatusResponse,
}
ROLES = ["DEV", "QA", "ARCHITECT", "DEVOPS", "DATA"]
DELIBERATION_S = 45.0
READY_S = 30.0
LIMIT_S = 3  # of a deliberation that gets no answer
STOPPED_S = 3.0  # from SIGTERM to the end: what a roll-out allows for
FINAL = {"COMPLETED", "FAILED", "TIMEOUT"}


class Stack:
    """Two replicas and what they need; one method per thing that the tests do."""

    def __init__(self, replicas: list[Replica], vllm_url: str, nats_url: str) -> None:
        self.replicas = replicas
        self.nats_url = nats_url
        self._vllm = client(vllm_url)

    async def close(self) -> None:
        """Close the connections to the stub."""
        await self._vllm.aclose()

    async def call(self, replica: int, method: str, request: Any = None) -> Any:
        """One call; raises grpc.aio.AioRpcError."""
        async with grpc_access.channel(f"127.0.0.1:{self.replicas[replica].port}") as channel:
            unary: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
                f"/orchestrator.v1.OrchestratorService/{method}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=RESPONSES[method].FromString,
            )
            return await unary(request or pb.GetStatusRequest(), timeout=10, wait_for_ready=True)

    async def healthy(self, replica: int) -> None:
        """Until the replica says that it is."""

        async def is_healthy() -> bool:
            return bool((await self.call(replica, "GetStatus")).status == "healthy")

        await wait_until(is_healthy, f"replica {replica} being healthy", READY_S)

    async def deliberate(self, text: str, *, replica: int = 0, role: str = "DEV", agents: int = 2, **more: Any) -> str:
        """Start a deliberation; its task id."""
        constraints = pb.TaskConstraints(rubric="clean", **more)
        request = pb.DeliberateRequest(task_description=text, role=role, num_agents=agents, constraints=constraints)
        async with asyncio.timeout(TIMEOUTS.deliberate):
            response = await self.call(replica, "Deliberate", request)
        assert response.metadata.orchestrator_version == "0.8.1"
        return str(response.metadata.execution_id)

    async def outcome(self, task_id: str, replica: int = 1) -> tuple[str, Any]:
        """Status and response once the outcome is final."""

        async def final() -> tuple[str, Any] | None:
            try:
                result = await self.call(
                    replica, "GetDeliberationResult", pb.GetDeliberationResultRequest(task_id=task_id)
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    return None
                raise
            status = pb.DeliberationStatus.Name(result.status).rsplit("_", 1)[-1]
            return (status, result) if status in FINAL else None

        return await wait_until(final, f"the end of {task_id}", DELIBERATION_S)

    async def fault(self, action: str, text: str, **more: Any) -> str:
        """Let the stub misbehave for prompts with this text; the rule's id."""
        rule = {"action": action, "path": "/v1/chat/completions", "contains": text, **more}
        answer = await self._vllm.post("/debug/faults", json=rule)
        answer.raise_for_status()
        return str(answer.json()["id"])

    async def asked(self, rule: str, times: int) -> None:
        """Until the stub has applied a rule this many times."""

        async def often_enough() -> bool:
            rules = (await self._vllm.get("/debug/faults")).json()["faults"]
            return any(r["id"] == rule and r["hits"] >= times for r in rules)

        await wait_until(often_enough, f"rule {rule} being applied {times} times", DELIBERATION_S)

    async def mend(self, rule: str) -> None:
        """Delete a rule."""
        (await self._vllm.delete(f"/debug/faults/{rule}")).raise_for_status()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs and NATS store of this module."""
    return tmp_path_factory.mktemp("orchestrator")


@pytest.fixture(scope="module")
async def python() -> Path:
    """The interpreter of Ray and orchestrator alike."""
    return await ray_python()


@pytest.fixture(scope="module")
def started(folder: Path, python: Path) -> Iterator[Stack]:
    """The processes."""
    with ExitStack() as parts:
        nats_url = parts.enter_context(nats_server(folder))
        vllm_url = parts.enter_context(running("vllm_stub"))
        variables = {
            "AGENT_TYPE": "vllm",
            "VLLM_URL": vllm_url,
            "VLLM_MODEL": MODEL,
            "RAY_ADDRESS": parts.enter_context(ray_head(python, folder)),
            "NATS_URL": nats_url,
            "GRPC_HOST": "127.0.0.1",
            "MAX_TOKENS": "16",
        }
        replicas = [Replica(python, folder / f"replica-{n}.log", variables, free_port()) for n in (0, 1)]
        for replica in replicas:
            parts.callback(replica.stop)
            replica.start()
        yield Stack(replicas, vllm_url, nats_url)


@pytest.fixture(scope="module")
async def stack(started: Stack) -> AsyncIterator[Stack]:
    """Two healthy replicas, with councils for all roles but DATA."""
    for replica in (0, 1):
        await started.healthy(replica)
    for role in ROLES[:-1]:
        await started.call(0, "CreateCouncil", pb.CreateCouncilRequest(role=role, num_agents=2))
    yield started
    await started.close()


@pytest.fixture(scope="module")
async def js(stack: Stack) -> AsyncIterator[JetStreamContext]:
    """JetStream, as an onlooker."""
    client = await nats.connect(stack.nats_url)
    yield client.jetstream()
    await client.close()


async def published(js: JetStreamContext, task_id: str) -> list[dict[str, Any]]:
    """What the agents of a task published."""
    last = (await js.stream_info("AGENT_RESPONSES")).state.last_seq
    raw = [(await js.get_msg("AGENT_RESPONSES", sequence)).data or b"" for sequence in range(1, last + 1)]
    documents = [json.loads(data) for data in raw if data.startswith(b'{"task_id"')]
    return [document for document in documents if document["task_id"] == task_id]


async def test_councils(stack: Stack) -> None:
    """Every replica lists the same councils, with agents and model."""
    request = pb.ListCouncilsRequest(include_agents=True)
    councils = (await stack.call(1, "ListCouncils", request)).councils
    assert [council.role for council in councils] == ROLES[:-1]
    assert {council.model for council in councils} == {MODEL}
    assert [agent.agent_id for agent in councils[0].agents] == ["agent-dev-001", "agent-dev-002"]


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("CreateCouncil", pb.CreateCouncilRequest(role="DEV"), "ALREADY_EXISTS"),
        ("CreateCouncil", pb.CreateCouncilRequest(role="COOK"), "NOT_FOUND"),
        ("Deliberate", pb.DeliberateRequest(task_description="x", role="COOK"), "NOT_FOUND"),
        ("Deliberate", pb.DeliberateRequest(task_description="x", role="DATA"), "FAILED_PRECONDITION"),
        ("Deliberate", pb.DeliberateRequest(task_description=" ", role="DEV"), "INVALID_ARGUMENT"),
        ("Deliberate", pb.DeliberateRequest(task_description="x", role="DEV", num_agents=-1), "INVALID_ARGUMENT"),
        ("Deliberate", pb.DeliberateRequest(task_description="x" * 2**21, role="DEV"), "INVALID_ARGUMENT"),
        ("GetDeliberationResult", pb.GetDeliberationResultRequest(task_id="nobody's"), "NOT_FOUND"),
        ("GetDeliberationResult", pb.GetDeliberationResultRequest(), "NOT_FOUND"),
    ],
)
async def test_refusals(stack: Stack, method: str, request_: Any, code: str) -> None:
    """What cannot be done is refused with a status that says so, never INTERNAL."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stack.call(0, method, request_)
    assert refused.value.code().name == code, refused.value.details()


async def test_deliberation(stack: Stack, js: JetStreamContext) -> None:
    """Started on one replica, read from the other: what was published, ranked, with the first agent not diverse."""
    task_id = await stack.deliberate("Write a parser", agents=3)
    status, result = await stack.outcome(task_id)
    assert status == "COMPLETED", result
    documents = sorted(await published(js, task_id), key=lambda document: document["agent_id"])
    proposals = {entry.proposal.author_id: entry.proposal.content for entry in result.results}
    assert proposals == {document["agent_id"]: document["proposal"]["content"] for document in documents}
    assert [document["diversity"] for document in documents] == [False, True, True]
    temperatures = [document["proposal"]["temperature"] for document in documents]
    assert temperatures == pytest.approx([0.7, 0.91, 0.91])
    assert [entry.rank for entry in result.results] == [1, 2, 3]
    assert result.winner_id == result.results[0].proposal.author_id


async def test_several_at_once(stack: Stack, js: JetStreamContext) -> None:
    """Nothing is lost, crossed or counted twice."""
    texts = {f"Task {uuid.uuid4().hex}": index for index in range(5)}
    tasks = {text: await stack.deliberate(text, replica=index % 2, agents=1) for text, index in texts.items()}
    for text, task_id in tasks.items():
        status, result = await stack.outcome(task_id, replica=(texts[text] + 1) % 2)
        assert (status, len(result.results)) == ("COMPLETED", 1), result
        (document,) = await published(js, task_id)
        assert result.results[0].proposal.content == document["proposal"]["content"]


async def test_one_of_two_fails(stack: Stack) -> None:
    """The deliberation completes without it, and shows the failure."""
    await stack.fault("null-content", "half good", times=1)
    status, result = await stack.outcome(await stack.deliberate("A half good task"))
    assert (status, len(result.results)) == ("COMPLETED", 1), result
    (failure,) = [(tag, text) for tag, text in result.metadata.tags.items() if tag.startswith("failed:")]
    assert "no content" in failure[1], failure


async def test_all_fail(stack: Stack) -> None:
    """The cause is named."""
    await stack.fault("status", "all bad", code=500, body={"error": {"message": "engine is dead", "type": "X"}})
    status, result = await stack.outcome(await stack.deliberate("An all bad task"))
    assert status == "FAILED", result
    assert "engine is dead" in result.error_message


async def test_no_answer(stack: Stack) -> None:
    """The deliberation ends after its timeout, and its agents with it: the next one gets their CPUs."""
    rule = await stack.fault("hang", "endless")
    async with asyncio.timeout(2 * LIMIT_S):
        task_id = await stack.deliberate("An endless task", timeout_seconds=LIMIT_S)
        status, result = await stack.outcome(task_id)
    assert status == "TIMEOUT", result
    assert f"no answer from 2 of 2 agents within {LIMIT_S} s" in result.error_message
    await stack.mend(rule)


async def test_duplicates_strangers_and_rubbish(stack: Stack, js: JetStreamContext) -> None:
    """Twice counts once; unknown tasks and agents are dropped; malformed messages stall nothing; all is settled."""
    rule = await stack.fault("hold", "patience")
    task_id = await stack.deliberate("A task for patience", agents=2)

    async def publish(**fields: Any) -> None:
        document = {"task_id": task_id, "agent_id": "agent-dev-001", "status": "completed", "role": "DEV", **fields}
        await js.publish(f"agent.response.{document['status']}", json.dumps(document).encode())

    await js.publish("agent.response.completed", b"rubbish")
    await publish(proposal={"content": None})
    await publish(proposal={"content": "of a stranger"}, agent_id="stranger")
    await publish(proposal={"content": "of an unknown task"}, task_id="unknown")
    await publish(proposal={"content": "the first"})

    async def counted() -> bool:
        result = await stack.call(1, "GetDeliberationResult", pb.GetDeliberationResultRequest(task_id=task_id))
        return [entry.proposal.content for entry in result.results] == ["the first"]

    # Two replicas collect side by side: which of two messages at once is the first is theirs to say.
    await wait_until(counted, "the first answer in the result", 10)
    await publish(proposal={"content": "the second"})
    await stack.asked(rule, 2)
    await stack.mend(rule)
    status, result = await stack.outcome(task_id)
    contents = {entry.proposal.author_id: entry.proposal.content for entry in result.results}
    assert (status, set(contents)) == ("COMPLETED", {"agent-dev-001", "agent-dev-002"}), result
    assert contents["agent-dev-001"] == "the first"

    async def settled() -> bool:
        infos = [
            await js.consumer_info("AGENT_RESPONSES", f"deliberation-collector-{s}") for s in ("completed", "failed")
        ]
        return all(info.num_pending == 0 and info.num_ack_pending == 0 for info in infos)

    await wait_until(settled, "every message being settled", 10)


async def test_plan_approved(stack: Stack, js: JetStreamContext) -> None:
    """One deliberation per role, once, however often the event comes; a role without council is reported."""
    story = f"story {uuid.uuid4().hex}"
    plan = {"story_id": story, "plan_id": "p", "roles": ["QA", "DATA"], "approved_by": "po", "timestamp": "now"}
    for _ in range(2):
        await js.publish("planning.plan.approved", json.dumps(plan).encode())
    status, result = await stack.outcome(f"{story}-QA-deliberation")
    assert (status, len(result.results)) == ("COMPLETED", 2), result
    status, result = await stack.outcome(f"{story}-DATA-deliberation")
    assert (status, result.error_message) == ("FAILED", "there is no council for role DATA")


async def test_replica_killed(stack: Stack, js: JetStreamContext) -> None:
    """At once after Deliberate returned, before any agent was started: the other one takes over."""
    task_id = await stack.deliberate("An orphaned task")
    stack.replicas[0].kill()
    status, result = await stack.outcome(task_id)
    stack.replicas[0].start()
    assert (status, len(result.results)) == ("COMPLETED", 2), result
    assert len(await published(js, task_id)) == 2, "each agent published once"


async def test_all_replicas_killed(stack: Stack, js: JetStreamContext) -> None:
    """The agents run on and publish; the answers are there when the replicas are back."""
    await stack.healthy(0)
    rule = await stack.fault("hold", "siesta")
    task_id = await stack.deliberate("A task for the siesta")
    await stack.asked(rule, 2)
    for replica in stack.replicas:
        replica.kill()
    await stack.mend(rule)

    async def both() -> bool:
        return len(await published(js, task_id)) == 2

    await wait_until(both, "both agents publishing", 20)
    for replica in stack.replicas:
        replica.start()
    status, result = await stack.outcome(task_id)
    assert (status, len(result.results)) == ("COMPLETED", 2), result


async def test_stop_and_status(stack: Stack) -> None:
    """SIGTERM ends a replica in three seconds; without Ray or NATS a replica says what it lacks."""
    await stack.healthy(0)
    assert stack.replicas[0].stop() < STOPPED_S
    one = stack.replicas[0]
    nowhere = f"127.0.0.1:{free_port()}"
    lost = Replica(one.python, one.log, {**one.variables, "RAY_ADDRESS": f"ray://{nowhere}"}, one.port)
    stack.replicas[0] = lost
    lost.start()

    async def told() -> bool:
        return nowhere in (await stack.call(0, "GetStatus")).status

    try:
        await wait_until(told, "GetStatus naming the Ray that cannot be reached", READY_S)
    finally:
        lost.stop()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [("VLLM_URL", "", "VLLM_URL is not set"), ("GRPC_PORT", "many", "GRPC_PORT is 'many'; expected a number")],
)
def test_wrong_configuration(started: Stack, variable: str, value: str, said: str, tmp_path: Path) -> None:
    """One clear line, exit status 2."""
    one = started.replicas[1]
    environment_ = {**one.variables, variable: value, "PYTHONPATH": str(IMAGES / "orchestrator")}
    done = subprocess.run(
        [str(one.python), "-m", "fleet_orchestrator"],
        env=environment_,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (2, f"fleet_orchestrator: {said}\n")
