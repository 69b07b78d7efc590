"""What the messages of the suite's own agent jobs must name: their job, and the failure that was provoked."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.checks.contract import AgentMessage, MessageContract
from fixtures.core.errors import Inconclusive
from fixtures.exercises.agent_jobs import HANGING
from fixtures.exercises.agent_run import AgentRun, AgentRuns
from fixtures.profile.model import load
from fixtures.services.vllm import ModelNames
from tests.e2e.test_agent_job import test_job_generates as job_generates
from tests.e2e.test_agent_job import test_message_contract as message_contract
from tests.e2e.test_agent_job_failures import test_unknown_model as unknown_model
from tests.e2e.test_agent_job_failures import test_vllm_hangs as vllm_hangs
from tests.e2e.test_agent_job_failures import test_vllm_unreachable as vllm_unreachable
from tests.support.agent_messages import agent_message

PROFILE = load("embedded")
MESSAGES = PROFILE.contract.messages
ALIAS = "fleet-default"
NAMES = ModelNames(frozenset([PROFILE.vllm.model, ALIAS]), complete=True)
NODE = "1a2b3c4d" + "0" * 48
EVIDENCE: Any = SimpleNamespace(attach=lambda *_: None)


# -- what a completed message must name: JOB-06 ------------------------------------------------------------------------

ROLE, MODEL = PROFILE.deliberations.roles[0], PROFILE.vllm.model
COMPLETED: dict[str, Any] = {
    "task_id": "t",
    "agent_id": "t-agent",
    "role": ROLE,
    "status": "completed",
    "duration_ms": 12,
    "timestamp": "2026-01-01T00:00:00+00:00",
    "model": MODEL,
    "diversity": False,
    "proposal": {
        "content": "a name",
        "author_id": "t-agent",
        "author_role": ROLE,
        "model": MODEL,
        "temperature": 0.7,
        "tokens": 3,
    },
}


def ran(name: str, *messages: AgentMessage, **fields: Any) -> AgentRun:
    return AgentRun.model_validate(
        {"name": name, "ok": False, "started": 1.0, "task_id": "t", "agent_id": "t-agent", "messages": messages}
        | fields
    )


async def judged(document: dict[str, Any], names: ModelNames = NAMES) -> None:
    run = ran("worker w", agent_message(MESSAGES, "completed", document), ok=True, node_id=NODE)
    await message_contract(AgentRuns({NODE: run}, (), ""), PROFILE, names)


async def test_an_author_may_be_any_name_of_the_model() -> None:
    proposal: Any = COMPLETED["proposal"]
    await judged(COMPLETED | {"proposal": {**proposal, "model": ALIAS}})


async def test_a_gateway_may_lead_to_a_model_that_it_does_not_list() -> None:
    """As LiteLLM, whose rows do not say where a model's weights come from."""
    incomplete = ModelNames(frozenset([MODEL]), complete=False)
    proposal: dict[str, Any] = {**COMPLETED["proposal"], "model": "behind/the-gateway"}
    await judged(COMPLETED | {"proposal": proposal}, incomplete)
    run = ran("worker w", ok=True, node_id=NODE, result={"task_id": "t", "proposal": proposal})
    runs = AgentRuns({NODE: run}, (), "")
    with pytest.raises(Inconclusive, match=r"answers name behind/the-gateway: what .* stands for, the list of models"):
        await job_generates(runs, PROFILE, incomplete)
    with pytest.raises(AssertionError, match="model is 'behind/the-gateway', asked for"):
        await job_generates(runs, PROFILE, NAMES)


async def test_a_message_of_the_job_is_taken() -> None:
    assert MessageContract(MESSAGES).problems(agent_message(MESSAGES, "completed", COMPLETED)) == []
    await judged(COMPLETED)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"role": "QA"}, f"role is 'QA', not '{ROLE}', which agent.keywords.role was given"),
        ({"model": "another/model"}, f"model is 'another/model', not '{MODEL}', which agent.keywords.model was given"),
        ({"agent_id": "x"}, "agent_id is 'x', not 't-agent', which agent.keywords.agent_id was given"),
        ({"diversity": True}, "diversity is True, not False, which agent.call.diversity was given"),
        (
            {"proposal": {"author_role": "QA"}},
            f"proposal.author_role is 'QA', not '{ROLE}', which agent.keywords.role was given",
        ),
        (
            {"proposal": {"author_id": "x"}},
            "proposal.author_id is 'x', not 't-agent', which agent.keywords.agent_id was given",
        ),
        (
            {"proposal": {"model": "another/model"}},
            f"proposal.model (author_model) is 'another/model', not '{MODEL}', which agent.keywords.model was given",
        ),
    ],
)
async def test_a_message_that_names_another_job_is_refused(changed: dict[str, Any], line: str) -> None:
    proposal = COMPLETED["proposal"]
    document = {**COMPLETED, **changed, "proposal": proposal | changed.get("proposal", {})}
    with pytest.raises(AssertionError) as failure:
        await judged(document)
    assert str(failure.value).splitlines()[0] == f"the message breaks the contract: worker w: {line}"


