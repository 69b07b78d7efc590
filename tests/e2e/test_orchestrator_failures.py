"""ORC: what the orchestrator says when agents fail or do not answer."""

from contextlib import suppress

import pytest

from fixtures.checks.declaration import MUST, Disruption, Link, check
from fixtures.clusters.base import Feature
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.timeouts import TIMEOUTS
from fixtures.diagnostics.evidence import Evidence
from fixtures.exercises.causes import (
    INJECTED_STATUS,
    longer_than,
    names_a_timeout,
    names_the_context,
    room_for_a_task,
    shows_the_injected_error,
)
from fixtures.exercises.deliberations import Deliberations, agents_ended
from fixtures.exercises.proxied import raise_if_bypassed
from fixtures.harness.outcome import skip_not_applicable, skip_unsupported
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.services.nats import Nats
from fixtures.services.ray import Ray
from fixtures.services.vllm import FaultProxy
from tests.e2e.runs import CHAIN, FLEET, keep_deliberations

#: gRPC's words for a request that is refused for what is in it. Source: https://grpc.io/docs/guides/status-codes/
REFUSES_LENGTH = ("INVALID_ARGUMENT", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED")


def reports_errors(profile: Profile) -> bool:
    """Whether the contract has a place for what went wrong in a deliberation."""
    return profile.reports("error", "tags")


@pytest.fixture
async def task_beyond_the_context(deliberations: Deliberations, nats: Nats, profile: Profile) -> str:
    """More words than the model's context has tokens, in no more bytes than messages on their way to it may have."""
    del deliberations  # where there are none, that is the reason
    context, max_payload = profile.vllm.max_model_len, 0
    with suppress(NonConformance):  # the default is assumed
        max_payload = (await nats.connect()).max_payload
    room = room_for_a_task(max_payload if isinstance(max_payload, int) else 0)
    text = longer_than(context, room)
    if not text:
        skip_not_applicable(
            f"the context of {profile.vllm.model} ({context} tokens) is longer than a message may be "
            f"(a task of {room} bytes)"
        )
    return text


@check(
    "ORC-07",
    MUST,
    "one of N agents fails: COMPLETED with N-1, the failure shown",
    remedy="Count failures as answers; name them in metadata.tags or error_message of GetDeliberationResult",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="One failed agent holds up its whole deliberation, or nobody learns that it failed.",
    needs=(Part.AGENT_FAILURES, Part.DELIBERATIONS, Part.ENDS, Part.SEVERAL_AGENTS, Feature.FAULT_PROXY),
    disrupts=Disruption.MESSAGES,
    follows=("INF-09", "ORC-04"),
)
async def test_one_agent_fails(
    deliberations: Deliberations, fault_proxy: FaultProxy, profile: Profile, evidence: Evidence
) -> None:
    """A deliberation does not wait for an agent that has failed, and does not hide that it did."""
    trip = deliberations.new()
    words = {"message": "injected by the conformance suite", "type": "UnprocessableEntityError"}
    refusal = {"error": words | {"code": INJECTED_STATUS}}
    async with fault_proxy.fault(
        action="status", code=INJECTED_STATUS, body=refusal, contains=trip.marker, times=1
    ) as fault:
        await deliberations.run([trip])
        refused = await fault_proxy.hits(fault)
    keep_deliberations(evidence, [trip])
    raise_if_bypassed(trip, refused)
    if len(answered := trip.answered) >= trip.agents:
        finding = f"vLLM refused one of the agents of {trip.description} with {INJECTED_STATUS}, and each published an "
        finding += f"answer as completed ({', '.join(sorted(answered))})"
        assert len(await fault_proxy.prompts(trip.marker)) > trip.agents, f"{finding}: the failure is hidden"
        raise Inconclusive(f"{finding}: it asked again, so that none failed")
    assert trip.completed and trip.outcome, f"expected COMPLETED with {trip.agents - 1} proposals: {trip.summary}"
    assert len(trip.proposals) == trip.agents - 1, f"expected {trip.agents - 1} proposals: {trip.summary}"
    if reports_errors(profile):
        assert shows_the_injected_error(trip.outcome.whole_text), (
            f"the failed agent is not shown: error_message and tags are {trip.outcome.whole_text!r}"
        )


@check(
    "ORC-08",
    MUST,
    "all agents fail: FAILED, and the message names the cause",
    remedy="When every awaited agent has failed, end as FAILED and put their errors into error_message",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="A deliberation in which every agent failed waits until it times out, or ends without the reason.",
    needs=(Part.CONTEXT, Part.DELIBERATIONS, Part.TASKS, Part.ENDS),
    follows=(*CHAIN, "ORC-02", "ORC-04", "ORC-17", "JOB-09"),
)
async def test_all_agents_fail(
    deliberations: Deliberations, task_beyond_the_context: str, profile: Profile, evidence: Evidence
) -> None:
    """A task longer than the model's context is refused by vLLM for every agent: FAILED, naming what vLLM said."""
    trip = deliberations.new(profile.deliberations.roles[1 % len(profile.deliberations.roles)], agents=2)
    async with deliberations.observed(trip):
        await deliberations.finish(await deliberations.begin(trip, task=f"{trip.marker} {task_beyond_the_context}"))
    keep_deliberations(evidence, [trip])
    if trip.refusal in REFUSES_LENGTH:
        skip_unsupported(
            f"the orchestrator refuses a task of {len(task_beyond_the_context)} bytes at once, so that no agent has a "
            f"prompt that is too long: {trip.error}"
        )
    assert trip.started, f"the start failed: {trip.summary}"
    assert trip.outcome is not None, f"the deliberation did not end: {trip.summary}"
    if trip.completed and len(trip.answered) >= trip.agents:
        raise Inconclusive(
            f"no agent failed: vLLM refused none of {trip.agents} prompts that exceed the context of the profile "
            f"({profile.vllm.max_model_len} tokens), or the agents shorten them: {trip.summary}"
        )
    assert trip.outcome.status == "FAILED", f"expected FAILED, since vLLM refuses every agent: {trip.summary}"
    text = trip.outcome.whole_text
    assert not reports_errors(profile) or names_the_context(text, profile.vllm.max_model_len), (
        f"the error does not name the cause, that the prompt exceeds the model's context: {text[:400]!r}"
    )


@check(
    "ORC-16",
    MUST,
    "a deliberation without answers ends after its timeout",
    remedy="Give every deliberation a deadline of its own (timeout_seconds) that any replica enforces",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Deliberations without answers never end: callers wait forever, and their agents keep CPUs.",
    needs=(Part.DEADLINES, Part.DELIBERATIONS, Part.ENDS, Feature.FAULT_PROXY),
    disrupts=Disruption.MESSAGES,
    follows=("INF-09", "INF-10", "ORC-01", "ORC-02"),
)
async def test_deliberation_times_out(
    deliberations: Deliberations, fault_proxy: FaultProxy, ray: Ray, evidence: Evidence
) -> None:
    """vLLM never answers: TIMEOUT or FAILED after timeout_seconds, and the agents are ended.

    Every agent must have asked, and be known to Ray: of agents that never ran, nothing needs to be ended.
    """
    trip, limit = deliberations.new(agents=2), TIMEOUTS.deliberation_limit
    before = await deliberations.actors_before()
    async with fault_proxy.fault(action="hang", contains=trip.marker) as hang:
        await deliberations.begin(trip, deadline=int(limit))
        await deliberations.finish(trip, timeout=limit + TIMEOUTS.settle)
        keep_deliberations(evidence, [trip])
        assert trip.started, f"the start failed: {trip.summary}"
        assert trip.outcome is not None, f"still not ended {TIMEOUTS.settle:g} s after its timeout: {trip.summary}"
        asked, status, early = await fault_proxy.hits(hang), trip.outcome.status, trip.seconds < limit - 1
        raise_if_bypassed(trip, asked)
        assert status in ("TIMEOUT", "FAILED"), f"expected TIMEOUT or FAILED: {trip.summary}"
        assert not early or asked >= trip.agents, (
            f"{asked} of {trip.agents} agents asked vLLM before it ended, {trip.seconds:.1f} s after its start: "
            f"{trip.summary}"
        )
        timed_out = status == "FAILED" and names_a_timeout(trip.outcome.whole_text)
        assert not early or timed_out, (
            f"{status} after {trip.seconds:.1f} s, before its {limit:g} s were over: {trip.summary}"
        )
        if asked < trip.agents:
            raise Inconclusive(
                f"{asked} of {trip.agents} agents asked vLLM within the {limit:g} s of the deliberation: whether it "
                "ends agents that wait cannot be told (timeouts.deliberation_limit gives them longer)"
            )
        await agents_ended(ray, trip, before)
