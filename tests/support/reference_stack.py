"""The reference stack for its own tests: the custom Ray image, one NATS, one small Ray, replicas."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.clusters.base import Timeline
from fixtures.clusters.cache import cache_folder
from fixtures.clusters.embedded.image_table import named
from fixtures.clusters.embedded.images import ImageStore
from fixtures.clusters.embedded.rundir import RunDirectory
from fixtures.core.paths import ROOT
from tests.support.waiting import wait_for

IMAGES = ROOT / "images"
MODEL = "Qwen/Qwen3-0.6B"
BOOT_S = 60.0
STOP_S = 15.0
DRIVER_S = 120.0


def free_port() -> int:
    """A TCP port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something accepts connections on a local port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def process(command: Sequence[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in its own session; at the end SIGTERM, and SIGKILL for its whole group when that does not help."""
    with log.open("ab") as output:
        running = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait(STOP_S)


async def ray_python() -> Path:
    """The interpreter of the custom Ray image, built where it is not in the cache; its lock holds what the orchestrator
    needs, too."""
    run = RunDirectory(cache_folder())
    try:
        return await ImageStore(run, Timeline()).ready(named("ray-custom")) / "bin" / "python"
    finally:
        await run.close(STOP_S)


@contextmanager
def nats_server(folder: Path) -> Iterator[str]:
    """A real NATS server with JetStream; its URL."""
    port = free_port()
    program = shutil.which("nats-server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert program, "nats-server is missing in the suite's environment"
    command = [program, "-js", "-sd", str(folder / "nats"), "-a", "127.0.0.1", "-p", str(port)]
    with process(command, folder / "nats.log"):
        wait_for(lambda: listens(port), "NATS listening", BOOT_S)
        yield f"nats://127.0.0.1:{port}"


@contextmanager
def ray_head(python: Path, folder: Path) -> Iterator[str]:
    """A real Ray head with 16 logical CPUs and no workers besides; its Ray Client address."""
    port, client_port = free_port(), free_port()
    state = Path(tempfile.mkdtemp(prefix="rs"))  # short: the paths of Ray's sockets below it may have 107 characters
    options = {
        "port": port,
        "ray-client-server-port": client_port,
        "include-dashboard": "false",
        "dashboard-agent-listen-port": free_port(),
        "num-cpus": 16,
        "object-store-memory": 100_000_000,
        "min-worker-port": 0,
        "max-worker-port": 0,
        "temp-dir": state,
    }
    command = [str(python), "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
    command += [f"--{name}={value}" for name, value in options.items()]
    # The workers are started as `python`: the environment's own must come first.
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    try:
        # A first driver would wait for a worker on each of the CPUs.
        with process(command, folder / "ray.log", PATH=path, RAY_prestart_worker_first_driver="0"):
            wait_for(lambda: listens(client_port), "Ray Client listening", BOOT_S)
            yield f"ray://127.0.0.1:{client_port}"
    finally:
        shutil.rmtree(state, ignore_errors=True)


def drive(python: Path, script: str, document: Any) -> Any:
    """Run a program of this folder in the image's environment: a JSON document in, a JSON document out."""
    program = Path(__file__).with_name(script)
    done = subprocess.run(
        [str(python), str(program)],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        timeout=DRIVER_S,
        check=False,
    )
    assert done.returncode == 0, f"{script} ended with {done.returncode}: {done.stderr[-3000:]}"
    return json.loads(done.stdout.splitlines()[-1])


@dataclass
class Replica:
    """One orchestrator process; `variables` is the environment it runs with."""

    python: Path
    log: Path
    variables: Mapping[str, str]
    port: int

    def __post_init__(self) -> None:
        self._stack = ExitStack()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until its gRPC port is open."""
        command = [str(self.python), "-m", "fleet_orchestrator"]
        path = str(IMAGES / "orchestrator")
        variables = {**self.variables, "GRPC_PORT": str(self.port), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = self._stack.enter_context(process(command, self.log, **variables))
        wait_for(lambda: listens(self.port), "the gRPC port opening", BOOT_S)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_S)

    def stop(self) -> float:
        """SIGTERM, and wait for the end; the seconds it took."""
        begun = time.monotonic()
        self._stack.close()
        return time.monotonic() - begun
