"""JetStream's answers, addresses of NATS, and what orchestrators run from."""

from __future__ import annotations

import asyncio
from typing import Any

from fixtures.core.errors import NonConformance
from fixtures.core.versions import is_other_release, names_another_release
from fixtures.probes.packaging import hosts
from fixtures.probes.payload.basics import server_urls
from fixtures.probes.payload.nats_wire import nats
from fixtures.profile.model import load
from fixtures.services.jetstream import Account, ServerInfo, Stream, covers
from fixtures.services.result_stream import origins_of, room_problems, stream_problems
from tests.e2e.test_configuration import other_nats
from tests.support.nats_over_websocket import nats_over_websocket
from tests.variants.model import Document

ANSWERS = ("agent.response.completed", "agent.response.failed")
WANTED = load("embedded").nats


def a_stream(**config: object) -> Stream:
    kept = {"name": "AGENT_RESPONSES", "storage": "file", "retention": "limits", "discard": "old", **config}
    return Stream.of({"config": kept, "state": {"last_seq": 3, "messages": 3, "bytes": 4711}})


def subjects_are_patterns() -> None:
    for pattern in ("agent.response.>", "agent.>", ">", "agent.response.*", "*.response.*"):
        assert all(covers(pattern, subject) for subject in ANSWERS), pattern
    assert covers("agent.>", "agent.response.>") and covers("agent.*.*", "agent.response.*")
    for pattern in ("agent.response", "agent.response.*.*", "agent.response.completed.>", "agents.>", "agent.*"):
        assert not covers(pattern, "agent.response.completed"), pattern
    assert not covers("agent.response.*", "agent.response.>"), "which has subjects of four words, too"
    assert not covers("agent.response.completed", "agent.response.*")


def answers_reach_the_stream_by_a_mirror() -> None:
    origin, mirror = a_stream(name="ORIGIN", subjects=["agent.response.>"]), a_stream(mirror={"name": "ORIGIN"})
    assert not stream_problems(mirror, WANTED, ANSWERS, {("", "ORIGIN"): origin})
    source = {"name": "ORIGIN", "external": {"api": "$JS.hub.API"}, "filter_subject": "agent.response.*"}
    hub = {("$JS.hub.API", "ORIGIN"): origin}
    assert not stream_problems(a_stream(subjects=["agent.notes"], sources=[source]), WANTED, ANSWERS, hub)


class NoOtherStreams:
    """Stands in for a connection to NATS that may not look at any other stream."""

    async def stream(self, name: str, *, api: str) -> Stream:
        raise NonConformance(f"permissions violation: {api}.STREAM.INFO.{name}")


def stream_copies_an_archive_too() -> None:
    nats: Any = NoOtherStreams()
    archive = {"name": "ARCHIVE", "external": {"api": "$JS.archive.API"}}
    stream = a_stream(subjects=["agent.response.>"], sources=[archive])
    assert not stream_problems(stream, WANTED, ANSWERS, asyncio.run(origins_of(nats, stream, ANSWERS)))


def limits_come_in_tiers() -> None:
    none, room = {"max_storage": 0, "max_memory": 0}, {"max_storage": 2684354560, "max_memory": 0}
    full = {"storage": 2684354560, "memory": 0, "limits": room}
    tiers = {"R1": {"storage": 10, "memory": 0, "limits": room}, "R3": full}
    account = Account.of({"storage": 0, "memory": 0, "limits": none, "tiers": tiers})
    assert not room_problems(account, 1)
    assert not room_problems(Account.of({"limits": none, "tiers": {"R1": full, "R3": tiers["R1"]}}), 3)


def nats_url_is_a_list() -> None:
    url = "nats://user:s3cret@nats-0.nats:4222, nats://user:s3cret@nats-1.nats:4222,tls://nats-2.nats"
    assert [address.rpartition("@")[2] for address in server_urls(url)] == [
        "nats-0.nats:4222",
        "nats-1.nats:4222",
        "tls://nats-2.nats",
    ]
    assert hosts(url) == ["nats-0.nats", "nats-1.nats", "nats-2.nats"]
    assert hosts("nats-0.nats:4222,nats-1.nats:4222") == ["nats-0.nats", "nats-1.nats"]
    assert server_urls("nats://user:one,two@nats:4222") == ["nats://user:one,two@nats:4222"]


