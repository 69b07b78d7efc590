"""Streams that take no answers, or do not keep them, although they are there; and ways to NATS that have none."""

from __future__ import annotations

from nats.js.api import DiscardPolicy, SubjectTransform

from tests.faults.catalogue.connectivity import WORKERS, workers_led
from tests.faults.catalogue.infrastructure import STREAM
from tests.faults.model import Fault
from tests.targets.decoy_servers import another_nats, orchestrator_led
from tests.targets.nats_injectors import another_account, sealed_stream, stream_is, stream_mirrors

FAULTS = (
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
