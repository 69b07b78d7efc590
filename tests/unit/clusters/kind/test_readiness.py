"""When a workload is ready, and when a pod never will be."""

from typing import Any

import pytest

from fixtures.clusters.kind.readiness import is_unrecoverable, ray_missing, replicas_missing
from fixtures.clusters.kubernetes.client.schemas import Pod, RayCluster, ReplicatedWorkload

NOW = 1_800_000_000.0
TEMPLATE = {"spec": {"containers": [{"name": "c"}]}}


def metadata(generation: int = 1) -> dict[str, Any]:
    return {"name": "p", "namespace": "n", "generation": generation}


def pod(**status: Any) -> Pod:
    return Pod.of({"metadata": metadata(), **TEMPLATE, "status": status})


def waiting(reason: str, message: str = "") -> Pod:
    return pod(containerStatuses=[{"name": "c", "state": {"waiting": {"reason": reason, "message": message}}}])


@pytest.mark.parametrize(
    "reason", ["ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff", "CreateContainerConfigError"]
)
def test_a_pod_that_cannot_start_ends_the_wait(reason: str) -> None:
    said = is_unrecoverable(waiting(reason, "because of this"), NOW)
    assert reason in said
    assert "because of this" in said


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_pod_on_its_way_is_waited_for(reason: str) -> None:
    assert is_unrecoverable(waiting(reason), NOW) == ""


def test_an_init_container_counts_too() -> None:
    broken = pod(initContainerStatuses=[{"name": "i", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}])
    assert "CrashLoopBackOff" in is_unrecoverable(broken, NOW)


def test_a_pod_without_a_node_is_given_some_seconds() -> None:
    row = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}
    assert is_unrecoverable(pod(conditions=[{**row, "lastTransitionTime": "2027-01-15T07:59:55Z"}]), NOW) == ""
    assert "Insufficient cpu" in is_unrecoverable(
        pod(conditions=[{**row, "lastTransitionTime": "2027-01-15T07:59:00Z"}]), NOW
    )


def deployment(observed: int = 2, **status: Any) -> ReplicatedWorkload:
    status = {"observedGeneration": observed, **status}
    return ReplicatedWorkload.of(
        {"metadata": metadata(2), "spec": {"replicas": 2, "template": TEMPLATE}, "status": status}
    )


def test_a_deployment_is_ready_with_all_replicas_in_their_present_form() -> None:
    assert replicas_missing(deployment(replicas=2, readyReplicas=2, updatedReplicas=2)) == ""
    assert "1 of 2" in replicas_missing(deployment(replicas=2, readyReplicas=2, updatedReplicas=1))
    assert "1 of 2" in replicas_missing(deployment(replicas=2, readyReplicas=1, updatedReplicas=2))
    assert replicas_missing(deployment(replicas=3, readyReplicas=2, updatedReplicas=2)), "an old one is still there"
    assert "not seen" in replicas_missing(deployment(observed=1, replicas=2, readyReplicas=2, updatedReplicas=2))
    new = {"metadata": metadata(0), "spec": {"replicas": 1, "template": TEMPLATE}}
    assert replicas_missing(ReplicatedWorkload.of(new)), "it has no status yet"


def ray_cluster(generation: int = 1, **status: Any) -> RayCluster:
    groups = [{"groupName": "gpu", "replicas": 2, "template": TEMPLATE}]
    spec = {"headGroupSpec": {"template": TEMPLATE}, "workerGroupSpecs": groups}
    return RayCluster.of({"metadata": metadata(generation), "spec": spec, "status": status})


def test_a_ray_cluster_is_ready_when_kuberay_says_so_of_all_workers() -> None:
    assert "not seen" in ray_missing(ray_cluster())
    assert "1 of 2" in ray_missing(ray_cluster(observedGeneration=1, state="ready", readyWorkerReplicas=1))
    assert ray_missing(ray_cluster(observedGeneration=1, state="ready", readyWorkerReplicas=2)) == ""
    patched = ray_cluster(5, observedGeneration=3, state="ready", readyWorkerReplicas=2)
    assert ray_missing(patched) == "", "another image and back: KubeRay did nothing"
