"""Starting the vLLM stub and the fault proxy as a user does: as processes, on free ports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from tempfile import TemporaryFile
from typing import Any

import httpx

from fixtures.core.paths import ROOT
from fixtures.core.polling import wait_until

PACKAGE = ROOT / "images" / "vllm"
CHAT = "/v1/chat/completions"
MODEL = "Qwen/Qwen3-0.6B"
TOKEN = "token-of-the-debug-routes"
REQUEST_S = 5.0
STOP_S = 10.0


def free_port() -> int:
    """A TCP port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(module: str, *arguments: str, token: str = TOKEN) -> Iterator[str]:
    """`python -m module` in the background: its base URL, once it says that it listens. Ended by SIGTERM; it must then
    exit with 0 and must not have written a traceback."""
    port = free_port()
    command = [sys.executable, "-m", module, "--host", "127.0.0.1", "--port", str(port), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "FAULT_PROXY_TOKEN": token}
    with (
        TemporaryFile("w+") as errors,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            said = process.stdout.readline() if process.stdout else ""
            assert f"on http://127.0.0.1:{port}" in said, (
                f"{module} did not start; it wrote {said!r} and {_text(errors)}"
            )
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                status = process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert status == 0, f"{module} ended with {status} after SIGTERM: {_text(errors)}"
        assert "Traceback" not in _text(errors), f"{module} wrote {_text(errors)}"


def _text(errors: Any) -> str:
    errors.seek(0)
    return str(errors.read())


def client(url: str, token: str = TOKEN) -> httpx.AsyncClient:
    """A client for a server on this machine, past any proxy of the environment."""
    return httpx.AsyncClient(base_url=url, timeout=REQUEST_S, trust_env=False, headers={"X-Fault-Proxy-Token": token})


def chat(text: str, **fields: object) -> dict[str, object]:
    """The body of a chat request with one user message."""
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


@asynccontextmanager
async def fault(http: httpx.AsyncClient, **rule: object) -> AsyncIterator[str]:
    """A fault rule in force; yields its id. It may have been deleted already when this ends."""
    answer = await http.post("/debug/faults", json=rule)
    assert answer.status_code == 201, f"the rule {rule} was refused: {answer.text}"
    rule_id: str = answer.json()["id"]
    try:
        yield rule_id
    finally:
        await http.delete(f"/debug/faults/{rule_id}")


async def hits(http: httpx.AsyncClient, rule_id: str) -> int:
    """How many requests a rule has been applied to."""
    rules = (await http.get("/debug/faults")).json()["faults"]
    return next(int(rule["hits"]) for rule in rules if rule["id"] == rule_id)


async def wait_for_hits(http: httpx.AsyncClient, rule_id: str, count: int = 1) -> None:
    """Until the rule has been applied to `count` requests."""

    async def met() -> bool:
        return await hits(http, rule_id) >= count

    await wait_until(met, f"the arrival of {count} requests that rule {rule_id} fits", REQUEST_S, every=0.01)
