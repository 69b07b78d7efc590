"""Whatever agents publish or return, and whatever a path or a template is: an answer, or a reason in one line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.checks.contract import MessageContract
from fixtures.core.json_path import JsonPath, at
from fixtures.profile.contract_messages import Messages
from fixtures.profile.model import load
from fixtures.profile.templates import FOR_TASKS, check, filled
from tests.support.agent_messages import agent_message
from tests.unit.profile.contracts import second

NAMES = st.sampled_from(["data", "vote", "voter", "ballot", "proposal", "task_id", "type"])


def json_of(keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=10,
    )


BOTH = {"reference": load("embedded").contract.messages, "votes": second().messages}


@pytest.mark.parametrize("messages", BOTH.values(), ids=BOTH)
@given(document=json_of(NAMES))
def test_any_document_is_read_and_judged(messages: Messages, document: Any) -> None:
    contract = MessageContract(messages)
    for kind in contract.kinds.values():
        assert all("\n" not in line for line in kind.problems(document))
    reading = agent_message(messages, "completed", document if isinstance(document, dict) else None)
    assert contract.problems(reading)
    contract.returned(document)
    contract.differences(document, reading)


@given(document=json_of(st.text(max_size=5)), steps=st.lists(st.text(max_size=3) | st.integers(0, 3), max_size=4))
def test_any_path_into_any_document_is_an_answer(document: Any, steps: list[str | int]) -> None:
    at(document, *steps)
    if steps:
        assert JsonPath("", tuple(steps)).missing_in(document)


@given(text=st.text("ab.[0]/~ ", max_size=8))
def test_a_text_is_a_path_that_can_be_put_and_read_or_no_path(text: str) -> None:
    document: dict[str, Any] = {}
    try:
        path = JsonPath.of(text)
    except ValueError:
        return
    path.put(document, 7)
    assert path.read(document) == 7


def escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


TEMPLATES = st.recursive(
    st.booleans() | st.sampled_from([f"{{{name}}}" for name in FOR_TASKS]) | st.text("ab{}", max_size=5).map(escaped),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(template=TEMPLATES)
def test_a_template_that_is_taken_can_be_filled_with_all_values_and_with_none(template: Any) -> None:
    check(template, FOR_TASKS)
    assert filled(template, FOR_TASKS) is not None
    filled(template, {})
