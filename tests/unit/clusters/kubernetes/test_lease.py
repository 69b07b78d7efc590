"""One disruptive run at a time; a run that was killed gives way, and what it noted is found."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from fixtures.clusters.kubernetes import lease
from fixtures.clusters.kubernetes.changes import COST, Change
from fixtures.clusters.kubernetes.client.api import LEASES
from fixtures.clusters.kubernetes.client.errors import ApiError, Forbidden, NotFound
from fixtures.clusters.kubernetes.lease import DURATION_S, NAME, NOTES, RunLease
from fixtures.core.errors import Inconclusive, UsageError
from fixtures.core.polling import wait_until
from tests.support.kubernetes_objects import StoredObjects

HOST = socket.gethostname()
SHRUNK = Change(kind="deployments", namespace="swe-ai-fleet", name="orchestrator", before=["2"], after=["1"])
CHEAP = Change(kind="pods", namespace="swe-ai-fleet", name="orchestrator-7f", before=[""], after=["-1000"])
IMAGES = Change(kind="rayclusters", namespace="ray", name="ray-gpu", before=["ray:1", "ray:1"], after=["s:2", "s:2"])


@pytest.fixture
def api() -> StoredObjects:
    return StoredObjects()


def lease_of(run: str, api: Any) -> RunLease:
    return RunLease(api, "swe-ai-fleet", run)


async def killed(run: str, api: Any, *changes: Change) -> None:
    """A run that noted these changes and then was no more."""
    its = lease_of(run, api)
    await its.take()
    for change in changes:
        await its.note(change)
    await its.abandon()


async def test_a_run_takes_the_lease_and_leaves_nothing(api: StoredObjects) -> None:
    mine = lease_of("fc-0a1b2c", api)
    await mine.take()
    spec = api.objects["leases", NAME]["spec"]
    assert spec["holderIdentity"] == f"fc-0a1b2c on {HOST}"
    assert spec["acquireTime"] == spec["renewTime"] == "1970-01-12T13:46:40.000000Z"
    await mine.release()
    assert not api.objects


async def test_a_second_run_ends_before_its_start(api: StoredObjects) -> None:
    first, second = lease_of("fc-0a1b2c", api), lease_of("fc-dddddd", api)
    await first.take()
    api.clock += DURATION_S - 1
    words = f"another run is at work: fc-0a1b2c on {HOST} since 1970-01-12T13:46:40Z .* ends in 1 s"
    with pytest.raises(UsageError, match=words):
        await second.take()
    await second.release()
    assert api.objects, "the second run has nothing to release"
    await first.release()
    await second.take()
    await second.release()


async def test_a_run_that_was_killed_gives_way_when_its_lease_has_ended(api: StoredObjects) -> None:
    await killed("fc-0a1b2c", api, SHRUNK)
    api.clock += DURATION_S + 1
    second = lease_of("fc-dddddd", api)
    await second.take()
    assert (second.left, second.left_by) == ([SHRUNK], f"fc-0a1b2c on {HOST}")
    await second.forget(SHRUNK.key)
    assert NOTES not in api.annotations(LEASES, NAME)
    await second.release()


async def test_notes_outlive_a_second_kill(api: StoredObjects) -> None:
    await killed("fc-0a1b2c", api, SHRUNK)
    api.clock += DURATION_S + 1
    await killed("fc-dddddd", api, IMAGES)
    api.clock += DURATION_S + 1
    third = lease_of("fc-eeeeee", api)
    await third.take()
    assert third.left == [SHRUNK, IMAGES]
    await third.abandon()


async def test_the_first_value_before_a_change_is_kept(api: StoredObjects) -> None:
    mine = lease_of("fc-0a1b2c", api)
    await mine.take()
    await mine.note(SHRUNK)
    await mine.note(SHRUNK.model_copy(update={"before": ["1"], "after": ["0"]}))
    await mine.abandon()
    api.clock += DURATION_S + 1
    next_run = lease_of("fc-dddddd", api)
    await next_run.take()
    assert next_run.left == [SHRUNK.model_copy(update={"after": ["0"]})]
    await next_run.abandon()


async def renewed(api: StoredObjects, before: int) -> bool:
    return len(api.done) > before


async def test_it_is_renewed(api: StoredObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWAL_S", 0.0)
    mine = lease_of("fc-0a1b2c", api)
    await mine.take()
    api.clock += DURATION_S - 1
    before = len(api.done)
    await wait_until(lambda: renewed(api, before), "the renewal", 10, every=0.01)
    api.clock += DURATION_S - 1
    with pytest.raises(UsageError, match="another run is at work"):
        await lease_of("fc-dddddd", api).take()
    await mine.release()
    assert not api.objects


async def test_a_run_whose_lease_was_taken_over_changes_nothing_more(api: StoredObjects) -> None:
    first, second = lease_of("fc-0a1b2c", api), lease_of("fc-dddddd", api)
    await first.take()
    api.clock += DURATION_S + 1
    await second.take()
    with pytest.raises(Inconclusive, match=f"nothing may be changed .* fc-dddddd on {HOST} took over its lease"):
        await first.note(SHRUNK)
    await first.release()
    assert api.objects["leases", NAME]["spec"]["holderIdentity"] == f"fc-dddddd on {HOST}"
    await second.release()


async def test_who_labels_the_lease_does_not_take_it_away(api: StoredObjects) -> None:
    mine = lease_of("fc-0a1b2c", api)
    await mine.take()
    await api.patch(LEASES, NAME, {"metadata": {"labels": {"seen": "yes"}}}, "")
    await mine.note(SHRUNK)
    assert NOTES in api.annotations(LEASES, NAME)
    await mine.release()


@pytest.mark.parametrize("reason", ["AlreadyExists", "Conflict"])
async def test_of_two_runs_that_begin_at_once_one_has_it(api: StoredObjects, reason: str) -> None:
    api.refused["create", "leases"] = ApiError("no", status=409, reason=reason)
    with pytest.raises(UsageError, match="another run is at work"):
        await lease_of("fc-0a1b2c", api).take()


async def test_without_the_right_the_run_does_not_begin(api: StoredObjects) -> None:
    api.refused["create", "leases"] = Forbidden("user x may not create leases; grant it with a Role")
    with pytest.raises(UsageError, match=r"--allow-disruptive takes a lease.* may not create leases; grant it"):
        await lease_of("fc-0a1b2c", api).take()


async def test_where_the_namespace_is_missing_nothing_may_be_changed(api: StoredObjects) -> None:
    api.refused["create", "leases"] = NotFound("namespaces swe-ai-fleet not found")
    mine = lease_of("fc-0a1b2c", api)
    await mine.take()
    with pytest.raises(Inconclusive, match="there is no namespace swe-ai-fleet"):
        await mine.note(SHRUNK)
    await mine.release()


async def test_a_run_that_reads_is_told_of_one_at_work(api: StoredObjects) -> None:
    reading = lease_of("fc-dddddd", api)
    assert await reading.look("kubectl") == []
    first = lease_of("fc-0a1b2c", api)
    await first.take()
    (line,) = await reading.look("kubectl")
    assert f"another run is at work: fc-0a1b2c on {HOST}" in line
    await first.release()


async def test_a_run_that_reads_is_told_what_a_killed_one_left(api: StoredObjects) -> None:
    await killed("fc-0a1b2c", api, SHRUNK, CHEAP, IMAGES)
    api.clock += DURATION_S + 1
    (line,) = await lease_of("fc-dddddd", api).look("kubectl --context prod")
    assert "deployment orchestrator: replicas 2 (now 1)" in line
    assert "raycluster ray-gpu: image ray:1 (now s:2)" in line
    _, _, commands = line.partition("by hand: ")
    assert commands.split("; ") == [
        "kubectl --context prod -n swe-ai-fleet scale deployments orchestrator --replicas 2",
        f"kubectl --context prod -n swe-ai-fleet annotate pod orchestrator-7f {COST}-",
        "kubectl --context prod -n ray patch rayclusters ray-gpu --type json -p "
        '\'[{"op":"replace","path":"/spec/headGroupSpec/template/spec/containers/0/image","value":"ray:1"},'
        '{"op":"replace","path":"/spec/workerGroupSpecs/0/template/spec/containers/0/image","value":"ray:1"}]\'',
        "kubectl --context prod -n ray delete pods -l ray.io/cluster=ray-gpu",
        f"kubectl --context prod -n swe-ai-fleet delete lease {NAME}",
    ]


async def test_a_lease_without_notes_or_that_may_not_be_read_is_nothing_to_tell(api: StoredObjects) -> None:
    await killed("fc-0a1b2c", api)
    api.clock += DURATION_S + 1
    assert await lease_of("fc-dddddd", api).look("kubectl") == []
    api.refused["get", "leases"] = Forbidden("may not")
    assert await lease_of("fc-dddddd", api).look("kubectl") == []


@pytest.mark.parametrize("text", ["", "no JSON", '{"kind": 1}', '[{"kind": "secrets"}]'])
async def test_notes_that_cannot_be_read_are_none(api: StoredObjects, text: str) -> None:
    await killed("fc-0a1b2c", api)
    await api.patch(LEASES, NAME, {"metadata": {"annotations": {NOTES: text}}}, "")
    api.clock += DURATION_S + 1
    mine = lease_of("fc-dddddd", api)
    await mine.take()
    assert mine.left == []
    await mine.release()


async def test_what_could_not_be_put_back_stays_noted(api: StoredObjects) -> None:
    mine = lease_of("fc-0a1b2c", api)
    await mine.take()
    await mine.note(SHRUNK)
    await mine.release()
    api.clock += DURATION_S + 1
    later = lease_of("fc-dddddd", api)
    await later.take()
    assert later.left == [SHRUNK]
    await later.release()
    assert NOTES in api.annotations(LEASES, NAME), "the next run has not put it back either"
