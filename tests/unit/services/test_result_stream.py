"""What INF-09 and INF-10 say of answers of JetStream."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.profile.components import Nats
from fixtures.profile.model import load
from fixtures.services.jetstream import Account, Stream, SubjectTransform
from fixtures.services.nats import NotThere
from fixtures.services.result_stream import (
    MAX_ORIGINS,
    MIN_AGE,
    Origins,
    origins_of,
    room_problems,
    stream_problems,
    transformed,
)

COMPLETED, FAILED = "agent.response.completed", "agent.response.failed"
SECOND = 10**9  # nanoseconds


def a_stream(*, messages: int = 3, size: int = 4711, **config: Any) -> Stream:
    """As the reference stack makes it, but for what is given."""
    sound: dict[str, Any] = {
        "name": "AGENT_RESPONSES",
        "subjects": ["agent.response.>"],
        "storage": "file",
        "retention": "limits",
    }
    sound |= {"discard": "old", "max_age": 7 * 24 * 3600 * SECOND, "max_msgs": -1, "max_msgs_per_subject": -1}
    return Stream.of(
        {"config": {**sound, **config}, "state": {"last_seq": 3, "bytes": size, "messages": messages}, "created": ""}
    )


WANTED = load("embedded").nats


def problems(stream: Stream, *, wanted: Nats = WANTED, **origins: Stream | None) -> str:
    named: Origins = {("", name): origin for name, origin in origins.items()}
    return "; ".join(stream_problems(stream, wanted, (COMPLETED, FAILED), named))


#: What keeps a stream from being the one for results -> words of the line about it.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "other subjects": (
        {"subjects": ["agent.answer.>"]},
        r"captures \['agent.answer.>'\], not agent.response.completed",
    ),
    "one of two": ({"subjects": [COMPLETED]}, r"not agent.response.failed$"),
    "no subjects": ({"subjects": []}, r"captures \[\], not agent.response.completed and agent.response.failed"),
    "memory": ({"storage": "memory"}, "its storage is memory, not file"),
    "work queue": ({"retention": "workqueue"}, "its retention is workqueue, not limits"),
    "full by bytes": ({"discard": "new", "max_bytes": 1000}, "full: 0 of 1000 bytes are left"),
    "full by count": ({"discard": "new", "max_msgs": 3}, "full: 0 of 3 messages are left"),
    "full of many": ({"discard": "new", "max_msgs": 5000, "messages": 5000}, "^it is full: 0 of 5000 messages"),
    "sealed": ({"sealed": True}, "sealed"),
    "no acknowledgements": ({"no_ack": True}, "no_ack"),
    "one per subject": ({"max_msgs_per_subject": 1}, "keeps 1 message per subject"),
    "few messages": ({"max_msgs": 20}, r"keeps 20 messages \(max_msgs\)"),
    "few bytes": (
        {"max_bytes": 1000},
        r"keeps 1000 bytes \(max_bytes\), fewer than 1048576: older answers are dropped",
    ),
    "five seconds": ({"max_age": 5 * SECOND}, r"after 5 s \(max_age\).* 120 s"),
    "rewritten": (
        {"subject_transform": {"src": "agent.response.>", "dest": "agent.moved.>"}},
        "rewrites agent.response.completed to agent.moved.completed",
    ),
    "rewritten without source": ({"subject_transform": {"dest": "x.>"}}, "to x.agent.response.completed"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_stream_that_does_not_keep_the_answers(name: str) -> None:
    config, words = WRONG[name]
    messages = config.get("messages", 3)
    seen = problems(a_stream(messages=messages, **{key: value for key, value in config.items() if key != "messages"}))
    assert re.search(words, seen), seen


SOUND: dict[str, dict[str, Any]] = {
    "the reference's": {},
    "captures more": {"subjects": ["planning.>", "agent.>"]},
    "one subject each": {"subjects": [COMPLETED, FAILED]},
    "large limits": {"discard": "new", "max_msgs": 10**6, "max_bytes": 1 << 30, "max_msgs_per_subject": 10**5},
    "full, and drops the oldest": {"max_msgs": 5000, "messages": 5000},
    "a MiB of the newest": {"max_bytes": 1 << 20},
    "two minutes": {"max_age": int(MIN_AGE) * SECOND},
    "for ever": {"max_age": 0},
    "others are rewritten": {"subject_transform": {"src": "agent.other.*", "dest": "agent.moved.$1"}},
    "rewritten to itself": {"subject_transform": {"src": "agent.response.*", "dest": "agent.response.{{wildcard(1)}}"}},
}


@pytest.mark.parametrize("name", SOUND)
def test_a_stream_that_keeps_them(name: str) -> None:
    config = {key: value for key, value in SOUND[name].items() if key != "messages"}
    assert not problems(a_stream(messages=SOUND[name].get("messages", 3), **config))


#: What a profile wants of the stream → what the stream has, and the words where that differs from the profile.
DECLARED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "in memory": ({"storage": "memory"}, {"storage": "memory"}, "its storage is file, not memory (nats.storage)"),
    "a work queue": (
        {"retention": "workqueue"},
        {"retention": "workqueue"},
        "its retention is limits, not workqueue (nats.retention)",
    ),
    "three replicas": (
        {"stream_replicas": 3},
        {"num_replicas": 5},
        "it has 1 replica, the profile asks for 3 (nats.stream_replicas)",
    ),
}


@pytest.mark.parametrize("name", DECLARED)
def test_a_stream_is_held_against_the_profile(name: str) -> None:
    keys, config, words = DECLARED[name]
    wanted = WANTED.model_copy(update=keys)
    assert problems(a_stream(), wanted=wanted) == words
    assert not problems(a_stream(**config), wanted=wanted)


ORIGIN = a_stream(name="ORIGIN")


@pytest.mark.parametrize(
    "config",
    [
        {"mirror": {"name": "ORIGIN"}},
        {"mirror": {"name": "ORIGIN", "filter_subject": "agent.response.*"}},
        {"sources": [{"name": "ELSEWHERE"}, {"name": "ORIGIN"}]},
        {"mirror": {"name": "AGAIN"}},
        {"sources": [{"name": "ORIGIN", "subject_transforms": [{"src": "agent.>", "dest": "agent.>"}]}]},
    ],
)
def test_a_copy_of_a_stream_that_captures_them_is_as_good(config: dict[str, Any]) -> None:
    again, elsewhere = a_stream(subjects=[], mirror={"name": "ORIGIN"}), a_stream(subjects=["elsewhere.>"])
    assert not problems(a_stream(subjects=[], **config), ORIGIN=ORIGIN, AGAIN=again, ELSEWHERE=elsewhere)


@pytest.mark.parametrize(
    ("config", "origin", "words"),
    [
        (
            {"mirror": {"name": "ORIGIN"}},
            a_stream(subjects=["agent.x"]),
            "mirror of ORIGIN, which captures ['agent.x'], not",
        ),
        ({"mirror": {"name": "ORIGIN"}}, None, "is a mirror of ORIGIN, which does not exist, not"),
        ({"mirror": {"name": "ORIGIN", "filter_subject": COMPLETED}}, ORIGIN, f"ORIGIN (only {COMPLETED})"),
        ({"sources": [{"name": "ORIGIN"}]}, a_stream(subjects=[]), "has ORIGIN as a source, which captures []"),
        ({"mirror": {"name": "ORIGIN"}}, a_stream(**{"sealed": True}), "its origin ORIGIN: is sealed"),
        ({"mirror": {"name": "ORIGIN"}}, a_stream(subjects=[], mirror={"name": "ORIGIN"}), "which captures []"),
        (
            {"sources": [{"name": "ORIGIN", "subject_transforms": [{"src": "agent.response.*", "dest": "moved.$1"}]}]},
            ORIGIN,
            f"rewrites {COMPLETED} to moved.completed",
        ),
    ],
)
def test_a_copy_of_something_else(config: dict[str, Any], origin: Stream | None, words: str) -> None:
    assert words in problems(a_stream(subjects=[], **config), ORIGIN=origin)


@pytest.mark.parametrize(
    ("src", "dest", "stored"),
    [
        ("", "kept.>", "kept.a.b.c"),
        ("a.>", "z.>", "z.b.c"),
        ("*.b.*", "z.$2.$1", "z.c.a"),
        ("a.*.*", "z.{{Wildcard(2)}}", "z.c"),
        ("a.*", "z.$1", "a.b.c"),
        ("a.*.*", "z.{{partition(3,1)}}", "z.{{partition(3,1)}}"),
    ],
)
def test_a_subject_is_rewritten_as_nats_does(src: str, dest: str, stored: str) -> None:
    assert transformed("a.b.c", [SubjectTransform(src=src, dest=dest)]) == stored


class Streams:
    """Stands in for a connection to NATS that has these streams, by API and name; others raise."""

    def __init__(self, streams: dict[tuple[str, str], Stream], error: Exception) -> None:
        self.streams, self.error = streams, error

    async def stream(self, name: str, *, api: str) -> Stream:
        if (api, name) not in self.streams:
            raise self.error
        return self.streams[api, name]


async def test_the_streams_that_are_copied_are_followed() -> None:
    hub = {"name": "ORIGIN", "external": {"api": "$JS.hub.API"}}
    again = a_stream(subjects=[], sources=[hub, {"name": "GONE"}])
    nats: Any = Streams({("", "AGAIN"): again, ("$JS.hub.API", "ORIGIN"): ORIGIN}, NotThere("not found"))
    stream = a_stream(subjects=[], mirror={"name": "AGAIN"})
    origins = await origins_of(nats, stream, (COMPLETED, FAILED))
    assert origins == {("", "AGAIN"): again, ("$JS.hub.API", "ORIGIN"): ORIGIN, ("", "GONE"): None}
    assert not stream_problems(stream, WANTED, (COMPLETED, FAILED), origins)


async def test_an_origin_that_cannot_be_looked_at_leaves_it_open() -> None:
    nats: Any = Streams({}, NonConformance("no answer"))
    with pytest.raises(Inconclusive, match="AGENT_RESPONSES copies ORIGIN, which the suite cannot look at: no answer"):
        await origins_of(nats, a_stream(subjects=[COMPLETED], mirror={"name": "ORIGIN"}), (COMPLETED, FAILED))


async def test_a_stream_that_captures_the_answers_itself_may_copy_what_cannot_be_looked_at() -> None:
    nats: Any = Streams({}, NonConformance("no answer"))
    stream = a_stream(sources=[{"name": "ARCHIVE", "external": {"api": "$JS.archive.API"}}])
    origins = await origins_of(nats, stream, (COMPLETED, FAILED))
    assert not origins and not stream_problems(stream, WANTED, (COMPLETED, FAILED), origins)


@pytest.mark.parametrize("config", [{"subjects": []}, {"subject_transform": {"dest": "x.>"}}])
async def test_more_origins_than_are_followed_leave_it_open(config: dict[str, Any]) -> None:
    names = [f"ORIGIN-{number}" for number in range(MAX_ORIGINS + 1)]
    nats: Any = Streams({("", name): a_stream(name=name, subjects=[f"{name}.>"]) for name in names}, NotThere("none"))
    all_but_one = a_stream(sources=[{"name": name} for name in [*names[1:], names[1]]], **config)
    assert len(await origins_of(nats, all_but_one, (COMPLETED, FAILED))) == MAX_ORIGINS
    with pytest.raises(Inconclusive, match=f"copies more than {MAX_ORIGINS} streams: ORIGIN-0 and others"):
        await origins_of(nats, a_stream(sources=[{"name": name} for name in names], **config), (COMPLETED, FAILED))


# -- the account ------------------------------------------------------------------------------------------------

GIB = 1 << 30


def limited(storage: int, limit: int, memory: int = 0) -> dict[str, Any]:
    return {"storage": storage, "memory": 0, "limits": {"max_storage": limit, "max_memory": memory}}


@pytest.mark.parametrize(
    ("account", "replicas", "words"),
    [
        (limited(0, 0), 1, "nothing may be stored on disk"),
        (limited(60_000, 65_536), 1, "storage: 5536 of 65536 bytes are left"),
        ({**limited(0, GIB, 10), "memory": 10}, 1, "memory: 0 of 10 bytes are left"),
        ({**limited(0, 0), "tiers": {"R1": limited(GIB, GIB)}}, 1, f"tier R1: storage: 0 of {GIB} bytes are left"),
        ({**limited(0, 0), "tiers": {"R1": limited(GIB, GIB), "R3": limited(0, 0)}}, 3, "tier R3: nothing may be"),
        (
            {**limited(0, 0), "tiers": {"R3": limited(0, GIB)}},
            1,
            "no tier for R1: the account has limits for streams of R3",
        ),
    ],
)
def test_an_account_without_room(account: dict[str, Any], replicas: int, words: str) -> None:
    assert words in "; ".join(room_problems(Account.of(account), replicas))


@pytest.mark.parametrize(
    ("account", "replicas"),
    [
        ({}, 1),
        (limited(4711, -1, -1), 3),
        (limited(4711, GIB), 1),
        ({**limited(0, 0), "tiers": {"R1": limited(10, GIB), "R3": limited(GIB, GIB)}}, 1),
        ({**limited(0, 0), "tiers": {"R1": limited(GIB, GIB), "R3": limited(0, -1)}}, 3),
    ],
)
def test_an_account_with_room(account: dict[str, Any], replicas: int) -> None:
    assert not room_problems(Account.of(account), replicas)
