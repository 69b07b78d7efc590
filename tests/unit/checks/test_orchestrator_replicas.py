"""What INF-11 says of replicas and what they run from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Replica, Workload
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.probes.components import Answer, Components
from fixtures.profile.amounts import least
from fixtures.profile.model import load
from tests.e2e import test_infrastructure_messaging as checks

PROFILE = load("swe-ai-fleet")
VERSION = PROFILE.orchestrator.version


def components(*images: str, desired: int, silent: str = "", ready: bool = True) -> Components:
    """Replicas of these images, of which as many as the profile wants are asked."""
    kind = Component.ORCHESTRATOR
    replicas = tuple(
        Replica(f"orchestrator-{number}", kind, "orchestrator", image, "", ready or number > 1)
        for number, image in enumerate(images, 1)
    )
    asked: dict[str, Answer[Any]] = {
        f"orchestrator-{number}": Answer("healthy") for number in range(1, least(PROFILE.orchestrator.replicas) + 1)
    }
    if silent:
        asked[silent] = Answer(error=NonConformance(f"{silent} answers GetStatus with UNAVAILABLE"))
    nothing: Answer[Any] = Answer()
    workload = Workload("orchestrator", kind, desired, images[0], "", replicas)
    return Components(nothing, nothing, nothing, nothing, nothing, asked, {kind: Answer(workload)})


@pytest.mark.parametrize("tag", [f":{VERSION}", f":v{VERSION}", ":git-1a2b3c", "@sha256:1a2b"])
def test_replicas_of_the_version_or_of_an_unknown_one_pass(tag: str) -> None:
    checks.test_orchestrator_replicas(components(f"o{tag}", f"o{tag}", desired=2), PROFILE)


def test_more_replicas_than_asked_for_are_no_fewer() -> None:
    """As while a new version is rolled out, with a surge."""
    checks.test_orchestrator_replicas(components(*3 * [f"o:{VERSION}"], desired=2), PROFILE)


@pytest.mark.parametrize(("desired", "count"), [(2, 2), (1, 1)])
def test_replicas_behind_one_address_are_counted_by_their_workload(desired: int, count: int) -> None:
    """orchestrator.url is a load balancer's, and orchestrator.workload is known, too."""
    profile = PROFILE.replaced("orchestrator", url=("lb.example:443",))
    seen = components(*count * [f"o:{VERSION}"], desired=desired)
    seen = replace(seen, orchestrator={"orchestrator-1": Answer[Any]("healthy")})
    if desired == 2:
        checks.test_orchestrator_replicas(seen, profile)
        return
    with pytest.raises(AssertionError, match="1 replicas were found, the profile asks for 2"):
        checks.test_orchestrator_replicas(seen, profile)


ROLLOUT = "a roll-out of orchestrator is in progress (1 of 2)"


def rolling(*images: str, silent: str = "") -> Components:
    """Three replicas are asked, two are wanted, and one of the three is about to go."""
    seen = components(*images, desired=2, silent=silent)
    asked = {f"orchestrator-{number}": Answer[Any]("healthy") for number in range(1, 4)} | dict(seen.orchestrator)
    workload = replace(seen.workloads[Component.ORCHESTRATOR].get(), rollout=ROLLOUT)
    return replace(seen, orchestrator=asked, workloads={Component.ORCHESTRATOR: Answer(workload)})


def test_a_surge_is_no_replica_too_many() -> None:
    checks.test_orchestrator_replicas(rolling(*3 * [f"o:{VERSION}"]), PROFILE)
    standing = replace(rolling(*3 * [f"o:{VERSION}"]), workloads=components("o", desired=2).workloads)
    with pytest.raises(AssertionError, match="3 replicas were found, the profile asks for 2"):
        checks.test_orchestrator_replicas(standing, PROFILE)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (rolling(*3 * [f"o:{VERSION}"], silent="orchestrator-3"), "orchestrator-3 answers GetStatus with UNAVAILABLE"),
        (rolling(f"o:{VERSION}", "o:v0.7.3", f"o:{VERSION}"), "'orchestrator-2': 'o:v0.7.3'"),
    ],
)
def test_what_a_roll_out_is_about_to_change_is_not_decided(seen: Components, words: str) -> None:
    with pytest.raises(Inconclusive, match=re.escape(ROLLOUT)) as undecided:
        checks.test_orchestrator_replicas(seen, PROFILE)
    assert words in str(undecided.value)


