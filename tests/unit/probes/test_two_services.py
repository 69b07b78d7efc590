"""A fleet with an orchestrator and an executor: who is asked, what is found of each, and what one costs the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import (
    Completed,
    Component,
    MainProcess,
    Replica,
    Unsupported,
    Workload,
    concerned,
    front_of,
)
from fixtures.clusters.endpoints import EndpointsCluster
from fixtures.core.errors import Inconclusive, NonConformance, UsageError
from fixtures.probes.components import Answer, Components
from fixtures.probes.name_resolution import unresolved
from fixtures.probes.packaging import BEGIN, END
from fixtures.probes.replicas import ReplicaReport, Unasked, ask_all, label, naming, of_service
from fixtures.profile.fleet_services import Variables
from fixtures.profile.model import Profile, load
from fixtures.profile.remedy_values import KubernetesTarget, remedy_values
from fixtures.report.model import Facts
from fixtures.report.tables import Observations, fill
from tests.e2e import test_configuration as configuration
from tests.e2e import test_infrastructure_messaging as messaging
from tests.support.profiles import with_executor, with_urls
from tests.unit.probes.test_name_resolution import Pods, census, replica
from tests.unit.profile.test_parts import with_contract

NAMES = {Component.ORCHESTRATOR: ("orchestrator-1", "orchestrator-2"), Component.EXECUTOR: ("executor-1",)}
LED = {"NATS_URL": "nats://bus", "EXECUTOR_ADDRESS": "ray-executor:50056"}
GOOD = {"ok": True, "ms": 1.0, "error": ""}


def both(**keys: Any) -> Profile:
    """The executor alone is led to Ray."""
    profile = load("swe-ai-fleet")
    variables = profile.orchestrator.variables.model_copy(update={"ray_address": ""})
    led = Variables(nats_url="BUS", ray_address="RAY")
    return with_executor(profile.replaced("orchestrator", variables=variables), **{"variables": led, **keys})


PROFILE = both()


class Fleet:
    """Replicas of both, of which the probe reaches all that it is asked for. `silent`: of which none can be asked."""

    profile = PROFILE

    def __init__(self, silent: Component | None = None, why: Exception | None = None) -> None:
        self.silent, self.why = silent, why
        self.asked: dict[str, dict[str, Any]] = {}

    async def workload(self, component: Component) -> Workload:
        if component is self.silent and self.why:
            raise self.why
        ready = component is not self.silent
        replicas = tuple(Replica(name, component, "w", "i:1", "", ready) for name in NAMES[component])
        return Workload(component.value, component, len(replicas), "i:1", "", replicas)

    async def main_process(self, one: Replica) -> MainProcess:
        own = {"BUS": "nats://bus", "RAY": "ray://ray:10001"}
        return MainProcess(own if one.component is Component.EXECUTOR else LED)

    async def exec(self, one: Replica, argv: Sequence[str], *, stdin: str, timeout: float) -> Completed:
        del timeout
        header, _, rest = stdin.encode().partition(b"\n")
        asked = json.loads(rest[int(header.split()[0]) :])
        self.asked.setdefault(one.name, {}).update(asked)
        document: dict[str, Any] = {key: {row["name"]: GOOD for row in asked.get(key, ())} for key in ("tcp", "nats")}
        if asked.get("ray_client"):
            document = {"ray_client": {**GOOD, "ray": "2.49.2", "nodes": ["n"]}}
        return Completed(tuple(argv), 0, f"{BEGIN}{json.dumps(document)}{END}", "")


async def reports(fleet: Any) -> tuple[ReplicaReport | Unasked, ...]:
    return await ask_all(fleet)


def names(found: Sequence[ReplicaReport]) -> list[str]:
    return [report.name for report in found]


async def test_each_is_asked_for_what_its_own_variables_lead_to() -> None:
    fleet = Fleet()
    found = await reports(fleet)
    assert names(naming(found, "nats_url")) == ["orchestrator-1", "orchestrator-2", "executor-1"]
    assert names(naming(found, "ray_address")) == ["executor-1"]
    assert (
        names(naming(found, "to_executor")) == names(naming(found, "vllm_url")) == list(NAMES[Component.ORCHESTRATOR])
    )
    assert names(of_service(found, Component.EXECUTOR)) == ["executor-1"]
    assert [row["name"] for row in fleet.asked["executor-1"]["tcp"]] == ["ray"]
    assert [row["name"] for row in fleet.asked["orchestrator-1"]["tcp"]] == ["executor"]
    assert not fleet.asked["orchestrator-1"]["ray_client"]


async def test_what_checks_ask_moves_with_the_variable() -> None:
    found = await reports(Fleet())
    ray: Any = SimpleNamespace(nodes=_nodes, url="http://ray")
    await configuration.test_ray_address(found, ray)
    other = [replace(one, document={**one.document, "ray_client": {"ok": False, "error": "x"}}) for one in _all(found)]
    with pytest.raises(AssertionError, match=r"^executor-1: RAY=ray://ray:10001 gives no handshake: x"):
        await configuration.test_ray_address(tuple(other), ray)


async def _nodes() -> list[Any]:
    return [SimpleNamespace(id="n")]


def _all(found: Sequence[ReplicaReport | Unasked]) -> list[ReplicaReport]:
    return [report for report in found if isinstance(report, ReplicaReport)]


@pytest.mark.parametrize("why", [None, NonConformance("is not there"), Unsupported("nobody may enter")])
async def test_one_of_which_nothing_is_known_costs_the_other_nothing(why: Exception | None) -> None:
    found = await reports(Fleet(Component.EXECUTOR, why))
    assert names(naming(found, "vllm_url")) == ["orchestrator-1", "orchestrator-2"]
    kind = Unsupported if isinstance(why, Unsupported) else Inconclusive
    with pytest.raises(kind, match=str(why) if why else "no executor replica is running"):
        naming(found, "ray_address")


async def test_the_tables_have_rows_of_both_and_of_the_way_between() -> None:
    links = _links(await reports(Fleet()))
    assert ("orchestrator-2", "executor", "") in links and ("executor-1", "Ray Client", "") in links
    assert not [row for row in links if row[:2] in (("executor-1", "executor"), ("orchestrator-1", "Ray Client"))]
    silent = _links(await reports(Fleet(Component.EXECUTOR)))
    assert ("executor", "Ray Client", "no executor replica is running from which anything could be reached") in silent
    assert ("orchestrator-1", "executor", "") in silent
    assert not [row for row in _links(await reports(Fleet(Component.EXECUTOR, Unsupported("no")))) if "-" not in row[0]]


def _links(found: tuple[ReplicaReport | Unasked, ...]) -> list[tuple[str, str, str]]:
    facts = Facts()
    fill(facts, Observations(replicas=found), PROFILE, "stub", 0.0)
    return [(row.source, row.target, row.error) for row in facts.links]


def test_a_replica_is_called_by_its_service_where_its_name_does_not_say_it() -> None:
    assert label(PROFILE, Component.EXECUTOR, "clerk-1") == "executor clerk-1"
    assert label(PROFILE, Component.EXECUTOR, "ray-executor-1") == "ray-executor-1"
    assert label(load("swe-ai-fleet"), Component.ORCHESTRATOR, "clerk-1") == "clerk-1"


# -- each by its own rule ----------------------------------------------------------------------------------------------


def state(component: Component, *ready: bool, image: str = "i:v1") -> Answer[Workload]:
    replicas = tuple(
        Replica(name, component, "w", image, "", up) for name, up in zip(NAMES[component], ready, strict=True)
    )
    return Answer(Workload(component.value, component, len(replicas), image, "", replicas))


def components(executor: Answer[Workload], orchestrator: Answer[Workload] | None = None, **asked: Any) -> Components:
    kind, nothing = Component.ORCHESTRATOR, Answer[Any]()
    statuses = {name: Answer[Any]("healthy") for name in NAMES[kind]} | asked
    seen = {kind: orchestrator or state(kind, True, True, image="o:0.8.1"), Component.EXECUTOR: executor}
    return Components(nothing, nothing, nothing, nothing, nothing, statuses, seen)


def test_the_replicas_of_both_are_judged() -> None:
    sound = state(Component.EXECUTOR, True)
    messaging.test_orchestrator_replicas(components(sound), PROFILE)
    with pytest.raises(AssertionError, match=r"executor: 0 of 1 replicas are ready \(executor-1: not ready\)"):
        messaging.test_orchestrator_replicas(components(state(Component.EXECUTOR, False)), PROFILE)
    with pytest.raises(AssertionError, match="executor: 1 replicas were found, the profile asks for 2"):
        messaging.test_orchestrator_replicas(components(sound), both(replicas=2))
    with pytest.raises(AssertionError, match=r"executor: expected version 9\.1\.0"):
        old = state(Component.EXECUTOR, True, image="i:v0.7.3")
        messaging.test_orchestrator_replicas(components(old), both(version="9.1.0"))
    late = state(Component.ORCHESTRATOR, True, False, image="o:0.8.1")
    with pytest.raises(AssertionError, match="orchestrator: 1 of 2 replicas are ready"):
        messaging.test_orchestrator_replicas(components(sound, late), PROFILE)


def test_the_image_of_each_is_compared_where_the_profile_names_it() -> None:
    runs = "registry.example/fleet/executor:3.1"
    seen = components(state(Component.EXECUTOR, True, image=runs))
    for image in (runs, "fleet/executor:3.1"):
        messaging.test_orchestrator_replicas(seen, both(image=image))
    with pytest.raises(AssertionError, match=r"executor: expected fleet/executor:3\.2; these run another image: "):
        messaging.test_orchestrator_replicas(seen, both(image="fleet/executor:3.2"))
    with pytest.raises(Inconclusive, match=r"executor: neither a digest nor a tag says .*executor-1"):
        messaging.test_orchestrator_replicas(seen, both(image=f"registry.example/fleet/executor@sha256:{'1' * 64}"))


def test_a_failure_of_one_goes_before_what_cannot_be_told_of_the_other() -> None:
    unsure: Answer[Workload] = Answer(error=Inconclusive("may not list pods"))
    late = state(Component.EXECUTOR, False)
    with pytest.raises(AssertionError, match="executor: 0 of 1"):
        messaging.test_orchestrator_replicas(components(late, unsure), PROFILE)
    with pytest.raises(Inconclusive, match="may not list pods"):
        messaging.test_orchestrator_replicas(components(unsure), PROFILE)
    by_url: Answer[Workload] = Answer(error=Unsupported("executor.url of the profile says where it is reached"))
    with pytest.raises(pytest.skip.Exception, match=r"executor: neither its replicas nor its gRPC"):
        messaging.test_orchestrator_replicas(components(by_url), PROFILE)


async def test_settings_are_those_of_each_service() -> None:
    profile = both(environment={"AGENT_TYPE": "vllm", "QUORUM": "2"}).replaced("orchestrator", environment={"A": "1"})

    def having(orchestrator: Mapping[str, str], executor: Mapping[str, str]) -> tuple[ReplicaReport, ...]:
        led, own = profile.orchestrator.variables, profile.executor.variables
        return (
            ReplicaReport("orchestrator-1", orchestrator, {}, variables=led),
            ReplicaReport("executor-1", executor, {}, variables=own, service=Component.EXECUTOR),
        )

    good = having({"A": "1"}, {"AGENT_TYPE": "VLLM", "QUORUM": "2"})
    await configuration.test_environment(good, profile)
    await configuration.test_agent_type(good, profile)
    bad = having({"A": "1", "QUORUM": "9"}, {"AGENT_TYPE": "mock"})
    with pytest.raises(AssertionError, match=r"profile's: executor-1: QUORUM is \(not set\)"):
        await configuration.test_environment(bad, profile)
    with pytest.raises(AssertionError, match=r"AGENT_TYPE must be vllm; .* it is \{'executor-1': 'mock'\}"):
        await configuration.test_agent_type(bad, profile)


async def test_names_are_looked_up_in_both() -> None:
    pods: Any = Pods()
    pods.profile, pods.environments = PROFILE, {"NATS_URL": "nats://localhost", "EXECUTOR_ADDRESS": "nobody.invalid:1"}
    seen = pods.workload

    async def workload(component: Component) -> Workload:
        found: Workload = await seen(component)
        return replace(found, replicas=(replica(f"{component}-1", component),))

    pods.workload = workload
    wrong = await unresolved(pods, census())
    assert [line.partition(": gai")[0] for line in wrong] == ["orchestrator-1: nobody.invalid"]
    assert sorted(pods.asked) == ["executor-1", "orchestrator-1"]


# -- who has the deliberations -----------------------------------------------------------------------------------------


def test_who_serves_grpc_has_the_deliberations() -> None:
    assert front_of(PROFILE) is Component.ORCHESTRATOR
    assert front_of(with_contract(PROFILE, "grpc", at="executor")) is Component.EXECUTOR
    assert concerned(PROFILE, (Component.ORCHESTRATOR, Component.NATS)) == (
        Component.ORCHESTRATOR,
        Component.EXECUTOR,
        Component.NATS,
    )
    assert concerned(PROFILE, (Component.VLLM,)) == (Component.VLLM,)


def test_by_plain_endpoints_only_who_is_asked_needs_an_address() -> None:
    profile = with_urls(PROFILE, vllm="http://v:1", ray="http://r:1", nats="nats://n:1", orchestrator=("o:1",))
    assert profile.is_reached_by_url and not profile.executor.url
    assert dict(EndpointsCluster(profile, "fc-1", False).endpoints.orchestrators) == {"orchestrator-1": "o:1"}
    with pytest.raises(UsageError, match=r"has no executor\.url to attach to"):
        EndpointsCluster(with_contract(profile, "grpc", at="executor"), "fc-1", False)


def test_remedies_name_the_service_that_has_the_variable() -> None:
    values = remedy_values(PROFILE, "attach", KubernetesTarget("prod")).names
    assert (values["workload_of_RAY_ADDRESS"], values["name_of_RAY_ADDRESS"]) == ("deployment/ray-executor", "RAY")
    assert (values["workload_of_VLLM_URL"], values["others_of_VLLM_URL"]) == ("deployment/orchestrator", "")
    assert values["EXECUTOR"] == "ray-executor.swe-ai-fleet.svc:50056"
    also = "Where the finding names the executor: take namespace swe-ai-fleet and deployment/ray-executor"
    assert values["other_service"] == f"{also} in these commands."
    assert values["others_of_NATS_URL"] == f"{also} and BUS in these commands."
    alone = remedy_values(load("swe-ai-fleet"), "attach", KubernetesTarget("prod")).names
    assert not alone["other_service"] and not alone["others_of_NATS_URL"]
