"""A whole watch against a stand-in for a fleet: when it is over, what it says then, and what a signal does."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.core.errors import NonConformance, UsageError
from fixtures.core.polling import wait_until
from fixtures.exercises.agents_on_demand import AgentEnd
from fixtures.profile.model import load
from fixtures.watch import run as runs
from fixtures.watch.document import Document, Settings, State, Word
from fixtures.watch.fleet import Fleet
from fixtures.watch.replacements import Running
from fixtures.watch.run import Watch
from fixtures.watch.summary import summarised
from tests.unit.watch.test_ledger import Server

PROFILE = load("embedded").replaced("deliberations", mode="none").replaced("nats", results_bucket="")
SETTINGS = Settings(
    every_s=0.03, healthy_rounds=3, until_s=30.0, gap_limit_s=60, refused_limit=0, late_after_s=3, lost_after_s=0.3
)


class Agents:
    """An agent for each order: it stores its answer and returns, or does what a test says of its number."""

    def __init__(self, server: Server) -> None:
        self.server, self.instead, self.closed = server, dict[int, str](), False

    def task_id(self, number: int) -> str:
        return f"fc-test-agents-1-{number:05}"

    async def ask(self, number: int) -> None:
        if self.instead.get(number) == "refuse":
            raise NonConformance("the dashboard is away")

    async def ended(self, number: int, within: float, _every: float, on_change: Any) -> AgentEnd:
        begun = AgentEnd(number=number, begun=1.0, ready=1.0, free=4.0)
        on_change(begun)
        what = self.instead.get(number, "")
        if what == "hang":
            await asyncio.sleep(within)
            return begun
        for _ in range({"twice": 2, "nothing stored": 0}.get(what, 1)):
            self.server.add(self.task_id(number))
        return begun.model_copy(update={"ended": 2.0})

    async def close(self) -> None:
        self.closed = True


class Cluster:
    """Lists its replicas, as a test changes them."""

    kind = "attach"
    unsupported: tuple[str, ...] = ()
    profile = PROFILE

    def __init__(self) -> None:
        self.not_settled = ""

    async def unsettled(self) -> str:
        return self.not_settled

    def connection_failures(self, _since: float) -> list[Any]:
        return []


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def agents(server: Server) -> Agents:
    return Agents(server)


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
def made(server: Server, agents: Agents, shown: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a watch of a fleet in which `running` are the replicas."""
    monkeypatch.setattr(runs, "LIST_EVERY_S", 0.05)

    def make(words: Sequence[str] = (), **settings: Any) -> Watch:
        vllm = SimpleNamespace(waiting=nothing_waits)
        fleet = SimpleNamespace(
            cluster=Cluster(), profile=PROFILE, run_id="fc-test", vllm=vllm, nats=server, agents=lambda: agents
        )
        watch = Watch(cast(Fleet, fleet), SETTINGS.model_copy(update=settings), words, shown.append)
        watch.running = ["a"]  # type: ignore[attr-defined]

        async def now() -> list[Any]:
            return [Running("orchestrator", "orchestrator", name, name, "x:1") for name in watch.running]  # type: ignore[attr-defined]

        monkeypatch.setattr(watch.runs, "now", now)
        return watch

    return make


async def nothing_waits() -> float:
    return 0.0


async def ended(watch: Watch) -> Document:
    async with watch.signals():
        await watch.run()
        return await summarised(watch)


def replace_soon(watch: Any, seconds: float = 0.2) -> None:
    asyncio.get_running_loop().call_later(seconds, setattr, watch, "running", ["b"])


async def test_a_roll_out_that_somebody_else_does_is_finished_and_clean(
    made: Any, agents: Agents, shown: list[str]
) -> None:
    watch = made()
    replace_soon(watch)
    document = await ended(watch)
    assert (document.state, document.clean, document.reasons) == (State.FINISHED, True, ())
    assert [(row.before, row.after) for row in document.replacements] == [("a", "b")]
    assert document.claims.good == document.claims.rounds >= 4
    assert agents.closed
    assert any("a -> b" in line for line in shown)
    assert [row.name for row in document.instances] == ["a", "b"]


