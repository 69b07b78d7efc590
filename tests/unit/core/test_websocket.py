"""Frames of WebSocket, against another implementation of them."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from fixtures.core.websocket import ACCEPTS, NoWebSocket, WebSocketFrames

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536)


def opened(*, rest: bytes = b"") -> WebSocketFrames:
    """A client whose handshake was answered; `rest` came with the answer."""
    frames = WebSocketFrames(urlsplit("ws://nats:8080"))
    frames.received(answer_to(frames.handshake) + rest)
    assert frames.opened
    return frames


def answer_to(handshake: bytes) -> bytes:
    key = handshake.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    accepted = base64.b64encode(hashlib.sha1(key + ACCEPTS).digest()).decode()
    return f"HTTP/1.1 101 Switching Protocols\r\nSEC-WebSocket-Accept:{accepted}\r\n\r\n".encode()


def server_of(client: WebSocketFrames) -> ServerProtocol:
    """The other implementation's server, which has taken the client's handshake."""
    server = ServerProtocol(max_size=None)
    server.receive_data(client.handshake)
    (asked,) = server.events_received()
    assert isinstance(asked, Request)
    server.send_response(server.accept(asked))
    return server


@pytest.mark.parametrize("size", SIZES)
def test_what_is_sent_arrives(size: int) -> None:
    client = WebSocketFrames(urlsplit("ws://u:p@nats:8080/a path?b=c d"))
    server, data = server_of(client), bytes(range(256)) * (size // 256 + 1)
    client.received(b"".join(server.data_to_send()))
    assert client.opened
    server.receive_data(client.sent(data[:size]))
    (frame,) = server.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, bytes(frame.data), frame.fin) == (Opcode.BINARY, data[:size], True)


@pytest.mark.parametrize("size", SIZES)
def test_what_a_server_sends_arrives(size: int) -> None:
    frame = Frame(Opcode.BINARY, b"x" * size).serialize(mask=False)
    assert opened().received(frame) == (b"x" * size, b"")
    assert opened(rest=frame[:1]).received(frame[1:]) == (b"x" * size, b"")


MESSAGES = st.lists(
    st.tuples(st.sampled_from(["text", "binary", "continues", "ping", "pong"]), st.binary(max_size=300)), max_size=6
)


@given(MESSAGES, st.lists(st.integers(1, 400), max_size=20))
def test_it_does_not_matter_how_bytes_are_cut(messages: list[tuple[str, bytes]], cuts: list[int]) -> None:
    kinds = {"text": Opcode.TEXT, "binary": Opcode.BINARY, "continues": Opcode.CONT}
    kinds |= {"ping": Opcode.PING, "pong": Opcode.PONG}
    stream, carried, pings = b"", b"", []
    for kind, data in messages:
        control = kind in ("ping", "pong")
        content = data[:125] if control else data
        stream += Frame(kinds[kind], content, fin=control or bool(len(data) % 2)).serialize(mask=False)
        carried += b"" if control else content
        pings += [content] if kind == "ping" else []
    client, received, answers = opened(), b"", b""
    for cut in [*cuts, len(stream)]:
        content, answer = client.received(stream[:cut])
        received, answers, stream = received + content, answers + answer, stream[cut:]
    assert received == carried
    server = server_of(client)
    server.receive_data(answers)
    pongs = [frame for frame in server.events_received() if isinstance(frame, Frame)]
    assert [(frame.opcode, bytes(frame.data)) for frame in pongs] == [(Opcode.PONG, content) for content in pings]


def test_nothing_comes_after_goodbye() -> None:
    client, data = opened(), Frame(Opcode.BINARY, b"late").serialize(mask=False)
    goodbye = Frame(Opcode.CLOSE, b"\x03\xe8bye").serialize(mask=False)
    assert client.received(data + goodbye + data) == (b"late", b"") and client.ended


@pytest.mark.parametrize(
    "frame", [b"\x82\x80", b"\xc2\x00", b"\x83\x00", b"\x8b\x00", b"\x09\x00", b"\x89\x7e", b"\x08\x00"]
)
def test_what_no_server_sends_is_refused(frame: bytes) -> None:
    """Masked, with reserved bits, of an unknown kind; a control frame that is long, or a part."""
    with pytest.raises(NoWebSocket, match="no WebSocket server sends"):
        opened().received(frame)


@pytest.mark.parametrize("head", [b"HTTP/1.1 404 Not Found\r\n\r\n", b"SSH-2.0\r\n", b"HTTP/1.1 200 " + b"x" * 70_000])
def test_another_answer_to_the_handshake_is_refused(head: bytes) -> None:
    with pytest.raises(NoWebSocket, match="answers the WebSocket handshake with "):
        WebSocketFrames(urlsplit("ws://nats")).received(head)


def test_the_answer_to_another_handshake_is_refused() -> None:
    other = WebSocketFrames(urlsplit("ws://nats"))
    with pytest.raises(NoWebSocket, match="without its key"):
        WebSocketFrames(urlsplit("ws://nats")).received(answer_to(other.handshake))
