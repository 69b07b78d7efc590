"""An embedded fleet whose deliberations are started by calls that last until their end, and what may go wrong there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fixtures.core.errors import NonConformance
from fixtures.core.toml_models import read_toml
from fixtures.profile.contract import ContractFile
from fixtures.profile.contract_grpc import Grpc
from fixtures.profile.sections import FOLDER
from fixtures.services.grpc_contract import GrpcContract
from fixtures.services.orchestrator import Orchestrator
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.held_calls.front import Changed, Front
from tests.targets.target import Change

FILE = Path(__file__).with_name("held.toml")


def served() -> Grpc:
    """What the stand-in serves, as a user's contract says it."""
    grpc = read_toml(ContractFile, FILE, f"contract {FILE.name}", {FOLDER: FILE.parent}).grpc
    assert grpc is not None
    return grpc


class HeldCalls:
    """A stand-in before each replica, for as long as the change lasts. What they answer may be changed meanwhile."""

    def __init__(self) -> None:
        self.grpc = served()
        #: What a user of such a fleet writes, by dotted key.
        self.profile: Mapping[str, object] = {"deliberations.mode": "rpc-sync", "contract.grpc": self.grpc}
        self._changed: Changed = dict

    @asynccontextmanager
    async def before_each_replica(self, target: EmbeddedTarget) -> AsyncIterator[None]:
        """Sessions reach the replicas through the stand-ins, and by no other way."""
        reference = GrpcContract.of(target.cluster.profile.contract)
        assert reference is not None
        outside, inside = target.cluster.endpoints, target.cluster.inside
        fronts = {
            name: Front(self.grpc, reference, upstream, lambda reply: self._changed(reply))
            for name, upstream in outside.orchestrators.items()
        }
        targets = {name: front.target for name, front in fronts.items()}
        try:
            seen = {"endpoints": replace(outside, orchestrators=targets)}
            with target.overridden(**seen, inside=replace(inside, orchestrators=targets)):
                yield
        finally:
            await asyncio.gather(*(asyncio.to_thread(front.stop) for front in fronts.values()))

    async def are_served(self, target: EmbeddedTarget) -> bool:
        """Whether each address that sessions have is a stand-in's, behind which a replica is well."""
        endpoints: Any = target.instead.get("endpoints", target.cluster.endpoints)
        orchestrator = Orchestrator(lambda: endpoints.orchestrators, GrpcContract(self.grpc))
        try:
            return all([(await replica.status()).healthy for replica in orchestrator.replicas])
        except NonConformance:  # the orchestrator itself has no such method
            return False
        finally:
            await orchestrator.close()

    def answer(self, changed: Changed) -> Change:
        """Each stand-in answers something else in place of the end of a deliberation."""

        @asynccontextmanager
        async def answering(_target: EmbeddedTarget) -> AsyncIterator[None]:
            before, self._changed = self._changed, changed
            try:
                yield
            finally:
                self._changed = before

        return answering
