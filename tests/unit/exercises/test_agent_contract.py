"""Agent jobs under a contract that shares nothing with the reference: what agents are given, and what came of them."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Endpoints
from fixtures.core.errors import Inconclusive
from fixtures.exercises.agent_jobs import HANGING, AgentJobs, Scenario
from fixtures.exercises.agent_run import AgentRun, AgentRuns, JobEnd
from fixtures.exercises.load import jobs as loads
from fixtures.exercises.plans import approved_plan
from fixtures.probes.payload.basics import SILENT_SERVER
from fixtures.profile.model import load
from fixtures.services.stream_messages import Message
from fixtures.services.vllm import ModelNames
from tests.e2e.test_agent_job import test_job_generates as job_generates
from tests.e2e.test_agent_job import test_message_contract as message_contract
from tests.e2e.test_agent_job import test_returns_what_it_published as returns_what_it_published
from tests.e2e.test_agent_job_failures import assert_in_time
from tests.e2e.test_agent_job_failures import test_unknown_model as unknown_model
from tests.support.agent_messages import agent_message
from tests.unit.profile.contracts import second

REFERENCE = load("embedded")
PROFILE = REFERENCE.model_copy(update={"contract": second()})
MESSAGES = PROFILE.contract.messages
NAMES = ModelNames(frozenset([PROFILE.vllm.model]), complete=True)
EVIDENCE: Any = SimpleNamespace(attach=lambda *_: None)
INSIDE = Endpoints(vllm="http://v:8000", dashboard="", ray_client="", nats="nats://a:4222,nats://b:4222")


def jobs_of(profile: Any = PROFILE) -> AgentJobs:
    stand_in: Any = None
    return AgentJobs(stand_in, stand_in, profile, INSIDE, "fc-1")


# -- what they are given -----------------------------------------------------------------------------------------------


def test_the_references_keywords_are_what_they_were() -> None:
    given = jobs_of(REFERENCE).keywords("t", Scenario("load"))
    assert given["keywords"] == {
        "agent_id": "t-agent",
        "role": "DEV",
        "vllm_url": "http://v:8000",
        "model": REFERENCE.vllm.model,
        "nats_url": INSIDE.nats,
        "temperature": 0.7,
        "max_tokens": 32,
        "timeout": 60.0,
        "enable_tools": True,
    }
    assert given["call"] == {
        "task_id": "t",
        "task_description": "Say in one sentence what a conformance check is. (t)",
        "constraints": {"rubric": "clear", "requirements": ["one sentence"], "metadata": {"run": "fc-1"}},
        "diversity": False,
    }
    assert given["agent"] == {
        "path": REFERENCE.agent.job_class,
        "factory": False,
        "method": "run",
        "async": False,
        "num_cpus": 1,
    }


def test_another_contracts_templates_are_filled() -> None:
    given = jobs_of().keywords("t", HANGING)
    assert given["keywords"] == {
        "who": "t-agent",
        "office": "DEV",
        "settings": {
            "base": f"{SILENT_SERVER}/v1",
            "name": PROFILE.vllm.model,
            "heat": 0.7,
            "bus": ["nats://a:4222", "nats://b:4222"],
        },
    }
    assert given["call"] == {
        "ballot": "t",
        "question": "Say in one sentence what a conformance check is. (t)",
        "patience": 8.0,
        "limit": 32,
    }
    assert (given["agent"]["method"], given["agent"]["async"]) == ("cast", True)


def test_a_plan_for_each_role_and_one_for_all() -> None:
    assert MESSAGES.plan
    plan = approved_plan(MESSAGES.plan, "fc-1-story", ("LEGAL", "FINANCE"), 2)
    assert plan.tasks == {"LEGAL": "fc-1-story-LEGAL", "FINANCE": "fc-1-story-FINANCE"}
    first = plan.bodies[0]
    assert first["type"] == "ballot.opened"
    assert {key: first["data"][key] for key in ("ballot", "office", "voters", "closes")} == {
        "ballot": "fc-1-story-LEGAL",
        "office": "LEGAL",
        "voters": 2,
        "closes": 120,
    }
    reference = REFERENCE.contract.messages.plan
    assert reference
    (body,) = approved_plan(reference, "fc-1-story", ("DEV", "QA"), 3).bodies
    assert datetime.fromisoformat(body.pop("timestamp"))
    assert body == {
        "story_id": "fc-1-story",
        "plan_id": "fc-1-story-plan",
        "roles": ["DEV", "QA"],
        "approved_by": "conformance-suite",
    }


# -- what came of them -------------------------------------------------------------------------------------------------

VOTE: dict[str, Any] = {
    "type": "vote.cast",
    "time": 1_760_500_000_000,
    "data": {
        "ballot": "t",
        "voter": {"id": "t-agent", "office": "DEV"},
        "vote": {"text": "yes", "model": PROFILE.vllm.model, "usage": {"completion": 12}},
        "took": 1.5,
    },
}
SPOILED: dict[str, Any] = {
    "ballot": "t",
    "voter": {"id": "t-agent"},
    "reason": {"text": f"no model {PROFILE.vllm.model}-does-not-exist", "kind": "ModelError"},
    "took": 0.5,
}


def run_of(kind: str, document: dict[str, Any], **fields: Any) -> AgentRun:
    message = agent_message(MESSAGES, kind, document)
    given = {"name": "unknown model", "ok": True, "started": 1.0, "ended": 2.0, "task_id": "t", "agent_id": "t-agent"}
    return AgentRun.model_validate({**given, "messages": (message,), **fields})


def runs(run: AgentRun) -> AgentRuns:
    return AgentRuns({run.name: run}, (), "")


def healthy(**changes: Any) -> AgentRuns:
    document = {**VOTE, "data": {**VOTE["data"], **changes}}
    return runs(run_of("completed", document, node_id="1" * 56, result=document["data"]))


async def test_a_healthy_vote_passes() -> None:
    await job_generates(healthy(), PROFILE, NAMES)
    await message_contract(healthy(), PROFILE, NAMES)
    await returns_what_it_published(healthy(), PROFILE)


async def test_a_result_that_is_more_than_the_suite_reads_decides_nothing() -> None:
    run = run_of("completed", VOTE, node_id="1" * 56, result_left_out=2 << 20)
    for judging in (job_generates(runs(run), PROFILE, NAMES), returns_what_it_published(runs(run), PROFILE)):
        with pytest.raises(Inconclusive, match="returned 2097152 bytes, more than the suite reads"):
            await judging
    with pytest.raises(Inconclusive, match="returned 2097152 bytes"):
        await unknown_model(runs(run), PROFILE, EVIDENCE)
    wrong = run_of("completed", VOTE, node_id="2" * 56, result={"vote": None})
    both = AgentRuns({"1": run, "2": wrong}, (), "")
    for judging in (job_generates(both, PROFILE, NAMES), returns_what_it_published(both, PROFILE)):
        with pytest.raises(AssertionError):
            await judging


async def test_what_a_vote_names_is_what_the_agent_was_given() -> None:
    line = r"data\.voter\.id \(agent_id\) is 'v-2', not 't-agent', which agent\.keywords\.who was given"
    with pytest.raises(AssertionError, match=line):
        await message_contract(healthy(voter={"id": "v-2", "office": "DEV"}), PROFILE, NAMES)


async def test_times_in_another_unit_are_named() -> None:
    with pytest.raises(AssertionError, match=r"data\.took \(duration\) is 1500 s .*the whole job took 1\.0 s"):
        await message_contract(healthy(took=1500), PROFILE, NAMES)
    document = {**VOTE, "time": datetime.now(UTC).timestamp()}
    run = run_of("completed", document, node_id="1" * 56)
    with pytest.raises(AssertionError, match=r"/time \(timestamp\) is epoch_s, not epoch_ms"):
        await message_contract(runs(run), PROFILE, NAMES)


async def test_a_vote_without_a_text_is_no_proposal() -> None:
    with pytest.raises(AssertionError, match="content is ''"):
        await job_generates(healthy(vote={"text": "", "model": PROFILE.vllm.model}), PROFILE, NAMES)
    with pytest.raises(AssertionError, match="in which there is no proposal"):
        await job_generates(healthy(vote=None), PROFILE, NAMES)
    with pytest.raises(AssertionError, match="model is 'other', asked for"):
        await job_generates(healthy(vote={"text": "x", "model": "other", "usage": {"completion": 1}}), PROFILE, NAMES)


def judged(profile: Any, result: Any) -> dict[str, Any]:
    end = JobEnd.model_validate({"task": "t", "name": "n", "ok": True, "started": 1.0, "result": result})
    return jobs_of(profile)._judged(end)


def test_a_returned_failure_is_a_failure_where_the_contract_has_it_so() -> None:
    fields = judged(PROFILE, SPOILED)
    assert (fields["ok"], fields["returned_failure"]) == (False, True)
    assert fields["cause"] == f"ModelError: no model {PROFILE.vllm.model}-does-not-exist"
    assert judged(PROFILE, VOTE["data"])["ok"]
    raised = {"task_id": "t", "agent_id": "a", "error": "boom", "status": "failed"}
    assert judged(REFERENCE, raised)["ok"], "the reference's agents raise: one that returns this has not failed"


async def test_a_failure_that_is_returned_is_reported() -> None:
    message = {"type": "vote.spoiled", "data": SPOILED}
    await unknown_model(runs(run_of("failed", message, ok=False, returned_failure=True)), PROFILE, EVIDENCE)
    with pytest.raises(AssertionError, match="the job raised instead of returning that it failed"):
        await unknown_model(runs(run_of("failed", message, ok=False, error="ModelError: x")), PROFILE, EVIDENCE)
    with pytest.raises(AssertionError, match=r"the job returned .* and not that it failed"):
        await unknown_model(runs(run_of("failed", message, result=VOTE)), PROFILE, EVIDENCE)


async def test_where_failures_are_not_published_the_call_alone_says_it() -> None:
    contract = REFERENCE.contract
    silent = contract.model_copy(update={"messages": contract.messages.model_copy(update={"failed": None})})
    profile = REFERENCE.model_copy(update={"contract": silent})
    cause = f"RuntimeError: no model {PROFILE.vllm.model}-does-not-exist"
    run = run_of("completed", VOTE, ok=False, cause=cause, messages=())
    await unknown_model(runs(run), profile, EVIDENCE)
    with pytest.raises(AssertionError, match="does not name the model"):
        await unknown_model(runs(run.model_copy(update={"cause": "RuntimeError: no"})), profile, EVIDENCE)
    with pytest.raises(AssertionError, match=r"ended after 20\.0 s; at most 8 s are allowed"):
        await unknown_model(runs(run.model_copy(update={"ready": 41.0, "ended": 61.0})), profile, EVIDENCE)
    await unknown_model(runs(run.model_copy(update={"ready": 60.8, "ended": 61.0})), profile, EVIDENCE)
    with pytest.raises(
        Inconclusive, match=r"ended 60\.0 s after its submission; since when its actor was ready is not"
    ):
        await unknown_model(runs(run.model_copy(update={"ended": 61.0})), profile, EVIDENCE)


@pytest.mark.parametrize(
    ("ready", "own", "words"),
    [
        (60.8, None, ""),
        (None, 0.2, ""),
        (60.8, 9.0, r"reported after 9\.0 s; at most 8 s are allowed"),
        (41.0, None, r"reported after 20\.0 s; at most 8 s are allowed"),
    ],
)
def test_a_failure_is_timed_by_its_message_or_from_when_its_actor_was_ready(
    ready: float | None, own: float | None, words: str
) -> None:
    """The job was submitted a minute before it ended: it waited for a CPU."""
    run = run_of("failed", SPOILED, ok=False, ready=ready, ended=61.0)
    with pytest.raises(AssertionError, match=words) if words else nullcontext():
        assert_in_time(run, "reported", 8.0, own)


def test_a_failure_whose_beginning_is_not_known_decides_nothing_unless_it_was_in_time_anyhow() -> None:
    assert_in_time(run_of("failed", SPOILED, ok=False, ended=9.0), "reported", 8.0)
    with pytest.raises(Inconclusive, match=r"reported 60\.0 s after its submission"):
        assert_in_time(run_of("failed", SPOILED, ok=False, ended=61.0), "reported", 8.0)


def test_a_load_is_told_where_an_answer_says_that_its_agent_failed() -> None:
    assert loads.error_paths(jobs_of()) == [["data", "reason", "text"], ["reason", "text"]]
    assert loads.error_paths(jobs_of(REFERENCE)) == []


def test_messages_are_found_by_the_contracts_task() -> None:
    message = Message(1, "votes.cast", b"", VOTE, datetime.now(UTC))
    assert [reading.agent_id for reading in jobs_of().contract.of_tasks([message], "t")] == ["t-agent"]
    assert jobs_of(REFERENCE).contract.of_tasks([message], "t") == []
