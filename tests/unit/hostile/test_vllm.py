"""Whatever vLLM, or who answers in its place, says: a typed answer or a reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fixtures.services.vllm import Model, parse_identity, parse_models
from tests.unit.hostile.answers import a_reason_at_most, bodies

MODELS = {
    "object": "list",
    "data": [
        {"id": "Qwen/Qwen3-0.6B", "object": "model", "created": 1700000000, "max_model_len": 8192, "permission": [{}]},
        {"id": "lora", "parent": None, "max_model_len": None},
    ],
}


@given(bodies(MODELS))
def test_any_list_of_models(body: bytes) -> None:
    with a_reason_at_most():
        found = parse_models(body.decode("utf-8", "replace"), "http://vllm:8000")
        assert all(
            type(one) is Model and type(one.id) is str and type(one.max_model_len) is int for one in found.values()
        )


@given(st.text() | st.from_regex(r"process_start_time_seconds[ \t]+.*", fullmatch=False))
def test_any_metrics(body: str) -> None:
    assert isinstance(parse_identity(body), str)
