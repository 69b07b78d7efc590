"""A soak beside other users: their load begins when the fleet is up, and ends before it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fixtures.clusters.base import Cluster, Feature, Timeline
from tests.soak.command import BESIDE_LOAD, with_load
from tests.soak.loads import LOADS, LoadedFleet, with_loads
from tests.support import suite_process


class Fleet(Cluster):
    """Notes what is done, in its order."""

    kind = "bare"
    unsupported: Mapping[Feature, str] = {}

    def __init__(self) -> None:
        self.done: list[str] = []

    async def start(self, timeline: Timeline) -> None:
        del timeline
        self.done.append("start")

    async def stop(self) -> None:
        self.done.append("stop")


@asynccontextmanager
async def users(target: LoadedFleet) -> AsyncIterator[None]:
    done: Any = target.cluster
    done.done.append("users come")
    yield
    done.done.append("users go")


@asynccontextmanager
async def nobody(_target: LoadedFleet) -> AsyncIterator[None]:
    raise OSError("no room")
    yield


async def test_a_load_lives_within_the_fleet() -> None:
    fleet = Fleet()
    loaded = with_loads(fleet, (users,))
    await loaded.start(Timeline())
    assert fleet.done == ["start", "users come"]
    await loaded.stop()
    assert fleet.done == ["start", "users come", "users go", "stop"]


async def test_a_load_that_cannot_begin_ends_the_fleet() -> None:
    fleet = Fleet()
    with pytest.raises(OSError, match="no room"):
        await with_loads(fleet, (users, nobody)).start(Timeline())
    assert fleet.done == ["start", "users come", "users go", "stop"]


def test_the_loads_are_those_of_two_variants() -> None:
    assert [load.__name__ for load in LOADS] == ["fleet_is_used", "neighbours_publish"]


def test_the_command_leaves_out_what_would_end_the_load() -> None:
    plugin = ["-p", "tests.soak.beside_load"]
    assert with_load(["--vllm", "stub"]) == [*plugin, "-m", "e2e and not disruptive", "--vllm", "stub"]
    assert with_load(["-m", "e2e and not load"]) == [*plugin, "-m", "e2e and not load"]


def test_a_run_starts_with_the_load_as_its_plugin() -> None:
    """Which pytest imports before the suite's own plugin, and which must not get in its way."""
    ran = suite_process.run(*BESIDE_LOAD, "--collect-only", "-q", "tests/e2e/test_load.py", timeout=300)
    assert ran.returncode == 0, ran.output
