"""Ray Client, confined to one thread: the only module that imports `ray`, and only there."""

from __future__ import annotations

import contextlib
import copy
import importlib
import os
import re
import socket
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Dict
from urllib.parse import urlsplit

NAMESPACE = "swe-ai-fleet"
DEFAULT_CLIENT_PORT = 10001
PING_SECONDS = 10.0
"""A Ray that is only slow is not lost: connecting again takes it many times what an answer takes."""
REACH_SECONDS = 2.0


class LinkLost(Exception):
    """The connection to Ray is gone; what ran in the cluster may well run on."""


class AgentFailed(Exception):
    """The agent's job failed for good: the text of the error and the name of its type."""

    def __init__(self, error: str, error_type: str) -> None:
        super().__init__(error)
        self.error_type = error_type


class RayClient:
    """The connection to one Ray cluster. Every method runs in the Ray thread and may block."""

    def __init__(self, address: str, agent_job: str, delivery: str) -> None:
        self._address = address
        self._module, self._class = agent_job.split(":")
        self._delivery = delivery
        self._actor_class: Any = None

    def connect(self) -> None:
        """Connect again, also where a connection was. Raises `LinkLost` with the reason."""
        # Set before the import: without it, the first call after a lost connection starts a *local* Ray.
        os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
        # Ray's own reconnecting blocks for half a minute and never survives a head restart; agents are detached,
        # so a new connection finds them again.
        os.environ["RAY_CLIENT_RECONNECT_GRACE_PERIOD"] = "0"
        import ray

        self.disconnect()
        self._reach()
        runtime_env = None
        if self._delivery == "job":  # the class's top-level package is sent along
            package = importlib.import_module(self._module.split(".")[0])
            runtime_env = {"py_modules": [str(Path(package.__file__ or "").parent)]}
        try:
            ray.init(self._address, namespace=NAMESPACE, runtime_env=runtime_env, log_to_driver=False)
        except Exception as error:  # Ray raises whatever its layers raise; all of it means "not connected"
            raise LinkLost(f"Ray at {self._address} does not accept a client: {_last_line(error)}") from error

    def disconnect(self) -> None:
        """Leave the cluster; detached agents run on."""
        import ray

        self._actor_class = None
        with contextlib.suppress(ConnectionError):  # there is nobody left to say goodbye to
            ray.shutdown()

    def ping(self) -> None:
        """Raises `LinkLost` when the cluster does not answer."""
        from ray.util.client import ray as client

        try:
            client.get_context().client_worker.ping_server(timeout=PING_SECONDS)
        except Exception as error:
            raise LinkLost(f"Ray at {self._address} does not answer: {_last_line(error)}") from error

    def start(self, name: str, job: Dict[str, Any], task: Dict[str, Any]) -> "Future[Any]":
        """Start the detached agent of this name, or find it, and (re)join its run; the future ends with the run.

        Raises `LinkLost`, or `AgentFailed` when the cluster refuses (the head cannot import the agent's class).
        """
        try:
            if self._actor_class is None:
                self._actor_class = self._load()
            options = self._actor_class.options(name=name, namespace=NAMESPACE, lifetime="detached", get_if_exists=True)
            return options.remote(**job).run.remote(**task).future()  # type: ignore[no-any-return]
        except Exception as error:
            self._actor_class = None  # a class that could not be sent stays half-registered in Ray Client
            raise translated(error) from error

    def end(self, name: str) -> None:
        """End the agent of this name, wherever it was started; one that is gone already is fine. Raises `LinkLost`."""
        import ray

        try:
            ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=True)
        except ValueError:
            return  # no such actor any more
        except Exception as error:
            raise LinkLost(f"agent {name} could not be ended: {_last_line(error)}") from error

    def _load(self) -> Any:
        import ray

        actor_class = getattr(importlib.import_module(self._module), self._class)
        if isinstance(actor_class, type):
            return ray.remote(num_cpus=1, max_restarts=2)(actor_class)
        return copy.copy(actor_class)

    def _reach(self) -> None:
        """A quick look before Ray Client's own connecting, which takes half a minute to give up."""
        parts = urlsplit(self._address)
        try:
            socket.create_connection((parts.hostname, parts.port or DEFAULT_CLIENT_PORT), REACH_SECONDS).close()
        except OSError as error:
            raise LinkLost(f"Ray at {self._address} cannot be reached: {error}") from error


def translated(error: BaseException) -> Exception:
    """Ray's exceptions as the two that matter here: the link is lost, or the agent failed."""
    from ray.exceptions import RaySystemError, RayTaskError

    if isinstance(error, RayTaskError) and error.cause is not None:
        cause = error.cause
        return AgentFailed(str(cause) or type(cause).__name__, type(cause).__name__)
    # A system error: "Ray has not been started yet", where the client's server is gone.
    if isinstance(error, (RaySystemError, ConnectionError)):
        return LinkLost(_last_line(error))
    return AgentFailed(_last_line(error), type(error).__name__)


def _last_line(error: BaseException) -> str:
    """What an exception says, shortly: of a remote traceback, the line that names the exception."""
    details = getattr(error, "details", None)  # of a gRPC error, whose text is a form of many lines
    if callable(details):
        return str(details())[:1000]
    nested = re.search(r'details = "(.+)"', str(error))
    if nested:
        return nested.group(1)[:1000]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Exit|Interrupt)\b", line)]
    return (named or lines or [type(error).__name__])[-1][:1000]
