"""Templates: what they are filled with, what is left out, and what cannot be one."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from fixtures.core.toml_models import MistakeAt
from fixtures.profile.templates import FOR_AGENTS, FOR_TASKS, check, filled, key_of, names

VALUES: dict[str, Any] = {"timeout": 60.0, "vllm_url": "http://v:1", "tools": True, "nats_servers": ["nats://n:1"]}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{timeout}", 60.0),
        ("{nats_servers}", ["nats://n:1"]),
        ("{vllm_url}/v1", "http://v:1/v1"),
        ("{timeout} s, {tools}", "60 s, true"),
        ("{{timeout}}", "{timeout}"),
        ("{{{timeout}}}", "{60}"),
        (7, 7),
        ({"a": {"b": ["{tools}", "{role}", 1]}}, {"a": {"b": [True, 1]}}),
        ({"a": "{role}", "b": "as {role}", "c": {"d": "{role}"}}, {"c": {}}),
        ("{role}", None),
    ],
)
def test_what_a_template_is_filled_with(template: Any, value: Any) -> None:
    assert filled(check(template, FOR_AGENTS), VALUES) == value
    assert type(filled(template, VALUES)) is type(value)


@pytest.mark.parametrize(
    ("template", "key", "reason"),
    [
        ({"a": {"heat": "{temprature}"}}, "a.heat", '"{temprature}" is no value; values: agent_id, role, vllm_url'),
        ({"a": ["x", "{task_id}"]}, "a[1]", '"{task_id}" is no value'),
        ({"a": "all: {nats_servers}"}, "a", '"{nats_servers}" is a list and must be the whole text'),
        ({"a": [date(2026, 1, 1)]}, "a[0]", "must be a text, a number, true or false, which JSON has, not 2026-01-01"),
        ({"a": float("inf")}, "a", "must be a text, a number, true or false, which JSON has, not inf"),
        ({"a": "{"}, "a", "has a brace that holds no value; a brace itself is {{ or }}"),
        ({"a": "{}"}, "a", '"{}" is no value'),
        ({"a": "{vllm_url"}, "a", "has a brace that holds no value"),
    ],
)
def test_what_cannot_be_filled_is_named_by_its_key(template: Any, key: str, reason: str) -> None:
    with pytest.raises(MistakeAt) as mistake:
        check(template, FOR_AGENTS)
    assert mistake.value.key == key
    assert reason in mistake.value.reason


def test_a_table_is_no_part_of_a_text() -> None:
    with pytest.raises(MistakeAt, match="is a table and must be the whole text"):
        check("run {metadata}", FOR_TASKS)


def test_the_key_that_is_given_a_value_is_known() -> None:
    template = {"who": {"id": "{agent_id}"}, "name": "agent {agent_id}"}
    assert key_of(template, "agent_id") == "who.id"
    assert key_of({"name": "agent {agent_id}"}, "agent_id") == ""
    assert names(template) == {"agent_id"}
