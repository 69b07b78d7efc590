"""What a run leaves on a real NATS is counted, and told apart from everybody else's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fixtures.exercises import residue
from fixtures.exercises.residue import residual_state
from fixtures.profile import model as profiles
from fixtures.services.nats import Nats
from tests.support.reference_stack import free_port
from tests.support.tls_services import secured_nats

RUN = "fc-0a1b2c"
WEEK = 7 * 24 * 3600
PROFILE = profiles.load("swe-ai-fleet")
STREAM, BUCKET = PROFILE.nats.stream, PROFILE.nats.results_bucket


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Nats]:
    with secured_nats(tmp_path, "") as address:
        client = Nats(f"nats://{address}", "test")
        context = await client.jetstream()
        await context.add_stream(name=STREAM, subjects=["agent.response.>"], max_age=WEEK)
        yield client
        await client.close()


async def completed(nats: Nats, task_id: str) -> int:
    return await nats.publish("agent.response.completed", {"task_id": task_id})


async def test_messages_plans_and_results(nats: Nats) -> None:
    context = await nats.jetstream()
    await context.add_stream(name="PLANNING", subjects=["planning.>"])
    bucket = await context.create_key_value(bucket=BUCKET, ttl=WEEK)
    for task, description in (("d-1", f"Say something. Task {RUN}-task-1."), ("d-2", "Somebody else's.")):
        await bucket.put(f"request.{task}", json.dumps({"description": description}).encode())
        await bucket.put(f"state.{task}", b"{}")
    await bucket.put(f"state.{RUN}-story-DEV-deliberation", b"{}")
    since = await completed(nats, f"{RUN}-before")
    first = await completed(nats, f"{RUN}-jobs-1")
    await completed(nats, "d-2")
    last = await completed(nats, "d-1")
    await nats.publish("agent.response.failed", f"not JSON, but of {RUN}".encode())
    await nats.publish("planning.plan.approved", {"story_id": f"{RUN}-story"})
    await nats.publish("planning.plan.approved", {"story_id": "another"})
    found = {fact.what: fact for fact in await residual_state(nats, PROFILE, RUN, since)}
    assert {what: fact.how_many for what, fact in found.items()} == {
        "messages agent.response.completed": 2,
        "messages agent.response.failed": 1,
        "messages planning.plan.approved": 1,
        "results of deliberations (keys)": 3,
    }
    told = found["messages agent.response.completed"]
    assert (told.where, told.until) == (f"stream {STREAM}, sequences {first} to {last}", "7 days old")
    assert found["messages planning.plan.approved"].until == "purged, or pushed out by the stream's limits"
    assert await residual_state(nats, PROFILE, "fc-another", since) == []
    assert await context.consumers_info(STREAM) == [], "reading leaves no consumer"


async def test_task_ids_that_the_run_knows(nats: Nats) -> None:
    """Where the orchestrator keeps its results elsewhere, the run's own list of tasks tells."""
    await completed(nats, "d-7")
    assert await residual_state(nats, PROFILE, RUN, 0) == []
    assert [fact.how_many for fact in await residual_state(nats, PROFILE, RUN, 0, ["d-7"])] == [1]


async def test_a_busy_fleet_is_not_asked_about_all_of_its_tasks(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residue, "LOOKED_UP", 2)
    await (await nats.jetstream()).create_key_value(bucket=BUCKET)
    for number in range(5):
        await completed(nats, f"somebodys-{number}")
    await completed(nats, f"{RUN}-jobs-1")
    own, unknown = await residual_state(nats, PROFILE, RUN, 0)
    assert own.how_many == 1
    assert unknown.how_many is None
    assert "of 3 further tasks" in unknown.where


async def test_what_cannot_be_told_is_said() -> None:
    gone = Nats(f"nats://127.0.0.1:{free_port()}", "test")
    (fact,) = await residual_state(gone, PROFILE, RUN, 0)
    assert fact.how_many is None
    assert "unknown" in fact.where
