"""Whatever answers the probe in a worker or a replica: its document says so, in time, and has its shape."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.probes.payload import nats_wire, probe
from fixtures.probes.payload.probe import probe as probed
from tests.unit.hostile import servers
from tests.unit.hostile.answers import bodies, texts
from tests.unit.hostile.test_nats import ACCOUNT, BEGINNINGS, CONVERSATIONS, FRAMES, INFO, STREAM, greets

STEP = servers.PATIENCE / 2  # seconds; a whole answer may take three


def assert_says_no(answer: dict[str, Any]) -> None:
    assert answer["ok"] is False, answer
    assert isinstance(answer["error"], str) and answer["error"], answer
    json.dumps(answer)


@pytest.mark.parametrize("name", servers.HTTP)
async def test_any_http_server(name: str) -> None:
    async with servers.serving(servers.HTTP[name]) as port:
        with servers.within_bounds():
            answer = await asyncio.to_thread(probe.http, f"http://127.0.0.1:{port}/v1/models", STEP, {"repeat": 2})
    if name in (
        "brackets",
        "many values",
        "gzip bomb",
        "unknown coding",
        "body without end",
        "length is huge",
        "length is none",
    ):
        assert len(answer["body"]) <= probe.MAX_BODY_BYTES  # what is in it is for the suite to judge
    else:
        assert_says_no(answer)


SCRIPTS: dict[str, servers.Script] = {**BEGINNINGS, **CONVERSATIONS}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_any_nats_server(name: str) -> None:
    await assert_no_nats(SCRIPTS[name], "nats")


@pytest.mark.parametrize("name", SCRIPTS)
async def test_any_nats_server_over_websocket(name: str) -> None:
    await assert_no_nats(SCRIPTS[name], "ws", over_websocket=True)


@pytest.mark.parametrize("name", FRAMES)
async def test_any_frames(name: str) -> None:
    await assert_no_nats(FRAMES[name], "ws", over_websocket=True, framed=False)


@pytest.mark.parametrize("script", [*servers.HTTP.values(), *BEGINNINGS.values()], ids=[*servers.HTTP, *BEGINNINGS])
async def test_any_answer_to_a_websocket_handshake(script: servers.Script) -> None:
    await assert_no_nats(script, "ws")


async def assert_no_nats(script: servers.Script, scheme: str, **serving: bool) -> None:
    async with servers.serving(script, **serving) as port:
        with servers.within_bounds():
            answer = await asyncio.to_thread(nats_wire.nats, f"{scheme}://127.0.0.1:{port}", STEP, {"stream": "S"})
    assert_says_no(answer)
    assert answer["stage"] in ("protocol", "authentication", "jetstream")


class Answering:
    """A NATS server that greets with `info` and answers every request with the next of `answers`."""

    def __init__(self, info: bytes, *answers: bytes) -> None:
        self.info, self.answers = info, list(answers)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(greets(self.info) + b"PONG\r\n")
            while line := (await reader.readline()).decode("utf-8", "replace"):
                if line.startswith("PUB ") and self.answers:
                    body = self.answers.pop(0)
                    writer.write(b"MSG %s 1 %d\r\n%s\r\n" % (line.split()[2].encode(), len(body), body))
        writer.close()


@given(
    bodies(INFO).filter(lambda body: b"tls_" not in body) | st.just(json.dumps(INFO).encode()),
    bodies(ACCOUNT) | st.just(json.dumps(ACCOUNT).encode()),
    bodies(STREAM),
)
async def test_any_answer_of_nats(info: bytes, account: bytes, stream: bytes) -> None:
    server = await asyncio.start_server(Answering(info.replace(b"\n", b" "), account, stream), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answer = await asyncio.to_thread(nats_wire.nats, f"nats://127.0.0.1:{port}", 0.1, {"stream": "S"})
    server.close()
    if not answer["ok"]:
        assert_says_no(answer)
    assert all(isinstance(answer.get(key, ""), str) for key in ("server_id", "cluster", "version", "stream_created"))


URLS = (
    texts
    | st.from_regex(r"\A(https?|nats|wss?|file|ftp)://[^/]{0,20}(:\d{1,7})?(/.{0,10})?\Z")
    | st.just("file:///etc/passwd")
)


@given(URLS)
def test_any_url(url: str) -> None:
    """What stands in a replica's environment need not be a URL."""
    for answer in (
        probe.http(url, 0.05, {}),
        nats_wire.nats(url, 0.05, {}),
        probe.tcp(url, 0.05),
        probe.resolve(url[:300]),
    ):
        if not answer["ok"]:
            assert_says_no(answer)


def test_the_rest_of_a_removed_distribution_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken-1.0.dist-info").mkdir()
    (tmp_path / "bytes-1.0.dist-info").mkdir()
    (tmp_path / "bytes-1.0.dist-info" / "METADATA").write_bytes(b"Name: \xff\xfe\n")
    (tmp_path / "nameless-1.0.dist-info").mkdir()
    (tmp_path / "nameless-1.0.dist-info" / "METADATA").write_text("Version: 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = probed({"distributions": True, "installed_since_start": True})
    assert found["distributions"]["pytest"]
    assert "nameless" not in found["distributions"]
    assert set(found["installed_since_start"].values()) <= {*found["distributions"].values(), ""}


def test_a_module_that_does_anything_when_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {"ends": "raise SystemExit(0)", "odd": "__file__ = 5\ndef __getattr__(name): raise RuntimeError(name)"}
    lines["named"] = "class E(Exception):\n    name = object()\nraise E"
    for name, line in lines.items():
        (tmp_path / f"hostile_{name}.py").write_text(line)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = probed({"modules": [f"hostile_{name}" for name in lines], "symbols": ["hostile_odd:x", "hostile_ends:x"]})
    for name in lines:  # whoever looks through all modules after this takes __file__ for a text
        sys.modules.pop(f"hostile_{name}", None)
    for answer in (*found["modules"].values(), *found["symbols"].values()):
        assert isinstance(answer.get("file", ""), str) and isinstance(answer.get("missing", ""), str)
    assert_says_no(found["symbols"]["hostile_odd:x"])
    assert_says_no(found["modules"]["hostile_ends"])
