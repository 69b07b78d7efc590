"""The fault proxy is transparent without rules; with a rule, stub and proxy fail in the same way."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.support.stub_process import CHAT, MODEL, chat, client, fault, free_port, hits, running, wait_for_hits

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def stub_url() -> Iterator[str]:
    with running("vllm_stub", "--served-model-name", MODEL) as url:
        yield url


@pytest.fixture(scope="module")
def proxy_url(stub_url: str) -> Iterator[str]:
    with running("vllm_stub.proxy", "--upstream", stub_url) as url:
        yield url


@pytest.fixture(scope="module")
async def stub(stub_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(stub_url) as http:
        yield http


@pytest.fixture(scope="module")
async def proxy(proxy_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(proxy_url) as http:
        yield http


@pytest.fixture(params=["stub", "proxy"])
def either(request: pytest.FixtureRequest, stub: httpx.AsyncClient, proxy: httpx.AsyncClient) -> httpx.AsyncClient:
    return stub if request.param == "stub" else proxy


@asynccontextmanager
async def proxy_before(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A proxy before an upstream whose every byte the test decides."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        with running("vllm_stub.proxy", "--upstream", f"http://{host}:{port}") as url:
            async with client(url) as http:
                yield http


# -- passing on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/version", "/metrics", "/v1/nothing", CHAT])
async def test_the_proxy_gives_what_the_server_gives(
    stub: httpx.AsyncClient, proxy: httpx.AsyncClient, path: str
) -> None:
    direct, passed = await stub.get(path), await proxy.get(path)
    assert (passed.status_code, passed.content) == (direct.status_code, direct.content)
    assert {**passed.headers, "date": ""} == {**direct.headers, "date": ""}


async def test_completions_errors_and_streams_pass(stub: httpx.AsyncClient, proxy: httpx.AsyncClient) -> None:
    for body in (chat("pass"), chat("pass", **{"model": "x"})):
        direct, passed = await stub.post(CHAT, json=body), await proxy.post(CHAT, json=body)
        assert passed.status_code == direct.status_code
        assert passed.json().get("choices") == direct.json().get("choices")
        assert passed.json().get("error") == direct.json().get("error")
    streamed = await proxy.post(CHAT, json=chat("pass", stream=True))
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.text.endswith("data: [DONE]\n\n")


async def test_bytes_headers_and_query_pass_unchanged() -> None:
    seen: list[bytes] = []
    packed = gzip.compress(b'{"packed": true}')

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        seen.append(await reader.readexactly(4))
        head = f"HTTP/1.1 418 Short and stout\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n"
        writer.write(head.encode() + b"X-Twice: one\r\nX-Twice: two\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n" + packed)
        await writer.drain()
        writer.close()

    async with proxy_before(serve) as proxy:
        answer = await proxy.put("/some/path%2Fhere?a=%20b&a=c", content=b"\x00\xff\r\n", headers={"X-Own": "mine"})
    request = seen[0].decode()
    assert request.startswith("PUT /some/path%2Fhere?a=%20b&a=c HTTP/1.1\r\n")
    assert "x-own: mine" in request.lower()
    assert seen[1] == b"\x00\xff\r\n"
    assert (answer.status_code, answer.reason_phrase) == (418, "Short and stout")
    assert answer.headers.get_list("x-twice") == ["one", "two"]
    assert "x-hop" not in answer.headers
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json() == {"packed": True}


async def test_a_stream_passes_piece_by_piece() -> None:
    read_first = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await writer.drain()
        await read_first.wait()
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")
        writer.close()

    async with proxy_before(serve) as proxy, proxy.stream("GET", "/events") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"first"
        read_first.set()
        assert b"".join([piece async for piece in pieces]) == b"second"


async def test_an_answer_that_breaks_off_upstream_breaks_off_here() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        writer.close()

    async with proxy_before(serve) as proxy:
        with pytest.raises(httpx.RemoteProtocolError):
            await proxy.get("/")


async def test_when_the_client_goes_the_upstream_request_ends() -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await reader.read()
        gone.set()
        writer.close()

    async with proxy_before(serve) as proxy:
        request = asyncio.create_task(proxy.get("/slow"))
        await asyncio.wait_for(arrived.wait(), 5)
        request.cancel()
        await asyncio.wait_for(gone.wait(), 5)


async def test_an_upstream_that_is_down_is_a_502() -> None:
    upstream = f"http://127.0.0.1:{free_port()}"
    with running("vllm_stub.proxy", "--upstream", upstream) as url:
        async with client(url) as proxy:
            answer = await proxy.post(CHAT, json=chat("anyone?"))
    assert answer.status_code == answer.json()["error"]["code"] == 502
    assert upstream in answer.json()["error"]["message"]


@pytest.mark.parametrize("upstream", ["127.0.0.1:8000", "ftp://host", "http://host/v1"])
def test_a_bad_upstream_is_refused(upstream: str) -> None:
    with pytest.raises(AssertionError, match="is not a base URL"), running("vllm_stub.proxy", "--upstream", upstream):
        pass


# -- prompts -------------------------------------------------------------------------------------------------


async def prompts(server: httpx.AsyncClient, contains: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await server.get("/debug/prompts", params={"contains": contains})).json()["prompts"]
    return rows


async def test_prompts_of_a_run_are_recorded_with_what_was_asked(either: httpx.AsyncClient) -> None:
    text = f'fc-0a1b2c-task-1, rubric "clear"\nand über-careful {either.base_url}'
    await either.post(CHAT, json=chat(text, temperature=0.91, max_tokens=7))
    await either.post(CHAT, json=chat("fc-0a1b2c-task-2"))
    [row] = await prompts(either, text)
    assert row["messages"] == [{"role": "user", "content": text}]
    assert (row["model"], row["temperature"], row["max_tokens"], row["fault"]) == (MODEL, 0.91, 7, None)
    assert row["time"] > 0
    contents = [row["messages"][0]["content"] for row in await prompts(either)]
    assert contents[-2:] == [text, "fc-0a1b2c-task-2"]


@pytest.mark.parametrize("text", ["what our customer said", "fc-0a1b2 is too short", "xfc-0a1b2c", "fc-0a1b2cd"])
async def test_prompts_of_anybody_else_are_not_kept(either: httpx.AsyncClient, text: str) -> None:
    assert (await either.post(CHAT, json=chat(text))).status_code == 200
    assert not await prompts(either, text)


async def test_prompts_that_are_kept_are_bounded_in_bytes() -> None:
    with running("vllm_stub", "--max-model-len", "9000000") as url:
        async with client(url) as http:
            for name in ("fc-000001", "fc-000002", "fc-000003"):
                await http.post(CHAT, json=chat(f"{name} {'x' * (3 << 20)}"))
            await http.post(CHAT, json=chat(f"fc-000004 {'x' * (9 << 20)}"))
            kept = [row["messages"][0]["content"][:9] for row in await prompts(http)]
    assert kept == ["fc-000002", "fc-000003"]


@pytest.mark.parametrize("given", ["", "another"])
async def test_debug_routes_are_for_who_has_the_token(proxy_url: str, given: str) -> None:
    async with client(proxy_url, given) as stranger:
        for method, path in (("GET", "prompts"), ("GET", "faults"), ("POST", "faults"), ("DELETE", "faults")):
            answer = await stranger.request(method, f"/debug/{path}")
            assert (answer.status_code, list(answer.json())) == (401, ["error"]), path
        assert (await stranger.get("/debug/ready")).status_code == 200
        assert (await stranger.post(CHAT, json=chat("let through"))).status_code == 200


async def test_without_a_token_nobody_may_use_them() -> None:
    with running("vllm_stub", token="") as url:
        async with client(url, "") as http:
            answer = await http.get("/debug/faults")
    assert answer.status_code == 401
    assert "FAULT_PROXY_TOKEN" in answer.json()["error"]


async def test_debug_routes_are_never_passed_on(proxy: httpx.AsyncClient, stub: httpx.AsyncClient) -> None:
    await stub.post(CHAT, json=chat("fc-0a1b2c only at the stub"))
    assert not await prompts(proxy, "only at the stub")
    for path in ("/debug", "/debug/", "/debug/other", "/debug/faults/a/b"):
        answer = await proxy.get(path)
        assert (answer.status_code, list(answer.json())) == (404, ["error"]), path


# -- faults --------------------------------------------------------------------------------------------------


async def test_delay(either: httpx.AsyncClient) -> None:
    async with fault(either, action="delay", seconds=0.2):
        answer = await either.post(CHAT, json=chat("slow"))
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() >= 0.2


async def test_hold_lets_the_request_go_when_the_rule_is_deleted(either: httpx.AsyncClient) -> None:
    async with fault(either, action="hold", contains="wait") as rule:
        held = asyncio.create_task(either.post(CHAT, json=chat("wait for it")))
        await wait_for_hits(either, rule)
        assert (await either.post(CHAT, json=chat("go on"))).status_code == 200
        assert not held.done()
        await either.delete(f"/debug/faults/{rule}")
        answer = await held
    assert answer.json()["choices"][0]["message"]["content"]


async def test_hang_never_answers(either: httpx.AsyncClient) -> None:
    async with fault(either, action="hang", id="stuck") as rule:
        with pytest.raises(httpx.ReadTimeout):
            await either.post(CHAT, json=chat("hello?"), timeout=0.2)
        stuck = asyncio.create_task(either.post(CHAT, json=chat("hello?")))
        await wait_for_hits(either, rule, count=2)
        assert not stuck.done()
        await either.delete("/debug/faults")
        with pytest.raises(httpx.RemoteProtocolError):
            await stuck


async def test_a_server_with_hanging_requests_still_ends() -> None:
    with running("vllm_stub") as url:
        async with client(url) as http:
            rule = (await http.post("/debug/faults", json={"action": "hang"})).json()["id"]
            stuck = asyncio.create_task(http.post(CHAT, json=chat("hello?")))
            await wait_for_hits(http, rule)
            stuck.cancel()


async def test_close_drops_the_connection(either: httpx.AsyncClient) -> None:
    async with fault(either, action="close", times=1):
        with pytest.raises(httpx.RemoteProtocolError):
            await either.post(CHAT, json=chat("anyone?"))
        assert (await either.post(CHAT, json=chat("anyone?"))).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_cut_stream_ends_in_the_middle(either: httpx.AsyncClient, stream: bool) -> None:
    received = b""
    async with fault(either, action="cut-stream"):
        with pytest.raises(httpx.RemoteProtocolError):
            async with either.stream("POST", CHAT, json=chat("tell me", stream=stream)) as answer:
                assert answer.status_code == 200
                async for piece in answer.aiter_raw():
                    received += piece
    assert received.startswith(b"data: {" if stream else b"{")
    assert b"[DONE]" not in received


@pytest.mark.parametrize(
    ("body", "text"), [({"error": {"code": 429}}, '{"error": {"code": 429}}'), ("try later", "try later"), (None, "")]
)
async def test_status(either: httpx.AsyncClient, body: object, text: str) -> None:
    async with fault(either, action="status", code=429, body=body):
        answer = await either.post(CHAT, json=chat("hello"))
    assert (answer.status_code, answer.text) == (429, text)


async def test_unhealthy(either: httpx.AsyncClient) -> None:
    async with fault(either, action="unhealthy"):
        answer = await either.get("/health")
        assert (answer.status_code, answer.content) == (503, b"")
        assert (await either.post(CHAT, json=chat("still here"))).status_code == 200
    assert (await either.get("/health")).status_code == 200


async def test_html(either: httpx.AsyncClient) -> None:
    async with fault(either, action="html"):
        answer = await either.post(CHAT, json=chat("hello"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    with pytest.raises(json.JSONDecodeError):
        answer.json()


async def test_null_content(either: httpx.AsyncClient) -> None:
    async with fault(either, action="null-content"):
        [choice] = (await either.post(CHAT, json=chat("hello"))).json()["choices"]
        stream = (await either.post(CHAT, json=chat("hello", stream=True))).text
    assert choice["message"]["content"] is None
    assert '"content":null' in stream
    assert stream.endswith("[DONE]\n\n")


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_a_model_that_thinks_first_answers_those_who_leave_it_room(either: httpx.AsyncClient, field: str) -> None:
    async with fault(either, action="think", tokens=64) as rule:
        short = (await either.post(CHAT, json=chat("hello", **{field: 64}))).json()
        long = (await either.post(CHAT, json=chat("hello", **{field: 65}))).json()
        unlimited = (await either.post(CHAT, json=chat("hello"))).json()
        assert await hits(either, rule) == 3
    [cut] = short["choices"]
    assert (cut["message"]["content"], cut["finish_reason"]) == (None, "length")
    assert cut["message"]["reasoning"]
    assert short["usage"]["completion_tokens"] == 64
    for answer in (long, unlimited):
        assert answer["choices"][0]["message"]["content"].startswith("Stub-proposal")


async def test_empty_choices(either: httpx.AsyncClient) -> None:
    async with fault(either, action="empty-choices"):
        answer = (await either.post(CHAT, json=chat("hello"))).json()
    assert (answer["object"], answer["model"], answer["choices"]) == ("chat.completion", MODEL, [])


async def test_wrong_model(either: httpx.AsyncClient) -> None:
    async with fault(either, action="wrong-model", path="/v1/"):
        answer = (await either.post(CHAT, json=chat("hello"))).json()
        listing = (await either.get("/v1/models")).json()
    assert answer["choices"][0]["message"]["content"]
    assert answer["model"] == listing["data"][0]["id"] != MODEL


@pytest.mark.parametrize("needle", ['say "no"', "first\nsecond", "naïve — 日本", "tab\there"])
async def test_contains_sees_through_the_escapes_of_json(either: httpx.AsyncClient, needle: str) -> None:
    async with fault(either, action="status", code=500, contains=needle) as rule:
        assert (await either.post(CHAT, json=chat("harmless"))).status_code == 200
        bodies = [json.dumps(chat(f"<{needle}>"), ensure_ascii=ascii_only) for ascii_only in (True, False)]
        for body in bodies:
            answer = await either.post(CHAT, content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == 500
        parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": needle}]}]}
        assert (await either.post(CHAT, json=parts)).status_code == 500
        assert await hits(either, rule) == 3


async def test_contains_matches_the_raw_body_too(either: httpx.AsyncClient) -> None:
    async with fault(either, action="status", code=500, contains='"max_tokens":5,'):
        body = b'{"max_tokens":5,"messages":[{"role":"user","content":"hi"}]}'
        answer = await either.post(CHAT, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 500
        assert (await either.post(CHAT, json=chat("hi", max_tokens=6))).status_code == 200


async def test_times_is_how_often_and_the_first_rule_wins(either: httpx.AsyncClient) -> None:
    async with (
        fault(either, action="status", code=501, times=2) as first,
        fault(either, action="status", code=502, times=1),
    ):
        codes = [(await either.post(CHAT, json=chat(str(number)))).status_code for number in range(4)]
        assert codes == [501, 501, 502, 200]
        assert await hits(either, first) == 2


async def test_prompts_name_the_fault_they_met(either: httpx.AsyncClient) -> None:
    text = f"fc-0a1b2c is doomed at {either.base_url}"
    async with fault(either, action="status", code=500, id="doom"):
        await either.post(CHAT, json=chat(text))
    [row] = await prompts(either, text)
    assert row["fault"] == "doom"


async def test_listing_and_deleting(either: httpx.AsyncClient) -> None:
    rules: list[dict[str, object]] = [
        {"id": "a", "action": "delay", "seconds": 1, "contains": "x", "times": 3, "path": "/v1/models"},
        {"id": "b", "action": "status", "code": 503, "body": {"error": "x"}},
    ]
    added = [(await either.post("/debug/faults", json=rule)).json() for rule in rules]
    answer = (await either.get("/debug/faults")).json()
    assert answer["faults"] == added
    assert added[0] == {**rules[0], "hits": 0}
    assert added[1] == {**rules[1], "path": CHAT, "contains": None, "times": None, "hits": 0}
    assert {"delay", "hang", "close"} <= set(answer["actions"])
    assert (await either.delete("/debug/faults/a")).status_code == 200
    assert (await either.delete("/debug/faults/a")).status_code == 404
    assert (await either.delete("/debug/faults")).json() == {"removed": 1}
    assert (await either.get("/debug/faults")).json()["faults"] == []


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ([], "JSON object"),
        ({}, "action None is not one of delay, "),
        ({"action": "explode"}, "'explode' is not one of"),
        ({"action": ["delay"]}, "is not one of"),
        ({"action": "close", "colour": "red"}, "unknown field 'colour'"),
        ({"action": "close", "path": "v1"}, "must start with /"),
        ({"action": "close", "path": "/debug/faults"}, "not be a debug route"),
        ({"action": "close", "path": 1}, "path must be a text"),
        ({"action": "close", "contains": ""}, "contains must be a text"),
        ({"action": "close", "id": 7}, "id must be a text"),
        ({"action": "close", "times": 0}, "times must be a whole number"),
        ({"action": "close", "times": True}, "times must be a whole number"),
        ({"action": "close", "seconds": 1}, "seconds belongs to action 'delay'"),
        ({"action": "delay"}, "a delay needs seconds"),
        ({"action": "delay", "seconds": -1}, "a delay needs seconds"),
        ({"action": "delay", "seconds": "1"}, "a delay needs seconds"),
        ({"action": "think"}, "a model that thinks needs tokens"),
        ({"action": "think", "tokens": 0}, "a model that thinks needs tokens"),
        ({"action": "hold", "tokens": 5}, "tokens belongs to action 'think'"),
        ({"action": "status"}, "a status needs a code"),
        ({"action": "status", "code": 99}, "a status needs a code"),
        ({"action": "html", "body": "x"}, "body belongs to action 'status'"),
    ],
)
async def test_a_bad_rule_is_refused_with_the_reason(proxy: httpx.AsyncClient, rule: object, reason: str) -> None:
    answer = await proxy.post("/debug/faults", json=rule)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]
    assert (await proxy.get("/debug/faults")).json()["faults"] == []


async def test_a_rule_that_is_not_json_or_takes_an_id_is_refused(proxy: httpx.AsyncClient) -> None:
    answer = await proxy.post("/debug/faults", content=b"{")
    assert (answer.status_code, answer.json()) == (400, {"error": "a fault rule is a JSON object"})
    async with fault(proxy, action="close", id="mine", path="/nowhere"):
        answer = await proxy.post("/debug/faults", json={"action": "close", "id": "mine"})
        assert answer.status_code == 400
        assert "'mine' exists" in answer.json()["error"]
