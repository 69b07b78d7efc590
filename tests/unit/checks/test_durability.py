"""INF-13, INF-15, INF-18: what of JetStream's own words says that answers may be lost, or counted twice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.timeouts import Timeouts, applied
from fixtures.profile.model import load
from fixtures.report.model import Facts
from fixtures.services.jetstream import Consumer, ConsumerSettings, Stream
from fixtures.services.nats import NotThere
from tests.e2e.test_infrastructure_durability import losing
from tests.e2e.test_infrastructure_durability import test_consumers_lose_nothing as consumers_lose_nothing
from tests.e2e.test_infrastructure_durability import test_repetitions_are_recognised as repetitions_are_recognised
from tests.e2e.test_infrastructure_durability import test_results_have_copies as results_have_copies

PROFILE = load("embedded")
STREAM, BUCKET = PROFILE.nats.stream, f"KV_{PROFILE.nats.results_bucket}"
ALONE: dict[str, Any] = {"cluster": None}


def group(*peers: dict[str, Any], leader: str = "n1") -> dict[str, Any]:
    return {"cluster": {"name": "fleet", "leader": leader, "replicas": list(peers)}}


WHOLE = group({"name": "n2", "current": True}, {"name": "n3", "current": True})


class Nats:
    """Streams and consumers of `copies`, all with the same replication; `servers` are those that say they are there."""

    def __init__(
        self,
        replication: dict[str, Any],
        copies: int = 3,
        servers: int = 3,
        changed: Mapping[str, dict[str, Any]] = MappingProxyType({}),
    ) -> None:
        self.replication, self.copies, self.servers, self.changed = replication, copies, servers, changed
        self.asked_servers = False

    async def stream(self, name: str) -> Stream:
        config = {"num_replicas": self.copies, "storage": "file", **self.changed.get(name, {})}
        if config.get("missing"):
            raise NotThere(f"NATS has no stream {name}")
        return Stream.of({"config": config, "state": {"last_seq": 7}, **self.replication})

    async def consumer(self, _stream: str, name: str) -> Consumer:
        config = {"durable_name": name, "ack_wait": 30_000_000_000, **self.changed.get("consumers", {})}
        return Consumer.of({"config": config, **self.replication})

    async def servers_with_jetstream(self, cluster: str) -> list[str]:
        assert cluster == "fleet"
        self.asked_servers = True
        return [f"S{number}" for number in range(self.servers)]


async def copied(nats: Any, profile: Any = PROFILE) -> list[str]:
    """INF-13: its findings, or its notes where it passes."""
    notes: list[str] = []
    try:
        with applied(Timeouts(settle=0.01)):
            await results_have_copies(nats, profile, notes.append)
    except NonConformance as failure:
        return list(failure.findings) or [str(failure)]
    return notes


@pytest.mark.parametrize("alone", [ALONE, {"cluster": {"leader": "NDNL33GG"}}])
async def test_a_single_server_has_one_copy_which_is_noted(alone: dict[str, Any]) -> None:
    nats = Nats(alone, copies=1)
    assert await copied(nats) == ["NATS is a single server: there is one copy of all"]
    assert not nats.asked_servers, "which not every account may"


async def test_three_copies_of_which_all_are_current_are_enough() -> None:
    nats = Nats(WHOLE)
    assert await copied(nats) == []
    assert not nats.asked_servers, "whoever has three copies need not be asked for the servers"


async def test_one_copy_of_three_servers_is_too_few_wherever_it_is() -> None:
    names = [f"stream {STREAM}", *(f"consumer {name}" for name in PROFILE.nats.consumers.names)]
    few = [f"{name} has 1 copy on 3 servers" for name in (*names, f"bucket {PROFILE.nats.results_bucket}")]
    assert await copied(Nats(group(), copies=1)) == few


async def test_a_consumers_state_may_have_fewer_copies_than_its_stream() -> None:
    seen = await copied(Nats(WHOLE, changed={"consumers": {"num_replicas": 1}}))
    assert seen == [f"consumer {name} has 1 copy on 3 servers" for name in PROFILE.nats.consumers.names]


async def test_a_profile_may_be_content_with_two_copies() -> None:
    assert await copied(Nats(WHOLE, copies=2), PROFILE.replaced("nats", stream_replicas=2)) == []


async def test_two_servers_are_no_majority_of_each_other() -> None:
    (seen,) = await copied(Nats(group(), copies=1, servers=2))
    assert seen.startswith("NATS has two servers with JetStream")


async def test_where_no_server_says_that_it_is_there_nothing_is_decided() -> None:
    with pytest.raises(Inconclusive, match="how many servers NATS has cannot be told"):
        await copied(Nats(group(), copies=1, servers=0))


@pytest.mark.parametrize(
    ("replication", "seen"),
    [
        (group({"name": "n2", "current": False, "lag": 12}), "peer n2 is not current, 12 behind"),
        (group({"name": "n2", "current": False, "offline": True}), "peer n2 is offline"),
        (group(leader=""), "has no leader"),
    ],
)
async def test_peers_that_are_not_with_their_leader(replication: dict[str, Any], seen: str) -> None:
    findings = await copied(Nats(replication))
    assert len(findings) == 4 and all(seen in finding for finding in findings), findings


async def test_what_is_in_memory_is_lost_unless_the_profile_has_it_so() -> None:
    in_memory: dict[str, dict[str, Any]] = {BUCKET: {"storage": "memory"}, "consumers": {"mem_storage": True}}
    names = [*(f"consumer {name}" for name in PROFILE.nats.consumers.names), f"bucket {PROFILE.nats.results_bucket}"]
    assert await copied(Nats(WHOLE, changed=in_memory)) == [f"{name} is in memory" for name in names]
    assert await copied(Nats(WHOLE, changed=in_memory), PROFILE.replaced("nats", storage="memory")) == []


async def test_a_bucket_that_is_not_there_is_for_another_check() -> None:
    assert await copied(Nats(WHOLE, changed={BUCKET: {"missing": True}})) == []


SOUND = {"ack_wait": 30_000_000_000, "max_deliver": -1, "max_ack_pending": 1000, "deliver_policy": "all"}


@pytest.mark.parametrize(
    ("changed", "seen"),
    [
        ({}, ""),
        ({"max_deliver": 3, "max_ack_pending": 3}, ""),
        ({"max_deliver": 0, "max_ack_pending": 0}, ""),
        ({"max_ack_pending": -1}, ""),
        ({"ack_wait": 1_000_000_000, "backoff": [5_000_000_000, 60_000_000_000]}, ""),
        ({"max_deliver": 1}, "c delivers a message once (max_deliver)"),
        ({"max_deliver": 2}, "c delivers a message 2 times (max_deliver)"),
        ({"max_ack_pending": 2}, "c has 2 in hand at most (max_ack_pending), of 3 agents"),
        ({"ack_wait": 1_000_000_000}, "c delivers again after 1 s (ack_wait, backoff), less than 2 s"),
        ({"backoff": [500_000_000, 60_000_000_000]}, "c delivers again after 0.5 s"),
        ({"deliver_policy": "new"}, "c begins with new messages (deliver policy)"),
        ({"inactive_threshold": 300_000_000_000}, "c is deleted after 300 s without a reader"),
    ],
)
def test_settings_that_lose_answers(changed: dict[str, Any], seen: str) -> None:
    lines = losing("c", ConsumerSettings.of({**SOUND, **changed}), agents=3, collection=0.2)
    assert [line[: len(seen)] for line in lines] == ([seen] if seen else [])


async def test_a_collection_that_takes_long_needs_a_longer_ack_wait() -> None:
    facts, nats = Facts(measurements={"leg: collection, p95 s": 20.0}), Nats(ALONE)
    with pytest.raises(NonConformance, match=r"delivers again after 30 s .* less than 40 s"):
        await consumers_lose_nothing(nats, PROFILE, facts)  # type: ignore[arg-type]
    await consumers_lose_nothing(nats, PROFILE, Facts())  # type: ignore[arg-type]


async def recognised(*ids: str, window: float = 120.0, mirror: dict[str, Any] | None = None) -> str:
    """INF-18: what it says of messages with these ids; "" where it passes."""
    config: dict[str, Any] = {"duplicate_window": int(window * 1e9), "mirror": mirror}
    messages = [SimpleNamespace(id=id, stored=datetime.now(UTC)) for id in ids]
    runs: Any = SimpleNamespace(healthy=[SimpleNamespace(messages=messages)])
    try:
        await repetitions_are_recognised(runs, Nats(ALONE, changed={STREAM: config}), PROFILE)  # type: ignore[arg-type]
    except NonConformance as failure:
        return str(failure)
    return ""


async def test_each_message_has_an_id_of_its_own_which_is_remembered_long_enough() -> None:
    assert await recognised("a", "b") == ""
    assert await recognised("a", "", "") == "2 of 3 messages have no Nats-Msg-Id"
    assert await recognised("a", "a", "b") == "several messages have the Nats-Msg-Id a"
    assert "remembers ids for 1 s (duplicate_window), and an agent may try for 60 s" in await recognised("a", window=1)
    assert await recognised("a", window=0, mirror={"name": "ORIGIN"}) == "", "its origin recognises them"


async def test_without_a_message_it_fails_as_a_consequence_of_that() -> None:
    with pytest.raises(AssertionError, match="nothing of the agent jobs is stored"):
        await recognised()
