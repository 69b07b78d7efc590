"""One replica: the parts, their order of coming up, and their going down."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import uuid
from functools import partial
from typing import Awaitable, Callable, Dict, List, Optional

import grpc
import nats
import nats.errors
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from fleet_orchestrator import streams
from fleet_orchestrator.agents import Agents, MockAgents, RayAgents
from fleet_orchestrator.collector import collect
from fleet_orchestrator.config import Settings
from fleet_orchestrator.driver import Driver
from fleet_orchestrator.peers import Peers
from fleet_orchestrator.ray_thread import RayClient
from fleet_orchestrator.service import Service
from fleet_orchestrator.servicer import Servicer
from fleet_orchestrator.store import CouncilStore, DeliberationStore

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
STATUS_SECONDS = 1.0


class Orchestrator:
    """gRPC first, then NATS and what lives in it; Ray comes up on its own. Made inside a running event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._replica = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._began = time.monotonic()
        self._tasks: List["asyncio.Task[None]"] = []
        self._client = Client()
        self._peers: Optional[Peers] = None
        self._ray = RayAgents(RayClient(settings.ray_address, settings.agent_job, settings.agent_delivery))
        self.service: Optional[Service] = None
        self.ready = asyncio.Event()
        """Set when `service` is there."""
        self._nats = settings.nats_url.rsplit("@", 1)[-1]  # without user and password
        self._nats_problem = "not connected to NATS yet"

    async def start(self) -> None:
        """Open the gRPC port and begin to bring up the rest. Raises `RuntimeError` when the port is taken."""
        # Without this, a second replica on the same port would silently share it.
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((Servicer(self).handler(),))
        self._server.add_insecure_port(f"{self._settings.grpc_host}:{self._settings.grpc_port}")
        await self._server.start()
        log.info("gRPC serves on port %d after %.1f s", self._settings.grpc_port, time.monotonic() - self._began)
        self._supervise("NATS", self._bring_up)
        if self._settings.agent_type == "vllm":
            self._supervise("Ray", self._ray.keep_connected)

    @property
    def without_nats(self) -> str:
        """Why NATS cannot be used now; nothing when it can."""
        return self._nats_problem if self.service is None or not self._client.is_connected else ""

    async def problem(self) -> str:
        """What keeps this replica from running a deliberation; nothing when it is healthy."""
        problems = [self.without_nats]
        if self._settings.agent_type == "vllm":
            problems.append(await self._ray.check(STATUS_SECONDS))
        return "; ".join(text for text in problems if text)

    async def stop(self) -> None:
        """Go, within seconds; running agents are left to the other replicas, or to the next start."""
        await self._server.stop(grace=0.5)
        if self.service is not None:
            await self.service.driver.abandon()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._peers is not None:
            await self._peers.leave()
        if not self._client.is_closed:
            await self._client.close()
        if self._settings.agent_type == "vllm":
            await self._ray.disconnect()

    async def _bring_up(self) -> None:
        if not self._client.is_connected:
            await self._client.connect(
                self._settings.nats_url,
                name=f"orchestrator {self._replica}",
                max_reconnect_attempts=-1,
                reconnect_time_wait=RETRY_SECONDS,
                error_cb=self._on_nats_error,
                disconnected_cb=self._on_nats_lost,
                **self._settings.nats_login,
            )
        js = self._client.jetstream()
        deliberations, councils, consumers = await streams.ensure_all(js)
        store = DeliberationStore(deliberations)
        agents: Dict[str, Agents] = {"vllm": self._ray, "mock": MockAgents(js)}
        driver = Driver(self._settings, store, agents, lambda: self._ray.problem)
        peers = driver.peers = self._peers = Peers(self._replica, self._client, store, driver.launch)
        service = Service(self._replica, self._settings, store, CouncilStore(councils), driver)
        self._supervise("view of the deliberations", peers.follow)
        self._supervise("heartbeat", peers.beat)
        for stream, durable in consumers:
            handle = service.on_plan_approved if durable == streams.APPROVED_CONSUMER else service.on_answer
            self._supervise(durable, partial(collect, js, stream, durable, handle))
        self.service = service
        self.ready.set()
        log.info("Replica %s is ready after %.1f s", self._replica, time.monotonic() - self._began)

    def _supervise(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.ensure_future(self._again(name, work)))

    async def _again(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run until it returns; what fails is logged and begun again."""
        while True:
            try:
                return await work()
            except (nats.errors.Error, JetStreamError, OSError) as error:
                log.error("%s: %s; trying again", name, error or type(error).__name__)
                if name == "NATS":
                    self._nats_problem = f"NATS at {self._nats}: {error or type(error).__name__}"
            except Exception:
                log.exception("%s failed; trying again", name)
            await asyncio.sleep(RETRY_SECONDS)

    async def _on_nats_error(self, error: Exception) -> None:
        self._nats_problem = f"NATS at {self._nats}: {error or type(error).__name__}"
        log.warning("%s", self._nats_problem)

    async def _on_nats_lost(self) -> None:
        self._nats_problem = f"NATS at {self._nats}: connection lost"
