"""Messages as the contract reads them: the reference's and another's, and how what is wrong with one is said."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures.checks.contract import MessageContract
from fixtures.core.errors import UsageError
from fixtures.profile.contract import take_contract
from fixtures.profile.contract_messages import Messages
from fixtures.profile.model import load
from fixtures.services.stream_messages import Message
from tests.support.agent_messages import agent_message
from tests.unit.profile.contracts import second

REFERENCE = load("embedded").contract.messages
CONTRACT = MessageContract(REFERENCE)
VOTES = second().messages
COMPLETED: dict[str, Any] = {
    "task_id": "t",
    "agent_id": "a",
    "role": "DEV",
    "status": "completed",
    "proposal": {"content": "x", "author_id": "a", "author_role": "DEV", "model": "m", "temperature": 0.7, "tokens": 3},
    "duration_ms": 12,
    "timestamp": "2025-10-15T10:00:00+00:00",
    "model": "m",
    "diversity": False,
}
FAILED: dict[str, Any] = {
    key: COMPLETED[key] for key in ("task_id", "agent_id", "role", "duration_ms", "timestamp")
} | {"status": "failed", "error": "boom", "error_type": "ValueError"}
VOTE: dict[str, Any] = {
    "type": "vote.cast",
    "time": 1_760_500_000_000,
    "data": {
        "ballot": "b-1",
        "voter": {"id": "v-1", "office": "LEGAL"},
        "vote": {"text": "yes", "model": "house/small", "usage": {"completion": 12}},
        "took": 1.5,
    },
}
SPOILED: dict[str, Any] = {
    "type": "vote.spoiled",
    "data": {
        "ballot": "b-1",
        "voter": {"id": "v-1"},
        "reason": {"text": "no answer", "kind": "TimeoutError"},
        "took": 8.0,
    },
}


def problems(document: Any, kind: str = "completed", messages: Messages = REFERENCE) -> list[str]:
    reading = agent_message(messages, kind, document)
    prefix = f"{reading.subject}, sequence 1: "
    lines = MessageContract(messages).problems(reading)
    assert all(line.startswith(prefix) for line in lines)
    return [line.removeprefix(prefix) for line in lines]


def test_conformant_messages() -> None:
    assert problems(COMPLETED) == []
    assert problems(FAILED, "failed") == []
    assert problems(COMPLETED | {"further": "fields are tolerated"}) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"task_id": 7}, "task_id is 7; a text that is not empty is wanted"),
        ({"status": "done"}, "status is 'done'; 'completed' is wanted"),
        ({"diversity": "false"}, "diversity is 'false'; true or false is wanted"),
        ({"timestamp": "yesterday"}, "timestamp is 'yesterday'; a time of ISO 8601 is wanted"),
        ({"timestamp": 1760500000}, "timestamp is 1760500000; a time of ISO 8601 is wanted"),
        ({"duration_ms": -1}, "duration_ms (duration) is -1; a number that is not negative is wanted"),
        ({"duration_ms": True}, "duration_ms (duration) is true; a number that is not negative is wanted"),
        (
            {"proposal": {**COMPLETED["proposal"], "content": ""}},
            "proposal.content is ''; a text that is not empty is wanted",
        ),
        (
            {"proposal": {**COMPLETED["proposal"], "content": None}},
            "proposal.content is missing; proposal has: content, author_id, author_role, model, temperature, tokens",
        ),
        (
            {"proposal": {**COMPLETED["proposal"], "tokens": 0}},
            "proposal.tokens is 0; a whole number above 0 is wanted",
        ),
        ({"proposal": "text"}, "proposal is 'text', not an object"),
    ],
)
def test_every_break_is_named(change: dict[str, Any], line: str) -> None:
    assert problems(COMPLETED | change) == [line]


@pytest.mark.parametrize("field", sorted(COMPLETED))
def test_every_field_is_required(field: str) -> None:
    document = {key: value for key, value in COMPLETED.items() if key != field}
    (line,) = problems(document)
    assert line.startswith(field)
    assert " is missing; " in line


@pytest.mark.parametrize("field", sorted(FAILED))
def test_every_field_of_a_failure_is_required(field: str) -> None:
    document = {key: value for key, value in FAILED.items() if key != field}
    (line,) = problems(document, "failed")
    assert line.startswith(field)


@pytest.mark.parametrize("document", [None, [], "text", 7])
def test_not_even_an_object(document: Any) -> None:
    assert CONTRACT.completed.problems(document)


# -- a contract that shares nothing with the reference -----------------------------------------------------------------


def test_another_contract_is_read_by_the_same_roles() -> None:
    assert problems(VOTE, messages=VOTES) == []
    assert problems(SPOILED, "failed", VOTES) == []
    vote = agent_message(VOTES, "completed", VOTE)
    assert (vote.kind, vote.task_id, vote.agent_id, vote.text("content")) == ("completed", "b-1", "v-1", "yes")
    assert (vote.number("tokens"), vote.seconds, vote.flag("diversity")) == (12.0, 1.5, None)
    assert agent_message(VOTES, "failed", SPOILED).text("error_type") == "TimeoutError"
    assert agent_message(REFERENCE, "completed", COMPLETED).seconds == 0.012


def test_what_is_missing_is_said_in_its_own_words() -> None:
    changed = json.loads(json.dumps(VOTE))
    del changed["data"]["vote"]["text"]
    assert problems(changed, messages=VOTES) == ["data.vote.text (content) is missing; data.vote has: model, usage"]
    assert problems({**VOTE, "data": "sealed"}, messages=VOTES) == ["data is 'sealed', not an object"]
    assert problems(VOTE["data"], messages=VOTES)[0] == "/type is missing; 'vote.cast' is wanted"
    assert problems({**VOTE, "time": "now"}, messages=VOTES) == [
        "/time (timestamp) is 'now'; milliseconds since the epoch is wanted"
    ]


def on_one_subject() -> MessageContract:
    failed = {"subject": "votes.cast", "constants": {"/type": "vote.spoiled"}}
    return MessageContract(
        VOTES.model_copy(update={"failed": VOTES.failed.model_copy(update=failed) if VOTES.failed else None})
    )


@pytest.mark.parametrize(("document", "kind"), [(VOTE, "completed"), (SPOILED, "failed"), ({"type": "else"}, "")])
def test_kinds_on_one_subject_are_told_by_their_constants(document: dict[str, Any], kind: str) -> None:
    message = Message(1, "votes.cast", b"", document, datetime.now(UTC))
    assert on_one_subject().read(message).kind == kind


def test_a_message_of_no_kind_is_still_its_tasks() -> None:
    reading = CONTRACT.read(Message(4, "agent.response.progress", b"", {"task_id": "t"}, datetime.now(UTC)))
    assert (reading.kind, reading.task_id) == ("", "t")
    assert CONTRACT.problems(reading) == [
        "agent.response.progress, sequence 4: it is of no kind that the contract has (completed, failed)"
    ]
    assert CONTRACT.of_tasks([reading.message], "t", "u") == [reading]
    assert CONTRACT.of_tasks([reading.message], "u") == []


# -- what an agent returned --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [SPOILED, SPOILED["data"]])
def test_a_returned_failure_is_known_in_its_envelope_and_without(form: dict[str, Any]) -> None:
    kind, values = MessageContract(VOTES).returned(form)
    assert kind == "failed"
    assert values["error"] == "no answer"


@pytest.mark.parametrize("form", [VOTE, VOTE["data"]])
def test_a_returned_proposal_is_no_failure(form: dict[str, Any]) -> None:
    assert MessageContract(VOTES).returned(form)[0] == "completed"
    assert MessageContract(VOTES).differences(form, agent_message(VOTES, "completed", VOTE)) == []


@pytest.mark.parametrize("result", [None, "text", [], {}, {"task_id": "t"}])
def test_what_is_neither_is_neither(result: Any) -> None:
    assert CONTRACT.returned(result)[0] == ""


def test_the_differences_are_those_of_the_nearer_form() -> None:
    other = {**VOTE["data"], "took": 2}
    assert MessageContract(VOTES).differences(other, agent_message(VOTES, "completed", VOTE)) == [
        "took: returned 2, published 1.5"
    ]


def test_a_message_of_wrong_types_has_them_where_the_contract_looks() -> None:
    assert CONTRACT.completed.with_wrong_types({"run": "r"}) == {"run": "r", "task_id": 7, "proposal": "x"}
    made = MessageContract(VOTES).completed.with_wrong_types({})
    assert made == {"data": {"ballot": 7, "vote": "x"}}
    assert problems(made, messages=VOTES)


# -- a schema ----------------------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"answer": {"type": "string", "maxLength": 3}}, "required": ["worker"]}


def with_schema(folder: Path, schema: Any) -> Messages:
    (folder / "result.json").write_text(json.dumps(schema), encoding="utf-8")
    section = {
        "subject": "results.support",
        "schema": "result.json",
        "fields": {"task_id": "id", "agent_id": "worker", "content": "answer"},
    }
    document = {"contract": "reference", "messages": {"completed": section}}
    return take_contract(document, folder, "profile platform.toml").messages


def test_a_schema_judges_the_document(tmp_path: Path) -> None:
    messages = with_schema(tmp_path, SCHEMA)
    assert problems({"id": "t", "worker": "w", "answer": "yes"}, messages=messages) == []
    assert problems({"id": "t", "worker": "w", "answer": "maybe"}, messages=messages) == [
        "answer: 'maybe' is too long (messages.completed.schema)"
    ]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "objekt"}, "is no JSON Schema: type: 'objekt' is not valid"),
        ({"$ref": "https://example.org/result.json"}, "refers to https://example.org/result.json: a schema must hold"),
        ([], "is an empty array, not a JSON object"),
    ],
)
def test_a_file_that_is_no_schema_is_refused_when_it_is_named(tmp_path: Path, schema: Any, words: str) -> None:
    with pytest.raises(UsageError) as mistake:
        with_schema(tmp_path, schema)
    line = str(mistake.value)
    assert line.startswith(f"profile platform.toml: messages.completed.schema: {tmp_path}/result.json ")
    assert words in line
    assert "\n" not in line


def test_a_plan_and_an_end_are_no_answers_of_agents() -> None:
    contract, document = MessageContract(VOTES), {"type": "ballot.opened", "data": {"ballot": "b-1"}}
    assert VOTES.outcome is not None
    readings = [agent_message(VOTES, kind, document) for kind in ("plan", "outcome")]
    answers = [agent_message(VOTES, "completed", VOTE), agent_message(VOTES, "failed", SPOILED)]
    assert [(reading.kind, reading.task_id) for reading in readings] == [("plan", "b-1"), ("outcome", "b-1")]
    messages = [reading.message for reading in (*readings, *answers)]
    assert contract.of_tasks(messages, "b-1") == [*readings, *answers], "all are evidence"
    assert contract.answers_to(messages, "b-1") == answers


def test_a_plan_on_the_subject_of_answers_is_told_from_them_by_their_constants() -> None:
    assert VOTES.plan is not None
    plan = VOTES.plan.model_copy(update={"subject": VOTES.completed.subject})
    messages = VOTES.model_copy(update={"plan": plan})
    opened = {"type": "ballot.opened", "data": {"ballot": "b-1"}}
    kinds = [agent_message(messages, "completed", document).kind for document in (VOTE, opened)]
    assert kinds == ["completed", "plan"]
