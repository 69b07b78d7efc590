"""Stand-ins for vLLM, Ray's dashboard, NATS and the orchestrator that fail every check
and tell secrets while they do.
"""

from __future__ import annotations

import base64
import html
import json
import socketserver
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, quote_plus

import grpc

#: Secrets of the system's own, each in a shape that tells one wherever it stands.
SHAPES = {
    "URL": ("nats://agent:{}@nats:4222", "Url-Passw0rd-51c2"),
    "user in a URL": ("nats://{}@nats:4222", "Url-T0ken-7d1a"),
    "variable": ("NATS_TOKEN={}", "Env-T0ken-93ab"),
    "entry of a pod": ('{{"name": "DB_PASSWORD", "value": "{}"}}', "Pod-Passw0rd-2f6e"),
    "header": ("Authorization: Bearer {}", "Head3r-T0ken-6b2d"),
    "option": ("--password {}", "Opt1on-Passw0rd-4c"),
    "YAML": ("client_secret: {}", "Yaml-S3cret-88fe"),
    "JWT": ("{}", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJmbGVldCJ9.c2lnbmVkLWJ5LW5v"),
    "key of a service": ("{}", "hf_AbCdEfGhIjKlMnOpQrStUv"),
    "seed": ("{}", "SUAIBDPBAUTWCWBKIO6XHQNINK5FWJW4OHLXC3HQ2KFE4PEJUA44CNHTC4"),
    "private key": ("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"),
}


def forms(secret: str) -> list[str]:
    """A value as it may stand in other texts."""
    escaped = json.dumps(secret)[1:-1]
    found = [secret, quote(secret, safe=""), quote_plus(secret), html.escape(secret), escaped, html.escape(escaped)]
    return list(dict.fromkeys([*found, repr(secret)[1:-1], base64.b64encode(secret.encode()).decode()]))


class Indiscretion:
    """Sentences that hold the registered secrets in every form and the system's own in every shape."""

    def __init__(self, registered: Iterable[str]) -> None:
        known = [f"refused {form} here" for secret in registered for form in forms(secret)]
        self.lines = known + [shape.format(secret) for shape, secret in SHAPES.values()]
        self._next = 0

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def line(self) -> str:
        """Another one each time: a message shows only the beginning of what a service says."""
        self._next += 1
        return self.lines[self._next % len(self.lines)]

    def cut(self) -> str:
        """One that begins so late that the bounds of messages (200, 300 characters) cut through it."""
        return f"{'x ' * (90 + self._next % 60)}{self.line()}"


def _http(said: Indiscretion, answers: Any) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = answers(self.command, self.path, said)
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("X-Debug", "Authorization: Bearer Head3r-T0ken-6b2d")
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_DELETE = serve

        def log_message(self, *_: Any) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def _vllm(_method: str, path: str, said: Indiscretion) -> tuple[int, Any]:
    if path == "/version":
        return 200, {"version": said.line()}
    if path == "/v1/models":
        return 200, [said.line(), said.cut()] if said._next % 2 else {"data": [{"id": said.line()}, {"id": said.cut()}]}
    return 500, said.text.encode()


def _dashboard(method: str, path: str, said: Indiscretion) -> tuple[int, Any]:
    where = path.partition("?")[0]
    if where == "/api/version":
        return 200, {"ray_version": said.line(), "session_name": said.cut()}
    if where == "/api/v0/nodes":
        head = {"node_id": "a" * 56, "node_name": "head", "is_head_node": True, "state": "ALIVE"}
        lost = {"node_id": "b" * 56, "node_name": said.line(), "state": "ALIVE", "state_message": said.text}
        return 200, {"data": {"result": {"result": [head, lost]}}}
    if where == "/api/v0/actors":
        dead = {"actor_id": "c" * 32, "name": "fc", "state": "DEAD", "death_cause": {"error_message": said.text}}
        return 200, {"data": {"result": {"result": [dead]}}}
    if where == "/api/jobs/" and method == "GET":
        return 200, [{"submission_id": "fc-other", "status": "FAILED", "message": said.text}]
    if where.endswith("/logs"):
        return 200, {"logs": f"{said.text}\nTraceback (most recent call last):\nRuntimeError: {said.cut()}\n"}
    if where.startswith("/api/jobs/") and method == "GET":
        return 200, {"submission_id": where.rpartition("/")[2], "status": "FAILED", "message": said.cut()}
    return 200, {}


class _Nats(socketserver.StreamRequestHandler):
    """Lets everybody in; JetStream refuses every request, and says a secret as its reason."""

    def handle(self) -> None:
        said: Indiscretion = self.server.said  # type: ignore[attr-defined]
        info = {
            "server_id": said.line(),
            "version": said.line(),
            "headers": True,
            "max_payload": 1 << 20,
            "jetstream": True,
        }
        self.wfile.write(b"INFO %s\r\n" % json.dumps(info).encode())
        sid = b"1"
        while line := self.rfile.readline():
            words = line.split()
            if words[0] == b"PING":
                self.wfile.write(b"PONG\r\n")
            elif words[0] == b"SUB":
                sid = words[-1]
            elif words[0] == b"PUB":
                self.rfile.read(int(words[-1]) + 2)
                answer = json.dumps({"error": {"code": 500, "description": said.cut()}}).encode()
                self.wfile.write(b"MSG %s %s %d\r\n%s\r\n" % (words[2], sid, len(answer), answer))


class _Refusing(grpc.GenericRpcHandler):
    def __init__(self, said: Indiscretion) -> None:
        self.said = said

    def service(self, _details: Any) -> Any:
        def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
            context.abort(grpc.StatusCode.INTERNAL, self.said.text.replace("\n", " "))

        return grpc.unary_unary_rpc_method_handler(refuse)


@contextmanager
def indiscreet(said: Indiscretion) -> Iterator[dict[str, Any]]:
    """The URLs in the profile, by its part, of a system that fails and tells."""
    servers: list[socketserver.TCPServer] = [_http(said, _vllm), _http(said, _dashboard)]
    nats = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Nats)
    nats.said, nats.daemon_threads = said, True  # type: ignore[attr-defined]
    servers.append(nats)
    orchestrator = grpc.server(ThreadPoolExecutor(8), handlers=[_Refusing(said)])
    ports = [server.socket.getsockname()[1] for server in servers]
    ports.append(orchestrator.add_insecure_port("127.0.0.1:0"))
    with ExitStack() as stack:
        orchestrator.start()
        stack.callback(orchestrator.stop, None)
        for server in servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        vllm, dashboard, nats, grpc_port = ports
        yield {
            "vllm": f"http://127.0.0.1:{vllm}",
            "ray": f"http://127.0.0.1:{dashboard}",
            "nats": f"nats://127.0.0.1:{nats}",
            "orchestrator": [f"127.0.0.1:{grpc_port}"],
        }
