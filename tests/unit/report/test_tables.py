"""Components, Connectivity and Dependencies: what is dead has its row, with the reason, on every page."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from fixtures.clusters.base import Component, MainProcess, Replica, Unsupported, Workload
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.probes.census import Census, WorkerReport
from fixtures.probes.components import Answer, Components
from fixtures.probes.replicas import ReplicaReport
from fixtures.probes.schema import ServiceResponses
from fixtures.profile.model import load
from fixtures.report.model import ClusterInfo, Run
from fixtures.report.pages.status import html_page, markdown_page
from fixtures.report.tables import Observations, fill
from fixtures.services.jetstream import ServerInfo
from fixtures.services.orchestrator import Status as ReplicaStatus
from fixtures.services.ray import Node, Version
from tests.support.profiles import VARIABLES

PROFILE = load("embedded")
NOW = 61.0  # seconds since the epoch, by the cluster's clock
REPLICAS = {
    Component.VLLM: ("vllm-server-1",),
    Component.RAY_HEAD: ("ray-head",),
    Component.RAY_WORKER: ("ray-worker-1", "ray-worker-2"),
    Component.ORCHESTRATOR: ("orchestrator-1", "orchestrator-2"),
}
GOOD = {"ok": True, "ms": [1.0, 3.0, 2.0], "status": 200, "body": ""}


def workload(component: Component, **dead: str) -> Workload:
    """`dead`: replica → why it is not ready, with "_" for "-"."""
    reasons = {name.replace("_", "-"): why for name, why in dead.items()}
    names = REPLICAS[component]
    replicas = tuple(
        Replica(name, component, "g", "image:v1", "", name not in reasons, reasons.get(name, ""), 1.0) for name in names
    )
    return Workload("w", component, len(names), "image:v1", "", replicas)


def node(name: str, head: bool = False, alive: bool = True) -> Node:
    state, reason = ("ALIVE", "") if alive else ("DEAD", "the raylet died")
    return Node(id=name, name=name, address="10.0.0.1", head=head, state=state, reason=reason)


SOUND = Components(
    vllm_endpoints=Answer(1),
    vllm_version=Answer("0.11.0"),
    ray_version=Answer(Version(ray_version="2.49.2", session_name="session_1")),
    ray_nodes=Answer([node("ray-head", head=True), node("ray-worker-1"), node("ray-worker-2")]),
    nats=Answer(ServerInfo(version="2.12.1", jetstream=True)),
    orchestrator={
        name: Answer(ReplicaStatus("healthy", healthy=True, uptime_s=0)) for name in REPLICAS[Component.ORCHESTRATOR]
    },
    workloads={component: Answer(workload(component)) for component in REPLICAS},
)


def with_workload(component: Component, **dead: str) -> dict[Component, Answer[Workload]]:
    return {**SOUND.workloads, component: Answer(workload(component, **dead))}


def refused(what: str) -> Answer[Any]:
    return Answer(error=NonConformance(f"{what} does not answer: connection refused\nsecond line"))


DEAD = {
    "vLLM": (
        replace(
            SOUND,
            vllm_version=Answer(""),
            workloads=with_workload(Component.VLLM, vllm_server_1="it has ended with status -9"),
        ),
        "unreachable: vllm-server-1: it has ended with status -9",
    ),
    "Ray head": (
        replace(
            SOUND,
            ray_version=refused("Ray's dashboard"),
            ray_nodes=refused("Ray's dashboard"),
            workloads=with_workload(Component.RAY_HEAD, ray_head="it has ended with status -9"),
        ),
        "unreachable: ray-head: it has ended with status -9",
    ),
    "Ray workers": (
        replace(
            SOUND,
            ray_nodes=Answer([node("ray-head", head=True), node("ray-worker-1"), node("ray-worker-2", alive=False)]),
            workloads=with_workload(Component.RAY_WORKER, ray_worker_2="it has ended with status -9"),
        ),
        "ray-worker-2: it has ended with status -9",
    ),
    "NATS": (replace(SOUND, nats=refused("NATS")), "unreachable: NATS does not answer: connection refused"),
    "orchestrator": (
        replace(
            SOUND,
            orchestrator={**SOUND.orchestrator, "orchestrator-2": refused("orchestrator-2")},
            workloads=with_workload(Component.ORCHESTRATOR, orchestrator_2="gRPC does not answer"),
        ),
        "orchestrator-2: gRPC does not answer; orchestrator-2 does not answer: connection refused",
    ),
}


def run_with(**observed: Any) -> Run:
    run = Run("2026-01-01T00:00:00+00:00", "0.1.0", "abc", "r", ClusterInfo("embedded", "embedded", "stub"))
    fill(run.facts, Observations(**observed), PROFILE, "stub", NOW)
    return run


def report(name: str, **more: Any) -> WorkerReport:
    modules = {wanted.module: {"ok": True} for wanted in PROFILE.agent.dependencies}
    versions = {wanted.distribution.lower(): wanted.asked for wanted in PROFILE.agent.dependencies}
    known: dict[str, Any] = {"modules": modules, "distributions": versions, "http": {"vllm": GOOD}}
    known["nats"] = {"nats": {"ok": True, "ms": 1.5}}
    return WorkerReport(name, name, name == "ray-head", "3.11", "s", {}, **(known | more))


def census(*reports: WorkerReport) -> Census:
    return Census((report("ray-head"), *reports), {})


def replica(name: str) -> ReplicaReport:
    document = {
        "http": {"models": GOOD},
        "nats": {"nats": {"ok": True, "ms": 1.0}},
        "tcp": {"ray": {"ok": True, "ms": 2.0}},
    }
    return ReplicaReport(name, {}, document, variables=VARIABLES)


def test_no_uptime_is_negative_where_clocks_differ() -> None:
    run = run_with(components=SOUND)
    assert run.facts.components["vLLM"].uptime_s == NOW - 1.0
    fill(run.facts, Observations(components=SOUND), PROFILE, "stub", now=-180.0)
    assert run.facts.components["vLLM"].uptime_s == 0.0


def test_a_sound_fleet_has_a_row_of_each_component_and_no_reason() -> None:
    run = run_with(components=SOUND)
    assert list(run.facts.components) == ["vLLM", "Ray head", "Ray workers", "NATS", "orchestrator"]
    assert all(row.well and not row.error for row in run.facts.components.values())
    assert run.facts.components["orchestrator"].version == "v1"
    assert not run.facts.links and not run.facts.dependencies


@pytest.mark.parametrize("name", DEAD)
def test_a_dead_component_has_its_row_with_the_reason_on_every_page(name: str) -> None:
    components, reason = DEAD[name]
    run = run_with(components=components)
    others = {"Ray workers"} if name == "Ray head" else set()  # nobody else lists them
    assert {row.name for row in run.facts.components.values() if not row.well} == {name} | others
    (line,) = (line for line in markdown_page(run, [], "en").splitlines() if line.startswith(f"| {name} |"))
    assert "❌" in line and reason in line.replace("\\", "")
    page = html_page(run, [], "en")
    row = page[page.index(f"<tr><td>{name}</td>") :].partition("</tr>")[0].replace("&#39;", "'")
    assert reason in row
    document = json.loads(json.dumps(run.to_json()))
    assert reason.removeprefix("unreachable: ") in document["facts"]["components"][name]["error"]


def test_a_cluster_without_replicas_has_rows_of_what_its_endpoints_say() -> None:
    plain = replace(SOUND, workloads={}, vllm_version=refused("vLLM"))
    run = run_with(components=plain)
    assert run.facts.components["vLLM"].error.startswith("vLLM does not answer")
    assert run.facts.components["Ray workers"].ready == 2


def test_replicas_behind_one_address_are_those_of_their_workload_or_one() -> None:
    """Of a load balancer's address nobody knows how many there are."""
    behind = replace(SOUND, orchestrator={"orchestrator-1": SOUND.orchestrator["orchestrator-1"]})
    profile = PROFILE.replaced("orchestrator", url=("lb.example:443",))
    for workloads, count in ((SOUND.workloads, 2), ({}, 1)):
        run = run_with()
        fill(run.facts, Observations(components=replace(behind, workloads=workloads)), profile, "stub", NOW)
        row = run.facts.components["orchestrator"]
        assert (row.ready, row.desired, row.error) == (count, count, "")


