"""Where Ray takes its token from, as seen from inside a replica, and what a refusal means."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from fixtures.clusters.base import MainProcess
from fixtures.probes.payload.ray_token import installed_ray, refusal, token_source
from fixtures.probes.replicas import NO_TOKEN, ReplicaReport
from tests.support.profiles import VARIABLES

UNAUTHENTICATED = "ConnectionError: StatusCode.UNAUTHENTICATED: Invalid or missing authentication token"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_ray_looks_in_three_places_in_this_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert token_source() == ""
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("s3cret")
    assert token_source() == "~/.ray/auth_token"
    named = home / "named"
    named.write_text("s3cret")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(named))
    assert token_source() == f"RAY_AUTH_TOKEN_PATH ({named})"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "s3cret")
    assert token_source() == "RAY_AUTH_TOKEN"


@pytest.mark.parametrize("content", [None, ""])
def test_a_file_that_is_named_and_has_none_is_none(
    content: str | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (home / "named").write_text(content)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "named"))
    assert token_source() == ""


def test_the_installed_ray_is_known_without_an_import() -> None:
    assert installed_ray().count(".") == 2


def report(**handshake: Any) -> ReplicaReport:
    environment = {"RAY_ADDRESS": "ray://127.94.36.1:24102"}
    document = {"ray_client": handshake}
    return ReplicaReport("orchestrator-1", environment, document, MainProcess(environment), variables=VARIABLES)


@pytest.mark.parametrize(
    ("handshake", "words"),
    [
        ({"ok": True}, ""),
        ({"ok": False, "error": "ConnectionError: ray client connection timeout"}, ""),
        ({"ok": False, "error": UNAUTHENTICATED, "token_source": ""}, NO_TOKEN),
        (
            {"ok": False, "error": UNAUTHENTICATED, "token_source": "RAY_AUTH_TOKEN", "auth_mode": "token"},
            "its token is refused, that of RAY_AUTH_TOKEN",
        ),
        (
            {"ok": False, "error": UNAUTHENTICATED, "token_source": "RAY_AUTH_TOKEN", "auth_mode": "disabled"},
            "its token is refused, that of RAY_AUTH_TOKEN, and RAY_AUTH_MODE is disabled",
        ),
        (
            {"ok": False, "error": "AuthenticationError: no authentication token was found", "token_source": ""},
            NO_TOKEN,
        ),
    ],
)
def test_why_a_replica_is_not_let_in(handshake: dict[str, Any], words: str) -> None:
    assert report(**handshake).refused_token == words


def test_the_three_places_are_named() -> None:
    for place in ("in RAY_AUTH_TOKEN,", "RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token"):
        assert place in NO_TOKEN


class Refusing(grpc.GenericRpcHandler):
    """A server that answers every call with one status."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self.code = code

    def service(self, _details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            lambda _request, context: context.abort(self.code, "Invalid or missing authentication token")
        )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED: Invalid or missing authentication token"),
        (grpc.StatusCode.NOT_FOUND, ""),  # what Ray says to a client that it does not know
    ],
)
def test_a_server_that_refuses_the_token_is_told_from_one_that_says_something_else(
    code: grpc.StatusCode, words: str
) -> None:
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, handlers=[Refusing(code)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            assert refusal(f"127.0.0.1:{port}", 5.0) == words
        finally:
            server.stop(None).wait()


def test_a_server_that_is_not_there_refuses_nothing() -> None:
    assert refusal("127.0.0.1:9", 1.0) == ""
