"""The embedded fleet that has an executor: what its profile says before anything is started, and its server."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

from fixtures.clusters.embedded import EmbeddedOptions, probes
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile.model import load
from fixtures.profile.parts import Part, absences
from tests.targets.executor_target import SERVER, VARIABLE, FleetWithExecutor
from tests.targets.links import closed_port


async def test_its_profile_has_both_and_what_leads_from_one_to_the_other() -> None:
    fleet = FleetWithExecutor(EmbeddedOptions(load("embedded"), vllm="stub", run_id="fc-1"))
    try:
        fleet.prepare()
        profile = fleet.profile
        fleet.prepare()
        assert fleet.profile is fleet.plan.profile is profile
        assert list(profile.services) == ["orchestrator", "executor"] and profile.front_name == "orchestrator"
        assert (profile.orchestrator.variables.executor, profile.orchestrator.variables.ray_address) == (VARIABLE, "")
        assert set(absences(profile, "embedded")) == {Part.KUBERNETES, Part.DECLARED_ABSENT}
    finally:
        await fleet.stop()


async def test_its_server_is_one_of_grpc(tmp_path: Path) -> None:
    async with closed_port() as target:
        pass
    child = await asyncio.create_subprocess_exec(sys.executable, str(SERVER), target, cwd=tmp_path, stdout=DEVNULL)

    async def up() -> bool:
        return not await probes.grpc_ready(target)

    try:
        await wait_until(up, "the server", TIMEOUTS.orchestrator_up)
    finally:
        child.kill()
        await child.wait()