# -- failures that were provoked: JOB-08 and JOB-10 --------------------------------------------------------------------


def failed(error_type: str, error: str, duration_ms: int = 8) -> AgentMessage:
    document = {
        "task_id": "t",
        "agent_id": "t-agent",
        "role": ROLE,
        "status": "failed",
        "error": error,
        "error_type": error_type,
        "duration_ms": duration_ms,
        "timestamp": "2026-01-01T00:00:00+00:00",
    }
    return agent_message(MESSAGES, "failed", document)


async def unreachable(error_type: str, error: str, cause: str = "") -> None:
    run = ran("vllm unreachable", failed(error_type, error), cause=cause)
    await vllm_unreachable(AgentRuns({run.name: run}, (), ""), PROFILE, EVIDENCE)


@pytest.mark.parametrize(
    ("error_type", "error", "cause"),
    [
        ("ConnectionError", "vLLM at http://127.0.0.1:9 cannot be reached: …", ""),
        ("ClientConnectorError", "Cannot connect to host 127.0.0.1:9 ssl:default [Connect call failed]", ""),
        ("URLError", "<urlopen error [Errno 111] Connection refused>", ""),
        ("APIConnectionError", "Connection error.", ""),
        ("ConnectError", "All connection attempts failed", ""),
        ("AgentError", "the model server failed", "ConnectionRefusedError: [Errno 111]"),
        ("RuntimeError", "vLLM is unreachable", ""),
        ("LLMError", "could not reach the model server", ""),
        ("TimeoutError", "vLLM gave no answer within 8 s", ""),
        ("AgentError", "gave up: the request timed out", "AgentError: gave up: the request timed out"),
        ("RuntimeError", "completion timed out after 5 attempts", ""),
    ],
)
async def test_a_refused_connection_is_one_whatever_the_library_calls_it(
    error_type: str, error: str, cause: str
) -> None:
    await unreachable(error_type, error, cause)


async def test_a_job_that_failed_before_it_asked_was_not_refused() -> None:
    with pytest.raises(
        AssertionError, match="does not report that vLLM refused the connection, but ValueError: no such"
    ):
        await unreachable("ValueError", "no such template", "ValueError: no such template")


@pytest.mark.parametrize(
    ("error_type", "error"),
    [
        ("ValueError", "the address is not allowed"),
        ("ValueError", "timeout must be positive"),
        ("builtins.TypeError", "unexpected keyword argument"),
        ("ModuleNotFoundError", "No module named 'openai'"),
        ("KeyError", "'rubric'"),
        ("RuntimeError", "maximum of turns reached"),
        ("AgentError", "it went wrong: ValueError"),
    ],
)
async def test_an_error_of_the_job_itself_is_no_refused_connection(error_type: str, error: str) -> None:
    cause = f"{error_type.removeprefix('builtins.')}: {error}" if error_type != "AgentError" else "ValueError: wrong"
    with pytest.raises(AssertionError, match=f"but {error_type}: "):
        await unreachable(error_type, error, cause)


async def test_a_client_that_wraps_the_cause_does_not_show_whether_it_was_refused() -> None:
    with pytest.raises(Inconclusive, match="whether the job met the refused connection was not seen: LLMError: compl"):
        await unreachable("LLMError", "completion failed after 3 attempts", "LLMError: completion failed after 3 …")


async def test_a_job_may_try_again_until_its_timeout_and_no_longer() -> None:
    run = ran("vllm unreachable", failed("TimeoutError", "no answer within 8 s", 8_040))
    await vllm_unreachable(AgentRuns({run.name: run}, (), ""), PROFILE, EVIDENCE)
    late = ran("vllm unreachable", failed("TimeoutError", "no answer within 8 s", 14_000))
    with pytest.raises(AssertionError, match=r"reported after 14\.0 s; at most 13 s are allowed"):
        await vllm_unreachable(AgentRuns({late.name: late}, (), ""), PROFILE, EVIDENCE)


