"""LOAD-02 and LOAD-03 on a stream that kept all messages of a load, and on one whose limits dropped some."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fixtures.checks.contract import AgentMessage
from fixtures.core.errors import Inconclusive
from fixtures.core.timeouts import Timeouts
from fixtures.exercises import acknowledgement
from fixtures.exercises.load.jobs import Load, LoadedJob
from fixtures.profile import model as profiles
from fixtures.services.jetstream import Consumer, Stream
from tests.e2e.test_load import test_collector_takes_in_all as takes_in_all
from tests.e2e.test_load import test_nothing_lost_or_doubled as nothing_lost_or_doubled
from tests.support.agent_messages import agent_message

PROFILE = profiles.load("embedded")
START = 100  # the stream's last sequence before the load
DROPPED = "its limits dropped 20 messages"


def collector(delivered: int, pending: int = 0) -> Consumer:
    place = {"stream_seq": delivered, "consumer_seq": delivered}
    return Consumer.of({"config": {}, "delivered": place, "ack_floor": place, "num_ack_pending": pending})


def result(sequence: int) -> AgentMessage:
    return agent_message(PROFILE.contract.messages, "completed", {"task_id": f"load-{sequence}"}, sequence)


def job(*published: int) -> LoadedJob:
    return LoadedJob(task_id="load-1", started=1.0, ended=2.0, completed=tuple(map(result, published)))


def a_load(*jobs: LoadedJob, dropped: str = "") -> Load:
    return Load(
        asked=len(jobs),
        concurrency=4,
        minutes=0.0,
        limit=60.0,
        began=1.0,
        seconds=1.0,
        job_id="05000000",
        jobs=jobs,
        workers=(),
        strangers={},
        collector=collector(START),
        sequence=START,
        dropped=dropped,
    )


class Nats:
    """A stream that holds results from `first` to `last`, and its consumer, which was delivered `delivered`."""

    def __init__(self, first: int, last: int, delivered: int, pending: int = 0) -> None:
        self.first, self.last, self.state = first, last, collector(delivered, pending)

    async def stream(self, name: str) -> Stream:
        return Stream.of({"config": {"name": name}, "state": {"first_seq": self.first, "last_seq": self.last}})

    async def consumer(self, _stream: str, _name: str) -> Consumer:
        return self.state

    async def messages(self, _stream: str, after: int, **_: Any) -> list[AgentMessage]:
        return [result(sequence) for sequence in range(max(self.first, after + 1), self.last + 1)]


async def test_what_the_stream_kept_is_judged() -> None:
    await nothing_lost_or_doubled(a_load(job(101), job(102)))
    with pytest.raises(AssertionError, match="lost: load-1 published no result"):
        await nothing_lost_or_doubled(a_load(job(101), job()))


async def test_what_the_stream_dropped_is_not_called_lost() -> None:
    with pytest.raises(Inconclusive, match=DROPPED):
        await nothing_lost_or_doubled(a_load(job(101), job(), dropped=DROPPED))
    with pytest.raises(Inconclusive, match=DROPPED):
        await nothing_lost_or_doubled(a_load(job(101), dropped=DROPPED))
    with pytest.raises(AssertionError, match="published more than once"):
        await nothing_lost_or_doubled(a_load(job(101, 102), dropped=DROPPED))


async def test_the_collector_took_in_all_of_what_the_stream_kept() -> None:
    nats: Any = Nats(1, 102, 102)
    await takes_in_all(a_load(job(101), job(102)), nats, PROFILE)
    again = replace(a_load(job(101), job(102)), collector=collector(START - 1))
    nats = Nats(1, 102, 103)
    with pytest.raises(Inconclusive, match="1 of them are not of the load"):
        await takes_in_all(again, nats, PROFILE)


async def test_the_collector_of_a_stream_that_dropped_messages_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledgement, "TIMEOUTS", Timeouts(settle=0.01))
    for load in (a_load(job(121), job(122)), a_load(job(), job())):
        nats: Any = Nats(121, 122, 110, pending=2)
        with pytest.raises(Inconclusive, match=DROPPED):
            await takes_in_all(load, nats, PROFILE)
