"""A profile while it is being written: the strongest witness wins, and each value says where it is from."""

import tomllib

import pytest

from fixtures.core.errors import UsageError
from fixtures.discovery.draft import Certainty, Draft, differences
from fixtures.profile.open_values import UNKNOWN, refuse_open


@pytest.fixture
def draft() -> Draft:
    draft = Draft()
    draft.assume("version", 2, "the form of profiles")
    draft.put("vllm.model", "acme/model", "VLLM_MODEL of orchestrator")
    draft.leave_open("agent.class", "module:Class of the agent")
    draft.assume("agent.max_tokens", 2048, "the default")
    return draft


def test_what_was_put_first_stays(draft: Draft) -> None:
    draft.put("vllm.model", "another", "/v1/models")
    assert draft.get("vllm.model") == "acme/model"


def test_what_was_seen_is_better_than_what_was_assumed_or_open(draft: Draft) -> None:
    draft.put("agent.max_tokens", 512, "MAX_TOKENS of orchestrator")
    draft.put("agent.class", "acme.agents:Agent", "AGENT_JOB of orchestrator")
    assert (draft.get("agent.max_tokens"), draft.get("agent.class")) == (512, "acme.agents:Agent")
    draft.assume("agent.max_tokens", 1, "the default")
    draft.leave_open("agent.class", "?")
    assert (draft.get("agent.max_tokens"), draft.get("agent.class")) == (512, "acme.agents:Agent")


def test_the_text_is_toml_with_the_origin_of_each_value(draft: Draft) -> None:
    assert draft.text(["made now"]) == (
        "# made now\n"
        "version = 2  # ASSUMED: the form of profiles\n"
        "\n[vllm]\n"
        'model = "acme/model"  # VLLM_MODEL of orchestrator\n'
        "\n[agent]\n"
        'class = "UNKNOWN"  # UNKNOWN: module:Class of the agent\n'
        "max_tokens = 2048  # ASSUMED: the default\n"
    )
    assert tomllib.loads(draft.text([])) == draft.document()


def test_a_long_origin_is_above_its_line_and_ends_in_no_second_line(draft: Draft) -> None:
    draft.put("nats.stream", "ANSWERS", "the stream\nthat " + "captures much " * 12)
    text = draft.text([])
    lines = text.splitlines()
    place = lines.index('stream = "ANSWERS"')
    assert lines[place - 1].startswith("# ") and max(map(len, lines)) <= 120
    assert tomllib.loads(text)["nats"] == {"stream": "ANSWERS"}


def test_what_is_open_has_no_value(draft: Draft) -> None:
    assert draft.get("agent.class") is None
    assert [draft.count(certainty) for certainty in Certainty] == [1, 2, 1]


def test_an_open_value_is_refused_with_its_key() -> None:
    document = {"agent": {"class": UNKNOWN}, "ray": {"groups": [{"name": "a", "workers": UNKNOWN}]}, "name": "x"}
    with pytest.raises(UsageError) as refused:
        refuse_open(document, "profile my.toml")
    assert str(refused.value) == (
        "profile my.toml: agent.class, ray.groups[0].workers: still UNKNOWN; the comment beside it says what is wanted"
    )
    refuse_open({"name": "known"}, "profile my.toml")


def test_drift_is_what_was_seen_and_is_otherwise(draft: Draft) -> None:
    draft.put("nats.stream", "ANSWERS", "the stream that captures it")
    same = {"vllm": {"model": "acme/model"}, "nats": {"stream": "ANSWERS"}, "agent": {"max_tokens": 1, "class": "a:B"}}
    assert differences(draft, same) == [], "what was assumed, or is open, is no drift"
    assert differences(draft, {"vllm": {"model": "old"}}) == [
        '~ vllm.model  "old" -> "acme/model"  (VLLM_MODEL of orchestrator)',
        '+ nats.stream = "ANSWERS"  (the stream that captures it)',
    ]
