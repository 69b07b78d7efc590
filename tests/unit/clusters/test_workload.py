"""What of a workload is not as its specification says, which `--wait` waits for."""

from __future__ import annotations

from dataclasses import replace

from fixtures.clusters.base import Component, Replica, Workload

READY = Replica("vllm-a", Component.VLLM, "vllm", "vllm:2", "sha256:2", ready=True)
WHOLE = Workload("vllm", Component.VLLM, 1, "vllm:2", "sha256:2", (READY,))
WORKER = Replica("w-1", Component.RAY_WORKER, "gpu", "ray:2", "sha256:2", ready=False, running=True, reason="not ready")
WORKERS = Workload("gpu", Component.RAY_WORKER, 1, "ray:2", "sha256:2", (WORKER,))


def test_nothing_is_missing_of_a_whole_workload() -> None:
    assert WHOLE.unsettled == ""


def test_replicas_that_are_not_there_or_not_ready() -> None:
    starting = replace(READY, name="vllm-b", ready=False, running=True, reason="Ready does not hold")
    assert replace(WHOLE, desired=2).unsettled == "1 of 2 replicas do not exist"
    assert replace(WHOLE, desired=2, replicas=(READY, starting)).unsettled == "vllm-b: Ready does not hold"
    assert replace(WHOLE, desired=0, replicas=()).unsettled == ""


def test_a_replica_of_the_image_before() -> None:
    old = replace(READY, image="vllm:1", image_id="sha256:1")
    assert replace(WHOLE, replicas=(old,)).unsettled == "vllm-a runs vllm:1, specified is vllm:2"


def test_a_roll_out_that_goes_on() -> None:
    assert replace(WHOLE, rollout="1 of 2 replicas are updated").unsettled == "1 of 2 replicas are updated"


def test_a_worker_of_ray_serve_is_not_ready_on_purpose() -> None:
    assert WORKERS.unsettled == ""
    assert replace(WORKERS, replicas=(replace(WORKER, running=False),)).unsettled == "w-1: not ready"


def test_what_ends_is_waited_for_where_no_autoscaler_is_at_work() -> None:
    ending = replace(WORKERS, ending=("w-0",))
    assert ending.unsettled == "w-0 is ending"
    assert replace(ending, autoscaled=("gpu",)).unsettled == ""