def test_replicas_that_cannot_be_entered_have_no_row_that_something_is_wrong() -> None:
    assert not run_with(components=SOUND, replicas=Unsupported("the suite may not run commands in pods")).facts.links
    foreign = ReplicaReport(
        "orchestrator-1", {}, {}, MainProcess({}, without_python="no Python in its image"), variables=VARIABLES
    )
    assert not run_with(replicas=(foreign,)).facts.links
    unknown = run_with(replicas=Inconclusive("the API server is gone")).facts.links
    assert {row.error for row in unknown} == {"the API server is gone"}


def test_what_was_not_needed_has_no_row() -> None:
    run = run_with(census=census(report("ray-worker-1")))
    assert not run.facts.components
    assert {(row.source, row.target) for row in run.facts.links} == {("ray-worker-1", "vLLM"), ("ray-worker-1", "NATS")}
    assert {row.worker for row in run.facts.dependencies} == {"ray-worker-1"}
    assert all(link.ok for link in run.facts.links) and all(row.ok for row in run.facts.dependencies)


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_worker_that_is_dead_has_its_rows_with_the_reason(language: str) -> None:
    run = run_with(components=DEAD["Ray workers"][0], census=census(report("ray-worker-1")))
    links = {(row.source, row.target): row for row in run.facts.links}
    assert links["ray-worker-2", "NATS"].error == "it has ended with status -9"
    assert links["ray-worker-1", "vLLM"].latency_ms == 2.0
    assert {row.error for row in run.facts.dependencies if row.worker == "ray-worker-2"} == {
        "it has ended with status -9"
    }
    for page in (markdown_page(run, [], language), html_page(run, [], language)):
        assert page.count("it has ended with status -9") >= 4, "component, two links, dependencies"
    assert not [
        line for line in markdown_page(run, [], language).splitlines() if "ray-worker-2 (" in line and "❌" in line
    ]


