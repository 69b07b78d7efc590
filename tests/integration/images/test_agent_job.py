"""The agent job on a real Ray, with a real NATS and the vLLM stub: what it publishes, returns and raises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import pytest

from tests.support.reference_stack import IMAGES, MODEL, drive, free_port, nats_server, ray_head, ray_python
from tests.support.stub_process import client, running

TASK = "Write a parser"
CONSTRAINTS = {"rubric": "clean", "requirements": ["tested"], "metadata": {"run": "r1"}}
RULES = {"hang": "hang", "null": "null-content", "crash": "hold"}
TIMEOUT_S = 3

Outcomes = dict[str, Any]
Messages = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs and NATS store of this module."""
    return tmp_path_factory.mktemp("agent-job")


@pytest.fixture(scope="module")
def nats_url(folder: Path) -> Iterator[str]:
    """A NATS server of this module's own."""
    with nats_server(folder) as url:
        yield url


@pytest.fixture(scope="module")
async def outcomes(folder: Path, nats_url: str) -> Outcomes:
    """Every case, run at once: case name to what its submitter saw. Its task id is the case's name."""
    onlooker = await nats.connect(nats_url)
    await onlooker.jetstream().add_stream(name="AGENT_RESPONSES", subjects=["agent.response.>"])
    await onlooker.close()
    python = await ray_python()
    shadow = folder / "shadow"
    shadow.mkdir()
    (shadow / "nats.py").write_text("raise ImportError('shadowed')\n")
    with running("vllm_stub") as vllm_url, ray_head(python, folder) as ray_address:
        for name, action in RULES.items():
            rule = {"id": name, "action": action, "path": "/v1/chat/completions", "contains": f"case {name}."}
            async with client(vllm_url) as vllm:
                (await vllm.post("/debug/faults", json=rule)).raise_for_status()

        def case(name: str, *, diversity: bool = False, **more: Any) -> dict[str, Any]:
            job = {
                **{"agent_id": "agent-1", "role": "DEV", "vllm_url": vllm_url, "model": MODEL, "nats_url": nats_url},
                **{"timeout": 30, "max_tokens": 16},
                **more.pop("job", {}),
            }
            run = {"task_id": name, "task_description": f"{TASK}, case {name}.", "constraints": CONSTRAINTS}
            return {"job": job, "run": {**run, "diversity": diversity}, **more}

        cases = [
            case("plain"),
            case("diverse", diversity=True),
            case("twice", twice=True),
            case("tools", job={"enable_tools": True, "workspace_path": str(IMAGES.parent)}),
            case("closed", job={"vllm_url": f"http://127.0.0.1:{free_port()}"}),
            case("unknown", job={"model": "no/such-model"}),
            case("hang", job={"timeout": TIMEOUT_S}),
            case("null"),
            case("no-nats", job={"nats_url": f"nats://127.0.0.1:{free_port()}"}),
            case("shadowed", options={"runtime_env": {"env_vars": {"PYTHONPATH": str(shadow)}}}),
            case("crash", kill_when_asked=vllm_url),
        ]
        document = {"address": ray_address, "cases": {c["run"]["task_id"]: c for c in cases}}
        return dict(drive(python, "reference_stack_jobs.py", document))


@pytest.fixture(scope="module")
async def messages(nats_url: str, outcomes: Outcomes) -> Messages:
    """Everything that was published, by task id."""
    assert outcomes, "the cases ran"
    onlooker = await nats.connect(nats_url)
    js = onlooker.jetstream()
    by_task: Messages = {}
    for sequence in range(1, (await js.stream_info("AGENT_RESPONSES")).state.last_seq + 1):
        message = await js.get_msg("AGENT_RESPONSES", sequence)
        document = json.loads(message.data or b"")
        assert message.subject == f"agent.response.{document['status']}", f"published on {message.subject}: {document}"
        by_task.setdefault(document["task_id"], []).append(document)
    await onlooker.close()
    return by_task


