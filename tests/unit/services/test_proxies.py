"""Proxies of the environment are for ways out: the suite and the embedded fleet talk on loopback without them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from fixtures.clusters.embedded import probes, processes
from fixtures.services.orchestrator import OrchestratorReplica
from tests.support.orchestrator_messages import GRPC, pb

NOBODY = "http://127.0.0.1:9"
NAMES = ("grpc_proxy", "http_proxy", "https_proxy", "all_proxy")
VARIABLES = (*NAMES, *(name.upper() for name in NAMES))


@pytest.fixture(params=[*VARIABLES, "all of them"])
def proxied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy where nobody listens, in one variable or in all, and no exception from it."""
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy", *VARIABLES):
        monkeypatch.delenv(name, raising=False)
    for name in VARIABLES:
        if request.param in (name, "all of them"):
            monkeypatch.setenv(name, NOBODY)


class Status(grpc.GenericRpcHandler):
    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        async def answer(*_: object) -> bytes:
            return bytes(pb.GetStatusResponse(status="healthy").SerializeToString())

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
async def target() -> AsyncIterator[str]:
    """The address of a gRPC server on loopback that answers everything as GetStatus."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([Status()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.mark.usefixtures("proxied")
async def test_an_orchestrator_is_seen_to_be_up_past_a_proxy(target: str) -> None:
    assert await probes.grpc_ready(target) == ""


@pytest.mark.usefixtures("proxied")
async def test_an_orchestrator_is_asked_past_a_proxy(target: str) -> None:
    replica = OrchestratorReplica("orchestrator-1", target, GRPC)
    try:
        assert (await replica.status()).status == "healthy"
    finally:
        await replica.close()


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ({}, "localhost,127.0.0.1"),
        ({"NO_PROXY": "internal"}, "internal,localhost,127.0.0.1"),
        ({"NO_PROXY": "", "no_proxy": "internal"}, "internal,localhost,127.0.0.1"),
    ],
)
def test_replicas_get_proxies_for_ways_out_alone(
    own: dict[str, str], wanted: str, proxied: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    environment = processes.base_environment(Path("/image"), Path("/home"), Path("/tmp"), "fc-1")
    assert environment["NO_PROXY"] == environment["no_proxy"] == wanted
    more = processes.base_environment(Path("/image"), Path("/home"), Path("/tmp"), "fc-1", ["127.94.36.1"])
    assert more["NO_PROXY"] == f"{wanted},127.94.36.1"
    assert {name for name in environment if name.lower() in ("grpc_proxy", "all_proxy", "no_grpc_proxy")} == set()
