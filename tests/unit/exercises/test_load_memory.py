"""What memory everybody takes: sampled beside a body that nothing of it may break, and read from where it stands."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from fixtures.clusters.base import Completed, Component
from fixtures.clusters.embedded.supervised_process import memory_of
from fixtures.clusters.kubernetes.memory import working_set
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.polling import wait_until
from fixtures.exercises.load import memory as memories
from fixtures.exercises.load.memory import SUITE, watched
from fixtures.profile.model import load


class StandIn:
    """Two replicas of the orchestrator; NATS is gone, nothing is known of vLLM, workers cannot be asked at first."""

    profile = load("embedded")

    asked = 0

    def now(self) -> float:
        return 1767225600.0 + self.asked

    async def memory(self, component: Component) -> Mapping[str, int]:
        if component is Component.ORCHESTRATOR:
            return {"a": 1000, "b": 2000}
        if component is Component.NATS:
            return {}
        if component is Component.VLLM:
            raise NonConformance("there is no Deployment\nvllm")
        if component is Component.RAY_HEAD:
            raise Inconclusive("may not create pods/exec")
        self.asked += 1
        if self.asked == 1:
            raise Inconclusive("may not create pods/exec")
        return {"worker": 500}


async def test_samples_are_taken_whatever_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "EVERY", 0.0)
    said: list[str] = []
    cluster: Any = StandIn()
    before = asyncio.all_tasks()
    async with watched(cluster, said.append) as found:

        async def three() -> bool:
            return len(found.samples) >= 3

        await wait_until(three, "three samples", 5, every=0.0)
    assert asyncio.all_tasks() <= before, "sampling goes on after the body"
    first, second = found.samples[:2]
    assert first.at == 1767225600.0, "by the cluster's clock"
    assert first.used["orchestrator"] == 3000
    assert set(first.used) == {"orchestrator", SUITE}
    assert second.used["ray-worker"] == 500
    assert 1 << 20 < first.used[SUITE] < 1 << 32
    assert found.unknown["vllm"] == "there is no Deployment vllm"
    assert said == [
        "    no figure of the memory of vllm: there is no Deployment vllm",
        "    no figure of the memory of nats: no replica runs",
        "    no figure of the memory of ray-head, ray-worker: may not create pods/exec",
    ]


async def test_who_hangs_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging:
        profile = load("embedded")

        async def memory(self, _component: Component) -> Mapping[str, int]:
            await asyncio.Event().wait()
            return {}

    monkeypatch.setattr(memories, "TIMEOUTS", type("Short", (), {"memory": 0.01}))
    cluster: Any = Hanging()
    assert await memories._used(cluster, Component.NATS) == "no answer within 0.01 s"


async def test_the_bodys_own_failure_comes_through() -> None:
    cluster: Any = StandIn()
    with pytest.raises(LookupError):
        async with watched(cluster, lambda _: None):
            raise LookupError


STAT = "anon 100\ninactive_file 4096\nactive_file 5\n"


def test_the_working_set_leaves_out_what_the_kernel_takes_back() -> None:
    missing = "cat: /sys/fs/cgroup/memory/memory.stat: No such file or directory\n"
    assert working_set("nats-0", Completed((), 1, f"10000\n{STAT}", missing)) == 5904


def test_in_version_1_it_is_that_of_the_whole_tree() -> None:
    assert working_set("nats-0", Completed((), 1, f"10000\n{STAT}total_inactive_file 8192\n", "")) == 1808


@pytest.mark.parametrize(
    ("stdout", "stderr", "why"),
    [
        ("", "cat: /sys/fs/cgroup/memory.current: No such file or directory\n", "No such file"),
        ("10000\n", "", "10000"),
        ("max\n" + STAT, "", "inactive_file"),
        ("10000\ninactive_file many\n", "", "many"),
        ("", "", "no answer"),
    ],
)
def test_what_is_no_cgroup_says_why(stdout: str, stderr: str, why: str) -> None:
    with pytest.raises(Inconclusive, match=f"nats-0: no cgroup reports its memory: (?s:.)*{why}"):
        working_set("nats-0", Completed((), 1, stdout, stderr))


def test_a_tree_is_all_below_its_root() -> None:
    held = "import sys; kept = bytearray(64 << 20); print(1, flush=True); sys.stdin.read()"
    before = memory_of(os.getpid())
    command = [sys.executable, "-c", held]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout and child.stdin
        child.stdout.readline()
        assert 64 << 20 < memory_of(os.getpid()) - before < 96 << 20
        child.stdin.close()


def test_a_tree_that_has_gone_has_no_figure() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    with pytest.raises(Inconclusive, match="cannot be read"):
        memory_of(child.pid)
