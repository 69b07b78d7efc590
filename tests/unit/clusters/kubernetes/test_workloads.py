"""What Kubernetes' objects say about replicas: readiness, images, staleness, the RayCluster's own word."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.clusters.base import Component, Unsupported, Workload
from fixtures.clusters.kubernetes import workloads
from fixtures.clusters.kubernetes.client.schemas import Pod, PodSpec, RayCluster
from fixtures.core.errors import NonConformance
from fixtures.core.json_models import InvalidDocument


def pod(
    name: str,
    image: str = "fleet/ray:1",
    image_id: str = "sha256:1",
    *,
    labels: dict[str, str] | None = None,
    ready: bool = True,
    started: str = "2026-01-01T00:00:00Z",
    **more: Any,
) -> Pod:
    status = {"name": "main", "imageID": image_id, "state": {"running": {"startedAt": started}}}
    return Pod.of(
        {
            "metadata": {"name": name, "namespace": "ray", "labels": labels or {}, **more.get("metadata", {})},
            "spec": {"containers": [{"name": "main", "image": image}, {"name": "istio-proxy", "image": "mesh"}]},
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                "containerStatuses": [status],
                **more.get("status", {}),
            },
        }
    )


def template(image: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "main", "image": image}]}}


def listed(image: str, *pods: Pod) -> Workload:
    return workloads.workload("ray", Component.RAY_WORKER, len(pods), PodSpec.of(template(image)["spec"]), pods)


def test_a_pod_as_a_replica() -> None:
    found = workloads.replica(pod("a"), Component.RAY_WORKER, "gpu")
    assert (found.name, found.image, found.image_id, found.ready, found.address) == (
        "a", "fleet/ray:1", "sha256:1", True, "10.0.0.1",
    )  # fmt: skip
    assert found.started == 1767225600.0
    assert (found.container, found.running) == ("main", True)
    assert found.is_node("10.0.0.1", "10.0.0.1")
    assert not found.is_node("a", "10.0.0.2")


def test_pods_that_leave_are_no_replicas() -> None:
    leaving = pod("a", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert [
        one.name for one in listed("fleet/ray:1", leaving, pod("b"), pod("c", status={"phase": "Failed"})).replicas
    ] == ["b"]


def test_patched_specification_makes_every_pod_stale() -> None:
    assert [one.name for one in listed("fleet/ray:2", pod("a"), pod("b")).stale] == ["a", "b"]


def test_pods_left_behind_by_a_roll_out_are_stale() -> None:
    found = listed("fleet/ray:2", pod("a"), pod("b", "fleet/ray:2", "sha256:2"))
    assert [one.name for one in found.stale] == ["a"]


def test_a_tag_that_moved_makes_the_older_pod_stale() -> None:
    found = listed("r:1", pod("old", "r:1", "sha256:1"), pod("new", "r:1", "sha256:2", started="2026-01-02T00:00:00Z"))
    assert [one.name for one in found.stale] == ["old"]


def test_two_names_of_one_digest_are_one_image() -> None:
    assert not listed("mirror/ray:1", pod("a", "fleet/ray:1"), pod("b", "mirror/ray:1")).stale


def test_a_digest_under_another_registrys_name_is_the_same_one() -> None:
    there = listed(
        "r:1", pod("a", "r:1", "docker.io/r@sha256:1"), pod("b", "r:1", "docker-pullable://m.local/r@sha256:1")
    )
    assert not there.stale and not there.undecided


def test_a_stock_image_of_the_same_tag_is_another_image() -> None:
    stock = listed("registry.local/ray:2.49.2", pod("a", "rayproject/ray:2.49.2"))
    assert [replica.name for replica in stock.stale] == ["a"]


def test_a_digest_alone_decides_nothing_while_nobody_resolves_the_tag() -> None:
    alone = listed("fleet/ray:1", pod("a", "fleet/ray@sha256:1", "fleet/ray@sha256:1"))
    assert not alone.stale and [replica.name for replica in alone.undecided] == ["a"]
    two = listed("fleet/ray:1", pod("a", "fleet/ray@sha256:1", "r@sha256:1"), pod("b", "fleet/ray:1", "r@sha256:2"))
    assert not two.undecided and [replica.name for replica in two.stale] == ["a"]


def test_a_specified_digest_is_what_must_run() -> None:
    there = listed("r:1@sha256:2", pod("a", "r:1", "r@sha256:1"), pod("b", "r:1", "r@sha256:2"))
    assert there.image_id == "docker.io/library/r@sha256:2"
    assert [replica.name for replica in there.stale] == ["a"] and not there.undecided


def not_ready(since: str) -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": since}]}


def test_a_pod_that_was_ready_is_told_from_one_that_starts() -> None:
    """`pod` starts its container at midnight; before that Ready did not hold, either."""
    for since, lost in (
        ("2025-12-31T23:59:58Z", False),
        ("2026-01-01T00:00:00Z", False),
        ("2026-01-01T01:00:00Z", True),
    ):
        found = workloads.replica(pod("a", status=not_ready(since)), Component.RAY_WORKER, "gpu")
        assert (found.ready, found.running, found.lost) == (False, True, lost), since
    waiting = {"containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "PodInitializing"}}}]}
    made = pod("a", status={**not_ready("2026-01-01T01:00:00Z"), **waiting})
    assert not workloads.replica(made, Component.RAY_WORKER, "gpu").lost
    assert not workloads.replica(pod("a"), Component.RAY_WORKER, "gpu").lost


def test_what_is_stuck_or_ends_is_known_of_each_workload() -> None:
    crashing = {"containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}
    ending = pod("c", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    ended = pod("d", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}, status={"phase": "Failed"})
    fine, broken = listed("r:1", pod("a"), ending, ended), listed("r:1", pod("b", ready=False, status=crashing))
    assert (fine.stuck, fine.ending, broken.stuck) == (False, ("c",), True)
    both = workloads.together([fine, broken], "ray")
    assert (both.stuck, both.ending) == (True, ("c",))


def term(*expressions: tuple[str, str, list[str]]) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": sign, "values": among} for key, sign, among in expressions]}


ARM = (workloads.ARCHITECTURE, "In", ["arm64"])


@pytest.mark.parametrize(
    ("terms", "selector", "architecture"),
    [
        ([], {}, ""),
        ([], {"kubernetes.io/arch": "amd64"}, "amd64"),
        ([], {"kubernetes.io/os": "linux"}, ""),
        ([term(ARM)], {}, "arm64"),
        ([term(ARM, ("zone", "In", ["a", "b"])), term(ARM)], {}, "arm64"),
        ([term(ARM), term(("zone", "In", ["a"]))], {}, ""),
        ([term(ARM), term((workloads.ARCHITECTURE, "In", ["amd64"]))], {}, ""),
        ([term((workloads.ARCHITECTURE, "In", ["amd64", "arm64"]))], {}, ""),
        ([term((workloads.ARCHITECTURE, "NotIn", ["arm64"]))], {}, ""),
    ],
)
def test_a_pod_may_say_which_architecture_its_node_has(
    terms: list[dict[str, Any]], selector: dict[str, str], architecture: str
) -> None:
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    spec = {"nodeName": "n-1", "nodeSelector": selector, "affinity": affinity if terms else {}}
    placed = Pod.of({**pod("a").raw, "spec": {**pod("a").raw["spec"], **spec}})
    assert workloads.replica(placed, Component.RAY_WORKER, "gpu").architecture == architecture
    known = workloads.replica(placed, Component.RAY_WORKER, "gpu", architectures={"n-1": "s390x"})
    assert known.architecture == "s390x", "the node's own label"


CONTAINERS = [{"name": "proxy", "image": "mesh"}, {"name": "app", "image": "a"}, {"name": "web", "image": "w"}]


@pytest.mark.parametrize(
    ("names", "main"),
    [((), "proxy"), (("none",), "proxy"), (("app",), "app"), (("none", "web", "app"), "web"), (("", "app"), "app")],
)
def test_the_main_container_by_the_first_name_that_fits(names: tuple[str, ...], main: str) -> None:
    assert workloads.main_container(PodSpec.of({"containers": CONTAINERS}), *names).name == main


def test_a_pod_without_containers_has_an_empty_main_one() -> None:
    assert workloads.main_container(PodSpec(), "app").name == ""


def test_a_pods_own_annotation_counts_where_the_template_says_nothing() -> None:
    metadata = {"annotations": {workloads.DEFAULT_CONTAINER: "istio-proxy"}}
    marked = pod("a", metadata=metadata)
    assert workloads.replica(marked, Component.NATS, "nats").container == "istio-proxy"
    assert workloads.replica(marked, Component.NATS, "nats", "main").container == "main"
    assert workloads.replica(pod("b"), Component.NATS, "istio-proxy").container == "istio-proxy", "the workload's name"


def test_nothing_is_stale_where_all_run_what_is_named() -> None:
    assert not listed("fleet/ray:1", pod("a"), pod("b")).stale


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            {
                "containerStatuses": [
                    {"name": "m", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
                ]
            },
            "m: ImagePullBackOff: no such image",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "name": "m",
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
                    }
                ]
            },
            "m: CrashLoopBackOff, last ended with 1 (Error)",
        ),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes: no GPU",
                    }
                ],
                "containerStatuses": [],
            },
            "PodScheduled does not hold: Unschedulable 0/1 nodes: no GPU",
        ),
        ({"conditions": [], "containerStatuses": [], "phase": "Pending"}, "phase Pending"),
    ],
)  # fmt: skip
def test_the_most_telling_reason(status: dict[str, Any], said: str) -> None:
    assert workloads.why_not_ready(pod("a", ready=False, status=status)) == said


def ray_cluster(**status: Any) -> RayCluster:
    groups = [
        {"groupName": "gpu-workers", "replicas": 2, "template": template("fleet/ray:1")},
        {"groupName": "big", "replicas": 1, "numOfHosts": 2, "template": template("fleet/stock:1")},
    ]
    return RayCluster.of(
        {
            "metadata": {"name": "ray-gpu", "namespace": "ray", "generation": 2},
            "spec": {"headGroupSpec": {"template": template("fleet/ray:1")}, "workerGroupSpecs": groups},
            "status": status,
        }
    )


def test_what_the_pods_ask_for_is_summed_up_by_kuberay() -> None:
    asked = ray_cluster(desiredCPU="8300m", desiredGPU="2", desiredMemory="128Gi")
    assert workloads.requested(asked) == {"CPU": 8.3, "GPU": 2.0, "memory": float(128 << 30)}
    assert workloads.requested(ray_cluster(desiredCPU=8, desiredGPU="0", desiredMemory="1e9"))["CPU"] == 8.0
    with pytest.raises(NonConformance, match="RayCluster ray-gpu has no status: no KubeRay operator"):
        workloads.requested(ray_cluster())
    with pytest.raises(Unsupported, match="does not say how much GPU and memory its pods ask for"):
        workloads.requested(ray_cluster(desiredCPU="8"))
    with pytest.raises(InvalidDocument, match="desiredCPU"):
        ray_cluster(desiredCPU="eight")


def test_each_worker_group_has_its_own_image_and_pods() -> None:
    head = pod("h", labels={"ray.io/node-type": "head", "ray.io/group": "headgroup"})
    worker = pod("w", labels={"ray.io/node-type": "worker", "ray.io/group": "gpu-workers"})
    found = workloads.ray_groups(ray_cluster(), [head, worker])
    assert [(one.name, one.image, one.desired, len(one.replicas)) for one in found] == [
        ("head", "fleet/ray:1", 1, 1), ("gpu-workers", "fleet/ray:1", 2, 1), ("big", "fleet/stock:1", 2, 0),
    ]  # fmt: skip
    all_workers = workloads.together(found[1:], "gpu-workers")
    assert (all_workers.desired, all_workers.image, len(all_workers.replicas)) == (4, "fleet/ray:1", 1)
    assert all_workers.scaling == ""


def test_what_else_decides_on_the_number_of_workers_is_named() -> None:
    document = ray_cluster().raw
    document["spec"]["enableInTreeAutoscaling"] = True
    fixed, suspended = document["spec"]["workerGroupSpecs"]
    fixed |= {"minReplicas": 2, "maxReplicas": 2}
    suspended |= {"suspend": True}
    opened = {**fixed, "groupName": "cpu", "maxReplicas": 5}
    document["spec"]["workerGroupSpecs"] = [fixed, suspended, opened]
    _head, *groups = workloads.ray_groups(RayCluster.of(document), [])
    assert workloads.together(groups, "cpu").scaling == (
        "group big is suspended; the autoscaler may change the number of cpu"
    )


@pytest.mark.parametrize(
    ("status", "said", "never_ready"),
    [
        ({"state": "ready", "observedGeneration": 2}, "", False),
        ({}, "no KubeRay operator", False),
        # another image: KubeRay does nothing, and does not say so
        ({"state": "ready", "observedGeneration": 1}, "", False),
        ({"state": "failed", "reason": "quota", "observedGeneration": 2}, "'failed', not ready (quota)", False),
        (
            {"conditions": [{"type": "HeadPodReady", "status": "False", "reason": "Pulling", "message": "slow"}]},
            "HeadPodReady Pulling slow",
            True,
        ),
        (
            {
                "conditions": [
                    {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
                ]
            },
            "ReplicaFailure FailedCreate quota",
            False,
        ),
    ],
)
def test_the_objects_own_word(status: dict[str, Any], said: str, never_ready: bool) -> None:
    complaint = workloads.raycluster_not_ready_reason(ray_cluster(**status))
    assert said in complaint
    assert bool(complaint) == bool(said)
    assert workloads.raycluster_was_never_ready(ray_cluster(**status)) is never_ready


@pytest.mark.parametrize(
    "reason",
    [
        "m: InvalidImageName: couldn't parse image name",
        "m: ErrImageNeverPull",
        'm: CreateContainerConfigError: secret "x" not found',
        "m: ErrImagePull: docker.io/fleet/x:1: not found",
        "m: ErrImagePull: Error response from daemon: manifest unknown",
        'm: ImagePullBackOff: Back-off pulling image "x:1": ErrImagePull: pull access denied',
        "m: ErrImagePull: failed to fetch anonymous token: 401 Unauthorized",
        "m: ImagePullBackOff: no such image",
    ],
)
def test_a_container_that_cannot_be_made_is_not_waited_for(reason: str) -> None:
    assert workloads.cannot_start(reason)


@pytest.mark.parametrize(
    "reason",
    [
        "m: ErrImagePull: pull QPS exceeded",
        "m: ErrImagePull: 429 Too Many Requests - Server message: toomanyrequests",
        "m: ErrImagePull: net/http: TLS handshake timeout",
        "m: ErrImagePull: dial tcp 10.0.0.1:443: i/o timeout",
        'm: ImagePullBackOff: Back-off pulling image "x:1"',
        "m: CreateContainerConfigError: failed to sync secret cache: timed out waiting for the condition",
        "m: CrashLoopBackOff: not found",
        "",
    ],
)
def test_a_pull_that_is_tried_again_is_waited_for(reason: str) -> None:
    assert not workloads.cannot_start(reason)
