"""Streams, consumers and buckets: created at start where missing, by whichever replica comes first."""

from __future__ import annotations

from contextlib import suppress
from typing import Sequence

from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError, BucketNotFoundError, NotFoundError
from nats.js.kv import KeyValue

COMPLETED_SUBJECT = "agent.response.completed"
APPROVED_CONSUMER = "orchestrator-plan-approved"
CONSUMERS = (
    ("AGENT_RESPONSES", "agent.response.>", COMPLETED_SUBJECT, "deliberation-collector-completed"),
    ("AGENT_RESPONSES", "agent.response.>", "agent.response.failed", "deliberation-collector-failed"),
    ("PLANNING_EVENTS", "planning.>", "planning.plan.approved", APPROVED_CONSUMER),
)
"""Stream and its pattern (where nothing captures the subject yet), subject that is read, its durable consumer."""

KEEP_SECONDS = 7 * 24 * 3600
ACK_WAIT_SECONDS = 30
DUPLICATE_WINDOW_SECONDS = 120


async def ensure_stream(js: JetStreamContext, name: str, pattern: str, subject: str) -> str:
    """The name of the stream that captures `subject`; it is made with `pattern` where there is none."""
    with suppress(NotFoundError):
        return str(await js.find_stream_name_by_subject(subject))
    config = StreamConfig(
        name=name,
        subjects=[pattern],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=KEEP_SECONDS,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
    )
    # Another replica may be faster with other limits, or someone's stream take the subject: take what is there.
    with suppress(BadRequestError):
        await js.add_stream(config)
        return name
    return str(await js.find_stream_name_by_subject(subject))


async def ensure_consumer(js: JetStreamContext, stream: str, durable: str, subject: str) -> None:
    """A durable pull consumer with explicit acknowledgement, from the stream's beginning."""
    try:
        await js.consumer_info(stream, durable)
    except NotFoundError:
        config = ConsumerConfig(
            durable_name=durable,
            filter_subject=subject,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_SECONDS,
            deliver_policy=DeliverPolicy.ALL,
        )
        await js.add_consumer(stream, config)  # the same request from two replicas is one consumer


async def ensure_bucket(js: JetStreamContext, bucket: str, ttl: float = 0) -> KeyValue:
    """A key-value bucket on disk; `ttl` in seconds, 0 for no limit."""
    with suppress(BucketNotFoundError):
        return await js.key_value(bucket)
    with suppress(BadRequestError):  # another replica's, with other settings
        return await js.create_key_value(bucket=bucket, ttl=ttl or None, storage=StorageType.FILE)
    return await js.key_value(bucket)


async def ensure_all(js: JetStreamContext) -> "tuple[KeyValue, KeyValue, Sequence[tuple[str, str]]]":
    """Everything the orchestrator needs: both buckets (deliberations, councils) and (stream, durable) to read from."""
    consumers = []
    for name, pattern, subject, durable in CONSUMERS:
        stream = await ensure_stream(js, name, pattern, subject)
        await ensure_consumer(js, stream, durable, subject)
        consumers.append((stream, durable))
    deliberations = await ensure_bucket(js, "orchestrator-deliberations", KEEP_SECONDS)
    councils = await ensure_bucket(js, "orchestrator-councils")
    return deliberations, councils, consumers
