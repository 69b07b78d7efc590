"""NATS that is dead, frozen or without JetStream; streams and consumers that are missing, or are there and take no
answers or do not keep them; and ways to NATS that have none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from nats.js.api import AckPolicy, DeliverPolicy, DiscardPolicy, RetentionPolicy, StorageType, SubjectTransform

from tests.faults.catalogue.connectivity import WORKERS, workers_led
from tests.faults.model import Fault
from tests.targets.attachment import Urls, attached
from tests.targets.decoy_servers import another_nats, orchestrator_led
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, agent_code, frozen, killed
from tests.targets.links import closed_port
from tests.targets.nats_injectors import (
    RESULTS,
    another_account,
    bucket_in_memory,
    consumer_is,
    paused_consumer,
    sealed_stream,
    seen_anew,
    small_account,
    stream_is,
    stream_mirrors,
    without_consumer,
    without_jetstream,
    without_stream,
)
from tests.targets.nats_servers import cluster_of_three
from tests.targets.target import Change, profile_is

NO_NATS = ("INF-09", "INF-10", "INF-12", "NET-04", "ORC-01")
PUBLISHER = "swe_ai_fleet/orchestrator/ray_jobs/publisher.py"
STREAM, CONSUMER = "AGENT_RESPONSES", "deliberation-collector-completed"


def with_nats(down: Callable[[EmbeddedTarget], AbstractAsyncContextManager[None]]) -> Change:
    """What is done to NATS makes the orchestrator look at it anew in the end."""

    @asynccontextmanager
    async def injected(target: EmbeddedTarget) -> AsyncIterator[None]:
        async with seen_anew(target), down(target):
            yield

    return injected


@asynccontextmanager
async def servers_that_are_dead(target: EmbeddedTarget) -> AsyncIterator[Mapping[str, Any]]:
    """Nobody listens at either server that the profile names; Ray's workers are led to the one that lives."""
    urls = Urls.of(target)
    async with closed_port() as first, closed_port() as second:
        yield {"nats": f"nats://{first},nats://{second}", "inside": {"nats": urls.nats}}


