"""Whatever NATS, or who answers in its place, says: typed answers or a reason, in time and in bounded memory."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.checks.contract import MessageContract
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.timeouts import Timeouts
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.profile.credentials import NatsAccess
from fixtures.profile.model import load
from fixtures.services import nats as jetstream_questions
from fixtures.services import nats_access, nats_connection, stream_messages
from fixtures.services.jetstream import Account, Consumer, Stream
from fixtures.services.nats import Nats, NotThere
from fixtures.services.orchestrator import Outcome, Started
from fixtures.services.stream_messages import Message
from tests.unit.hostile import servers
from tests.unit.hostile.answers import a_reason_at_most, assert_is_a_reason, bodies, values, wounded

INFO = {
    "server_id": "NCXNTPMEHAOPJNMOQKLQ5V4HCQ7HGEHLMSZGPCHWZAKABMPHYMRG7HAZ",
    "server_name": "nats-0",
    "version": "2.11.4",
    "proto": 1,
    "headers": True,
    "max_payload": 1048576,
    "jetstream": True,
    "cluster": "fleet",
    "connect_urls": ["127.0.0.1:1"],
}
STREAM: dict[str, Any] = {
    "type": "io.nats.jetstream.api.v1.stream_info_response",
    "config": {
        "name": "AGENT_RESPONSES",
        "subjects": ["agent.response.>"],
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_age": 86400000000000,
        "max_bytes": -1,
    },
    "created": "2026-01-01T00:00:00.123456789Z",
    "state": {"messages": 3, "bytes": 4711, "first_seq": 1, "last_seq": 3, "subjects": {"agent.response.failed": 3}},
    "cluster": {"leader": "nats-0", "replicas": None},
}
CONSUMER = {
    "stream_name": "AGENT_RESPONSES",
    "name": "deliberation-collector-completed",
    "created": "2026-01-01T00:00:00Z",
    "config": {"durable_name": "c", "ack_policy": "explicit", "filter_subjects": ["agent.response.completed"]},
    "ack_floor": {"consumer_seq": 3, "stream_seq": 3},
    "num_ack_pending": 0,
    "num_redelivered": 0,
}
ACCOUNT = {"memory": 0, "storage": 4711, "streams": 1, "limits": {"max_memory": -1, "max_storage": 10**12}, "api": {}}
STORED = {
    "message": {"subject": "s", "seq": 1, "data": base64.b64encode(b"fc-1").decode(), "time": "2026-01-01T00:00:00Z"}
}
REFUSED = {"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}
COMPLETED = {
    "task_id": "fc-1-task",
    "agent_id": "a1",
    "role": "DEV",
    "status": "completed",
    "proposal": {
        "content": "x",
        "author_id": "a1",
        "author_role": "DEV",
        "model": "m",
        "temperature": 0.7,
        "tokens": 5,
    },
    "duration_ms": 12.5,
    "model": "m",
    "diversity": False,
    "timestamp": "2026-01-01T00:00:00Z",
}

QUESTIONS: dict[str, tuple[Any, Callable[[Nats], Awaitable[Any]], type]] = {
    "stream": (STREAM, lambda nats: nats.stream("AGENT_RESPONSES"), Stream),
    "consumer": (CONSUMER, lambda nats: nats.consumer("AGENT_RESPONSES", "c"), Consumer),
    "account": (ACCOUNT, lambda nats: nats.account(), Account),
    "names": ({"streams": ["AGENT_RESPONSES"], "total": 1}, lambda nats: nats.stream_of("agent.response.>"), str),
    "stored": (STORED, lambda nats: nats.last_on("KV_x", "$KV.x.y"), bytes),
    "refusal": (REFUSED, lambda nats: nats.stream("AGENT_RESPONSES"), NotThere),
}


class Replies:
    """Stands in for nats-py's client: every request is answered with `body`."""

    is_closed = False

    def __init__(self, body: bytes) -> None:
        self.data = body

    async def request(self, *_: Any, **__: Any) -> Replies:
        return self


CONTRACT = MessageContract(load("embedded").contract.messages)


def asking(body: bytes) -> Nats:
    nats = Nats("nats://nats:4222", "test")
    nats._client = Replies(body)
    return nats


