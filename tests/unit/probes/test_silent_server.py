"""The server that never answers: reached by IPv4 and IPv6, and how many connections reached it is counted."""

from __future__ import annotations

import ast
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest

from fixtures.core.polling import wait_until
from fixtures.probes.packaging import REMOTE


def silent_server() -> Any:
    """The class, without the rest of its module, which is a Ray job."""
    module = ast.parse((REMOTE / "agents.py").read_text(encoding="utf-8"))
    (definition,) = (node for node in module.body if getattr(node, "name", "") == "SilentServer")
    namespace: dict[str, Any] = {"socket": socket, "threading": threading, "Any": Any}
    exec(compile(ast.Module([definition], []), "agents", "exec"), namespace)
    return namespace["SilentServer"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_connections_that_reach_it_are_counted(address: str) -> None:
    try:
        server = silent_server()(address)
    except OSError:
        pytest.skip(f"this machine has no {address}")
    parts = urlsplit(server.url)
    assert (parts.hostname, len(server.open)) == (address, 0)

    async def counted() -> bool:
        return len(server.open) == 2

    with (
        socket.create_connection((address, parts.port), 5),
        socket.create_connection((address, parts.port), 5) as second,
    ):
        await wait_until(counted, "two connections", 5)
        second.sendall(b"POST / HTTP/1.1\r\n\r\n")
        second.settimeout(0.1)
        with pytest.raises(TimeoutError):
            second.recv(1)