def nats_is_reached_over_websocket() -> None:
    async def conversation(url: str) -> dict[str, Any]:
        account, stream = {"storage": 0}, {"config": {}, "created": "2026-01-01T00:00:00Z"}
        async with nats_over_websocket({"server_id": "N1", "version": "2.12.8"}, account, stream) as (address, _):
            return await asyncio.to_thread(nats, url.format(address), 5.0, {"stream": "AGENT_RESPONSES"})

    stream = Stream.of({"config": {}, "state": {"last_seq": 0}, "created": "2026-01-01T00:00:00Z"})
    for url in ("ws://{}", "ws://user:s3cret@{}/team/nats", "ws://{},ws://127.0.0.1:1"):
        answer = asyncio.run(conversation(url))
        assert answer["ok"] and not other_nats(answer, ServerInfo(server_id="N1"), stream), answer
    assert hosts("wss://nats.example/team") == ["nats.example"]


def nats_is_reached_through_a_leaf_node() -> None:
    stream = Stream.of({"config": {}, "state": {"last_seq": 0}, "created": "2026-01-01T00:00:00.12345678Z"})
    leaf = {"server_id": "LEAF", "cluster": "edge", "stream_created": "2026-01-01T00:00:00.123456780Z"}
    assert not other_nats(leaf, ServerInfo(server_id="HUB", cluster="hub"), stream)


def image_tags_name_no_version() -> None:
    for image in ("registry:5000/orchestrator@sha256:1a2b", "orchestrator:git-1a2b3c", "orchestrator:2026.11.05"):
        assert not is_other_release(image, "0.8.1"), image
    assert not is_other_release("mirror/0.7.3/orchestrator:v0.8.1-slim@sha256:1a2b", "0.8.1")


def version_is_in_the_answers_only() -> None:
    for answer in ("0.8.1", "v0.8.1", "0.8.1+7", "0.8.1-slim", "git-1a2b3c", "main", "2026.11.05", ""):
        assert not names_another_release(answer, "0.8.1"), answer
    for answer in ("0.8.2", "v0.8.10", "0.7.1+0.8.1", "1.8.1"):
        assert names_another_release(answer, "0.8.1"), answer


DOCUMENTS = (
    Document(
        name="subjects-are-patterns",
        description="streams capture, and consumers filter, by wildcards that have the agents' subjects among others",
        holds=subjects_are_patterns,
        stretches=("INF-10", "INF-12"),
    ),
    Document(
        name="a-mirror-of-a-hub-has-the-answers",
        description="the profile's stream copies the one that captures the answers, of a hub, too",
        holds=answers_reach_the_stream_by_a_mirror,
        stretches=("INF-10",),
    ),
    Document(
        name="stream-copies-an-archive-too",
        description="the stream captures the answers, and copies one of another account that the suite may not see",
        holds=stream_copies_an_archive_too,
        stretches=("INF-10",),
    ),
    Document(
        name="limits-are-told-by-tier",
        description="an account in operator mode has limits for streams of one replica and of three, and no flat ones",
        holds=limits_come_in_tiers,
        stretches=("INF-09",),
    ),
    Document(
        name="servers-are-separated-by-commas",
        description="clients of a cluster are configured with its servers, separated by commas",
        holds=nats_url_is_a_list,
        stretches=("NET-05", "NET-07", "CFG-05"),
    ),
    Document(
        name="replicas-reach-nats-over-websocket",
        description="orchestrators have a ws:// URL of NATS, as where a gateway lets HTTP alone through",
        holds=nats_is_reached_over_websocket,
        stretches=("NET-05", "NET-07", "CFG-05"),
    ),
    Document(
        name="nats-is-reached-through-a-leaf-node",
        description="replicas connect to a server of another id and cluster that leads to the same account",
        holds=nats_is_reached_through_a_leaf_node,
        stretches=("CFG-05",),
    ),
    Document(
        name="image-tags-name-no-version",
        description="orchestrators run from a digest, or under a tag that is a commit or a date",
        holds=image_tags_name_no_version,
        stretches=("INF-11",),
    ),
    Document(
        name="version-is-in-the-answers-only",
        description="orchestrators report their version with a build's number, or a commit in place of one",
        holds=version_is_in_the_answers_only,
        stretches=("ORC-03",),
    ),
)
