"""Contracts: what a profile may say of its software, and what is wrong with another is one line."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import UsageError
from fixtures.profile.contract import CONTRACTS, Contract, shipped, take_contract
from fixtures.profile.model import load
from tests.unit.profile.contracts import SECOND, second

REFERENCE = CONTRACTS / "reference.toml"
SHIPPED = "council, plan-executor, ray-executor, reference"


def reference() -> dict[str, Any]:
    document = tomllib.loads(REFERENCE.read_text(encoding="utf-8"))
    document["grpc"]["descriptor"] = str(CONTRACTS / "orchestrator.json")
    return document


def taken(document: dict[str, Any], folder: Path = CONTRACTS) -> Contract:
    return take_contract(document, folder, "profile votes.toml")


def test_a_profile_of_version_1_has_the_references_contract_with_its_own_subjects(tmp_path: Path) -> None:
    text = (Path(__file__).parent / "v1" / "swe-ai-fleet.toml").read_text(encoding="utf-8")
    file = tmp_path / "mine.toml"
    file.write_text(text.replace('failed = "agent.response.failed"', 'failed = "agents.died"'), encoding="utf-8")
    messages = load(str(file)).contract.messages
    assert messages.subjects == ("agent.response.completed", "agents.died")
    assert load("swe-ai-fleet").contract == take_contract({"contract": "reference"}, tmp_path, "profile")


def test_a_contract_may_be_a_file_next_to_the_profile(tmp_path: Path) -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    (tmp_path / "ours.toml").write_text(text, encoding="utf-8")
    (tmp_path / "orchestrator.json").write_bytes((CONTRACTS / "orchestrator.json").read_bytes())
    contract = take_contract({"contract": "ours.toml"}, tmp_path, "profile")
    assert contract.grpc and contract.grpc.descriptor == str(tmp_path / "orchestrator.json")


def test_a_section_of_the_profile_replaces_the_contracts_whole() -> None:
    own = {"contract": "reference", "messages": deepcopy(SECOND["messages"]), "agent": {"method": "cast", "job": "a:B"}}
    contract = taken(own)
    assert contract.messages.subjects == ("votes.cast", "votes.spoiled")
    assert contract.messages.plan and contract.messages.plan.subject == "ballots.opened"
    assert (contract.agent.method, contract.agent.given_by("tools")) == ("cast", "agent.keywords.enable_tools")
    assert contract.grpc, "that one is the contract's"
    assert own == {"agent": {"job": "a:B"}}, "what is left is for the profile"


def test_a_contract_that_shares_nothing_with_the_reference_can_be_said() -> None:
    contract = second()
    completed = contract.messages.completed
    assert {role: completed.path(path).shown for role, path in completed.fields.paths.items()} == {
        "task_id": "data.ballot",
        "agent_id": "data.voter.id",
        "role": "data.voter.office",
        "content": "data.vote.text",
        "tokens": "data.vote.usage.completion",
        "model": "data.vote.model",
        "duration": "data.took",
        "timestamp": "/time",
    }
    assert {path.shown: value for path, value in completed.constant_paths.items()} == {"/type": "vote.cast"}
    assert (contract.agent.method, contract.agent.is_async, contract.agent.failure) == ("cast", True, "returned")
    assert contract.agent.given_by("agent_id") == "agent.keywords.who"
    assert contract.agent.given_by("temperature") == "agent.keywords.settings.heat"
    assert contract.agent.given_by("vllm_url") == "", "it is a part of a text there"
    assert contract.grpc is None
    assert contract.messages.outcome and contract.messages.outcome.states.end_of("void") == "failed"


def test_deliberations_may_be_answered_on_a_subject_of_their_own() -> None:
    document = reference()
    document["messages"]["completed"]["deliberation_subject"] = "reviews.done"
    messages = taken(document).messages
    assert messages.subjects == ("agent.response.completed", "reviews.done", "agent.response.failed")
    assert messages.in_deliberations.subjects == ("reviews.done", "agent.response.failed")
    assert messages.in_deliberations.completed.fields == messages.completed.fields
    without = second().messages
    assert without.in_deliberations == without, "they are where the suite's own agents' are"


def changed(section: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    """Set keys of a section; None removes one."""

    def change(document: dict[str, Any]) -> None:
        inner = document
        for name in section.split(".") if section else ():
            inner = inner[name]
        inner.update(values)
        for name in [name for name, value in values.items() if value is None]:
            del inner[name]

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            changed("agent.keywords", temperature="{temprature}"),
            'agent.keywords.temperature: "{temprature}" is no value; values: agent_id, role, vllm_url, model, '
            "nats_url, nats_servers, temperature, max_tokens, timeout, tools",
        ),
        (
            changed("agent", call={"prompt": "{task}"}),
            'agent.call: gives the method no "{task_id}": nothing that the agent publishes could be found',
        ),
        (changed("agent", failure="silent"), "agent.failure: input should be 'raised' or 'returned', not 'silent'"),
        (
            changed("messages.completed.fields", agentid="who"),
            "messages.completed.fields.agentid: unknown key; allowed here: task_id, agent_id, content, role, "
            "author_id, author_role, author_model, model, temperature, tokens, duration, timestamp, diversity",
        ),
        (changed("messages.completed.fields", agent_id=None), "messages.completed.fields.agent_id: is missing"),
        (
            changed("messages.failed", subject="agent.response.completed", constants={}),
            "messages.failed.constants: do not tell it from messages.completed, which has the subject "
            "agent.response.completed, too: name a path in the constants of both whose values differ",
        ),
        (
            changed("messages.failed", subject="a", deliberation_subject="agent.response.completed", constants={}),
            "messages.failed.constants: do not tell it from messages.completed, which has the subject "
            "agent.response.completed, too: name a path in the constants of both whose values differ",
        ),
        (
            changed("messages.completed", deliberation_subject="reviews.*"),
            "messages.completed.deliberation_subject: must be a subject without blanks, * and >, not 'reviews.*'",
        ),
        (changed("messages", failed=None, completed=None), "messages.completed: is missing"),
        (
            changed("messages.completed", units={"duration": "min"}),
            "messages.completed.units.duration: input should be 'ms' or 's', not 'min'",
        ),
        (
            changed("messages.plan", task_id="{story}"),
            'messages.plan.task_id: "{story}" is no value; values: task_id, task, marker, role, roles, agents, rubric, '
            "requirements, metadata, diversity, deadline, now",
        ),
        (
            changed("grpc.result.response", winner="victor"),
            "grpc.result.response.winner: orchestrator.v1.GetDeliberationResultResponse has no field victor; it has: "
            "task_id, status, results, winner_id, duration_ms, error_message, metadata",
        ),
        (
            changed("grpc.result.proposal", content="proposal.text"),
            "grpc.result.proposal.content: orchestrator.v1.Proposal has no field text; it has: author_id, author_role, "
            "content, created_at_ms, revisions",
        ),
        (
            changed("grpc.result.response", proposals="status"),
            "grpc.result.response.proposals: status must be a list of messages",
        ),
        (
            changed("grpc.result.response", state="results.state"),
            "grpc.result.response.state: orchestrator.v1.GetDeliberationResultResponse.results is a list: name an "
            "entry of it, as results[0]",
        ),
        (
            changed("grpc.start", method="Begin"),
            "grpc.start.method: orchestrator.v1.OrchestratorService has no method Begin; it has: CreateCouncil, "
            "Deliberate, GetDeliberationResult, GetStatus, ListCouncils",
        ),
        (
            changed("grpc.start.request", role="{roles}"),
            "grpc.start.request.role: orchestrator.v1.DeliberateRequest.role is string, not ['role']",
        ),
        (
            changed("grpc.start.request.constraints", metadata="{rubric}"),
            "grpc.start.request.constraints.metadata: orchestrator.v1.TaskConstraints.metadata is map<string, string>, "
            "not 'text'",
        ),
        (
            changed("grpc.start.request", constraints="none"),
            "grpc.start.request.constraints: orchestrator.v1.DeliberateRequest.constraints is "
            "orchestrator.v1.TaskConstraints, not 'none'",
        ),
        (
            changed("grpc.result.states", failed=["COMPLETED"]),
            "grpc.result.states.failed: has COMPLETED, which is of completed, too",
        ),
        (changed("grpc", descriptor="none.json"), f"grpc.descriptor: {CONTRACTS}/none.json cannot be read: No such"),
        (
            changed("grpc", descriptor="reference.toml"),
            f"grpc.descriptor: {REFERENCE} is no FileDescriptorSet: make one with ./ci/gen-proto --descriptor",
        ),
        (changed("", contract=7), f"contract: must be a shipped one ({SHIPPED}) or the path of a file, not 7"),
        (
            changed("", contract="mine.toml"),
            f"contract: must be a shipped one ({SHIPPED}) or the path of a file, not 'mine.toml'",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change: Callable[[dict[str, Any]], None], line: str) -> None:
    document = reference()
    change(document)
    with pytest.raises(UsageError) as mistake:
        taken(document)
    text = str(mistake.value)
    assert text.replace("", "").startswith(f"profile votes.toml: {line.removesuffix(' (and 4 more)')}")
    assert "\n" not in text


@pytest.mark.parametrize("content", [b"", b'{"file": 7}', b'{"file": [{"nme": "a"}]}', b"\xff", b'{"file":' * 500])
def test_json_that_is_no_descriptor_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "service.json").write_bytes(content)
    document = reference()
    document["grpc"]["descriptor"] = "service.json"
    with pytest.raises(
        UsageError, match=r"grpc\.descriptor: .*service\.json is no FileDescriptorSet: make one"
    ) as error:
        taken(document, tmp_path)
    assert "\n" not in str(error.value)


def test_a_service_that_the_descriptor_lacks_is_named_with_those_that_it_has() -> None:
    document = reference()
    document["grpc"]["service"] = "acme.v1.Orchestrator"
    with pytest.raises(UsageError, match=r"grpc\.service: .* has no service acme.* has: orchestrator\.v1\.Orch"):
        taken(document)


def test_failures_that_are_returned_must_be_described() -> None:
    document = reference()
    document["agent"]["failure"] = "returned"
    del document["messages"]["failed"]
    with pytest.raises(UsageError, match=r'agent\.failure: is "returned", and there is no \[messages\.failed\]'):
        taken(document)


def test_a_mistake_in_a_shared_contract_names_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text("[agent]\nmethood = 'x'\n", encoding="utf-8")
    with pytest.raises(UsageError, match=rf"^contract {tmp_path}/ours\.toml: agent\.(keywords|methood)"):
        take_contract({"contract": "ours.toml"}, tmp_path, "profile votes.toml")


def test_an_unknown_section_of_a_profile_is_told_those_of_the_contract(tmp_path: Path) -> None:
    text = (Path(__file__).parent / "v1" / "swe-ai-fleet.toml").read_text(encoding="utf-8")
    file = tmp_path / "mine.toml"
    file.write_text(f'{text}\n[mesages.completed]\nsubject = "x"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"mesages: unknown key; allowed here: .*messages, grpc$"):
        load(str(file))


def test_shipped_contracts() -> None:
    assert ", ".join(shipped()) == SHIPPED
