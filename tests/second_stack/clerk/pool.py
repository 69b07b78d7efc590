"""Voters in the Ray cluster, through Ray Client, which is used in one thread and nowhere else."""

from __future__ import annotations

import importlib
import logging
import os
import socket
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

PING_SECONDS = 10.0
REACH_SECONDS = 2.0
CONNECT_TRIES = 3


LEFT = "INTENDED_USER_EXIT"  # how Ray calls the end of an actor that has left by itself


class PoolLost(Exception):
    """Ray does not answer, in words."""


class Pool:
    """The connection to Ray, made again where it is lost. Its methods block: they run in `thread`."""

    def __init__(self, address: str, voter: str, environment: Mapping[str, str]) -> None:
        """`voter`: module:class; its package is sent to the workers. `environment`: of the voters."""
        self._address, self._environment = address, dict(environment)
        self._module, _, self._class = voter.partition(":")
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ray")
        self._connected = False

    def start(self, keywords: Mapping[str, Any], call: Mapping[str, Any]) -> tuple[Any, Future[Any]]:
        """A voter without a name, at its work, which ends by itself when that is done, also where this clerk has ended
        before. Its handle, and the end of its work. Raises PoolLost."""
        for _ in range(CONNECT_TRIES):
            self._ensure_connected()
            try:
                return self._started(keywords, call)
            except Exception as error:  # noqa: BLE001  Ray raises whatever its layers raise
                log.warning("A voter cannot be started: %s", error)
                self._connected, lost = False, error
        raise PoolLost(f"Ray at {self._address}: {lost}")

    def _started(self, keywords: Mapping[str, Any], call: Mapping[str, Any]) -> tuple[Any, Future[Any]]:
        import ray

        voter = getattr(importlib.import_module(self._module), self._class)
        actor_class = voter if hasattr(voter, "remote") else ray.remote(num_cpus=1)(voter)
        handle = actor_class.options(lifetime="detached").remote(**keywords)
        work = handle.cast.remote(**call)
        handle.leave.remote(after=1)
        return handle, work.future()

    def end(self, handle: Any) -> None:
        """End a voter whatever it does."""
        import ray

        try:
            ray.kill(handle, no_restart=True)
        except Exception as error:  # noqa: BLE001  it has ended, or Ray has
            log.info("A voter is not ended: %s", error)

    def close(self) -> None:
        import ray

        if self._connected:
            ray.shutdown()

    def _ensure_connected(self) -> None:
        # Before ray is imported: without it, the first call after a lost connection starts a Ray of this machine's own.
        os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
        os.environ["RAY_CLIENT_RECONNECT_GRACE_PERIOD"] = "0"
        import ray
        from ray.util.client import ray as client

        if self._connected:
            try:
                client.get_context().client_worker.ping_server(timeout=PING_SECONDS)
                return
            except Exception as error:  # noqa: BLE001  whatever it is, there is no connection
                log.warning("Ray at %s is lost: %s", self._address, error)
                self._connected = False
        parts = urlsplit(self._address)
        try:
            ray.shutdown()
            socket.create_connection((parts.hostname, parts.port or 10001), REACH_SECONDS).close()
            ray.init(self._address, namespace="votes", runtime_env=self._runtime_env(), log_to_driver=False)
        except Exception as error:
            raise PoolLost(f"Ray at {self._address} does not accept a client: {error}") from error
        self._connected = True
        log.info("Connected to Ray at %s", self._address)

    def _runtime_env(self) -> dict[str, Any]:
        package = importlib.import_module(self._module.partition(".")[0])
        return {"py_modules": [str(Path(package.__file__ or "").parent)], "env_vars": self._environment}
