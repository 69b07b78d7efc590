"""The vLLM stub answers as vLLM does: routes, fields and errors were compared with vLLM 0.32.0."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.stub_process import CHAT, MODEL, chat, client, running

CONTEXT = 512
TOO_LONG = "word " * CONTEXT


@pytest.fixture(scope="module")
async def stub() -> AsyncIterator[httpx.AsyncClient]:
    with running("vllm_stub", "--served-model-name", MODEL, "--max-model-len", str(CONTEXT)) as url:
        async with client(url) as http:
            yield http


def events(body: str) -> list[dict[str, Any]]:
    """The documents of an event stream, which must end with [DONE]."""
    lines = [line.removeprefix("data: ") for line in body.splitlines() if line]
    assert lines[-1] == "[DONE]", f"the stream ends with {lines[-1]!r}"
    return [json.loads(line) for line in lines[:-1]]


async def content(stub: httpx.AsyncClient, text: str, **fields: object) -> str:
    answer = await stub.post(CHAT, json=chat(text, **fields))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


async def test_health_is_an_empty_200(stub: httpx.AsyncClient) -> None:
    answer = await stub.get("/health")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_the_version_says_that_it_is_a_stub(stub: httpx.AsyncClient) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\+stub", (await stub.get("/version")).json()["version"])


async def test_models_have_the_context_length(stub: httpx.AsyncClient) -> None:
    listing = (await stub.get("/v1/models")).json()
    assert listing["object"] == "list"
    [row] = listing["data"]
    assert {name: row[name] for name in ("id", "object", "owned_by", "root", "max_model_len")} == {
        "id": MODEL,
        "object": "model",
        "owned_by": "vllm-stub",
        "root": MODEL,
        "max_model_len": CONTEXT,
    }
    assert isinstance(row["created"], int)


async def test_one_model_under_several_names_answers_under_the_one_that_was_asked_for() -> None:
    with running("vllm_stub", "--served-model-name", MODEL, "newest", "--max-model-len", str(CONTEXT)) as url:
        async with client(url) as http:
            rows = (await http.get("/v1/models")).json()["data"]
            assert [(row["id"], row["root"]) for row in rows] == [(MODEL, MODEL), ("newest", MODEL)]
            answer = await http.post(CHAT, json={**chat("hello"), "model": "newest"})
            assert (answer.status_code, answer.json()["model"]) == (200, "newest")
            answer = await http.post(CHAT, json={**chat("hello"), "model": "other"})
            assert answer.status_code == 404 and "newest" in answer.text


async def test_metrics_identify_the_process_and_count_tokens(stub: httpx.AsyncClient) -> None:
    async def series() -> dict[str, float]:
        text = (await stub.get("/metrics")).text
        return {name: float(value) for name, value in re.findall(r"^([\w:]+)(?:{.*})? (\S+)$", text, re.MULTILINE)}

    before = await series()
    usage = (await stub.post(CHAT, json=chat("count me"))).json()["usage"]
    after = await series()
    assert after["process_start_time_seconds"] == before["process_start_time_seconds"] > 0
    for name, field in (("prompt_tokens", "prompt_tokens"), ("generation_tokens", "completion_tokens")):
        assert after[f"vllm:{name}_total"] - before[f"vllm:{name}_total"] == usage[field]
    assert after["vllm:num_requests_running"] == 0


async def test_another_process_has_another_identity(stub: httpx.AsyncClient) -> None:
    def identity(metrics: str) -> list[str]:
        return re.findall(r"^process_start_time_seconds (\S+)$", metrics, re.MULTILINE)

    with running("vllm_stub") as url:
        async with client(url) as other:
            there = identity((await other.get("/metrics")).text)
    assert there
    assert there != identity((await stub.get("/metrics")).text)


async def test_a_completion_has_the_fields_of_vllm(stub: httpx.AsyncClient) -> None:
    answer = (await stub.post(CHAT, json=chat("Add a test.", temperature=0.7))).json()
    assert answer["object"] == "chat.completion"
    assert answer["id"].startswith("chatcmpl-")
    assert answer["model"] == MODEL
    [choice] = answer["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert "Stub" in choice["message"]["content"], "the stub does not call itself one"
    assert "Add a test." in choice["message"]["content"]
    assert "0.7" in choice["message"]["content"]
    usage = answer["usage"]
    assert usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_the_text_depends_on_the_prompt_and_the_temperature_only(stub: httpx.AsyncClient) -> None:
    texts = [await content(stub, task, temperature=heat) for task in ("one", "two") for heat in (0.7, 0.91)]
    assert len(set(texts)) == 4
    assert await content(stub, "one", temperature=0.7) == texts[0]


async def test_max_tokens_cuts_the_text(stub: httpx.AsyncClient) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = (await stub.post(CHAT, json=chat("long story", **{name: 3}))).json()
        assert answer["usage"]["completion_tokens"] == 3
        assert answer["choices"][0]["finish_reason"] == "length"
        assert len(answer["choices"][0]["message"]["content"].split(" ")) == 3


async def test_several_choices_differ(stub: httpx.AsyncClient) -> None:
    choices = (await stub.post(CHAT, json=chat("two, please", n=2))).json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1]
    assert choices[0]["message"]["content"] != choices[1]["message"]["content"]


async def test_without_a_model_the_served_one_answers(stub: httpx.AsyncClient) -> None:
    body = {name: value for name, value in chat("hello").items() if name != "model"}
    assert (await stub.post(CHAT, json=body)).json()["model"] == MODEL


async def test_contents_may_be_parts_or_absent(stub: httpx.AsyncClient) -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "in parts"}]}
    answer = await stub.post(CHAT, json={"model": MODEL, "messages": [parts]})
    assert "in parts" in answer.json()["choices"][0]["message"]["content"]
    answer = await stub.post(CHAT, json={"model": MODEL, "messages": [{"role": "user"}]})
    assert answer.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize("with_usage", [False, True])
async def test_a_stream_carries_the_same_text(stub: httpx.AsyncClient, with_usage: bool) -> None:
    body = chat("stream it", temperature=0.7)
    whole = (await stub.post(CHAT, json=body)).json()
    options = {"stream_options": {"include_usage": True}} if with_usage else {}
    answer = await stub.post(CHAT, json={**body, "stream": True, **options})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    documents = events(answer.text)
    assert {document["object"] for document in documents} == {"chat.completion.chunk"}
    deltas = [choice for document in documents for choice in document["choices"]]
    assert deltas[0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(choice["delta"]["content"] for choice in deltas) == whole["choices"][0]["message"]["content"]
    assert [choice["finish_reason"] for choice in deltas if choice["finish_reason"]] == ["stop"]
    usages = [document["usage"] for document in documents if "usage" in document]
    assert usages == ([{**whole["usage"]}] if with_usage else [])


@pytest.mark.parametrize(
    ("body", "status", "kind", "param", "message"),
    [
        (chat("hi", **{"model": "x"}), 404, "NotFoundError", "model", "The model `x` does not exist."),
        (chat(TOO_LONG), 400, "BadRequestError", "input_tokens", f"maximum context length is {CONTEXT} tokens"),
        (chat("hi", max_tokens=0), 400, "BadRequestError", "max_tokens", "must be at least 1, got 0"),
        (chat("hi", max_tokens=CONTEXT + 1), 400, "BadRequestError", "max_tokens", "cannot be greater than"),
        (chat("hi", max_tokens="ten"), 400, "Bad Request", "body.max_tokens", "valid integer"),
        (chat("hi", max_tokens=True), 400, "Bad Request", "body.max_tokens", "valid integer"),
        (chat("hi", temperature=-1), 400, "BadRequestError", "temperature", "must be non-negative, got -1.0"),
        (chat("hi", temperature=3), 400, "BadRequestError", "temperature", "must be in [0, 2], got 3.0"),
        (chat("hi", temperature="hot"), 400, "Bad Request", "body.temperature", "valid number"),
        (chat("hi", n=0), 400, "BadRequestError", None, "n must be at least 1, got 0"),
        (chat("hi", stream_options={}), 400, "BadRequestError", "stream_options", "only be defined when `stream=True`"),
        ({"model": MODEL, "messages": []}, 400, "BadRequestError", None, "empty conversation"),
        ({"model": MODEL, "messages": "hi"}, 400, "Bad Request", "body.messages", "valid list"),
        ({"model": MODEL, "messages": ["hi"]}, 400, "Bad Request", "body.messages.0.role", "Field required"),
        ({"model": MODEL}, 400, "Bad Request", "body.messages", "Field required"),
        ([], 400, "Bad Request", "body", "valid dictionary"),
    ],
)
async def test_bad_requests_get_the_errors_of_vllm(
    stub: httpx.AsyncClient, body: object, status: int, kind: str, param: str | None, message: str
) -> None:
    answer = await stub.post(CHAT, json=body)
    error = answer.json()["error"]
    assert answer.status_code == error["code"] == status
    assert (error["type"], error["param"]) == (kind, param)
    assert message in error["message"]


@pytest.mark.parametrize(("body", "kind"), [(b"{", "application/json"), (b"{}", "text/plain")])
async def test_what_is_not_json_is_a_bad_request(stub: httpx.AsyncClient, body: bytes, kind: str) -> None:
    answer = await stub.post(CHAT, content=body, headers={"Content-Type": kind})
    assert answer.status_code == answer.json()["error"]["code"] == 400


async def test_unknown_routes_and_methods(stub: httpx.AsyncClient) -> None:
    answer = await stub.get("/v1/nothing")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    answer = await stub.get(CHAT)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {"detail": "Method Not Allowed"}


@pytest.mark.parametrize("arguments", [("--max-model-len", "0"), ("--port", "many"), ("--colour", "red")])
def test_a_bad_command_line_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError, match="did not start"), running("vllm_stub", *arguments):
        pass