@pytest.mark.parametrize("name", QUESTIONS)
@given(data=st.data())
async def test_any_answer_of_jetstream(name: str, data: st.DataObject) -> None:
    valid, ask, kind = QUESTIONS[name]
    with a_reason_at_most():
        found = await ask(asking(data.draw(bodies(valid))))
        assert isinstance(found, Stream if kind is NotThere else kind)


@pytest.mark.parametrize("name", QUESTIONS)
async def test_the_valid_answer_is_read(name: str) -> None:
    valid, ask, kind = QUESTIONS[name]
    if kind is NotThere:
        with pytest.raises(NotThere, match="stream not found"):
            await ask(asking(json.dumps(valid).encode()))
    else:
        assert isinstance(await ask(asking(json.dumps(valid).encode())), kind)


@given(bodies(COMPLETED))
def test_any_message_of_an_agent(body: bytes) -> None:
    document = stream_messages._document(body)
    assert document is None or isinstance(document, dict)
    for kind in CONTRACT.kinds.values():
        for line in kind.problems(document):
            assert_is_a_reason(line)


@given(wounded(COMPLETED))
def test_a_wounded_message_that_is_conformant_can_be_shown(document: Any) -> None:
    """What passes for conformant is no NaN and no half character, on which a report would break."""
    if not CONTRACT.completed.problems(document):
        json.dumps(document, allow_nan=False)


@given(st.dictionaries(st.sampled_from(["exp", "iat"]), values) | values)
def test_any_claims_of_a_jwt(claims: Any) -> None:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    for jwt in (f"a.{body}.c", body, f"a.{body[:-1]}", "a.é.c", ""):
        error = nats_access.verdict("NATS", NatsAccess("k", jwt=jwt), Exception("Authorization Violation"), False)
        assert_is_a_reason(str(error))


# -- on the wire ------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (jetstream_questions, nats_access, nats_connection, stream_messages):
        monkeypatch.setattr(module, "TIMEOUTS", Timeouts(request=servers.PATIENCE))


def greets(info: Any = INFO) -> bytes:
    return b"INFO " + (info if isinstance(info, bytes) else json.dumps(info).encode()) + b"\r\n"


