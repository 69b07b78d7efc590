"""The pure parts of the reference stack: a deliberation's states, messages, configuration, prompts and tools."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ray.exceptions import RaySystemError

from fixtures.core.paths import ROOT

IMAGES = ROOT / "images"
sys.path[:0] = [str(IMAGES / "orchestrator"), str(IMAGES / "ray")]

from fleet_orchestrator import config, deliberation, responses  # noqa: E402
from fleet_orchestrator.deliberation import Answer, Deliberation  # noqa: E402
from fleet_orchestrator.ray_thread import AgentFailed, LinkLost, translated  # noqa: E402
from swe_ai_fleet.agents.vllm_agent import briefing  # noqa: E402
from swe_ai_fleet.tools.file import FileTool  # noqa: E402
from swe_ai_fleet.tools.git import GitTool  # noqa: E402
from swe_ai_fleet.tools.test import TestTool  # noqa: E402

NEW = Deliberation("t", "DEV", ("a1", "a2"), "replica-1", created_ms=1000, deadline_ms=11_000)
ENVIRONMENT = {
    "AGENT_TYPE": "vllm",
    "VLLM_URL": "http://vllm:8000",
    "VLLM_MODEL": "m",
    "RAY_ADDRESS": "ray://head:10001",
    "NATS_URL": "nats://nats:4222",
}


def good(agent: str, content: str = "one two three") -> Answer:
    """An agent's proposal."""
    return Answer(agent, 2000, content=content)


def bad(agent: str, error: str = "boom") -> Answer:
    """An agent's failure."""
    return Answer(agent, 2000, error=error, error_type="RuntimeError")


def after(*answers: Answer) -> Deliberation:
    """The state after these answers."""
    state = NEW
    for answer in answers:
        state = deliberation.record(state, answer, 5000)
    return state


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([], "PENDING"),
        ([good("a1")], "IN_PROGRESS"),
        ([bad("a1")], "IN_PROGRESS"),
        ([good("a1"), good("a2")], "COMPLETED"),
        ([bad("a1"), good("a2")], "COMPLETED"),
        ([bad("a1"), bad("a2")], "FAILED"),
        ([good("a1"), good("a1")], "IN_PROGRESS"),
        ([good("a1"), good("stranger")], "IN_PROGRESS"),
    ],
)
def test_status_follows_the_answers(answers: list[Answer], status: str) -> None:
    """Each agent counts once, strangers never; one success is enough."""
    state = after(*answers)
    assert state.status == status
    assert state.finished_ms == (5000 if state.finished else 0)


@pytest.mark.parametrize("late", [good("a2", "other"), bad("a1"), good("stranger")])
def test_nothing_changes_a_final_outcome(late: Answer) -> None:
    """What comes late is the same object again: there is nothing to store."""
    state = after(good("a1"), good("a2"))
    assert deliberation.record(state, late, 9000) is state
    assert deliberation.expire(state, 12_000) is state


def test_failures_are_named_once() -> None:
    """The same cause of several agents appears once, with the agents."""
    assert after(bad("a1"), bad("a2")).error == "all 2 agents failed: RuntimeError: boom (a1, a2)"


def test_expiry_tells_who_is_missing() -> None:
    """A timeout keeps the proposals there are and says what is missing and why."""
    state = deliberation.expire(after(good("a1")), 11_000, "Ray is away")
    assert (state.status, state.finished_ms) == ("TIMEOUT", 11_000)
    assert state.error == "no answer from 1 of 2 agents within 10 s; Ray is away"
    assert [entry.answer.agent_id for entry in deliberation.ranking(state)] == ["a1"]


def test_adoption_has_one_winner() -> None:
    """Only from the replica that is gone, and only what is open."""
    adopted = deliberation.adopt(NEW, "replica-1", "replica-2")
    assert adopted.owner == "replica-2"
    assert deliberation.adopt(adopted, "replica-1", "replica-3") is adopted
    closed = deliberation.close(NEW)
    assert deliberation.adopt(closed, "replica-1", "replica-2") is closed
    assert deliberation.close(closed) is closed


def test_ranking_is_deterministic() -> None:
    """Best first; a tie goes to the first agent."""
    assert [r.answer.agent_id for r in deliberation.ranking(after(good("a2", "a b c"), good("a1", "a a a")))] == [
        "a2",
        "a1",
    ]
    assert [r.answer.agent_id for r in deliberation.ranking(after(good("a2"), good("a1")))] == ["a1", "a2"]


