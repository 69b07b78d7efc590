"""The installed suite against a fleet that runs: the verdict of the checkout, by plain endpoints."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from tests.interruption import persistent_fleet
from tests.package.installation import Installation
from tests.support import suite_process
from tests.support.suite_process import Report, SuiteRun

CHOSEN = ("-k", "INF or NET or DEP or JOB-04 or ORC-04")
RUN_S = 120.0


async def test_it_says_what_the_checkout_says(installed: Installation, tmp_path: Path) -> None:
    """Without --cluster: the profile's URLs name the fleet. Then two nights of one check, in dated folders."""
    async with persistent_fleet.fleet("fc-package") as staying:
        profile = persistent_fleet.attached_profile(tmp_path, staying.cluster.endpoints)
        here = partial(suite_process.run, "--profile", str(profile), *CHOSEN, reports=tmp_path / "here", timeout=RUN_S)
        expected = await asyncio.to_thread(here)
        assert expected.report.verdict == "partial", expected.output

        async def check(*options: str) -> SuiteRun:
            run = partial(installed.run, "check", "--profile", str(profile), *options, cwd=tmp_path)
            return await asyncio.to_thread(run)

        ran = await check(*CHOSEN)
        assert ran.returncode == expected.returncode == 0, ran.output
        assert ran.report.statuses == expected.report.statuses
        assert ran.report.document["cluster"]["kind"] == "attach"
        assert ran.report.document["suite"] == expected.report.document["suite"], "version and commit"
        assert (tmp_path / ".cache" / "fleet-conformance" / "pytest").is_dir(), "for --lf"
        names = {file.name for file in ran.reports.iterdir()}
        assert {file.name for file in expected.reports.iterdir()} == names

        for _ in range(2):
            dated = await check("-k", "INF-05", "--dated", "nights", "--keep", "2")
            assert dated.returncode == 0, dated.output
        nights = sorted(folder.name for folder in (tmp_path / "nights").glob("20*Z"))
        assert len(nights) == 2 and nights[1] in dated.stderr
        assert Report.read(tmp_path / "nights" / nights[1]).document["baseline"], "compared with the night before"
