"""Whatever jobs and replicas print where their document should be: a typed finding or a reason."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.clusters.base import Endpoints
from fixtures.core.errors import Inconclusive
from fixtures.exercises import agent_jobs
from fixtures.exercises.load import jobs as loads
from fixtures.probes import census, replicas, schema
from fixtures.probes.packaging import BEGIN, END, document_in, hosts
from fixtures.probes.payload import probe
from fixtures.profile.model import load
from tests.support.profiles import VARIABLES
from tests.unit.hostile.answers import a_reason_at_most, bodies, texts, values, wounded

PROBED = {
    "hostname": "ray-worker-0",
    "python": "3.11.7",
    "executable": "/usr/bin/python",
    "modules": {"nats": {"ok": False, "error": "ModuleNotFoundError: …", "missing": "nats", "traceback": "…"}},
    "symbols": {"nats.js:JetStreamContext": {"ok": True, "file": "/x/nats.py"}},
    "distributions": {"ray": "2.49.2"},
    "installed_since_start": {},
    "resolve": {"nats": {"ok": True, "addresses": ["10.0.0.1"], "ms": 0.4}},
    "tcp": {"ray": {"ok": False, "error": "ConnectionRefusedError: …", "ms": 0.1}},
    "http": {"vllm": {"ok": True, "status": 200, "body": "{}", "ms": [1.0, 2.0, 3.0]}},
    "nats": {"nats": {"ok": False, "stage": "tcp", "error": "TimeoutError: …", "server_id": None}},
    "ray_client": {"ok": True, "ray": "2.49.2", "python": "3.11.7", "nodes": ["c" * 56], "ms": 900.0},
}
CENSUS = {
    "nodes": [
        {
            **PROBED,
            "node_id": "c" * 56,
            "node_name": "10.0.0.7",
            "address": "10.0.0.7",
            "head": True,
            "resources": {"CPU": 1.0},
        },
        {
            "node_id": "d" * 56,
            "node_name": "w",
            "address": "x",
            "head": False,
            "resources": {},
            "error": "RayTaskError: …",
        },
        {**PROBED, "node_id": "e" * 56, "node_name": None, "head": False, "resources": {"CPU": 4}, "session": "s"},
    ]
}
RUNS = {
    "runs": [
        {"name": "one", "task": "fc-1-jobs-one", "ok": True, "started": 1.0, "ended": 2.0, "result": {"proposal": {}}},
        {
            "name": "two",
            "task": "fc-1-jobs-two",
            "ok": False,
            "started": 1.0,
            "error": "…",
            "type": "RayTaskError",
            "missing_module": "nats",
        },
    ],
    "job_id": "05000000",
}
LOAD = {
    "job_id": "05000000",
    "jobs": [
        {"task": "fc-1-load-0001", "started": 1.0, "ended": 2.5},
        {"task": "fc-1-load-0002", "started": 1.0, "ended": 2.0, "error": "RuntimeError: …"},
    ],
    "seconds": 2.0,
}
SCENARIOS = [agent_jobs.Scenario("one"), agent_jobs.Scenario("two")]
PROFILE = load("embedded")


@given(bodies(PROBED), st.text(max_size=20), st.text(max_size=20))
def test_any_output(body: bytes, before: str, after: str) -> None:
    output = f"{before}{BEGIN}{body.decode('utf-8', 'replace')}{END}{after}"
    with a_reason_at_most(Inconclusive):
        assert isinstance(document_in(output, "the census"), dict)
    with a_reason_at_most(Inconclusive):
        document_in(output[: len(output) // 2], "the census")


def use(found: Any) -> None:
    """Look at everything as the checks do."""
    for node in found.nodes:
        assert all(isinstance(seen["error"], str) for part in (node.modules, node.symbols) for seen in part.values())
        assert all(isinstance(text, str) for text in (node.name, node.python, node.session, node.error))
        assert all(isinstance(one, str) for part in (node.distributions,) for pair in part.items() for one in pair)
        for name in ("vllm", "nats", "ray"):
            with a_reason_at_most(Inconclusive):
                answer = node.http[name]
                assert sum(answer["ms"]) >= 0 or answer["error"] == "" or answer["status"] is not None
            with a_reason_at_most(Inconclusive):
                assert isinstance(node.nats[name]["stage"], str)
            with a_reason_at_most(Inconclusive):
                assert isinstance(node.modules[name]["ok"], bool)
    with a_reason_at_most(Inconclusive):
        _ = found.workers, found.everyone


@given(wounded(CENSUS))
def test_any_census(document: Any) -> None:
    with a_reason_at_most(Inconclusive):
        use(census.parse(document))


@given(wounded(PROBED), st.dictionaries(st.sampled_from(["VLLM_URL", "NATS_URL", "RAY_ADDRESS"]), texts))
def test_any_report_of_a_replica(document: Any, environment: dict[str, str]) -> None:
    with a_reason_at_most(Inconclusive):
        report = replicas.ReplicaReport(
            "orchestrator-1", environment, schema.read(document, "the probe"), variables=VARIABLES
        )
        for name in ("models", "metrics", "vllm"):
            with a_reason_at_most(Inconclusive):
                assert {"ok", "error", "ms"} <= set(report.http(name))
        for answer in (report.ray_port, report.ray_client):
            assert answer["ok"] or isinstance(answer["error"], str)
        with a_reason_at_most(Inconclusive):
            assert isinstance(report.nats["stage"], str)


@given(st.dictionaries(st.sampled_from(["VLLM_URL", "NATS_URL", "RAY_ADDRESS"]), texts))
def test_any_environment_of_a_replica(environment: dict[str, str]) -> None:
    asked = replicas.request(environment, PROFILE)
    json.dumps(asked)
    assert all(isinstance(host, str) and host for host in hosts(*environment.values()))


class Silent:
    """A stream without messages, a cluster without actors."""

    async def messages(self, *_: Any, **__: Any) -> list[Any]:
        return []

    async def actors(self, *_: Any, **__: Any) -> list[Any]:
        return []


@given(wounded(RUNS))
def test_any_document_of_the_agent_jobs(document: Any) -> None:
    jobs = agent_jobs.AgentJobs(Silent(), Silent(), PROFILE, Endpoints("", "", "", ""), "fc-1")  # type: ignore[arg-type]
    with a_reason_at_most(Inconclusive):
        found = asyncio.run(jobs.collect("jobs", SCENARIOS, document, 0))
        for run in found.runs.values():
            assert isinstance(run.summary, str)
            assert run.seconds >= 0


@given(wounded(LOAD))
def test_any_document_of_a_load(document: Any) -> None:
    with a_reason_at_most(Inconclusive):
        found = loads.read(document)
        assert all(row.ended - row.started is not None and isinstance(row.error, str) for row in found.jobs)


@pytest.mark.parametrize(
    "value", [float("nan"), "\ud800 half", f"{BEGIN}[]{END}", b"\xff", {1: 2}, "🦑", ["\x00"], SimpleNamespace(x=1)]
)
def test_what_is_emitted_is_found(value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    probe.emit({"value": value})
    output = capsys.readouterr().out
    output.encode("ascii")
    assert set(document_in(f"{BEGIN} noise\n{output}", "the probe")) == {"value"}


@given(values)
def test_any_json_is_emitted_whole(value: Any) -> None:
    assert probe.plain(value) == value
