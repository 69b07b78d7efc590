"""What NET-08 says of the way from the orchestrator to the executor."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Unsupported
from fixtures.core.errors import Inconclusive
from fixtures.probes import replicas
from fixtures.probes.executor_link import address_of
from fixtures.probes.replicas import Unasked
from fixtures.profile.addresses import Address
from tests.e2e.test_connectivity import test_orchestrator_reaches_executor as check_link
from tests.support.executor_names import PROFILE, Fleet, report


async def judged(*reports: Any) -> None:
    fleet: Any = Fleet()
    await check_link(tuple(reports), fleet)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("ray-executor:50056", "ray-executor", 50056),
        (" ray-executor ", "ray-executor", 7),
        ("http://executor", "executor", 80),
        ("https://executor/base", "executor", 443),
        ("DNS:///executor:9", "executor", 9),
        ("dns:executor:9", "executor", 9),
        ("ipv6:[2001:db8::1]:9", "2001:db8::1", 9),
        ("[2001:db8::1]:9", "2001:db8::1", 9),
        ("grpcs://user:word@executor:9/", "executor", 9),
    ],
)
def test_an_address_is_read_in_each_of_its_forms(text: str, host: str, port: int) -> None:
    assert address_of(text, 7) == Address("grpc", host, port)


@pytest.mark.parametrize("text", ["", "   ", ":50056", "http://", "executor:many", "executor:70000", "an executor:1"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert address_of(text, 7) is None


def test_the_probe_asks_for_the_connection_and_for_the_names_of_both_sides() -> None:
    asked = replicas.request({"EXECUTOR_ADDRESS": "dns:///ray-executor:50056"}, PROFILE)
    assert asked["tcp"] == [{"name": "executor", "address": "ray-executor:50056"}]
    assert asked["resolve"] == ["ray-executor", "ray-executor.swe-ai-fleet.svc"]
    nothing = replicas.request({"EXECUTOR_ADDRESS": "an executor"}, PROFILE)
    assert not nothing["tcp"] and not nothing["resolve"]
    own = replicas.request({"EXECUTOR_ADDRESS": "ray-executor:50056"}, PROFILE, service="executor")
    assert not own["tcp"], "the executor has no way to itself"


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ("ray-executor:50056", "ConnectionRefusedError: refused", "EXECUTOR_ADDRESS=ray-executor:50056: ConnectionRef"),
        ("ray-executor:50056", "gaierror: Name or service not known", "Name or service not known"),
        (None, "", "EXECUTOR_ADDRESS=(not set): EXECUTOR_ADDRESS is not set"),
        ("", "", "EXECUTOR_ADDRESS is not set"),
        ("ray-executor.staging:50056", "", "leads to others than the executor (ray-executor.swe-ai-fleet.svc"),
        ("mixed:80", "", "EXECUTOR_ADDRESS=mixed:80 leads to others than the executor"),
        ("ray-executor:9090", "", "EXECUTOR_ADDRESS=ray-executor:9090 leads to others than the executor"),
        ("10.0.0.8:9090", "", "leads to others than the executor"),
    ],
)
async def test_a_replica_that_does_not_reach_the_executor_is_named(value: str | None, error: str, words: str) -> None:
    good = report("ray-executor:50056", name="orchestrator-2")
    with pytest.raises(AssertionError, match="the executor is not reached from the orchestrator: ") as failed:
        await judged(report(value, error), good)
    assert words in str(failed.value)
    assert "orchestrator-1: " in str(failed.value) and "orchestrator-2" not in str(failed.value)


async def test_what_is_no_address_is_said_to_be_none() -> None:
    wrong = report("an executor", "x")
    wrong = replace(wrong, document={"tcp": {}, "resolve": {}})
    with pytest.raises(AssertionError, match="EXECUTOR_ADDRESS is no address"):
        await judged(wrong)


async def test_credentials_in_the_address_are_not_shown() -> None:
    with pytest.raises(AssertionError) as failed:
        await judged(report("grpc://user:s3cret@ray-executor:50056", "refused"))
    assert "s3cret" not in str(failed.value)


async def test_another_address_behind_which_it_may_be_is_not_decided_and_fails_nothing() -> None:
    unknown = report("gateway.example:443")
    words = re.escape("EXECUTOR_ADDRESS=gateway.example:443 is another address than the executor's (ray-executor.")
    with pytest.raises(Inconclusive, match=words):
        await judged(unknown)
    with pytest.raises(AssertionError, match=r"orchestrator-2: .*refused"):
        await judged(unknown, report("ray-executor:50056", "refused", name="orchestrator-2"))


async def test_of_what_cannot_be_asked_nothing_is_said() -> None:
    variables = PROFILE.orchestrator.variables
    for why in (Inconclusive("no orchestrator replica is running"), Unsupported("the suite may not run commands")):
        with pytest.raises(type(why), match=str(why)):
            await judged(Unasked(Component.ORCHESTRATOR, variables, why))
    executor = Unasked(Component.EXECUTOR, PROFILE.executor.variables, Inconclusive("no executor replica is running"))
    await judged(report("ray-executor:50056"), executor)
