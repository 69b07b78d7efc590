"""The embedded fleet that is changed."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from fixtures.clusters.base import Component, Feature, Timeline, front_of
from fixtures.clusters.embedded import EmbeddedCluster, EmbeddedOptions
from fixtures.clusters.embedded.fleet import Fleet
from fixtures.clusters.embedded.replica import LocalReplica
from fixtures.clusters.image_recipes import recipes
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile import model as profiles
from fixtures.profile.credentials import NONE
from fixtures.services.grpc_contract import GrpcContract
from fixtures.services.orchestrator import Orchestrator
from fixtures.services.ray import Ray
from tests.targets.attachment import Urls
from tests.targets.target import Target


class PrintProgress:
    """Prints the steps of the boot; what is restarted later is said by the experiments."""

    booting = True

    def started(self, step: str) -> None: ...

    def finished(self, step: str, seconds: float, note: str = "") -> None:
        if self.booting:
            print(f"  {step:<40} {seconds:6.1f} s {note}".rstrip(), flush=True)

    def say(self, text: str) -> None: ...


class SharedClusterView:
    """The running fleet for one session: neither started nor ended by it, with its own run id, and seen as
    a change says.

    A stand-in for a cluster only in that; every question goes to the fleet itself.
    """

    def __init__(self, cluster: EmbeddedCluster, instead: dict[str, Any]) -> None:
        self._cluster = cluster
        self.run_id = f"fc-{secrets.token_hex(3)}"
        vars(self).update(instead)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def prepare(self) -> None: ...

    async def start(self, timeline: Timeline) -> None: ...

    async def stop(self) -> None: ...


class ClusterProvider:
    """Hands a session its cluster."""

    def __init__(self, cluster: SharedClusterView) -> None:
        self._cluster = cluster

    def pytest_fleet_cluster(self) -> SharedClusterView:
        return self._cluster


class EmbeddedTarget(Target):
    """Real parts as processes, with the stub for vLLM."""

    more: ClassVar[Mapping[str, Any]] = {}  # options of the fleet

    def __init__(self, reports: Path) -> None:
        super().__init__(reports)
        self.instead: dict[str, Any] = {}  # what a session is told in place of what the cluster says, by attribute
        self.attached: Urls | None = None  # where it is reached by sessions that attach to it; None: they need not
        self._new()

    def _new(self) -> None:
        """A fleet that is not up yet."""
        profile, run_id = profiles.load("embedded"), f"faults-{secrets.token_hex(3)}"
        self.cluster = EmbeddedCluster(EmbeddedOptions(profile, vllm="stub", run_id=run_id, **self.more))

    def boot(self) -> None:
        said = PrintProgress()
        self.do(self.cluster.start(Timeline(said)))
        self.do(self.make_councils())
        said.booting = False

    async def make_councils(self) -> None:
        """Those that are missing, before any change: a council keeps the kind of agents and the model of its maker."""
        orchestrator = Orchestrator(
            lambda: self.cluster.endpoints.orchestrators, GrpcContract.of(self.cluster.profile.contract)
        )
        for role in set(self.cluster.profile.deliberations.roles) - set(await orchestrator.any.councils()):
            await orchestrator.any.create_council(role, self.cluster.profile.deliberations.agents)
        await orchestrator.close()

    async def end(self) -> None:
        await self.cluster.stop()

    def again(self) -> None:
        self.do(self.end())
        self.instead.clear()
        self.attached = None
        self._new()
        self.boot()

    async def living_actors(self) -> list[str]:
        """The names of Ray's actors: of agents, and of Ray jobs that run."""
        ray = Ray(self.cluster.endpoints.dashboard, self.cluster.ray_access or NONE.ray)
        try:
            return [actor.name for actor in await ray.living_actors()]
        finally:
            await ray.close()

    async def at_rest(self) -> None:
        living: list[str] = []

        async def none_lives() -> bool:
            living[:] = await self.living_actors()
            return not living

        within = TIMEOUTS.deliberation + TIMEOUTS.settle
        await wait_until(none_lives, "the end of all agents", within, detail=lambda: ", ".join(living))

    def unsupported(self) -> Collection[Feature]:
        return self.attached.unsupported if self.attached else self.cluster.unsupported

    def options(self) -> tuple[list[str], list[object]]:
        load = ["--load-jobs", "24"]
        if self.attached:
            return [*load, *self.attached.options(self.fleet.factory.run.path)], []
        return [*load, "--vllm", "stub"], [ClusterProvider(SharedClusterView(self.cluster, self.instead))]

    # -- for changes ---------------------------------------------------------------------------------------

    @property
    def fleet(self) -> Fleet:
        assert self.cluster._fleet is not None, "the fleet is not running"
        return self.cluster._fleet

    def member(self, name: str) -> LocalReplica:
        if name == "fault-proxy":
            return self.fleet._proxy
        return next(member for member in self.fleet.members if member.name == name)

    def members(self, component: Component) -> list[LocalReplica]:
        return self.fleet.members_of(component)

    @property
    def workers(self) -> list[str]:
        return [member.name for member in self.members(Component.RAY_WORKER)]

    @property
    def orchestrators(self) -> list[str]:
        """The replicas of the service that has the deliberations."""
        return [member.name for member in self.members(front_of(self.cluster.plan.profile))]

    @contextmanager
    def overridden(self, **instead: Any) -> Iterator[None]:
        """Sessions see these attributes in place of the cluster's own."""
        before = dict(self.instead)
        self.instead.update(instead)
        try:
            yield
        finally:
            self.instead.clear()
            self.instead.update(before)


class EmbeddedTokenTarget(EmbeddedTarget):
    """The same with the newest Ray, which asks everybody for a token."""

    more: ClassVar[Mapping[str, Any]] = {"ray_version": recipes().ray.versions[-1], "ray_auth": "token"}
