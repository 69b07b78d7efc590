"""Texts of deliberations' ends: what counts as the cause, and what only has a word of it."""

from __future__ import annotations

import pytest

from fixtures.exercises import causes

VLLM = (
    "all 2 agents failed: RuntimeError: vLLM answered 400 for model 'm': BadRequestError: This model's maximum context "
    "length is 40960 tokens. However, your prompt contains at least 40961 input tokens"
)


@pytest.mark.parametrize(
    "text",
    [
        VLLM,
        "The decoder prompt (length 61440) is longer than the maximum model length of 40960",
        "the prompt exceeds the context window of the model",
        "61440 input tokens, and the limit is 40,960",
        "max_tokens cannot be greater than max_model_len",
    ],
)
def test_the_context_is_named(text: str) -> None:
    assert causes.names_the_context(text, 40960)


@pytest.mark.parametrize(
    "text",
    [
        "vLLM answered 502 for model 'm': BadGatewayError: context deadline exceeded",
        "invalid token",
        "Unexpected token < in JSON at position 0",
        "SSLContext cannot be made",
        "vLLM answered 400 for model 'm'",
        "request body is too long",
        "Cannot connect to host 127.0.0.1:40960",
        "task-140960 failed",
        "",
    ],
)
def test_words_of_other_causes_are_not_the_context(text: str) -> None:
    assert not causes.names_the_context(text, 40960)


@pytest.mark.parametrize(
    "text",
    [
        "failed:agent-dev-001=RuntimeError: vLLM answered 422 for model 'm': UnprocessableEntityError: injected here",
        "vLLM answered 422 for model 'm'",
        "HTTP 422",
        "HTTP/1.1 422",
        "status code: 422",
        '{"code": 422}',
        "422 Unprocessable Entity",
        "upstream returned with status 422",
        "status_code=422",
        "http_status=422",
        "statusCode=422",
        "status:422",
        '{"error_code":422}',
        "HTTPStatusError: 422",
        "responded with 422",
        "failed: 422",
        "failed (422)",
        "status code was 422",
        "422, message='Refused', url='http://vllm:8000/v1/chat/completions'",
        "422: the engine is dead",
        "<Response [422]>",
        "POST http://vllm:8000/v1/chat/completions 422",
        "resulted in a 422.",
        "gave up after 422 ms: status 422",
        "agent-422 of task-422 failed: 422 Client Error",
    ],
)
def test_the_injected_error_is_shown(text: str) -> None:
    assert causes.shows_the_injected_error(text)


@pytest.mark.parametrize(
    "text",
    [
        "after 422 ms",
        "after 422",
        "no answer within 422",
        "answered 422 ms later",
        "error after 422 ms",
        "422ms",
        "422 s",
        "took 422 seconds",
        "failed: 422 tokens are left",
        "422 completion tokens",
        "failed 422 times",
        "max_tokens=422",
        '{"max_tokens": 422}',
        '{"maxTokens":422}',
        "timeout: 422",
        "timeout_ms=422",
        "agent-422",
        "agent_422",
        "task-422-x",
        "task-422-x: status 502",
        "task 422",
        "task_id=422",
        "/jobs/422",
        "http://vllm:422/v1",
        "127.0.0.1:422",
        "status 4220",
        "status 3422",
        "0.422",
        "422.5",
        "1,422",
        "422,000",
        "422%",
        "550e8400-422-41d4",
        "422e8400-e29b",
        "",
    ],
)
def test_a_number_that_is_no_status_is_not_the_error(text: str) -> None:
    assert not causes.shows_the_injected_error(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("TimeoutError: vLLM at http://vllm:8000 gave no answer within 5 s", True),
        ("no answer from 2 of 2 agents within 6 s; timed out", True),
        ("context deadline exceeded", True),
        ("ConnectionError: vLLM at http://127.0.0.1:9 cannot be reached: Connect call failed", False),
    ],
)
def test_a_timeout_is_named(text: str, named: bool) -> None:
    assert causes.names_a_timeout(text) is named


@pytest.mark.parametrize("context", [4096, 40960, 131_072, 262_144])
@pytest.mark.parametrize("max_payload", [0, 1 << 20, 8 << 20])
def test_a_task_is_longer_than_the_context_and_fits_into_a_message(context: int, max_payload: int) -> None:
    room = causes.room_for_a_task(max_payload)
    text = causes.longer_than(context, room)
    assert len(text.split()) > context
    assert len(text.encode()) <= room < min(max_payload or 1 << 20, 4 << 20)


def test_the_stub_counts_four_bytes_for_a_token() -> None:
    for max_payload in (1 << 18, 1 << 20):
        assert len(causes.longer_than(40960, causes.room_for_a_task(max_payload))) / 4 > 40960


def test_no_message_exceeds_a_very_long_context() -> None:
    assert causes.longer_than(1_000_000, causes.room_for_a_task(1 << 20)) == ""
    assert causes.longer_than(40960, causes.room_for_a_task(1 << 16)) == ""


def test_each_answer_has_a_request_of_its_temperature() -> None:
    assert causes.temperatures_differ([0.7, 0.91, 0.91], [0.91, 0.7, 0.7 * 1.3]) == ""
    assert causes.temperatures_differ([0.7, 0.91], [0.91, 0.7, 0.91]) == "", "an agent asked again"
    difference = causes.temperatures_differ([0.7, 0.91, 0.91], [0.7, 0.7, 0.7])
    assert difference == "answers name the temperatures 2 × 0.91; their agents asked vLLM with 0.7, 0.7, 0.7"
    assert "none" in causes.temperatures_differ([0.7], [None])
