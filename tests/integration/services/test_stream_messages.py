"""The messages of a stretch of a real stream: those of a filter, those that are wanted, without their data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from nats.js.api import ConsumerConfig, StreamConfig

from fixtures.clusters.base import Unsupported
from fixtures.core.errors import Inconclusive
from fixtures.harness.client_fixtures import readable
from fixtures.profile.model import load
from fixtures.services import stream_messages
from fixtures.services.nats import Nats
from fixtures.services.stream_messages import mentions
from tests.support.tls_services import secured_nats

STREAM, DONE, FAILED, OTHER = "ANSWERS", "answers.done", "answers.failed", "answers.other"


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Nats]:
    """A stream with 1: done, 2: failed, 3 and 4: other subjects, 5: done, 6: another one."""
    with secured_nats(tmp_path, "") as address:
        client = Nats(f"nats://{address}", "test")
        js = await client.jetstream()
        await js.add_stream(StreamConfig(name=STREAM, subjects=["answers.>"]))
        for number, subject in enumerate((DONE, FAILED, OTHER, OTHER, DONE, OTHER), 1):
            await client.publish(subject, {"task_id": f"task/{number}-é", "x": "y" * 1000})
        yield client
        await client.close()


async def test_all_of_them(nats: Nats) -> None:
    messages = await nats.messages(STREAM, 0)
    assert [message.sequence for message in messages] == [1, 2, 3, 4, 5, 6]
    assert [message.sequence for message in await nats.messages(STREAM, 4)] == [5, 6]
    assert await nats.messages(STREAM, 6) == []


async def test_those_of_a_filter_end_before_the_stream_does(nats: Nats) -> None:
    assert [m.sequence for m in await nats.messages(STREAM, 0, subjects=[DONE])] == [1, 5]
    assert [m.sequence for m in await nats.messages(STREAM, 1, subjects=[DONE, FAILED])] == [2, 5]
    assert await nats.messages(STREAM, 5, subjects=[DONE, FAILED]) == []
    assert await nats.messages(STREAM, 0, subjects=["answers.nobody"]) == []


async def test_a_stream_that_was_emptied_holds_nothing(nats: Nats) -> None:
    js = await nats.jetstream()
    await js.delete_msg(STREAM, 6)
    assert [m.sequence for m in await nats.messages(STREAM, 3)] == [4, 5]
    assert await nats.messages(STREAM, 5) == []
    await js.purge_stream(STREAM)
    assert await nats.messages(STREAM, 0) == []
    await nats.publish(DONE, {})
    assert [m.sequence for m in await nats.messages(STREAM, 0)] == [7]


async def test_a_message_larger_than_the_suite_reads_decides_nothing(tmp_path: Path) -> None:
    with secured_nats(tmp_path, "max_payload: 16MB") as address:
        client = Nats(f"nats://{address}", "test")
        js = await client.jetstream()
        await js.add_stream(StreamConfig(name=STREAM, subjects=["answers.>"]))
        await client.publish(DONE, {})
        await client.publish(OTHER, b"x" * (9 << 20))
        with pytest.raises(Inconclusive, match="NATS sends a message of 9437184 bytes, more than the 8 MiB"):
            await client.messages(STREAM, 0)
        assert [m.sequence for m in await client.messages(STREAM, 0, bodies=False)] == [1, 2]
        await client.close()


async def test_without_their_data(nats: Nats) -> None:
    messages = await nats.messages(STREAM, 0, subjects=["answers.>"], bodies=False)
    assert [message.sequence for message in messages] == [1, 2, 3, 4, 5, 6]
    assert not any(message.data for message in messages)
    assert [message.subject for message in messages][:3] == [DONE, FAILED, OTHER]


async def test_others_take_no_room(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_messages, "STRETCH", 12_000)
    (message,) = await nats.messages(STREAM, 0, ours=mentions("task/5-é"))
    assert (message.sequence, (message.document or {}).get("task_id")) == (5, "task/5-é")
    with pytest.raises(Inconclusive, match="holds more after sequence 0 than the suite reads"):
        await nats.messages(STREAM, 0)
    monkeypatch.setattr(stream_messages, "READ", 4000)
    with pytest.raises(Inconclusive, match="let it run while less is published"):
        await nats.messages(STREAM, 0, ours=mentions("task/5-é"))


async def test_what_cannot_be_read_is_not_asked_for(nats: Nats) -> None:
    """Of a stream that drops what was collected nothing that is missing says anything."""
    client = Nats(nats.url, "test", before_reading=partial(readable, load("embedded").nats))
    assert await client.messages(STREAM, 0)
    wanted = load("embedded").nats.model_copy(update={"stream": STREAM, "retention": "interest"})
    dropping = Nats(nats.url, "test", before_reading=partial(readable, wanted))
    with pytest.raises(Unsupported, match=r"stream ANSWERS drops what was collected \(nats.retention is interest\)"):
        await dropping.messages(STREAM, 0)
    await client.close()


async def test_no_reader_is_left(nats: Nats) -> None:
    for subjects in ([], [DONE], ["answers.nobody"]):
        await nats.messages(STREAM, 0, subjects=subjects)
    assert await (await nats.jetstream()).consumers_info(STREAM) == []


async def test_consumers_and_streams_are_listed(nats: Nats) -> None:
    js = await nats.jetstream()
    for number in range(300):  # more than NATS puts on a page
        await js.add_consumer(STREAM, ConsumerConfig(durable_name=f"reader-{number}", filter_subject=DONE))
    listed = await nats.consumers(STREAM)
    assert {consumer.config.durable_name for consumer in listed} == {f"reader-{number}" for number in range(300)}
    assert all(consumer.config.reads(DONE) and not consumer.config.reads(OTHER) for consumer in listed)
    assert await nats.streams_of("$KV.>") == []
    for bucket in ("results", "councils"):
        await (await js.create_key_value(bucket=bucket)).put("task-1", b"{}")
    assert sorted(await nats.streams_of("$KV.>")) == ["KV_councils", "KV_results"]
    state = (await nats.stream("KV_results", subjects="$KV.results.>")).state
    assert (state.messages, state.subjects) == (1, {"$KV.results.task-1": 1})