def test_state_survives_its_storage() -> None:
    """JSON and back is the same state."""
    state = replace(after(good("a1"), bad("a2")), closed=True)
    assert deliberation.from_json(deliberation.to_json(state)) == state


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"task_id": "t", "agent_id": "a"}',
        b'{"task_id": "t", "agent_id": "a", "status": "odd"}',
        b'{"task_id": "t", "agent_id": "a", "status": "completed", "proposal": "text"}',
        b'{"task_id": "t", "agent_id": "a", "status": "completed", "proposal": {"content": null}}',
        b'{"task_id": "t", "agent_id": "a", "status": "failed"}',
        b'{"task_id": 7, "agent_id": "a", "status": "failed", "error": "e"}',
    ],
)
def test_malformed_answers(data: bytes) -> None:
    """Nothing but the contract is accepted."""
    with pytest.raises(responses.Malformed):
        responses.agent_answer(data, 0)


def test_plan_names_each_role_once() -> None:
    """A role that is named twice deliberates once."""
    plan = {"story_id": "s", "plan_id": "p", "roles": ["DEV", "QA", "DEV"], "approved_by": "po"}
    assert responses.plan_approved(json.dumps(plan).encode()).roles == ["DEV", "QA"]
    with pytest.raises(responses.Malformed):
        responses.plan_approved(json.dumps({**plan, "roles": []}).encode())


def test_configuration_defaults() -> None:
    """What is not set has the documented default."""
    settings = config.Settings(ENVIRONMENT)
    assert (settings.grpc_port, settings.max_tokens, settings.temperature) == (50055, 2048, 0.7)
    assert (settings.agent_timeout, settings.deliberation_timeout, settings.council_agents) == (60, 120, 3)
    assert (settings.agent_delivery, settings.enable_tools) == ("image", False)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AGENT_TYPE", "human"),
        ("VLLM_URL", "vllm:8000"),
        ("RAY_ADDRESS", "http://head"),
        ("NATS_URL", "nats://nats:port"),
        ("GRPC_PORT", "0"),
        ("TEMPERATURE", "warm"),
        ("TEMPERATURE", "nan"),
        ("ENABLE_TOOLS", "perhaps"),
        ("VLLM_MODEL", " "),
        ("MAX_TOKENS", "inf"),
        ("AGENT_JOB", "package.module"),
    ],
)
def test_configuration_errors_name_the_variable(variable: str, value: str) -> None:
    """A wrong value is refused in one line."""
    with pytest.raises(config.ConfigError, match=f"^{variable} is [^\n]*$"):
        config.Settings({**ENVIRONMENT, variable: value})


def test_a_wrong_url_is_shown_without_its_password() -> None:
    with pytest.raises(config.ConfigError, match=r"^NATS_URL is 'nats:port'; expected ") as refused:
        config.Settings({**ENVIRONMENT, "NATS_URL": "nats://u:hunter2@nats:port"})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("login", "url"),
    [
        ({}, "nats://nats:4222"),
        ({"NATS_TOKEN": "a/b"}, "nats://a%2Fb@nats:4222"),
        ({"NATS_USER": "u", "NATS_PASSWORD": "p@"}, "nats://u:p%40@nats:4222"),
    ],
)
def test_agents_get_the_login(login: dict[str, str], url: str) -> None:
    """Agents know NATS by its URL alone."""
    assert config.Settings({**ENVIRONMENT, **login}).agent_nats_url == url


def test_files_stay_in_the_workspace(tmp_path: Path) -> None:
    """Reading and writing work inside; neither a path nor a link leads out."""
    files = FileTool(str(tmp_path / "work"))
    files.write("src/a.py", "x = 1\n")
    assert files.read("src/a.py") == "x = 1\n"
    assert files.list() == ["src/a.py"]
    (tmp_path / "work" / "out").symlink_to(tmp_path)
    for name in ("../secret", "/etc/hostname", "out/secret"):
        with pytest.raises(PermissionError):
            files.write(name, "")


def test_git_and_briefing(tmp_path: Path) -> None:
    """Status and history of a real repository; a folder without one is no reason to fail."""
    assert "not available" in briefing(str(tmp_path))
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "new.txt").write_text("new")
    assert GitTool(str(tmp_path)).status() == "?? new.txt"
    with pytest.raises(RuntimeError, match="git log"):
        GitTool(str(tmp_path)).log()
    assert "new.txt" in briefing(str(tmp_path))
    assert "run the tests" in briefing()


def test_tests_are_run_and_bounded(tmp_path: Path) -> None:
    """Success, failure and running out of time are told apart."""
    tool = TestTool(str(tmp_path))
    assert tool.run([sys.executable, "-c", "print('fine')"]).passed
    assert tool.run([sys.executable, "-c", "raise SystemExit(3)"]).returncode == 3
    assert tool.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.2).returncode is None


def test_a_client_whose_server_is_gone_has_lost_its_link() -> None:
    """Ray says it as a system error, not as a connection's: the agent must be started again, not given up."""
    gone = RaySystemError("Ray has not been started yet. You can start Ray with 'ray.init()'.")
    assert isinstance(translated(gone), LinkLost)
    assert isinstance(translated(ConnectionError("no")), LinkLost)
    assert isinstance(translated(RuntimeError("no")), AgentFailed)
