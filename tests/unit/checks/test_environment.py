"""What CFG-08 says of settings that the profile names."""

from __future__ import annotations

import pytest

from fixtures.probes.replicas import ReplicaReport
from fixtures.profile.model import Profile, load
from tests.e2e.test_configuration import test_environment as check_environment
from tests.support.profiles import VARIABLES


def profile(**environment: str) -> Profile:
    return load("embedded").replaced("orchestrator", environment=environment)


def reports(*environments: dict[str, str]) -> tuple[ReplicaReport, ...]:
    return tuple(
        ReplicaReport(f"orchestrator-{number}", environment, {}, variables=VARIABLES)
        for number, environment in enumerate(environments, 1)
    )


async def test_the_very_values_pass_beside_others() -> None:
    wanted = profile(AGENT_TYPE="vllm", MAX_TOKENS="32", EMPTY="")
    has = {"MAX_TOKENS": "32", "EMPTY": "", "VLLM_URL": "http://vllm.fleet.svc:8000/", "MORE": "x"}
    await check_environment(reports(has, has), wanted)


@pytest.mark.parametrize(
    ("has", "words"),
    [
        ({"MAX_TOKENS": "32 "}, "orchestrator-2: MAX_TOKENS is 32 , the profile has 32"),
        ({"MAX_TOKENS": "4096"}, "orchestrator-2: MAX_TOKENS is 4096, the profile has 32"),
        ({}, "orchestrator-2: MAX_TOKENS is (not set), the profile has 32"),
    ],
)
async def test_each_replica_that_differs_is_named(has: dict[str, str], words: str) -> None:
    with pytest.raises(AssertionError) as failed:
        await check_environment(reports({"MAX_TOKENS": "32"}, has), profile(MAX_TOKENS="32"))
    assert words in str(failed.value) and "orchestrator-1" not in str(failed.value)


async def test_values_of_variables_that_the_suite_does_not_know_are_not_shown() -> None:
    with pytest.raises(AssertionError) as failed:
        await check_environment(reports({"LICENCE": "s3cret"}), profile(LICENCE="expected"))
    assert "LICENCE is (not shown), the profile has (not shown)" in str(failed.value)