def test_a_replica_that_a_roll_out_has_ended_is_awaited() -> None:
    """As with Recreate: there is one replica, or none, until the new ones are ready."""
    seen = rolling(f"o:{VERSION}")
    asked = {"orchestrator-1": Answer[Any]("healthy")}
    with pytest.raises(Inconclusive, match=rf"{re.escape(ROLLOUT)}: 1 of 2 replicas do not exist"):
        checks.test_orchestrator_replicas(replace(seen, orchestrator=asked), PROFILE)
    fewer = replace(seen.workloads[Component.ORCHESTRATOR].get(), desired=1)
    seen = replace(seen, orchestrator=asked, workloads={Component.ORCHESTRATOR: Answer(fewer)})
    with pytest.raises(AssertionError, match="1 replicas were found, the profile asks for 2"):
        checks.test_orchestrator_replicas(seen, PROFILE)


def test_what_the_service_leads_to_beside_the_replicas_is_named() -> None:
    strangers = {Component.ORCHESTRATOR: Answer[Sequence[str]](["other (of Job init, fleet/tools:1)"])}
    seen = replace(components(f"o:{VERSION}", f"o:{VERSION}", desired=2), strangers=strangers)
    with pytest.raises(AssertionError, match=r"no replica of orchestrator, too: other \(of Job init"):
        checks.test_orchestrator_replicas(seen, PROFILE)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (components(f"o:{VERSION}", "o:v0.7.3", desired=2), "'orchestrator-2': 'o:v0.7.3'"),
        (components(f"o:{VERSION}", f"o:1{VERSION}2", desired=2), f"'orchestrator-2': 'o:1{VERSION}2'"),
        (components(f"o:{VERSION}", f"o:{VERSION}", desired=2, ready=False), "1 of 2 replicas are ready"),
        (components(f"o:{VERSION}", desired=2), "1 of 2 replicas are ready"),
        (components(f"o:{VERSION}", f"o:{VERSION}", desired=2, silent="orchestrator-2"), "UNAVAILABLE"),
        (
            components(*3 * [f"o:{VERSION}"], desired=3, silent="orchestrator-9"),
            "orchestrator-9 answers GetStatus with UNAVAILABLE",
        ),
    ],
)
def test_what_is_missing_or_of_another_version_is_named(seen: Components, words: str) -> None:
    with pytest.raises(AssertionError) as failed:
        checks.test_orchestrator_replicas(seen, PROFILE)
    assert words in str(failed.value)


def by_urls(*asked: Answer[Any]) -> Components:
    """Replicas behind these addresses, which are all that is known of them."""
    nothing: Answer[Any] = Answer()
    answers = {f"orchestrator-{number}": answer for number, answer in enumerate(asked, 1)}
    return Components(nothing, nothing, nothing, nothing, nothing, answers)


@pytest.mark.parametrize("count", [1, PROFILE.orchestrator.replicas])
def test_one_address_may_be_that_of_all_replicas(count: int) -> None:
    checks.test_orchestrator_replicas(by_urls(*count * [Answer("healthy")]), PROFILE)


def test_an_address_that_does_not_answer_is_named() -> None:
    with pytest.raises(AssertionError, match="gRPC does not answer on every replica: nobody listens"):
        checks.test_orchestrator_replicas(by_urls(Answer(error=NonConformance("nobody listens"))), PROFILE)


def test_addresses_of_some_replicas_decide_nothing() -> None:
    with pytest.raises(Inconclusive, match=r"the profile names 3 addresses .* of 2 replicas"):
        checks.test_orchestrator_replicas(by_urls(*3 * [Answer("healthy")]), PROFILE)


def test_where_no_method_says_how_a_replica_is_its_pods_are_looked_at_alone() -> None:
    grpc = PROFILE.contract.grpc
    assert grpc
    for other in (None, grpc.model_copy(update={"status": None})):
        profile = PROFILE.model_copy(update={"contract": PROFILE.contract.model_copy(update={"grpc": other})})
        mute = replace(components("o", "o", desired=2), orchestrator={})
        checks.test_orchestrator_replicas(mute, profile)
        with pytest.raises(AssertionError, match="1 replicas were found, the profile asks for 2"):
            checks.test_orchestrator_replicas(replace(components("o", desired=1), orchestrator={}), profile)
        with pytest.raises(AssertionError, match="1 of 2 replicas are ready"):
            checks.test_orchestrator_replicas(
                replace(components("o", "o", desired=2, ready=False), orchestrator={}), profile
            )
        with pytest.raises(pytest.skip.Exception, match=r"neither its replicas nor its gRPC can be asked"):
            checks.test_orchestrator_replicas(replace(mute, workloads={}), profile)
