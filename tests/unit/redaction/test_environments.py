"""Of the environments of the fleet's processes, messages and evidence hold names, and values that the suite knows."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.probes.payload.nats_wire import nats
from fixtures.probes.payload.probe import http
from fixtures.probes.replicas import ReplicaReport
from fixtures.profile.model import load
from fixtures.redaction.environments import difference, shown
from fixtures.redaction.redact import Redactor
from tests.e2e import test_configuration as configuration
from tests.e2e import test_connectivity as connectivity
from tests.support.profiles import VARIABLES

SECRET, OLD = "hunter2new", "hunter2old"
UNREACHED = {"ok": False, "error": "refused", "stage": "tcp", "ms": []}


def report(name: str, environment: Mapping[str, str]) -> ReplicaReport:
    document = {
        "http": {"models": UNREACHED, "metrics": UNREACHED},
        "nats": {"nats": UNREACHED},
        "tcp": {"ray": UNREACHED},
        "ray_client": UNREACHED,
    }
    return ReplicaReport(name, environment, document, variables=VARIABLES)


async def message(*environments: Mapping[str, str]) -> str:
    """What CFG-07 says of replicas orchestrator-1, …"""
    reports = [report(f"orchestrator-{number}", one) for number, one in enumerate(environments, 1)]
    with pytest.raises(AssertionError) as failed:
        await configuration.test_same_configuration(tuple(reports), CLUSTER, load("swe-ai-fleet"))
    return str(failed.value)


@pytest.mark.parametrize("name", ["DB_PASSWORD", "LICENCE", "DATABASE_URL"])
async def test_drifted_variables_are_named_without_their_values(name: str) -> None:
    said = await message({name: OLD}, {name: SECRET}, {name: SECRET}, {})
    assert "hunter2" not in said
    wanted = (
        f"{name} has value 1 in orchestrator-1; value 2 in orchestrator-2, orchestrator-3; no value in orchestrator-4"
    )
    assert wanted in said
    assert wanted in Redactor().text(said), "the report says it all"


async def test_drifted_variables_that_the_suite_knows_are_shown_with_their_values() -> None:
    said = await message({"TEMPERATURE": "0.7"}, {"TEMPERATURE": "0.2"})
    assert "TEMPERATURE has value 1 (0.7) in orchestrator-1; value 2 (0.2) in orchestrator-2" in said


async def test_drifted_credentials_in_a_url_differ_and_are_not_shown() -> None:
    said = await message({"NATS_URL": f"nats://user:{OLD}@nats:4222"}, {"NATS_URL": f"nats://user:{SECRET}@nats:4222"})
    assert "hunter2" not in said
    assert "value 1 (nats://[redacted]@nats:4222)" in said
    assert "value 2 (nats://[redacted]@nats:4222)" in said


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("http://vllm:8000/v1", "http://vllm:8000/v1"),
        (f"nats://{SECRET}@nats:4222", "nats://[redacted]@nats:4222"),
        (f"nats://user:p/{SECRET}@nats:4222", "nats://[redacted]@nats:4222"),
        (f'nats://user:p@"{SECRET}@nats:4222', "nats://[redacted]@nats:4222"),
        (f"user:{SECRET}@nats:4222", "[redacted]@nats:4222"),
        (f"user:{SECRET}://x@nats:4222", "[redacted]@nats:4222"),
        (f"nats://u:{SECRET}@a,nats://u:{SECRET}@b", "nats://[redacted]@b"),
        (f"wss://u:{SECRET}@nats.example/team", "wss://[redacted]@nats.example/team"),
        ("ws://nats.example", "ws://nats.example"),
        (f"http://vllm:8000?key={SECRET}", "http://vllm:8000?[redacted]"),
        (f"nats://user:p?{SECRET}@nats:4222", "nats://[redacted]"),
        (f"nats://{SECRET}?p@nats:4222", "nats://[redacted]"),
        (f"http://vllm:8000?mail=a@{SECRET}", "http://[redacted]"),
    ],
)
def test_an_address_is_shown_without_credentials(address: str, seen: str) -> None:
    assert shown("VLLM_URL", address) == seen


def test_a_variable_without_a_value_is_said_to_have_none() -> None:
    assert shown("DB_PASSWORD", None) == "(not set)"
    assert difference("X", {"a": "1", "b": None}) == "X has value 1 in a; no value in b"


def answering(**answers: Any) -> Any:
    """A service whose methods answer so."""

    def method(answer: Any) -> Any:
        async def ask(*_: Any) -> Any:
            return answer

        return ask

    return SimpleNamespace(url="http://service", **{name: method(answer) for name, answer in answers.items()})


VIEW = SimpleNamespace(vllm="http://service", fault_proxy="")
CLUSTER: Any = answering(workload=SimpleNamespace(replicas=(), rollout=""))
CLUSTER.inside = CLUSTER.endpoints = VIEW


@pytest.mark.parametrize(
    "check",
    [
        lambda reports, _: configuration.test_vllm_url(reports, answering(of_each_server=[]), CLUSTER),
        lambda reports, _: configuration.test_ray_address(reports, answering(nodes=[])),
        lambda reports, profile: configuration.test_nats_url(reports, answering(info=None, stream=None), profile),
        lambda reports, profile: connectivity.test_orchestrator_reaches_vllm(reports, profile),
        lambda reports, _: connectivity.test_orchestrator_reaches_ray(reports),
    ],
)
async def test_no_check_shows_the_credentials_of_a_url(check: Any) -> None:
    environment = dict.fromkeys(("VLLM_URL", "RAY_ADDRESS", "NATS_URL"), f"x://user:{SECRET}@host:1")
    with pytest.raises(AssertionError, match=r"x://\[redacted\]@host:1") as failed:
        await check([report("orchestrator-1", environment)], load("swe-ai-fleet"))
    assert SECRET not in str(failed.value)


def test_a_report_in_a_traceback_shows_no_environment() -> None:
    assert SECRET not in repr(report("orchestrator-1", {"ANY": SECRET}))


@pytest.mark.parametrize(
    "url", [f"nats://user:{SECRET}/x@nats:4222", f"nats://user:{SECRET}\u2100@nats:4222", f"x://{SECRET}"]
)
def test_the_probe_quotes_nothing_of_a_url_that_it_cannot_read(url: str) -> None:
    assert SECRET not in http(url, 1.0, {})["error"]
    assert SECRET not in nats(url.replace("x://", "nats://["), 1.0, {})["error"]
