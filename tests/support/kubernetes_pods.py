"""A stand-in for an API server with pods: commands run in them as processes of this machine."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from fixtures.clusters.base import Component, Replica
from fixtures.clusters.kubernetes.client.api import Api, connect
from fixtures.clusters.kubernetes.client.streams import V4, V5
from tests.support.kubernetes_stand_in import status, write_kubeconfig

STDOUT, STDERR, OUTCOME = b"\x01", b"\x02", b"\x03"
CLOSE_STDIN = b"\xff\x00"
#: How containerd words it. Source: https://github.com/containerd/containerd/issues/3597
NO_PROGRAM = (
    'error executing command in container: failed to exec in container: failed to start exec "e1": OCI runtime exec '
    'failed: exec failed: unable to start container process: exec: "{}": executable file not found in $PATH: unknown'
)
#: How RBAC words it.
FORBIDDEN = (
    'pods "{}" is forbidden: User "jane" cannot create resource "pods/exec" in API group "" in the namespace "{}"'
)


def pod(name: str, image: str = "fleet/orchestrator:1") -> Replica:
    return Replica(name, Component.ORCHESTRATOR, "orchestrator", image, "", True, started=1.0, container="main")


@dataclass
class Pods:
    """What the server lets its clients do, and what they asked for."""

    environment: Mapping[str, str]
    has: Callable[[str], bool] = lambda _program: True  # whether the pods' image has a program, by its first word
    longest_line: int = 1 << 20  # bytes of a request line
    may_enter: bool = True
    refusal: tuple[int, str] | None = None  # status and message of every handshake
    without: str = NO_PROGRAM  # what is said where it has not
    newest_protocol: bool = True
    lines: list[str] = field(default_factory=list)  # of the requests
    commands: list[list[str]] = field(default_factory=list)

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        self.lines.append(request.path)
        if len(request.path) > self.longest_line:
            return connection.respond(HTTPStatus.REQUEST_URI_TOO_LONG, "414 Request-URI Too Large\n")
        if self.refusal:
            code, message = self.refusal
            return connection.respond(HTTPStatus(code), status(code, "", message).decode())
        if not self.may_enter:
            namespace, name = urlsplit(request.path).path.split("/")[4:7:2]
            refusal = status(403, "Forbidden", FORBIDDEN.format(name, namespace))
            return connection.respond(HTTPStatus.FORBIDDEN, refusal.decode())
        return None

    async def run(self, connection: ServerConnection) -> None:
        assert connection.request
        query = parse_qs(urlsplit(connection.request.path).query)
        self.commands.append(query["command"])
        await connection.send(
            OUTCOME + json.dumps(await self._ended(connection, query["command"], "stdin" in query)).encode()
        )

    async def _ended(self, connection: ServerConnection, command: Sequence[str], reads: bool) -> dict[str, object]:
        path = shutil.which(command[0], path=self.environment.get("PATH", ""))
        if path is None or not self.has(command[0]):
            return {"status": "Failure", "reason": "InternalError", "message": self.without.format(command[0])}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, executable=path, env=dict(self.environment), stdin=pipe, stdout=pipe, stderr=pipe
        )
        feeding = asyncio.create_task(self._feed(connection, process, reads))
        assert process.stdout and process.stderr
        output, errors = await asyncio.gather(process.stdout.read(), process.stderr.read())
        feeding.cancel()
        for channel, data in ((STDOUT, output), (STDERR, errors)):
            await connection.send(channel + data)
        code = await process.wait()
        if not code:
            return {"status": "Success"}
        causes = [{"reason": "ExitCode", "message": str(code)}]
        return {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}

    async def _feed(self, connection: ServerConnection, process: asyncio.subprocess.Process, reads: bool) -> None:
        """What the client sends, to its end: v4 has none."""
        assert process.stdin
        while reads and (message := await connection.recv(decode=False)) != CLOSE_STDIN:
            process.stdin.write(message[1:])
            await process.stdin.drain()
        process.stdin.close()


@asynccontextmanager
async def serving(pods: Pods) -> AsyncIterator[Api]:
    """A client of such a server."""
    protocols = [V5, V4] if pods.newest_protocol else [V4]
    with TemporaryDirectory() as folder:
        async with serve(
            pods.run, "127.0.0.1", 0, process_request=pods.refuse, subprotocols=protocols, compression=None
        ) as server:
            port = server.sockets[0].getsockname()[1]
            api = connect(str(write_kubeconfig(Path(folder) / "kubeconfig", f"http://127.0.0.1:{port}")), None)
            try:
                yield api
            finally:
                await api.close()