FAULTS = (
    Fault(
        name="jetstream-is-off",
        description="NATS was started without -js",
        inject=without_jetstream,
        expected_failures=("INF-09", "INF-10", "INF-12", "NET-04"),
        tolerated_failures=("INF-11", "ORC-01"),
        expected_terms=("NATS", "without JetStream"),
    ),
    Fault(
        name="jetstream-account-is-full",
        description="the account may store 64 KiB on disk: what a handful of answers take",
        inject=lambda target: small_account(target, "64KB"),
        expected_failures=("INF-09",),
        expected_terms=("JetStream", "storage", "65536"),
    ),
    Fault(
        name="nats-is-killed",
        description="the process of NATS is gone",
        inject=with_nats(lambda target: killed(target, "nats-1")),
        expected_failures=NO_NATS,
        expected_terms=("NATS", "does not answer"),
    ),
    Fault(
        name="nats-is-frozen",
        description="NATS takes connections and does nothing (SIGSTOP)",
        inject=with_nats(lambda target: frozen(target, "nats-1")),
        expected_failures=NO_NATS,
        tolerated_failures=("INF-11",),
        expected_terms=("NATS", "does not greet"),
    ),
    Fault(
        name="all-servers-of-nats-are-dead",
        description="the profile names two servers of NATS, and nobody listens at either",
        inject=attached(servers_that_are_dead),
        expected_failures=("INF-09", "INF-10", "INF-12"),
        expected_terms=("none of 2 servers can be used", "does not answer"),
    ),
    Fault(
        name="stream-is-missing",
        description="the stream of the agents' answers was deleted, and its consumers with it",
        inject=without_stream(),
        expected_failures=("INF-10", "INF-12", "NET-04", "NET-05"),
        expected_terms=("stream", STREAM),
    ),
    Fault(
        name="stream-captures-other-subjects",
        description="the stream captures agent.answer.> and not agent.response.>; consumers of that cannot exist in it",
        inject=stream_is(subjects=["agent.answer.>"], with_consumers=False),
        expected_failures=("INF-10", "INF-12"),
        expected_terms=(STREAM, "agent.answer.>", "agent.response.completed"),
    ),
    Fault(
        name="stream-is-in-memory",
        description="the stream keeps messages in memory, where a restart of NATS loses them",
        inject=stream_is(storage=StorageType.MEMORY),
        expected_failures=("INF-10",),
        expected_terms=(STREAM, "storage", "memory"),
    ),
    Fault(
        name="stream-is-a-work-queue",
        description="the stream drops a message once somebody has it",
        inject=stream_is(retention=RetentionPolicy.WORK_QUEUE),
        expected_failures=("INF-10",),
        tolerated_failures=("ORC-03",),  # no second reader is let in: what deliberations published is not known
        expected_terms=(STREAM, "retention", "workqueue"),
    ),
    Fault(
        name="stream-keeps-what-interests",
        description="the stream drops messages that no consumer waits for",
        inject=stream_is(retention=RetentionPolicy.INTEREST),
        expected_failures=("INF-10",),
        expected_terms=(STREAM, "retention", "interest"),
    ),
    Fault(
        name="stream-keeps-more-than-declared",
        description="the profile wants a work queue, the stream keeps messages by limits",
        inject=profile_is({"nats.retention": "workqueue"}),
        expected_failures=("INF-10",),
        expected_terms=(STREAM, "retention is limits, not workqueue", "nats.retention"),
    ),
    Fault(
        name="stream-has-one-replica-of-three",
        description="the profile wants each message on three servers, the stream has it on one",
        inject=profile_is({"nats.stream_replicas": 3}),
        expected_failures=("INF-10",),
        expected_terms=(STREAM, "1 replica", "nats.stream_replicas"),
    ),
    Fault(
        name="stream-is-full",
        description="the stream may hold 1000 bytes and refuses what is more",
        inject=stream_is(max_bytes=1000, discard=DiscardPolicy.NEW),
        expected_failures=("INF-10",),
        expected_terms=(STREAM, "full", "1000"),
    ),
    Fault(
        name="stream-keeps-few-bytes",
        description="the stream may hold 1000 bytes and drops the oldest for what is more",
        inject=stream_is(max_bytes=1000, discard=DiscardPolicy.OLD),
        expected_failures=("INF-10",),
        expected_terms=(STREAM, "1000 bytes", "max_bytes", "dropped"),
    ),
    Fault(
        name="consumer-is-missing",
        description="the durable consumer of the proposals was deleted",
        inject=without_consumer(),
        expected_failures=("INF-12",),
        expected_terms=("consumer", CONSUMER),
    ),
    Fault(
        name="consumer-pushes",
        description="the consumer of the proposals pushes to one subscriber instead of being pulled from",
        inject=consumer_is(deliver_subject="deliver.completed", max_waiting=None),
        expected_failures=("INF-12",),
        expected_terms=(CONSUMER, "push"),
    ),
    Fault(
        name="consumer-wants-no-acknowledgement",
        description="the consumer of the proposals takes what it delivered as handled",
        inject=consumer_is(ack_policy=AckPolicy.NONE),
        expected_failures=("INF-12",),
        expected_terms=(CONSUMER, "ack policy", "none"),
    ),
    Fault(
        name="consumer-filters-another-subject",
        description="the consumer of the proposals waits for agent.response.finished",
        inject=consumer_is(filter_subject="agent.response.finished"),
        expected_failures=("INF-12",),
        expected_terms=(CONSUMER, "agent.response.finished"),
    ),
    Fault(
        name="consumer-is-paused",
        description="the consumer of the proposals was paused for an hour: it is there and delivers nothing",
        inject=paused_consumer(),
        expected_failures=("INF-12",),
        expected_terms=(CONSUMER, "paused"),
    ),
    Fault(
        name="stream-is-full-by-count",
        description="the stream may hold one message, has it, and refuses more",
        inject=stream_is(max_msgs=1, discard=DiscardPolicy.NEW, messages=1),
        expected_failures=("INF-10",),
        expected_terms=(STREAM, "full", "0 of 1 messages"),
    ),
    Fault(
        name="stream-is-sealed",
        description="the stream was sealed: it keeps what it has, and takes nothing more",
        inject=sealed_stream(),
        expected_failures=("INF-10",),
        expected_terms=(STREAM, "sealed"),
    ),
    Fault(
        name="stream-acknowledges-nothing",
        description="the stream stores messages and acknowledges none: each agent waits for it in vain",
        inject=stream_is(no_ack=True),
        expected_failures=("INF-10",),
        expected_terms=(STREAM, "no_ack"),
    ),
    Fault(
        name="stream-mirrors-something-else",
        description="the stream is a mirror of one that captures agent.elsewhere.>; it has no consumers",
        inject=stream_mirrors("agent.elsewhere.>"),
        expected_failures=("INF-10", "INF-12"),
        expected_terms=(STREAM, "mirror of ORIGIN", "agent.elsewhere.>"),
    ),
    Fault(
        name="stream-rewrites-subjects",
        description="the stream stores answers as agent.moved.>; consumers of agent.response.> cannot exist in it",
        inject=stream_is(
            subject_transform=SubjectTransform(src="agent.response.>", dest="agent.moved.>"), with_consumers=False
        ),
        expected_failures=("INF-10", "INF-12"),
        expected_terms=(STREAM, "agent.moved"),
    ),
    Fault(
        name="stream-keeps-one-answer-per-subject",
        description="the stream keeps the last message of each subject alone: an answer replaces the one before",
        inject=stream_is(max_msgs_per_subject=1),
        expected_failures=("INF-10",),
        expected_terms=(STREAM, "1 message per subject"),
    ),
    Fault(
        name="stream-forgets-within-seconds",
        description="the stream keeps messages for five seconds: what arrives during a restart is lost",
        inject=stream_is(max_age=5, duplicate_window=5),
        expected_failures=("INF-10",),
        expected_terms=(STREAM, "max_age", "5 s"),
    ),
    Fault(
        name="results-bucket-is-in-memory",
        description="the bucket of results was made again in memory, where a restart of NATS loses them",
        inject=bucket_in_memory(),
        expected_failures=("INF-13",),
        expected_terms=(f"bucket {RESULTS}", "in memory"),
    ),
    Fault(
        name="consumer-gives-up-after-one-delivery",
        description="the consumer of the proposals delivers each once: what a replica had that ended is lost",
        inject=consumer_is(max_deliver=1),
        expected_failures=("INF-15",),
        expected_terms=(CONSUMER, "max_deliver", "once"),
    ),
    Fault(
        name="consumer-repeats-within-a-second",
        description="the consumer of the proposals delivers again after a second, whatever is in hand",
        inject=consumer_is(ack_wait=1),
        expected_failures=("INF-15",),
        tolerated_failures=("ORC-10",),  # what was delivered twice counts as redelivered until it is acknowledged
        expected_terms=(CONSUMER, "ack_wait", "1 s"),
    ),
    Fault(
        name="consumer-starts-with-new-messages",
        description="the consumer of the proposals begins with what is published after it was made",
        inject=consumer_is(deliver_policy=DeliverPolicy.NEW),
        expected_failures=("INF-15",),
        expected_terms=(CONSUMER, "deliver policy", "new"),
    ),
    Fault(
        name="consumer-has-one-answer-in-hand",
        description="the consumer of the proposals delivers the next one when the last is acknowledged",
        inject=consumer_is(max_ack_pending=1),
        expected_failures=("INF-15",),
        expected_terms=(CONSUMER, "max_ack_pending", "1 in hand"),
    ),
    Fault(
        name="consumer-goes-with-its-readers",
        description="the consumer of the proposals is deleted five minutes after its last reader",
        inject=consumer_is(inactive_threshold=300),
        expected_failures=("INF-15",),
        expected_terms=(CONSUMER, "inactive_threshold", "300 s"),
    ),
    Fault(
        name="stream-forgets-ids-within-a-second",
        description="the stream remembers message ids for a second: a later repetition is stored again",
        inject=stream_is(duplicate_window=1),
        expected_failures=("INF-18",),
        expected_terms=(STREAM, "duplicate_window", "1 s"),
    ),
    Fault(
        name="agents-publish-without-ids",
        description="agents publish without a message id: a repetition is another answer",
        inject=agent_code(Edit(PUBLISHER, ', headers={"Nats-Msg-Id": message_id}', "")),
        expected_failures=("INF-18",),
        expected_terms=("no Nats-Msg-Id",),
    ),
    Fault(
        name="stream-has-one-copy-of-three",
        description="NATS has three servers, the stream, its consumers and the bucket one copy each",
        inject=lambda target: cluster_of_three(target, copies=1),
        expected_failures=("INF-13",),
        expected_terms=(STREAM, "1 copy on 3 servers", "bucket"),
    ),
    Fault(
        name="a-server-with-a-copy-is-down",
        description="one of the three servers that have a copy each has ended",
        inject=lambda target: cluster_of_three(target, one_is_lost=True),
        expected_failures=("INF-13",),
        expected_terms=("peer nats-3",),
    ),
    Fault(
        name="workers-nats-has-no-stream",
        description="where the workers look for NATS there is one with JetStream, and without the stream",
        inject=workers_led(another_nats),
        expected_failures=("NET-04",),
        expected_terms=(*WORKERS, "fails at stream", STREAM),
    ),
    Fault(
        name="nats-url-leads-to-another-account",
        description="the first replica's NATS_URL has the user of another account, where it makes streams of its own",
        inject=orchestrator_led("NATS_URL", another_account, only=0),
        expected_failures=("CFG-05", "CFG-07"),
        expected_terms=("NATS_URL", "another account", STREAM, "orchestrator-1"),
    ),
)
