"""Diagnostics: what is gathered is bounded in size and time, and never raises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.base import Component, Feature
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.timeouts import Timeouts
from fixtures.diagnostics import collector
from fixtures.diagnostics.collector import Diagnostics
from fixtures.diagnostics.evidence import Evidence
from fixtures.profile.model import load
from fixtures.redaction.redact import Redactor
from fixtures.services.jetstream import Account
from fixtures.services.ray import Actor, Job, Listing

SECRET = "hunter2secret"


class Cluster:
    """Stands for a cluster: `files` are what each component tells, `fault` what it raises, `delay` in seconds."""

    def __init__(
        self, files: Mapping[str, str] | None = None, fault: Exception | None = None, delay: float = 0
    ) -> None:
        self.files, self.fault, self.delay = files or {}, fault, delay
        self.asked: list[Component] = []
        self.unsupported: dict[Feature, str] = {}
        self.profile = load("embedded")

    async def describe(self, component: Component) -> Mapping[str, str]:
        self.asked.append(component)
        await asyncio.sleep(self.delay)
        if self.fault:
            raise self.fault
        return {f"{component.value}-{name}": text for name, text in self.files.items()}


class Ray:
    failed_job_logs: Mapping[str, str] = {"fc-1-census": "FAILED: no worker\n\nTraceback …"}

    async def jobs(self, _prefix: str) -> list[Job]:
        return [Job(submission_id="fc-1-jobs", status="RUNNING"), Job(submission_id="fc-1-done", status="SUCCEEDED")]

    async def job_logs(self, submission_id: str) -> str:
        return f"output of {submission_id}"

    async def listed_actors(self) -> Listing[Actor]:
        rows = [
            Actor(id="a1", name="well", class_name="Agent", state="ALIVE", node_id="n1", pid=1),
            Actor(id="a2", name="killed", state="DEAD", node_id="n1", pid=2, death_cause="worker died: OOM"),
            Actor(id="a3", name="waiting", state="PENDING_CREATION"),
        ]
        return Listing("actors", rows, len(rows))


class Nats:
    async def account(self) -> Account:
        return Account(storage=1)

    async def stream(self, name: str) -> Any:
        raise NonConformance(f"NATS has no stream {name}")

    async def consumer(self, _stream: str, name: str) -> Any:
        raise NonConformance(f"no consumer {name}")


@pytest.fixture
def evidence(tmp_path: Path) -> Callable[[str], Evidence]:
    return lambda check_id: Evidence(tmp_path, check_id, Redactor())


def gathering(cluster: Any) -> Diagnostics:
    return Diagnostics(cluster, Ray(), Nats(), "fc-1")  # type: ignore[arg-type]


def names(evidence: Evidence) -> set[str]:
    return {Path(path).name for path in evidence.paths}


VLLM = (Component.VLLM,)


@pytest.mark.parametrize("parts", [VLLM, (Component.RAY_WORKER, Component.VLLM), ()])
async def test_the_components_concerned_are_asked(
    evidence: Callable[[str], Evidence], parts: tuple[Component, ...]
) -> None:
    cluster = Cluster({"pod.txt": "state"})
    await gathering(cluster).gather(evidence("INF-01"), parts)
    assert cluster.asked == list(parts)


async def test_what_ray_and_jetstream_tell(evidence: Callable[[str], Evidence], tmp_path: Path) -> None:
    found = evidence("JOB-01")
    await gathering(Cluster()).gather(found, (Component.RAY_HEAD, Component.RAY_WORKER, Component.NATS))
    assert names(found) == {"ray-job-fc-1-census.log", "ray-job-fc-1-jobs.log", "ray-actors.txt", "jetstream.json"}
    folder = tmp_path / "evidence" / "JOB-01"
    assert "Traceback" in (folder / "ray-job-fc-1-census.log").read_text()
    assert (folder / "ray-job-fc-1-jobs.log").read_text() == "RUNNING: no message\n\noutput of fc-1-jobs"
    actors = (folder / "ray-actors.txt").read_text()
    assert "killed" in actors and "waiting" in actors and "well" not in actors
    assert "has no stream" in (folder / "jetstream.json").read_text()


async def test_a_cluster_without_replicas_is_not_asked_for_them(evidence: Callable[[str], Evidence]) -> None:
    cluster = Cluster({"pod.txt": "state"})
    cluster.unsupported = {Feature.REPLICAS: "plain endpoints"}
    await gathering(cluster).gather(evidence("ORC-01"), list(Component))
    assert cluster.asked == []


@pytest.mark.parametrize("fault", [Inconclusive("may not list pods"), NonConformance("is gone"), RuntimeError("odd")])
async def test_what_cannot_be_had_is_said_in_its_place(
    evidence: Callable[[str], Evidence], tmp_path: Path, fault: Exception
) -> None:
    await gathering(Cluster(fault=fault)).gather(evidence("INF-01"), VLLM)
    said = (tmp_path / "evidence" / "INF-01" / "vllm.txt").read_text()
    assert str(fault) in said and type(fault).__name__ in said


async def test_it_ends_in_time(
    evidence: Callable[[str], Evidence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "TIMEOUTS", Timeouts(diagnostics=0.05))
    await asyncio.wait_for(gathering(Cluster(delay=60)).gather(evidence("INF-01"), VLLM), timeout=5)
    assert "within 0.05 s" in (tmp_path / "evidence" / "INF-01" / "vllm.txt").read_text()


async def test_checks_that_fail_together_share_what_was_gathered(
    evidence: Callable[[str], Evidence], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster({"pod.txt": "state"})
    gathered = gathering(cluster)
    first, second = evidence("INF-01"), evidence("INF-02")
    await gathered.gather(first, VLLM)
    await gathered.gather(second, VLLM)
    assert cluster.asked == [Component.VLLM]
    assert names(first) == names(second) == {"vllm-pod.txt"}
    monkeypatch.setattr(collector, "TIMEOUTS", Timeouts(diagnostics_fresh=1e-9))
    await gathered.gather(evidence("INF-03"), VLLM)
    assert cluster.asked == [Component.VLLM] * 2


async def test_a_file_is_bounded(evidence: Callable[[str], Evidence], tmp_path: Path) -> None:
    long = "begin " + "x" * 200_000 + " end"
    await gathering(Cluster({"pod.txt": long, "pod.log": long})).gather(evidence("INF-01"), VLLM)
    folder = tmp_path / "evidence" / "INF-01"
    description, log = ((folder / f"vllm-pod.{suffix}").read_text() for suffix in ("txt", "log"))
    assert len(description) < collector.PIECE + 100 and description.startswith("begin")
    assert len(log) < collector.PIECE + 100 and log.endswith("end")


async def test_a_check_and_a_run_are_bounded(
    evidence: Callable[[str], Evidence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "OF_CHECK", 2_500)
    monkeypatch.setattr(collector, "OF_RUN", 4_000)
    gathered = gathering(Cluster({f"pod-{number}.txt": "x" * 1000 for number in range(10)}))
    for number in (1, 2, 3):
        await gathered.gather(evidence(f"INF-0{number}"), VLLM)
    folder = tmp_path / "evidence"
    assert len(list(folder.glob("*/vllm-pod-*.txt"))) == 4
    said = (folder / "INF-03" / "left-out.txt").read_text()
    assert "vllm-pod-0.txt: no room left; see evidence/INF-01/" in said
    assert "vllm-pod-9.txt: no room left\n" in said


async def test_no_secret_passes(evidence: Callable[[str], Evidence], tmp_path: Path) -> None:
    files = {"pod.txt": f"NATS_TOKEN={SECRET}\n", "pod.log": f"connecting to nats://u:{SECRET}@nats:4222\n"}
    await gathering(Cluster(files)).gather(evidence("INF-01"), VLLM)
    written = list((tmp_path / "evidence").rglob("*.*"))
    assert written and all(SECRET not in path.read_text() for path in written)
