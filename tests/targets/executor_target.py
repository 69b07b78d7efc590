"""An embedded fleet that has an executor between its orchestrator and Ray, as far as both are seen from outside.

The orchestrator starts its agents itself all the same: what is asked of the executor is where it is, what it runs with,
and whom it reaches.
"""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path

from fixtures.clusters.base import Component
from fixtures.clusters.embedded import EmbeddedCluster, EmbeddedOptions, probes
from fixtures.clusters.embedded.plan import Plan
from fixtures.clusters.embedded.ports import PortBlock
from fixtures.clusters.embedded.processes import LOOPBACK
from fixtures.clusters.embedded.replica import LaunchSpec, LocalReplica, MakeLaunch
from fixtures.clusters.embedded.replica_factory import ReplicaFactory
from fixtures.clusters.embedded.rundir import RunDirectory
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile import model as profiles
from fixtures.profile.fleet_services import Executor, OrchestratorVariables, Variables
from fixtures.profile.model import Profile
from tests.targets.embedded_target import EmbeddedTarget

SERVER = Path(__file__).with_name("executor_server.py")
VARIABLE = "EXECUTOR_ADDRESS"  # of the orchestrator
NAME = "executor-1"


def with_executor(profile: Profile, target: str) -> Profile:
    """With an executor at host:port, which alone is led to Ray."""
    led = profile.orchestrator.variables.model_dump() | {"ray_address": "", "executor": VARIABLE}
    executor = Executor(
        namespace=profile.orchestrator.namespace,
        workload="ray-executor",
        url=(target,),
        variables=Variables(nats_url="NATS_URL", ray_address="RAY_ADDRESS"),
    )
    profile = profile.replaced("orchestrator", variables=OrchestratorVariables(**led))
    return profile.model_copy(update={"executor": executor})


class ExecutorFactory(ReplicaFactory):
    """The reference's parts, and an executor to which a variable of the orchestrator leads."""

    def __init__(self, plan: Plan, run: RunDirectory, block: PortBlock) -> None:
        (self.target,) = plan.profile.executor.url
        super().__init__(plan, run, block)

    def orchestrators(self) -> list[LocalReplica]:
        members = super().orchestrators()
        for member in members:
            member.launch = partial(self._led, member.launch)
        image, timeout = self.plan.orchestrator, TIMEOUTS.orchestrator_up
        return [*members, self._member(NAME, Component.EXECUTOR, image, self._executor, timeout)]

    def _led(self, launch: MakeLaunch) -> LaunchSpec:
        made = launch()
        made.environment[VARIABLE] = self.target
        return made

    def _executor(self) -> LaunchSpec:
        environment = {
            "NATS_URL": self.endpoints.nats,
            "RAY_ADDRESS": self.endpoints.ray_client,
            "RAY_ENABLE_AUTO_CONNECT": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        return LaunchSpec([str(SERVER), self.target], environment, partial(probes.grpc_ready, self.target))


class FleetWithExecutor(EmbeddedCluster):
    """The embedded cluster with that executor in it."""

    def prepare(self) -> None:
        super().prepare()
        if self.profile.executor.is_there:
            return
        assert self._ports is not None
        self.profile = self.plan.profile = with_executor(self.plan.profile, f"{LOOPBACK}:{self._ports.keep()}")
        self.factory = ExecutorFactory


class EmbeddedExecutorTarget(EmbeddedTarget):
    """That fleet, with the stub for vLLM."""

    def _new(self) -> None:
        options = EmbeddedOptions(profiles.load("embedded"), vllm="stub", run_id=f"faults-{secrets.token_hex(3)}")
        self.cluster = FleetWithExecutor(options)

    @property
    def executor(self) -> str:
        """host:port of the executor."""
        (target,) = self.cluster.profile.executor.url
        return target
