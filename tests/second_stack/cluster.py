"""Puts the second stack into the embedded cluster: clerks are an executor without orchestrator. A plug-in of pytest:

./ci/e2e -p tests.second_stack.cluster
"""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path

import pytest

from fixtures.clusters.base import Component
from fixtures.clusters.embedded import EmbeddedCluster, EmbeddedOptions
from fixtures.clusters.embedded.plan import Plan
from fixtures.clusters.embedded.ports import PortBlock
from fixtures.clusters.embedded.replica import LaunchSpec, LocalReplica
from fixtures.clusters.embedded.replica_factory import ReplicaFactory
from fixtures.clusters.embedded.rundir import RunDirectory
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile import model as profiles
from fixtures.profile.amounts import least

FOLDER = Path(__file__).parent


class VotesFactory(ReplicaFactory):
    """The reference's parts, but for clerks in place of orchestrators."""

    def __init__(self, plan: Plan, run: RunDirectory, block: PortBlock, folder: Path = FOLDER) -> None:
        """`folder`: of the stack's packages."""
        self.folder = folder
        super().__init__(plan, run, block)

    def orchestrator_ports(self, block: PortBlock) -> dict[str, int]:
        """A clerk serves nothing."""
        del block
        return {f"clerk-{number}": 0 for number in range(1, least(self.plan.profile.executor.replicas) + 1)}

    def orchestrators(self) -> list[LocalReplica]:
        image, timeout = self.plan.orchestrator, TIMEOUTS.orchestrator_up
        return [
            self._member(name, Component.EXECUTOR, image, partial(self._clerk, name), timeout)
            for name in self._orchestrators
        ]

    def _clerk(self, name: str) -> LaunchSpec:
        profile, ready = self.plan.profile, self.run.file(f"{name}.ready")
        ready.unlink(missing_ok=True)

        async def probe() -> str:
            return "" if ready.exists() else "is not connected to NATS yet"

        environment = {
            "LLM_BASE": self.endpoints.fault_proxy,
            "LLM_NAME": profile.vllm.model,
            "BUS": self.endpoints.nats,
            "POOL": self.endpoints.ray_client,
            "LIMIT": str(profile.agent.max_tokens),
            "HEAT": str(profile.agent.temperature),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": str(self.folder),
            "READY_FILE": str(ready),
            **profile.executor.environment,
        }
        return LaunchSpec(["-m", "clerk"], environment, probe)


class SecondStack(EmbeddedCluster):
    """The embedded cluster with the second stack in it, whose packages are in `folder`."""

    def __init__(self, options: EmbeddedOptions, folder: Path = FOLDER) -> None:
        super().__init__(options)
        self.factory = partial(VotesFactory, folder=folder)


@pytest.hookimpl
def pytest_fleet_cluster(config: pytest.Config) -> SecondStack:
    """By the options of an embedded cluster; the model server is the stand-in."""
    option = config.option
    return SecondStack(
        EmbeddedOptions(
            profiles.load(option.profile or str(FOLDER / "votes.toml")),
            vllm=option.vllm or "stub",
            port_base=option.port_base,
            keep_run_dir=option.keep_run_dir,
            run_id=f"fc-{secrets.token_hex(3)}",
        )
    )
