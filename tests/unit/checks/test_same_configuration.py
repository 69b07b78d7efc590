"""What CFG-07 compares of the replicas of a workload beside their environments, and when it cannot tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fixtures.clusters.base import Component, Replica, Workload
from fixtures.clusters.kubernetes.client.schemas import Container
from fixtures.clusters.kubernetes.workloads import command_line
from fixtures.core.errors import Inconclusive
from fixtures.probes.replicas import ReplicaReport
from fixtures.profile.model import load
from tests.e2e.test_configuration import test_same_configuration as same_configuration
from tests.support.profiles import VARIABLES

PROFILE = load("swe-ai-fleet")
ROLLOUT = "a roll-out of orchestrator is in progress (1 of 2)"


class Fleet:
    """Replicas called a, b, …, each started by a command line."""

    def __init__(self, *commands: Mapping[str, str], rollout: str = "") -> None:
        self.commands, self.rollout = dict(zip("abc", commands, strict=False)), rollout

    async def workload(self, component: Component) -> Workload:
        replicas = tuple(Replica(name, component, "orchestrator", "o:1", "", True) for name in self.commands)
        return Workload("orchestrator", component, len(replicas), "o:1", "", replicas, self.rollout)

    async def placement_variables(self, _replica: Replica) -> tuple[str, ...]:
        return ()

    async def command_line(self, replica: Replica) -> Mapping[str, str]:
        return self.commands[replica.name]


async def check(fleet: Any, *environments: Mapping[str, str], own: Sequence[str] = ()) -> None:
    reports = [
        ReplicaReport(name, values, {}, variables=VARIABLES) for name, values in zip("abc", environments, strict=False)
    ]
    await same_configuration(tuple(reports), fleet, PROFILE.replaced("orchestrator", own_variables=tuple(own)))


def started(**values: Any) -> dict[str, str]:
    return command_line(Container.of({"name": "o", **values}))


async def test_the_same_command_line_is_no_drift() -> None:
    await check(Fleet(started(args=["--port", "$(PORT)"]), started(args=["--port", "$(PORT)"])), {}, {})
    await check(Fleet({}, {}), {"A": "1"}, {"A": "1"})


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"args": ["-a"]}, {"args": ["-b"]}, "args has value 1 in a; value 2 in b"),
        ({"args": ["-a", "-b"]}, {"args": ["-b", "-a"]}, "args has value 1 in a; value 2 in b"),
        ({"command": ["o"]}, {}, "command has value 1 in a; no value in b"),
    ],
)
async def test_other_arguments_are_drift_and_are_not_shown(
    one: Mapping[str, Any], other: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(AssertionError, match=words) as failed:
        await check(Fleet(started(**one), started(**other)), {}, {})
    assert "-a" not in str(failed.value)


async def test_what_a_roll_out_is_about_to_change_is_not_decided() -> None:
    for environments in (({"MAX_TOKENS": "1"}, {"MAX_TOKENS": "2"}), ({}, {"SECRET": "x"})):
        with pytest.raises(Inconclusive, match=r"in progress \(1 of 2\); replicas differ: "):
            await check(Fleet({}, {}, rollout=ROLLOUT), *environments)
    await check(Fleet({}, {}, rollout=ROLLOUT), {"A": "1"}, {"A": "1"})


def leased(user: str, password: str, in_url: str = "") -> dict[str, str]:
    """What a vault hands out to a replica, and what is made of it."""
    url = f"postgres://{user}:{in_url or password}@db:5432/fleet"
    return {"DB_USER": user, "DB_PASSWORD": password, "DATABASE_URL": url, "MAX_TOKENS": "32"}


async def test_what_the_profile_calls_each_replicas_own_is_no_drift() -> None:
    environments = leased("v-one-1f", "s3cret/a", "s3cret%2Fa"), leased("v-two-2e", "pa55word")
    await check(Fleet({}, {}), *environments, own=("DB_USER", "DB_PASSWORD"))
    with pytest.raises(AssertionError, match=r"replicas differ: DATABASE_URL .*DB_PASSWORD .*DB_USER "):
        await check(Fleet({}, {}), *environments)
    elsewhere = {**environments[1], "DATABASE_URL": environments[1]["DATABASE_URL"].replace("@db", "@other")}
    with pytest.raises(AssertionError, match="replicas differ: DATABASE_URL "):
        await check(Fleet({}, {}), environments[0], elsewhere, own=("DB_USER", "DB_PASSWORD"))
    with pytest.raises(AssertionError, match="replicas differ: MAX_TOKENS "):
        await check(Fleet({}, {}), {"MAX_TOKENS": "16"}, environments[1], own=tuple(leased("", ""))[:3])
