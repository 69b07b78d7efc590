"""Attach to plain endpoints: one embedded fleet stands for a system without Kubernetes, and secrets travel unseen."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import signal
import zlib
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.base import Endpoints
from fixtures.clusters.embedded import EmbeddedCluster
from fixtures.core.errors import Inconclusive
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.exercises.agent_jobs import AgentJobs, Scenario
from fixtures.exercises.residue import residual_state
from fixtures.probes import census
from fixtures.probes.packaging import RemoteProgram
from fixtures.profile import credentials
from fixtures.profile import model as profiles
from fixtures.services.nats import Nats
from fixtures.services.ray import Ray
from tests.interruption import persistent_fleet
from tests.interruption.run import Run
from tests.support import suite_process
from tests.support.stub_process import running
from tests.support.tls_services import secured_nats

RUN_S = 300.0  # the quiet checks of one run; 43 s seen, 103 s beside busy neighbours
TOKEN, API_KEY = "t0ken-of-the-suite", "key-of-the-suite"
ENVIRONMENT = {"FLEET_TEST_TOKEN": TOKEN, "FLEET_TEST_KEY": API_KEY}
SECRETS = '\n[vllm.auth]\napi_key = { env = "FLEET_TEST_KEY" }\n'
NATS_TOKEN = '\n[nats.auth]\ntoken = { env = "FLEET_TEST_TOKEN" }\n'


@pytest.fixture(scope="module")
async def staying() -> AsyncIterator[persistent_fleet.Fleet]:
    async with persistent_fleet.fleet("fc-endpoints") as found:
        yield found


@pytest.fixture
def fleet(staying: persistent_fleet.Fleet) -> EmbeddedCluster:
    """A whole fleet that runs before the suite attaches to it, and after that."""
    return staying.cluster


async def attach(file: Path, reports: Path, *arguments: str) -> tuple[int, str, dict[str, Any]]:
    """(exit status, output, conformance.json) of `--cluster attach` with this profile."""
    options = ("--cluster", "attach", "--profile", str(file), *arguments)
    run = partial(suite_process.run, *options, reports=reports, environment=ENVIRONMENT, timeout=RUN_S)
    ran = await asyncio.to_thread(run)
    return ran.returncode, ran.output, dict(ran.report.document)


async def test_everything_that_needs_no_pods_runs(staying: persistent_fleet.Fleet, tmp_path: Path) -> None:
    fleet, nats, ray = staying.cluster, staying.nats, staying.ray
    await staying.note()
    await nats.publish(fleet.profile.contract.messages.completed.subject, {"task_id": "of-somebody-else"})
    first = await nats.last_sequence(fleet.profile.nats.stream)
    status, output, report = await attach(
        persistent_fleet.attached_profile(tmp_path, fleet.endpoints, SECRETS), tmp_path / "reports"
    )
    assert status == 0, output
    assert report["verdict"] == "partial", "what needs pods cannot be looked at"
    assert report["conformant"] is False
    assert report["cluster"]["kind"] == "attach"
    assert report["cluster"]["vllm"] == "external"
    assert set(report["cluster"]["versions"]) == {"vllm", "ray", "nats"}
    by_status: dict[str, set[str]] = {}
    for check in report["checks"]:
        by_status.setdefault(check["status"], set()).add(check["id"])
        assert check["status"] in ("passed", "not_applicable", "unsupported", "disabled"), check
        assert check["status"] != "unsupported" or "URL" in check["detail"]
    assert {"INF-01", "CFG-01", "IMG-01", "NET-07", "ORC-15", "E2E-05"} & by_status["unsupported"]
    assert by_status["not_applicable"] == {"INF-16", "NET-08"}, "nothing is declared absent, and no executor is there"
    assert {"INF-03", "INF-11", "NET-03", "NET-04", "DEP-04", "JOB-04", "ORC-04", "E2E-01"} <= by_status["passed"]

    messages = await nats.messages(fleet.profile.nats.stream, first)
    left = {fact.what: fact for fact in await residual_state(nats, fleet.profile, report["run_id"], first)}
    assert sum(fact.how_many or 0 for what, fact in left.items() if what.startswith("messages agent.")) == len(messages)
    keys, deliberations = left["results of deliberations (keys)"].how_many or 0, 5 + 10  # each role, and ten at once
    assert keys >= 2 * deliberations, "a state and a request of each"
    assert report["facts"]["left"] == [asdict(fact) for fact in left.values()]
    assert "What this run left" in (tmp_path / "reports" / "status.md").read_text()
    assert all(fact.until == "7 days old" for fact in left.values())
    others = await residual_state(nats, fleet.profile, "fc-another", first)
    assert others == [], "nothing of this run is another's"
    assert await staying.as_before(TIMEOUTS.settle) == []
    kept = await nats.messages(fleet.profile.nats.stream, first - 1)
    assert kept[0].document == {"task_id": "of-somebody-else"}, "messages of before are still there"
    assert await ray.jobs(report["run_id"]) == []
    for file in (tmp_path / "reports").rglob("*"):
        assert file.is_dir() or API_KEY not in file.read_text(errors="replace"), file
    assert API_KEY not in output


async def test_a_run_that_is_ended_or_killed_while_its_job_runs(
    staying: persistent_fleet.Fleet, tmp_path: Path
) -> None:
    """Ended, it takes its job with it; killed, the job ends by itself.

    Its record: tests/unit/services/test_ray_jobs.py.
    """
    await staying.note()
    against = (
        "--cluster",
        "attach",
        "--profile",
        str(persistent_fleet.attached_profile(tmp_path, staying.cluster.endpoints)),
    )

    async def job_of(run: Run) -> bool:
        return bool(run.run_id and await staying.jobs_of(run.run_id))

    for number in (signal.SIGTERM, signal.SIGKILL):
        with Run(tmp_path / number.name, "-k", "JOB-04", against=against) as run:
            await wait_until(partial(job_of, run), "a Ray job of the run", RUN_S)
            run.process.send_signal(number)
            await run.ended()
            assert run.leaks() == []
            assert bool(await staying.jobs_of(run.run_id)) is (number is signal.SIGKILL)
    assert await staying.as_before(persistent_fleet.ended_by_themselves()) == []


async def test_an_endpoint_that_does_not_answer_is_found_by_its_check(fleet: EmbeddedCluster, tmp_path: Path) -> None:
    nowhere = Endpoints(
        "http://127.0.0.1:9", fleet.endpoints.dashboard, "", "nats://127.0.0.1:9", fleet.endpoints.orchestrators
    )
    status, output, report = await attach(
        persistent_fleet.attached_profile(tmp_path, nowhere),
        tmp_path / "reports",
        "-k",
        "INF_03 or INF-03 or INF-05 or INF-09 or JOB-04",
    )
    assert status == 1, output
    ended = {check["id"]: check["status"] for check in report["checks"]}
    assert (ended["INF-03"], ended["INF-05"], ended["INF-09"], ended["JOB-04"]) == (
        "failed",
        "passed",
        "failed",
        "broken",
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            '\n[nats.auth]\ntoken = { env = "NO_SUCH_VARIABLE" }\n',
            r"nats\.auth\.token \(\$NO_SUCH_VARIABLE\) is not set",
        ),
        (f'\n[nats.auth]\ntoken = "{TOKEN}"\n', r"nats\.auth\.token: .*must not be written in a profile"),
    ],
)  # fmt: skip
async def test_nothing_starts_without_the_credentials(tmp_path: Path, more: str, words: str) -> None:
    nowhere = Endpoints("http://127.0.0.1:9", "http://127.0.0.1:9", "", "nats://127.0.0.1:9", {"one": "127.0.0.1:9"})
    status, output, report = await attach(
        persistent_fleet.attached_profile(tmp_path, nowhere, more), tmp_path / "reports"
    )
    assert (status, report) == (4, {})
    assert re.search(f"^ERROR: .*{words}", output, re.MULTILINE), output
    assert TOKEN not in output


def program_in(entrypoint: str) -> str:
    """The program that a job's command carries, unpacked."""
    packed = re.search(r"b64decode\('([^']+)'\)", entrypoint)
    assert packed, entrypoint
    return zlib.decompress(base64.b64decode(packed[1])).decode()


