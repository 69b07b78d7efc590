"""A stand-in for an API server: answers over HTTP what a test tells it to. And kubeconfigs that lead to it."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

PEM = Path(__file__).with_name("kubernetes_stand_in.pem")  # key and certificate for 127.0.0.1 and stand-in.test

Answer = tuple[int, bytes]


class StandIn:
    """Serves on 127.0.0.1; `answer` maps (method, path) to (status, body); `seen` has each request's headers.

    `with_body` maps (method, path, body) instead. `tls`: with PEM, or with this certificate and key; `clients`: the
    authority of its clients, whose names
    are in `known`. `more` are headers of its answers.
    """

    def __init__(
        self,
        answer: Callable[[str, str], Answer] | Answer = (404, b""),
        *,
        with_body: Callable[[str, str, bytes], Answer] | None = None,
        tls: bool | tuple[Path, Path] = False,
        clients: Path | None = None,
    ) -> None:
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.known: list[str] = []  # by their certificates, one for each request
        self.more: dict[str, str] = {}
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                stand_in.seen.append((self.command, self.path, dict(self.headers)))
                if clients:
                    subject = dict(pair[0] for pair in self.connection.getpeercert()["subject"])
                    stand_in.known.append(subject["commonName"])
                if with_body:
                    status, body = with_body(self.command, self.path, sent)
                else:
                    status, body = answer(self.command, self.path) if callable(answer) else answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in stand_in.more.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_DELETE = serve

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # of 5, the default, one of eight requests at once waits a second for its turn

            def handle_error(self, *_: Any) -> None:
                """A client that breaks off is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*(tls if isinstance(tls, tuple) else (PEM,)))
            if clients:
                context.load_verify_locations(clients)
                context.verify_mode = ssl.CERT_REQUIRED
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def status(code: int, reason: str, message: str, **details: Any) -> bytes:
    """A `Status` document as API servers send it."""
    return json.dumps(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details,
            "code": code,
        }
    ).encode()


def pem(kind: str) -> bytes:
    """The stand-in's "CERTIFICATE" or "PRIVATE KEY"."""
    text = PEM.read_text()
    start = text.index(f"-----BEGIN {kind}-----")
    end = f"-----END {kind}-----"
    return text[start : text.index(end, start) + len(end) + 1].encode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def write_kubeconfig(
    path: Path,
    server: str = "http://127.0.0.1:1",
    user: dict[str, Any] | None = None,
    context: str = "here",
    **cluster: Any,
) -> Path:
    """A kubeconfig with one context, which is the current one."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": {"token": "abc"} if user is None else user}],
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path