WELL = greets() + b"PONG\r\n"
BEGINNINGS: dict[str, servers.Script] = {
    "silent": servers.silent,
    "closes at once": servers.sends(b""),
    "HTTP": servers.sends(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "line without end": servers.floods(b"INFO ", b"x" * 65536),
    "drips": servers.drips(b"INFO ", b" "),
    "no object": servers.sends(greets([1, 2])),
    "brackets": servers.sends(greets(b"[" * 60_000)),
    "half": servers.sends(b'INFO {"server_id": "N'),
    "wrong types": servers.sends(greets({**INFO, "connect_urls": 7, "max_payload": "x", "headers": []}) + b"PONG\r\n"),
    "odd neighbours": servers.sends(greets({**INFO, "connect_urls": ["[::1", "a:b:c", None]}) + b"PONG\r\n"),
    "refuses": servers.sends(greets() + b"-ERR 'Authorization Violation'\r\n"),
    "refuses in bytes": servers.sends(greets() + b"-ERR '\xff\xfe'\r\n"),
    "never lets in": servers.drips(greets(), b"PING\r\n"),
    "ends after the greeting": servers.sends(greets()),
    "garbage after the greeting": servers.floods(greets(), b"\x00\xff" * 32768),
}
CONVERSATIONS: dict[str, servers.Script] = {
    "never answers": servers.drips(WELL, b"PING\r\n"),
    "garbage": servers.floods(WELL, b"\x00\xff" * 32768),
    "no line": servers.floods(WELL, b"M" * 65536),
    "endless message": servers.floods(WELL + b"MSG x 1 99999999999999\r\n", b"x" * 65536),
    "long subject": servers.floods(WELL + b"MSG ", b"x" * 65536),
    "unwanted messages": servers.floods(WELL, b"MSG x 999 5\r\nhello\r\n" * 30),
    "another greeting": servers.floods(WELL, greets(b"[" * 60_000)),
    "odd greetings": servers.floods(WELL, greets({**INFO, "connect_urls": [{}]})),
}


FRAMES: dict[str, servers.Script] = {
    "masked": servers.sends(servers.frame(2, greets(), second=128)),
    "reserved bits": servers.sends(servers.frame(2, greets(), first=192)),
    "unknown kind": servers.sends(servers.frame(5, greets())),
    "a long ping": servers.sends(servers.frame(9, b"x" * 126)),
    "half a ping": servers.sends(servers.frame(9, b"x", first=0)),
    "goodbye": servers.sends(servers.frame(8, b"\x03\xe8bye")),
    "length is huge": servers.floods(b"\x82\x7f" + b"\x7f" * 8, b"x" * 65536),
    "fragments without end": servers.floods(
        servers.frame(2, b"INFO ", first=0), servers.frame(0, b"x" * 65536, first=0)
    ),
    "empty fragments": servers.floods(servers.frame(2, b"INFO ", first=0), servers.frame(0, b"", first=0) * 4096),
    "pings without end": servers.floods(b"", servers.frame(9, b"x" * 125) * 512),
    "garbage": servers.floods(b"", b"\x00\xff" * 32768),
    "drips": servers.drips(servers.frame(2, greets()), servers.frame(9, b"")),
}


@asynccontextmanager
async def connected_to(script: servers.Script, **serving: bool) -> AsyncIterator[Nats]:
    async with servers.serving(script, **serving) as port:
        nats = Nats(f"{'ws' if serving.get('over_websocket') else 'nats'}://127.0.0.1:{port}", "test")
        try:
            yield nats
        finally:
            await nats.close()


SCRIPTS: dict[str, servers.Script] = {**BEGINNINGS, **CONVERSATIONS}


@pytest.mark.parametrize("over_websocket", [False, True])
@pytest.mark.parametrize("name", SCRIPTS)
async def test_any_server(name: str, over_websocket: bool, impatient: None) -> None:
    await asked(SCRIPTS[name], over_websocket=over_websocket)


@pytest.mark.parametrize("name", FRAMES)
async def test_any_frames(name: str, impatient: None) -> None:
    await asked(FRAMES[name], over_websocket=True, framed=False)


async def asked(script: servers.Script, **serving: bool) -> None:
    with servers.within_bounds():
        async with connected_to(script, **serving) as nats:
            with a_reason_at_most(NonConformance, Inconclusive):
                await nats.stream("AGENT_RESPONSES")
                pytest.fail("such a server was understood")


class JetStream:
    """Answers requests for a stream and its consumer, then delivers whatever the test gives."""

    def __init__(self, deliver: Callable[[str], Iterator[bytes]], last: int) -> None:
        self.deliver, self.last = deliver, last
        self.stream = {**STREAM, "state": {**STREAM["state"], "last_seq": last}}

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await self.converse(reader, writer)
        writer.close()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greets())
        subscriptions: dict[str, str] = {}
        target = ""  # where the consumer is to deliver
        while line := (await reader.readline()).decode():
            words = line.split()
            if words[0] == "PING":
                writer.write(b"PONG\r\n")
            if words[0] == "SUB":
                subscriptions[words[1].removesuffix(".*")] = words[-1]
            if words[0] == "PUB":
                body = await reader.readexactly(int(words[-1]) + 2)
                subject, reply = words[1:3]
                sid = next(sid for prefix, sid in subscriptions.items() if reply.startswith(prefix))
                answer: dict[str, Any] = self.stream
                if ".CONSUMER.INFO" in subject:
                    answer = {**CONSUMER, "delivered": {"consumer_seq": 0, "stream_seq": 0}, "num_pending": self.last}
                if ".CONSUMER.CREATE" in subject:
                    answer = {**CONSUMER, "config": json.loads(body)["config"]}
                    target = answer["config"]["deliver_subject"]
                data = json.dumps(answer).encode()
                writer.write(b"MSG %s %s %d\r\n%s\r\n" % (reply.encode(), sid.encode(), len(data), data))
            if target in subscriptions:
                for piece in self.deliver(f"{target} {subscriptions[target]}"):
                    writer.write(piece)
                    await writer.drain()
                target = ""


def delivery(place: str, sequence: int, data: bytes) -> bytes:
    ack = f"$JS.ACK.AGENT_RESPONSES.c.1.{sequence}.{sequence}.1700000000000000000.1"
    return b"MSG %s %s %d\r\n%s\r\n" % (place.encode(), ack.encode(), len(data), data)