async def test_the_workers_authenticate_and_the_dashboard_shows_no_secret(
    fleet: EmbeddedCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The census and an agent job against a NATS with a token and a vLLM with a key, both of the suite's own."""
    commands: list[dict[str, Any]] = []
    submit = Ray.submit

    async def noted(self: Ray, entrypoint: str, submission_id: str, *more: Any, **named: Any) -> None:
        await submit(self, entrypoint, submission_id, *more, **named)
        commands.append((await self._call("GET", f"/api/jobs/{submission_id}")).json())

    monkeypatch.setattr(Ray, "submit", noted)
    settings = f'authorization {{ token: "{TOKEN}" }}\n'
    with running("vllm_stub", "--api-key", API_KEY) as vllm, secured_nats(tmp_path, settings) as address:
        inside = Endpoints(vllm, fleet.endpoints.dashboard, "", f"nats://{address}")
        file = persistent_fleet.attached_profile(
            tmp_path, Endpoints(vllm, inside.dashboard, "", inside.nats, {"one": "127.0.0.1:9"}), SECRETS + NATS_TOKEN
        )
        profile = profiles.load(str(file))
        access = credentials.resolve(profile, ENVIRONMENT)
        ray, nats = Ray(inside.dashboard), Nats(inside.nats, "test", access.nats)
        stream = profile.nats
        await (await nats.jetstream()).add_stream(name=stream.stream, subjects=list(stream.subjects))
        found = await census.take(ray, profile, inside, "fc-secret-census", access)
        for worker in found.workers:
            assert worker.nats["nats"]["ok"], worker.nats
            assert worker.http["vllm"]["ok"], worker.http
        without = await census.take(ray, profile, inside, "fc-secret-without")
        with pytest.raises(Inconclusive, match=r"refuses the suite's credentials .*nats\.auth"):
            _ = without.workers[0].nats["nats"]
        with pytest.raises(Inconclusive, match=r"refuses the suite's credentials \(401\).*vllm\.auth"):
            _ = without.workers[0].http["vllm"]
        jobs = AgentJobs(ray, nats, profile, inside, "fc-secret", access)
        run = (await jobs.run("jobs", [Scenario("one")])).runs["one"]
        assert run.messages, "the agent was let into NATS, and told of its end there"
        assert "401" in run.error, "agents have a key of their own, or none: the reference agent has none"
        await nats.close()
        await ray.close()
    assert len(commands) == 3
    for shown in commands:
        everything = json.dumps(shown) + program_in(shown["entrypoint"])
        assert TOKEN not in everything
        assert API_KEY not in everything
    assert "gcs://_ray_pkg_" in program_in(commands[0]["entrypoint"])
    assert RemoteProgram("census", {"REQUEST": {}}).command(), "without secrets everything stands in the command"