async def test_without_a_replacement_nothing_was_rolled_out(made: Any) -> None:
    document = await ended(made(until_s=0.4))
    assert (document.state, document.clean) == (State.NOTHING, False)
    assert document.reasons == ("nothing was rolled out",)


async def test_what_is_not_settled_is_not_finished(made: Any) -> None:
    watch = made(until_s=0.6)
    watch.fleet.cluster.not_settled = "ray: worker-2 runs the old image"
    replace_soon(watch)
    document = await ended(watch)
    assert document.reasons == ("not finished: ray: worker-2 runs the old image",)


async def test_rounds_have_to_be_healthy_after_the_last_replacement(made: Any, agents: Agents) -> None:
    agents.instead = dict.fromkeys(range(1, 1000), "refuse")
    watch = made(until_s=0.6)
    replace_soon(watch, 0.1)
    document = await ended(watch)
    assert document.state is State.NOT_FINISHED
    assert "over the limit of 0 (limits.rollout_refused)" in " ".join(document.reasons)


async def test_a_command_is_run_after_a_healthy_baseline_and_has_its_status_in_the_report(
    made: Any, shown: list[str]
) -> None:
    watch = made([sys.executable, "-c", "pass"])
    replace_soon(watch, 0.5)
    document = await ended(watch)
    assert document.command is not None
    assert (document.command.status, document.state, document.clean) == (0, State.FINISHED, True)
    assert document.command.began_s is not None
    first = [row for row in document.rounds if row.due_s < document.command.began_s][:3]
    assert [row.word for row in first] == [Word.GOOD] * 3
    assert any("baseline: 3 of 3 rounds healthy" in line for line in shown)
    assert any("the command ended with 0" in line for line in shown)


async def test_without_a_healthy_baseline_the_command_is_not_started(made: Any, agents: Agents, tmp_path: Any) -> None:
    agents.instead = {2: "refuse"}
    document = await ended(made(["touch", str(tmp_path / "started")]))
    assert (document.state, document.clean) == (State.NO_BASELINE, False)
    assert document.command is not None and document.command.began_s is None
    assert not (tmp_path / "started").exists()


async def test_a_command_that_fails_and_replaces_nobody_ends_the_watch(made: Any) -> None:
    document = await ended(made([sys.executable, "-c", "raise SystemExit(3)"]))
    assert document.reasons == ("nothing was rolled out", "the command ended with 3")
    assert document.duration_s < SETTINGS.until_s


async def test_a_command_that_cannot_be_started_is_a_mistake_and_leaves_no_round(made: Any) -> None:
    watch = made(["/nowhere/kubectl"])
    with pytest.raises(UsageError, match="/nowhere/kubectl"):
        await watch.run()
    assert not any(kind.is_open for kind in watch.kinds)


async def test_a_signal_is_handed_on_to_the_command_and_ends_the_watch_in_order(made: Any) -> None:
    watch = made([sys.executable, "-c", "import time; time.sleep(60)"])

    async def interrupt() -> None:
        async def runs_now() -> bool:
            return bool(watch.rollout.runs)

        await wait_until(runs_now, "the command's start", 5.0, every=0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    document, _ = await asyncio.gather(ended(watch), interrupt())
    assert (document.state, document.clean) == (State.INTERRUPTED, False)
    assert document.command is not None and document.command.status == 128 + signal.SIGTERM


async def test_what_must_not_be_is_seen(made: Any, agents: Agents, server: Server) -> None:
    agents.instead = {2: "twice", 4: "nothing stored", 5: "hang"}
    watch = made(lost_after_s=0.1)
    replace_soon(watch, 1.0)
    gone = asyncio.get_running_loop().call_later(0.8, server.stored_messages.pop, 1)
    document = await ended(watch)
    gone.cancel()
    words = sorted((finding.word, finding.task[-1]) for finding in document.findings)
    assert words == [("doubled", "2"), ("lost", "4"), ("lost", "5"), ("vanished", "1")]
    assert set(document.reasons) == {"2 lost", "1 doubled", "1 vanished"}
    assert document.claims.skipped > 0
