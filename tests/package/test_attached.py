"""The installed suite against a fleet that runs: the verdict of the checkout, by plain endpoints; a known failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from fixtures.clusters.base import Endpoints
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

        await another_package_is_known(profile, check)
        await a_profile_is_written(staying.cluster.endpoints, installed, tmp_path)
        for _ in range(2):
            dated = await check("-k", "INF-05", "--dated", "nights", "--keep", "2")
            assert dated.returncode == 0, dated.output
        nights = sorted(folder.name for folder in (tmp_path / "nights").glob("20*Z"))
        assert len(nights) == 2 and nights[1] in dated.stderr
        assert Report.read(tmp_path / "nights" / nights[1]).document["baseline"], "compared with the night before"


async def another_package_is_known(profile: Path, check: Callable[..., Awaitable[SuiteRun]]) -> None:
    """A profile asks for another package than the workers have: with an entry that names the cause, status 0."""
    other = profile.with_name("other.toml")
    text = profile.read_text()
    other.write_text(text.replace("requests==2.32.3", "requests==2.99"))
    assert other.read_text() != text
    known = profile.with_name("known.toml")
    until = (datetime.now(UTC) + timedelta(days=30)).date()
    for cause, verdict, status in (
        ("requests 2.99 is not usable on every worker", "conformant-with-exceptions", 0),
        ("requests is missing on every worker", "nonconformant", 1),
    ):
        entry = f'check = "DEP-02"\ncause = ["{cause}"]\nreason = "it comes in May"\nowner = "team"\nuntil = {until}\n'
        known.write_text(f"[[known]]\n{entry}")
        ran = await check("-k", "INF-05 or DEP-02", "--profile", str(other), "--known", str(known))
        assert (ran.returncode, ran.report.verdict) == (status, verdict), ran.output
        assert ran.report.statuses["DEP-02"] == ("failed" if status else "known")
        (row,) = [row for row in ran.report.rows if row["id"] == "DEP-02"]
        assert len(row["findings"]) == 2, "each worker has its own"


async def a_profile_is_written(endpoints: Endpoints, installed: Installation, tmp_path: Path) -> None:
    """From the addresses alone: a run with it, unedited, is partial; a fleet that has changed since is told."""
    addresses = {
        "vllm": endpoints.vllm,
        "dashboard": endpoints.dashboard,
        "nats": endpoints.nats,
        "orchestrator": "+".join(endpoints.orchestrators.values()),
    }
    named = ",".join(f"{name}={address}" for name, address in addresses.items())

    async def init(*options: str) -> SuiteRun:
        return await asyncio.to_thread(partial(installed.run, "init", "--endpoints", named, *options, cwd=tmp_path))

    written = await init("--census")
    assert written.returncode == 0 and "nothing left to fill in" in written.stderr, written.output
    profile = tmp_path / "written.toml"
    profile.write_text(written.stdout)
    for line in ('model = "', "max_model_len = ", 'stream = "AGENT_RESPONSES"', 'python = "', "nats-py==2.10.0"):
        assert line in written.stdout, written.stdout
    command = partial(installed.run, "check", "--profile", str(profile), "-k", "INF or NET or DEP", cwd=tmp_path)
    ran = await asyncio.to_thread(command)
    assert (ran.returncode, ran.report.verdict) == (0, "partial"), ran.output
    same = await init("--diff", str(profile))
    assert same.returncode == 0, same.output
    profile.write_text(written.stdout.replace('stream = "AGENT_RESPONSES"', 'stream = "ANSWERS"'))
    drifted = await init("--diff", str(profile))
    assert drifted.returncode == 1
    assert drifted.stdout.startswith('~ nats.stream  "ANSWERS" -> "AGENT_RESPONSES"  (the stream that captures agent.')