@asynccontextmanager
async def reading(deliver: Callable[[str], Iterator[bytes]], last: int) -> AsyncIterator[Nats]:
    script = JetStream(deliver, last)
    server = await asyncio.start_server(script, "127.0.0.1", 0)
    nats = Nats(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", "test")
    try:
        yield nats
    finally:
        await nats.close()
        server.close()


async def test_messages_are_read() -> None:
    def deliver(place: str) -> Iterator[bytes]:
        yield delivery(place, 1, json.dumps(COMPLETED).encode())
        yield delivery(place, 2, b'{"deep": ' + b"[" * 10_000)
        yield delivery(place, 3, b"\xff")

    async with reading(deliver, 3) as nats:
        found = await nats.messages("AGENT_RESPONSES", 0)
    assert all(isinstance(one, Message) for one in found)
    assert [one.document for one in found] == [COMPLETED, None, None]


DELIVERIES: dict[str, Callable[[str], Iterator[bytes]]] = {
    "nothing": lambda _place: iter(()),
    "not from JetStream": lambda place: iter([b"MSG %s 2\r\nhi\r\n" % place.encode()]),
    "odd reply": lambda place: iter([b"MSG %s $JS.ACK.a.b.c 2\r\nhi\r\n" % place.encode()]),
    "reply of words": lambda place: iter([b"MSG %s $JS.ACK.a.b.c.d.e.f.g 2\r\nhi\r\n" % place.encode()]),
    "time without end": lambda place: iter(
        [b"MSG %s $JS.ACK.s.c.1.1.1.%s.0 2\r\nhi\r\n" % (place.encode(), b"9" * 40)]
    ),
    "subject in bytes": lambda place: iter([b"MSG \xff\xfe %s 2\r\nhi\r\n" % place.split()[1].encode()]),
    "large messages": lambda place: (delivery(place, n, b"x" * (4 << 20)) for n in range(1, 60)),
    "many values": lambda place: (delivery(place, n, b"[" + b"{}," * (1 << 16) + b"1]") for n in range(1, 60)),
    "a message too large": lambda place: chain(
        [b"MSG %s $JS.ACK.s.c.1.1.1.1700000000000000000.0 %d\r\n" % (place.encode(), 40 << 20)],
        repeat(b"x" * 65536, 40 << 4),
    ),
}


@pytest.mark.parametrize("name", DELIVERIES)
async def test_any_delivery(name: str, impatient: None) -> None:
    with servers.within_bounds():
        async with reading(DELIVERIES[name], 100) as nats:
            with a_reason_at_most(NonConformance, Inconclusive):
                await nats.messages("AGENT_RESPONSES", 0)
                pytest.fail("such a delivery was understood")


async def test_a_message_larger_than_the_suite_reads_decides_nothing(impatient: None) -> None:
    async with reading(DELIVERIES["a message too large"], 100) as nats:
        with pytest.raises(Inconclusive, match="message of 41943040 bytes, more than the 8 MiB that the suite reads"):
            await nats.messages("AGENT_RESPONSES", 0)


@given(wounded(COMPLETED), st.sampled_from(["agent_id", "content", "temperature", "diversity", "duration"]))
def test_any_role_of_a_message(document: Any, role: str) -> None:
    held = document if isinstance(document, dict) else None
    reading = CONTRACT.read(Message(1, "s", b"", held, datetime.now(UTC)))
    assert type(reading.text(role)) is str
    assert reading.number(role) is None or type(reading.number(role)) is float
    assert reading.flag(role) is None or type(reading.flag(role)) is bool


OUTCOME = Outcome("t", "COMPLETED", (), "", "")


@given(st.lists(wounded(COMPLETED), max_size=3))
def test_any_messages_of_a_deliberation_have_legs_or_none(documents: list[Any]) -> None:
    now = datetime.now(UTC)
    trip = DeliberationRun("DEV", 3, "m", asked=None, started=Started("t", "", 0.1, 0.0), outcome=OUTCOME)
    trip.messages = [CONTRACT.read(Message(1, "s", b"", one, now)) for one in documents if isinstance(one, dict)]
    phases = trip.phases()
    assert set(phases) in (set(), {"submit", "agents' start", "agents' work", "collection"})
    assert all(type(seconds) is float for seconds in phases.values())