async def unknown(error: str, error_type: str = "RuntimeError", cause: str = "") -> None:
    run = ran("unknown model", failed(error_type, error), cause=cause)
    await unknown_model(AgentRuns({run.name: run}, (), ""), PROFILE, EVIDENCE)


@pytest.mark.parametrize(
    "error",
    [
        "vLLM answered 404 for model 'M': The model `M` does not exist.",
        "Error code: 404 - {'error': {'message': 'The model `M` does not exist.', 'type': 'NotFoundError'}}",
        "litellm.BadRequestError: Invalid model name passed in model=M",
        "M is not a valid model ID",
        'model "M" not found, try pulling it first',
        "no model M",
        "M is not served; there are: Qwen/Qwen3-0.6B",
        "unknown model M",
        "model_not_found: M",
        "can't find M",
    ],
)
@pytest.mark.parametrize("error_type", ["RuntimeError", "ValueError", "AgentError"])
async def test_a_model_is_not_served_whatever_the_server_calls_it(error: str, error_type: str) -> None:
    await unknown(error.replace("M", f"{MODEL}-does-not-exist", 1), error_type)


async def test_an_error_that_names_the_model_and_is_of_another_cause_is_no_unknown_model() -> None:
    echo = f"{MODEL}-does-not-exist: invalid token"
    with pytest.raises(AssertionError, match=r"names the model, and not that vLLM does not serve it: .*invalid token"):
        await unknown(echo, "ValueError")
    with pytest.raises(AssertionError, match="names the model, and not that vLLM does not serve it"):
        await unknown(echo, "AgentError", "KeyError: 'role'")
    with pytest.raises(Inconclusive, match=r"whether vLLM refused the model was not seen: .*invalid token"):
        await unknown(echo)
    with pytest.raises(AssertionError, match="does not name the model"):
        await unknown("vLLM answered 404")


# -- proposals that are not what a model said: JOB-04 ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "counted", "right"),
    [
        (("a", "b"), 2, True),
        (("a", "b"), 5, True),  # others ask, too
        (("a", "b"), None, True),  # of several servers it is not known
        (("a", "a"), 1, True),  # a cache gives the same one again
        (("a", "b"), 1, False),
        (("a", "a"), 0, False),
    ],
)
async def test_as_many_proposals_as_vllm_has_answered_are_its_own(
    texts: tuple[str, ...], counted: int | None, right: bool
) -> None:
    runs = {}
    for number, text in enumerate(texts):
        result = {**COMPLETED, "proposal": {**COMPLETED["proposal"], "content": text}}
        runs[str(number)] = ran(f"worker {number}", ok=True, node_id=str(number) * 56, result=result)
    expected = nullcontext() if right else pytest.raises(AssertionError, match=f"vLLM counted {counted} requests")
    with expected:
        await job_generates(AgentRuns(runs, (), "", requests=counted), PROFILE, NAMES)


async def hanging(held: int | None, *messages: AgentMessage, **fields: Any) -> None:
    run = ran(HANGING.name, *messages, connections_held=held, **fields)
    await vllm_hangs(AgentRuns({run.name: run}, (), ""), PROFILE, EVIDENCE)


async def test_a_job_whose_request_hung_and_that_reports_it_is_taken() -> None:
    await hanging(1, failed("TimeoutError", "no answer within 8 s"))


@pytest.mark.parametrize("held", [0, None])
async def test_where_nothing_hung_nothing_is_known_of_hanging(held: int | None) -> None:
    with pytest.raises(Inconclusive, match="0 connections reached the server that never answers"):
        await hanging(held, failed("ConnectionError", "refused"))


async def test_an_agent_that_was_ready_after_nobody_waited_any_more_decides_nothing() -> None:
    late: dict[str, Any] = {"type": "GetTimeoutError", "started": 1.0, "ended": 36.0}
    with pytest.raises(Inconclusive, match="the agent was not ready 35 s after its submission, and ran later"):
        await hanging(1, failed("ConnectionError", "refused"), **late)
    with pytest.raises(AssertionError, match="neither returned nor raised"):
        await hanging(1, failed("ConnectionError", "refused"), **late, ready=2.0)


async def test_a_job_that_reports_no_failure_fails_wherever_its_request_went() -> None:
    with pytest.raises(AssertionError, match="0 messages on agent"):
        await hanging(0)
    with pytest.raises(AssertionError, match="neither returned nor raised"):
        await hanging(1, type="GetTimeoutError")
