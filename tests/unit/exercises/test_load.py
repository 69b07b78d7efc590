"""What a load's job tells, joined with the stream and Ray's tables; Ray and NATS are stand-ins here."""

from __future__ import annotations

import ast
import base64
import json
import time
import zlib
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Endpoints
from fixtures.core.errors import Inconclusive
from fixtures.exercises.agent_jobs import AgentJobs
from fixtures.exercises.load import jobs as loads
from fixtures.probes.packaging import BEGIN, END
from fixtures.profile.model import load as profile_named
from fixtures.services.jetstream import Consumer, Stream
from fixtures.services.nats import NotThere
from fixtures.services.ray import Actor, Job, Node
from fixtures.services.stream_messages import Message
from tests.e2e.test_load import test_every_job_returns as every_job_returns
from tests.e2e.test_load import test_spread as spread

PROFILE = profile_named("embedded")
LOAD = "fc-1-load"


class StandInRay:
    """Two workers of four CPUs and a head; whatever job is submitted ends with `document`."""

    gone: frozenset[str] = frozenset()  # after the load

    def __init__(self, document: dict[str, Any]) -> None:
        self.output = f"fleet-load 3\n{BEGIN}{json.dumps(document)}{END}\n"
        self.forgotten: list[str] = []

    async def nodes(self) -> list[Node]:
        gone = self.gone if self.forgotten else ()
        states = {name: "DEAD" if name in gone else "ALIVE" for name in ("w1", "w2")}
        workers = [Node(id=name, state=state, resources={"CPU": 4.0}) for name, state in states.items()]
        return [Node(id="h", head=True, state="ALIVE", resources={"CPU": 8.0}), *workers]

    async def actors(self, *, job_id: str) -> list[Actor]:
        assert job_id == "05000000"
        names = [(f"{LOAD}-0001", "w1"), (f"{LOAD}-0002", "w2")]
        return [Actor(id=n, name=n, state="DEAD", node_id=node, pid=7) for n, node in names]

    async def submit(self, entrypoint: str, *_: Any) -> None:
        self.entrypoint = entrypoint

    async def job_ended(self, submission: str, _timeout: float) -> Job:
        return Job(submission_id=submission, status="SUCCEEDED")

    async def job_logs(self, _submission: str) -> str:
        return self.output

    async def forget(self, submission: str) -> None:
        self.forgotten.append(submission)


class StandInNats:
    """A stream with these messages, and a collector or none."""

    def __init__(self, *messages: tuple[str, str, str], collector: bool = True) -> None:
        self.found = [
            Message(n, subject, b"", {"task_id": task, "agent_id": agent}, datetime.now(UTC))
            for n, (subject, task, agent) in enumerate(messages, 1)
        ]
        self.collector, self.first = collector, 1

    async def stream(self, name: str) -> Stream:
        return Stream.of({"config": {"name": name}, "state": {"first_seq": self.first, "last_seq": len(self.found)}})

    async def last_sequence(self, _stream: str) -> int:
        return 0

    async def messages(self, _stream: str, _after: int, **_: Any) -> list[Message]:
        return self.found

    async def consumer(self, _stream: str, name: str) -> Consumer:
        if not self.collector:
            raise NotThere(f"NATS has no consumer {name}")
        return Consumer.model_validate({"config": {}})


def row(number: int, error: str = "") -> dict[str, Any]:
    return {"task": f"{LOAD}-{number:04}", "started": 1.0, "ended": 3.0, "error": error}


async def run_load(
    nats: StandInNats,
    *rows: dict[str, Any],
    count: int = 3,
    minutes: float = 0.0,
    seconds: float = 4.0,
    gone: Collection[str] = (),
    pinned: list[Node] | None = None,
) -> tuple[loads.Load, StandInRay]:
    ray = StandInRay({"job_id": "05000000", "jobs": list(rows), "seconds": seconds})
    ray.gone = frozenset(gone)

    async def nodes() -> list[Node] | None:
        return pinned

    jobs: Any = AgentJobs(ray, nats, PROFILE, Endpoints("", "", "", ""), "fc-1", pinned_nodes=nodes)  # type: ignore[arg-type]
    return await loads.run_load(jobs, count, 0, lambda _: None, minutes), ray


def given(ray: StandInRay) -> dict[str, Any]:
    """What the Ray job was given as LOAD."""
    packed = ray.entrypoint.split("b64decode('")[1].split("'")[0]
    source = zlib.decompress(base64.b64decode(packed)).decode()
    (line,) = (line for line in source.splitlines() if line.startswith("LOAD = "))
    return dict(json.loads(ast.literal_eval(line.removeprefix("LOAD = _json.loads(").removesuffix(")"))))


async def test_each_job_has_its_own_messages_and_place() -> None:
    completed, task = PROFILE.contract.messages.completed.subject, f"{LOAD}-0001"
    nats = StandInNats((completed, task, f"{task}-agent"), (completed, "fc-0-load-0001", "fc-0-load-0001-agent"))
    found, ray = await run_load(nats, row(1), row(2, "RuntimeError: no"))
    one, two = found.jobs
    assert (one.node, len(one.completed), one.failed, one.seconds) == ("w1", 1, 0, 2.0)
    assert (two.node, len(two.completed), two.error) == ("w2", 0, "RuntimeError: no")
    assert found.good == (one,)
    assert found.per_second == 1 / 4
    assert not found.strangers
    assert ray.forgotten == [LOAD]


async def test_messages_that_the_stream_dropped_meanwhile_are_told() -> None:
    nats = StandInNats()
    kept, _ = await run_load(nats, row(1))
    assert (kept.sequence, kept.dropped) == (0, "")
    nats.first = 21
    cut, _ = await run_load(nats, row(1))
    assert "holds messages from sequence 21 on, and the load began at 1: its limits dropped 20 messages" in cut.dropped