@pytest.mark.parametrize(("case", "diversity", "temperature"), [("plain", False, 0.7), ("diverse", True, 0.7 * 1.3)])
def test_message_fulfils_the_contract(
    outcomes: Outcomes, messages: Messages, case: str, diversity: bool, temperature: float
) -> None:
    """One message, equal to the returned value, every field of its type."""
    (message,) = messages[case]
    assert outcomes[case] == {"results": [message]}, "the job returns what it published"
    proposal = message.pop("proposal")
    duration, timestamp = message.pop("duration_ms"), datetime.fromisoformat(message.pop("timestamp"))
    assert isinstance(duration, int), f"duration_ms is {duration!r}"
    assert duration > 0, f"duration_ms is {duration}"
    assert timestamp.utcoffset() == timedelta(0), f"timestamp is not UTC: {timestamp}"
    assert message == {
        "task_id": case,
        "agent_id": "agent-1",
        "role": "DEV",
        "status": "completed",
        "model": MODEL,
        "diversity": diversity,
    }
    content, tokens = proposal.pop("content"), proposal.pop("tokens")
    assert content.strip(), "the proposal has a content"
    assert tokens > 0, "the proposal counts its tokens"
    assert proposal.pop("temperature") == pytest.approx(temperature), "the temperature is the one used"
    assert proposal == {"author_id": "agent-1", "author_role": "DEV", "model": MODEL}


def test_run_asked_twice_is_one_run(outcomes: Outcomes, messages: Messages) -> None:
    """Whoever takes over a watch joins the run: same answer, one message."""
    (message,) = messages["twice"]
    assert outcomes["twice"] == {"results": [message, message]}


def test_tools_can_be_enabled(outcomes: Outcomes) -> None:
    """With tools the job answers as well."""
    assert "results" in outcomes["tools"], f"with enable_tools the job failed: {outcomes['tools']}"


@pytest.mark.parametrize(
    ("case", "error_type", "words"),
    [
        ("closed", "ConnectionError", "cannot be reached"),
        ("unknown", "RuntimeError", "no/such-model"),
        ("hang", "TimeoutError", f"within {TIMEOUT_S} s"),
        ("null", "ValueError", "no content"),
    ],
)
def test_failure_is_published_and_raised(
    outcomes: Outcomes, messages: Messages, case: str, error_type: str, words: str
) -> None:
    """What goes wrong with vLLM reaches both NATS and the submitter, with the same words."""
    (message,) = messages[case]
    outcome = outcomes[case]
    assert message["status"] == "failed", f"published: {message}"
    assert message["error_type"] == outcome["cause"] == error_type, f"{message} and {outcome}"
    assert message["error"] == outcome["text"], f"{message} and {outcome}"
    assert words in message["error"], f"{message['error']!r} does not say {words!r}"


def test_hang_is_reported_in_time(messages: Messages) -> None:
    """The whole job obeys its timeout, with five seconds to spare."""
    (message,) = messages["hang"]
    assert TIMEOUT_S * 1000 <= message["duration_ms"] < (TIMEOUT_S + 5) * 1000, f"reported: {message}"


@pytest.mark.parametrize(
    ("case", "cause", "words"),
    [("no-nats", "ConnectionError", "NATS at"), ("shadowed", "ModuleNotFoundError", "No module named 'nats'")],
)
def test_submitter_is_told_without_nats(
    outcomes: Outcomes, messages: Messages, case: str, cause: str, words: str
) -> None:
    """A job that cannot publish its failure still raises it, and a missing module by name."""
    assert case not in messages, f"published: {messages[case]}"
    outcome = outcomes[case]
    assert outcome["cause"] == cause, f"the submitter saw {outcome}"
    assert words in outcome["text"], f"the submitter saw {outcome}"
    assert outcome["module"] == ("nats" if case == "shadowed" else None), f"the submitter saw {outcome}"


def test_crashed_worker_is_replaced(outcomes: Outcomes, messages: Messages) -> None:
    """An actor that dies while vLLM is asked runs again and answers once."""
    (message,) = messages["crash"]
    assert outcomes["crash"] == {"results": [message]}


def test_nothing_is_left(outcomes: Outcomes) -> None:
    """All CPUs are free again."""
    assert outcomes["cpus left"] == 0