def test_without_a_census_every_worker_says_why() -> None:
    run = run_with(components=SOUND, census=Inconclusive("the Ray job ended as FAILED"))
    assert {(row.worker, row.error) for row in run.facts.dependencies} == {
        ("ray-worker-1", "the Ray job ended as FAILED"),
        ("ray-worker-2", "the Ray job ended as FAILED"),
    }
    assert {row.error for row in run.facts.links} == {"the Ray job ended as FAILED"}


def test_a_package_whose_module_is_imported_from_elsewhere_is_not_as_it_must_be() -> None:
    stray = {"ok": True, "file": "/job/nats.py", "shadowed": "/packages/nats/__init__.py"}
    modules = {**report("ray-worker-1").modules, "nats": stray}
    run = run_with(census=census(report("ray-worker-1", modules=modules), report("ray-worker-2")))
    assert [
        (row.worker, row.package, row.found, row.detail) for row in run.facts.dependencies if not row.ok or row.detail
    ] == [("ray-worker-1", "nats-py", "2.10.0", "nats-py 2.10.0 is installed, but nats is imported from /job/nats.py")]


def test_a_worker_for_other_work_has_no_row() -> None:
    """What agents import, and whom they ask, is not judged there; it is known to be alive all the same."""
    other = report("ray-worker-2", modules={}, distributions={}, http={}, nats={}, runs_agents=False)
    run = run_with(components=SOUND, census=census(report("ray-worker-1"), other))
    assert {row.worker for row in run.facts.dependencies} == {"ray-worker-1"}
    assert {row.source for row in run.facts.links} == {"ray-worker-1"}


def test_a_worker_that_could_not_be_asked_says_why() -> None:
    run = run_with(census=census(report("ray-worker-1"), report("ray-worker-2", error="no task starts there")))
    assert {row.worker for row in run.facts.dependencies if row.error} == {"ray-worker-2"}


def test_a_service_that_refuses_the_suite_is_not_called_unreachable_from_the_worker() -> None:
    answers = {"vllm": {"ok": False, "status": 401, "ms": []}}
    run = run_with(census=census(report("ray-worker-1", http=ServiceResponses("ray-worker-1", answers))))
    (row,) = (row for row in run.facts.links if row.target == "vLLM")
    assert "refuses the suite's credentials" in row.error


def test_replicas_that_were_asked_and_one_that_is_dead() -> None:
    run = run_with(components=DEAD["orchestrator"][0], replicas=(replica("orchestrator-1"),))
    links = {(row.source, row.target): row for row in run.facts.links}
    assert {target for source, target in links if source == "orchestrator-2"} == {"vLLM", "NATS", "Ray Client"}
    assert links["orchestrator-2", "vLLM"].error == "gRPC does not answer"
    assert links["orchestrator-1", "Ray Client"].latency_ms == 2.0


def test_probes_that_could_not_run_leave_a_row_even_where_no_replica_is_known() -> None:
    run = run_with(replicas=Inconclusive("no orchestrator replica is running"))
    assert [(row.source, row.target, row.error) for row in run.facts.links] == [
        ("orchestrator", target, "no orchestrator replica is running") for target in ("vLLM", "NATS", "Ray Client")
    ]


def test_a_pods_worker_that_could_not_be_asked_is_one_worker() -> None:
    """Ray calls a node in a pod by its address; its host name is not known where no task ran."""
    made = workload(Component.RAY_WORKER)
    pods = replace(
        made,
        replicas=tuple(
            replace(pod, name=f"pod-{pod.name[-1]}", address=f"10.0.0.{pod.name[-1]}") for pod in made.replicas
        ),
    )
    asked = census(
        report("pod-1", address="10.0.0.1"), report("10.0.0.2", address="10.0.0.2", error="no task starts there")
    )
    seen = replace(SOUND, workloads={**SOUND.workloads, Component.RAY_WORKER: Answer(pods)})
    run = run_with(components=seen, census=asked)
    assert {row.worker: row.error for row in run.facts.dependencies} == {
        "pod-1": "",
        "10.0.0.2": "no task starts there",
    }