async def test_as_many_at_once_as_the_workers_have_cpus_and_time_for_each() -> None:
    found, ray = await run_load(StandInNats(), row(1), count=17)
    assert found.concurrency == 8
    assert found.limit == 60 + 3 * PROFILE.round_trip_s
    assert (given(ray)["jobs"], given(ray)["begin_for"]) == (17, found.limit)
    assert found.asked == 17
    assert not found.cut_short


async def test_a_soak_begins_jobs_for_its_minutes_and_asks_for_those_that_it_began() -> None:
    found, ray = await run_load(StandInNats(), row(1), row(2), count=5000, minutes=2, seconds=121.0)
    assert (given(ray)["jobs"], given(ray)["begin_for"]) == (5000, 120.0)
    assert found.limit == given(ray)["seconds"] == 60 + 120 + PROFILE.round_trip_s
    assert (found.asked, found.began, found.cut_short) == (2, 1.0, "")


async def test_a_soak_that_may_begin_no_more_says_that_it_was_cut_short() -> None:
    found, _ = await run_load(StandInNats(), row(1), row(2), count=2, minutes=2, seconds=90.0)
    assert found.cut_short.startswith("the soak ended after 1.5 of 2 min, with 2 agent jobs: no more were allowed")


async def test_a_soak_that_began_nothing_tells_nothing() -> None:
    with pytest.raises(Inconclusive, match="began no agent job within 2 min"):
        await run_load(StandInNats(), minutes=2)


@pytest.mark.parametrize(
    ("task", "agent"),
    [(f"{LOAD}-0001", f"{LOAD}-0002-agent"), (f"{LOAD}-0099", f"{LOAD}-0099-agent"), ("else", f"{LOAD}-0001-agent")],
)
async def test_a_message_of_no_job_is_a_stranger(task: str, agent: str) -> None:
    found, _ = await run_load(StandInNats((PROFILE.contract.messages.completed.subject, task, agent)), row(1))
    assert list(found.strangers.values()) == [1]
    assert agent in next(iter(found.strangers))


async def test_without_the_collector_only_what_asks_for_it_is_lost() -> None:
    found, _ = await run_load(StandInNats(collector=False), row(1))
    assert isinstance(found.collector, NotThere)
    assert found.jobs


async def test_progress_is_told_until_the_job_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Enough(Exception): ...

    def on_progress(text: str) -> None:
        said.append(text)
        raise Enough

    monkeypatch.setattr(loads, "TELL_EVERY", 0.0)
    jobs = SimpleNamespace(ray=StandInRay({}))
    with pytest.raises(Enough):
        await loads._report_progress(jobs, LOAD, partial(loads.load_progress, 9), on_progress)  # type: ignore[arg-type]
    assert said == ["    3 of 9 agent jobs have ended"]


def test_a_soak_tells_its_rate_and_what_is_left_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = loads.SoakProgress(125.0)
    lines = []
    for passed, ended in ((5.0, 0), (5.0, 12), (122.0, 256)):
        now[0] += passed
        lines.append(progress(ended))
    assert lines == [
        "0 agent jobs have ended, 0.0 per second; 2 min 05 s left",
        "12 agent jobs have ended, 2.4 per second; 2 min 00 s left",
        "256 agent jobs have ended, 2.0 per second; no more are begun",
    ]


@pytest.mark.parametrize("number", [-1.0, 1e300])
async def test_times_that_are_none_are_damage(number: float) -> None:
    with pytest.raises(Inconclusive, match="damaged"):
        await run_load(StandInNats(), {**row(1), "ended": number})


# -- workers that leave, and workers for other work --------------------------------------------------------------------

FACTS: Any = SimpleNamespace(measurements={})
EVIDENCE: Any = SimpleNamespace(attach=lambda *_: None)


async def judged(*rows: dict[str, Any], gone: Collection[str] = ("w2",), **given: Any) -> None:
    found, _ = await run_load(StandInNats(), *rows, count=len(rows), gone=gone, **given)
    await every_job_returns(found, FACTS, EVIDENCE)


async def test_jobs_of_a_worker_that_left_decide_nothing() -> None:
    died = "ActorDiedError: its node has died"
    with pytest.raises(
        Inconclusive, match=r"^1 of 2 agent jobs .* of workers that left Ray's cluster meanwhile: ActorD"
    ):
        await judged(row(1), row(2, died))
    with pytest.raises(Inconclusive, match="left Ray's cluster"):
        await judged(row(1), row(3, "ActorDiedError: it began again; Node Id: w2"))
    with pytest.raises(Inconclusive, match="left Ray's cluster"):
        await judged(row(1), {**row(3, "ActorUnschedulableError"), "node": "w2"})
    await judged(row(1), row(2))
    with pytest.raises(AssertionError, match=r"returned no result: RuntimeError: no \(×1\)"):
        await judged(row(1, "RuntimeError: no"), row(2, died))
    with pytest.raises(AssertionError, match="its node has died"):
        await judged(row(1), row(2, died), gone=())


async def test_where_workers_are_for_other_work_each_job_is_put_on_one_of_the_others() -> None:
    free, ray = await run_load(StandInNats(), row(1))
    assert (free.pinned, given(ray)["nodes"]) == (False, [])
    nodes = [Node(id="w1", name="w1", state="ALIVE", resources={"CPU": 4.0})]
    pinned, ray = await run_load(StandInNats(), row(1), pinned=nodes)
    assert (pinned.pinned, given(ray)["nodes"]) == (True, [["w1", 4.0]])
    with pytest.raises(pytest.skip.Exception, match="the suite puts each job of the load on one that runs agents"):
        await spread(pinned)
