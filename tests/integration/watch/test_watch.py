"""A roll-out that is watched, on one embedded fleet that stays: clean, with messages that vanish, and with agents that
publish twice. The command of each watch waits for what the test does to the fleet meanwhile."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.clusters.base import Component
from fixtures.clusters.embedded import EmbeddedCluster
from fixtures.core.paths import ROOT
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.watch.document import Document, State, Word
from tests.faults.catalogue.agents import PUBLISHER
from tests.interruption import persistent_fleet
from tests.support import published
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, changed

WATCH_S = 240.0  # a whole watch; 20 s seen
PUBLISHING = "            ack = await self._connection.jetstream().publish(\n"
#: In a module that each agent imports anew: the class itself travels from the driver, which had it before.
TWICE = Edit(
    PUBLISHER,
    PUBLISHING,
    "            await self._connection.jetstream().publish(subject, json.dumps(message).encode(), timeout=seconds)\n"
    + PUBLISHING,
)


@pytest.fixture(scope="module")
async def fleet() -> AsyncIterator[persistent_fleet.Fleet]:
    async with persistent_fleet.fleet("fc-watch") as running:
        yield running


class Watched:
    """A watch that goes on. Its command has begun, and ends with `done`."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process) -> None:
        self.folder, self.process, self.output = folder, process, ""

    def done(self) -> None:
        (self.folder / "done").touch()

    async def ended(self) -> tuple[int, Document]:
        """The exit status, and what the watch says."""
        self.done()
        stdout, stderr = await asyncio.wait_for(self.process.communicate(), WATCH_S)
        self.output = (stderr + stdout).decode()
        report = self.folder / "reports" / "watch.json"
        assert report.is_file(), self.output
        text = report.read_text()
        published.validate(json.loads(text))
        return self.process.returncode or 0, Document.of(json.loads(text))


@asynccontextmanager
async def watched(fleet: persistent_fleet.Fleet, folder: Path) -> AsyncIterator[Watched]:
    """The body begins when the command has, after a healthy baseline."""
    profile = persistent_fleet.attached_profile(folder, fleet.cluster.endpoints)
    wait = f"touch {folder}/started; until [ -e {folder}/done ]; do sleep 0.1; done"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", str(ROOT / "fixtures" / "command"), "watch", "--profile", str(profile)),
        *("--every", "1s", "--healthy-rounds", "2", "--until", "3m", "--no-checks"),
        *("--report-dir", str(folder / "reports"), "--", "sh", "-c", wait),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    watch = Watched(folder, process)
    try:

        async def command_runs() -> bool:
            return (folder / "started").exists() or process.returncode is not None

        await wait_until(command_runs, "the command of the watch", WATCH_S)
        assert process.returncode is None, (await process.communicate())[1].decode()
        yield watch
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def nothing_goes_on(fleet: persistent_fleet.Fleet) -> bool:
    """Whether the fleet is as before, but for the readers that replicas had when they were killed."""
    return not [line for line in await fleet.changed() if not line.startswith("stream KV_")]


async def restarted(cluster: EmbeddedCluster, count: int) -> None:
    """Replicas of the orchestrator, one after the other."""
    for replica in (await cluster.workload(Component.ORCHESTRATOR)).replicas[:count]:
        await cluster.kill(replica)
        await cluster.revive(replica)


async def test_replicas_that_are_restarted_in_turn_lose_nothing(fleet: persistent_fleet.Fleet, tmp_path: Path) -> None:
    await fleet.note()
    async with watched(fleet, tmp_path) as watch:
        await restarted(fleet.cluster, 2)
        status, document = await watch.ended()
    assert status == 0, watch.output
    assert (document.state, document.findings) == (State.FINISHED, ())
    replaced = [(row.component, row.before, row.after) for row in document.replacements]
    assert sorted(replaced) == [("orchestrator", f"orchestrator-{n}", f"orchestrator-{n}") for n in (1, 2)]
    assert {row.asked for row in document.rounds} >= {"orchestrator-1", "orchestrator-2"}
    assert document.claims.good >= 10
    assert document.command is not None and document.command.status == 0
    tasks = {row.task for row in document.rounds if row.end == "completed"}
    assert tasks == {entry.task for entry in document.ledger.entries if entry.kind == "completed"} & tasks
    assert {file.name for file in (tmp_path / "reports").iterdir()} == {"watch.json", "watch.html", "timeline.svg"}
    assert "baseline: 6 of 6 rounds healthy" in watch.output
    assert sum(row.how_many or 0 for row in document.left if row.what.startswith("messages")) >= len(tasks)
    assert await fleet.jobs_of(document.run_id) == []
    await wait_until(partial(nothing_goes_on, fleet), "the end of the watch's agents", TIMEOUTS.settle)


async def test_what_is_deleted_or_stored_twice_meanwhile_is_said(fleet: persistent_fleet.Fleet, tmp_path: Path) -> None:
    """Two answers of the watch are deleted from the stream, and agents publish theirs twice from some moment on."""
    stream, nats = fleet.cluster.profile.nats.stream, fleet.nats
    first = await nats.last_sequence(stream)
    members = {member.name: member for member in cast(Any, fleet.cluster)._fleet.members}
    workers = [name for name, member in members.items() if member.component is Component.RAY_WORKER]
    target = cast(EmbeddedTarget, SimpleNamespace(member=members.__getitem__))
    async with watched(fleet, tmp_path) as watch:
        stored = await nats.messages(stream, first)
        gone = [message.sequence for message in stored[:2]]
        for sequence in gone:
            await (await nats.jetstream()).delete_msg(stream, sequence)
        async with changed(target, workers, TWICE):
            before = await nats.last_sequence(stream)

            async def some_came_twice() -> bool:
                messages = await nats.messages(stream, before)
                data = Counter(message.data for message in messages if message.document)
                return sum(count > 1 for count in data.values()) >= 2

            await wait_until(some_came_twice, "answers of agents that publish twice", WATCH_S)
        await restarted(fleet.cluster, 1)
        status, document = await watch.ended()
    assert status == 1, watch.output
    assert document.state is State.FINISHED
    vanished = [finding for finding in document.findings if finding.word == "vanished"]
    assert [finding.sequence for finding in vanished] == gone
    doubled = [finding for finding in document.findings if finding.word == "doubled"]
    assert len(doubled) >= 2
    assert len(vanished) + len(doubled) == len(document.findings), watch.output
    assert all("2 completions are stored" in finding.text for finding in doubled)
    good = {row.task for row in document.rounds if row.word is Word.GOOD}
    assert {finding.task for finding in document.findings} <= good, "whoever asked saw nothing of it"
    assert document.reasons == (f"{len(doubled)} doubled", "2 vanished")
