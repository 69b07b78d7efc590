"""Objects of Kubernetes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component, Replica, Workload
from fixtures.clusters.kubernetes import workloads
from fixtures.clusters.kubernetes.client.schemas import Pod, RayCluster
from fixtures.core.errors import Inconclusive
from fixtures.core.image_reference import is_floating
from fixtures.core.timeouts import Timeouts, applied
from fixtures.probes.components import Answer, Components
from fixtures.probes.own_variables import comparable, drifted
from fixtures.profile.model import Profile, load
from fixtures.profile.remedy_values import KubernetesTarget
from fixtures.services.jetstream import ServerInfo
from fixtures.services.ray import Node, Version
from tests.e2e.test_image import names_image
from tests.e2e.test_infrastructure_ray import test_ray_is_ready as ray_is_ready
from tests.e2e.test_infrastructure_vllm import test_vllm_replicas_are_ready as vllm_replicas_are_ready
from tests.support.workers import agree
from tests.variants.model import Document

RAY = "fleet/ray:2.49.2"
PROXY = {"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1.27.0"}


def template(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": list(containers)}}


def ray_cluster(*groups: dict[str, Any]) -> RayCluster:
    """A RayCluster with these worker groups, each with one container `ray-worker` where it names none."""
    worker, head = template({"name": "ray-worker", "image": RAY}), template({"name": "ray-head", "image": RAY})
    spec = {
        "headGroupSpec": {"template": head},
        "workerGroupSpecs": [{"template": worker, **group} for group in groups],
    }
    return RayCluster.of({"metadata": {"name": "ray-gpu", "namespace": "ray"}, "spec": spec})


def pod(name: str, group: str, *containers: dict[str, Any], ready: bool = True) -> Pod:
    """A pod that KubeRay made; `ray-head` is the head's. Each container runs the digest that is called like it."""
    kind = "head" if name == "ray-head" else "worker"
    states = [
        {"name": name, "imageID": f"x@sha256:{name}", "state": {"running": {"startedAt": "2026-01-01"}}}
        for name in (container["name"] for container in containers)
    ]
    return Pod.of(
        {
            "metadata": {"name": name, "namespace": "ray", "labels": {"ray.io/node-type": kind, "ray.io/group": group}},
            "spec": {"containers": list(containers)},
            "status": {
                "phase": "Running",
                "podIP": f"10.0.0.{len(name)}",
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                "containerStatuses": states,
            },
        }
    )


def side_cars_are_not_the_workers() -> None:
    worker = {"name": "ray-worker", "image": RAY}
    pods = [pod("w-1", "gpu", PROXY, worker), pod("w-22", "gpu", worker, PROXY)]
    _head, group = workloads.ray_groups(ray_cluster({"groupName": "gpu", "replicas": 2}), pods)
    assert [(replica.container, replica.image, replica.image_id) for replica in group.replicas] == [
        ("ray-worker", RAY, "x@sha256:ray-worker")
    ] * 2
    assert not group.stale and not group.undecided


def init_containers_are_not_the_workers() -> None:
    """Init containers, side-cars among them, run from images of their own.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
    """
    waits = {"name": "wait-gcs-ready", "image": "docker.io/rayproject/ray:latest"}
    before = [waits, {**PROXY, "restartPolicy": "Always"}]
    worker = {"name": "ray-worker", "image": RAY}
    spec = {"spec": {"initContainers": before, "containers": [worker]}}
    cluster = ray_cluster({"groupName": "gpu", "replicas": 1, "template": spec})
    _head, group = workloads.ray_groups(cluster, [pod("w-1", "gpu", worker)])
    assert names_image(RAY, group) is True and not is_floating(group.image)
    assert [(replica.image, replica.image_id) for replica in group.replicas] == [(RAY, "x@sha256:ray-worker")]
    assert not group.stale and not group.undecided


def groups_have_the_size_that_kuberay_gives_them() -> None:
    groups = (
        {"groupName": "named-by-least", "replicas": 0, "minReplicas": 2},
        {"groupName": "without-replicas", "minReplicas": 1},
        {"groupName": "above-most", "replicas": 5, "minReplicas": 0, "maxReplicas": 2},
        {"groupName": "most-wins", "replicas": 1, "minReplicas": 4, "maxReplicas": 3},
        {"groupName": "of-four-hosts", "replicas": 1, "numOfHosts": 4},
        {"groupName": "suspended", "replicas": 2, "minReplicas": 2, "suspend": True},
        {"groupName": "head", "replicas": 1},
    )
    container = {"name": "ray-worker", "image": RAY}
    pods = [pod("ray-head", "head", {"name": "ray-head", "image": RAY}), pod("w-1", "head", container)]
    head, *workers = workloads.ray_groups(ray_cluster(*groups), pods)
    assert [group.desired for group in workers] == [2, 1, 2, 3, 4, 0, 1]
    assert [replica.name for replica in head.replicas] == ["ray-head"]
    assert [replica.name for replica in workers[-1].replicas] == ["w-1"], "the head's group label is `head` as well"
    assert workloads.together(workers, "head").desired == 13


def replicas(*running: tuple[str, str]) -> tuple[Replica, ...]:
    """Started from these references, with these imageIDs, the last one last."""
    return tuple(
        Replica(f"w-{number}", Component.RAY_WORKER, "gpu", image, image_id, True, started=float(number))
        for number, (image, image_id) in enumerate(running)
    )


def group_of(image: str, *running: tuple[str, str]) -> Workload:
    there = replicas(*running)
    image_id = workloads.image_id_of(image, there)
    return Workload("gpu", Component.RAY_WORKER, len(there), image, image_id, there)


def images_are_compared_by_what_they_stand_for() -> None:
    a, b = "x@sha256:a", "x@sha256:b"
    healthy = (
        group_of("x:1", ("x:1@sha256:a", a), ("x:1@sha256:a", a)),  # admission appended what the tag meant
        group_of("x:1", ("x:1", "docker-pullable://x@sha256:a"), ("x:1", "mirror.example/x@sha256:a")),
        group_of("x:1", ("x:1", a), ("x@sha256:a", a)),
        group_of("x:1", ("x:1", "sha256:c"), ("x:1", a)),  # one node has pulled it, the other was given a file
        group_of("fleet/x:1", ("mirror.example/fleet/x:1", ""), ("mirror.example/hub/fleet/x:1", "")),
        group_of("x:1@sha256:a", ("x:1@sha256:a", a), ("x:1@sha256:a", "")),
        group_of("x@sha256:a", ("x@sha256:a", "x@sha256:of-one-architecture")),
    )
    for group in healthy:
        assert not group.stale and not group.undecided, group
    for wanted, group in (("x:1", healthy[5]), ("docker.io/library/x:1", healthy[0]), ("x:1@sha256:a", healthy[0])):
        assert names_image(wanted, group), wanted
    for group in (group_of("x:1", ("x:1", a), ("x:1", b)), group_of("x:1@sha256:b", ("x:1@sha256:a", a))):
        assert [replica.name for replica in group.stale] == ["w-0"], group
    assert not any(map(is_floating, ("x@sha256:a", "x:1@sha256:a", "x:latest@sha256:a")))


def components(vllm: Workload, workers: Workload, *nodes: Node) -> Components:
    return Components(
        vllm_endpoints=Answer(len(vllm.ready)),
        vllm_version=Answer("0.10"),
        ray_version=Answer[Version](),
        ray_nodes=Answer(list(nodes)),
        nats=Answer[ServerInfo](),
        orchestrator={},
        workloads={Component.VLLM: Answer(vllm), Component.RAY_WORKER: Answer(workers)},
    )


def profile() -> Profile:
    return load("swe-ai-fleet")


def more_are_ready_than_are_asked_for() -> None:
    three = replicas(*[("x:1", "")] * 3)
    nodes = [Node(id=str(number), address=str(number), state="ALIVE") for number in range(2)]
    vllm = Workload("vllm-server", Component.VLLM, 2, "x:1", "", three)
    workers = Workload("gpu", Component.RAY_WORKER, 2, "x:1", "", three)
    cluster: Any = SimpleNamespace(kubernetes_target=KubernetesTarget())
    vllm_replicas_are_ready(components(vllm, workers, *nodes), profile(), cluster)
    asyncio.run(agree(components(vllm, workers, *nodes), profile()))


def workers_without_a_replica_of_serve_are_not_ready() -> None:
    container = {"name": "ray-worker", "image": RAY}
    pods = [pod("w-1", "gpu", container), pod("w-22", "gpu", container, ready=False)]
    _head, group = workloads.ray_groups(ray_cluster({"groupName": "gpu", "replicas": 2}), pods)
    nodes = [
        Node(id=replica.name, name=replica.address, address=replica.address, state="ALIVE")
        for replica in group.replicas
    ]
    asyncio.run(agree(components(group, group, *nodes), profile()))


def replicas_share_an_address_of_one_node() -> None:
    own = {"VLLM_URL": "http://10.0.3.5:30800", "PEERS": "10.0.3.127:1", "MAX_TOKENS": "10000"}
    environments = {
        "orchestrator-a": {**own, "HOST_IP": "10.0.3.5", "POD_IP": "10.0.3.12", "CPU_M": "1000"},
        "orchestrator-b": {**own, "HOST_IP": "10.0.3.6", "POD_IP": "10.0.3.13", "CPU_M": "1000"},
    }

    def drift() -> set[str]:
        shared = {name: comparable(own, name, own["POD_IP"], {"CPU_M"}) for name, own in environments.items()}
        return set(drifted(environments, shared))

    assert not drift()
    environments["orchestrator-b"] = {**environments["orchestrator-b"], "MAX_TOKENS": "20000"}
    assert drift() == {"MAX_TOKENS"}, "which is the replica's by no nature"


def a_head_of_an_earlier_life_is_listed() -> None:
    """With GCS fault tolerance Ray's table of nodes outlives its head, and so do rows in it, until Ray has found that
    their nodes do not answer. Source: https://docs.ray.io/en/latest/ray-core/fault_tolerance/gcs.html
    """
    nobody: Any = SimpleNamespace(
        operator=lambda: asyncio.sleep(0, {}),
        ray_objects=lambda: asyncio.sleep(0, {}),
        raycluster_not_ready_reason=lambda: asyncio.sleep(0, ""),
        attach=lambda *_, **__: None,
    )
    head = Workload("head", Component.RAY_HEAD, 1, RAY, "", (replicas((RAY, ""))[0],))
    head = replace(head, replicas=(replace(head.replicas[0], address="10.0.0.2"),))

    def rows(addresses: Sequence[str]) -> list[Node]:
        return [Node(id=address, address=address, state="ALIVE", head=True) for address in addresses]

    def judged(*addresses: str, later: Sequence[str] | None = None) -> None:
        """`later`: what Ray lists when it is asked again; None: the same."""
        seen = replace(components(head, head, *rows(addresses)), workloads={Component.RAY_HEAD: Answer(head)})
        ray: Any = SimpleNamespace(nodes=lambda: asyncio.sleep(0, rows(addresses if later is None else later)))
        with applied(Timeouts(ray_node_gone=0.01)):
            asyncio.run(ray_is_ready(seen, nobody, nobody, ray, load("kind"), nobody))

    judged("10.0.0.2")
    judged("10.0.0.1", "10.0.0.2", later=["10.0.0.2"])
    judged(later=["10.0.0.2"])
    with pytest.raises(Inconclusive, match="2 living heads, and one of them has a replica"):
        judged("10.0.0.1", "10.0.0.2")
    with pytest.raises(AssertionError, match="Ray lists 2 living heads, not one"):
        judged("10.0.0.1", "10.0.0.3")
    with pytest.raises(AssertionError, match="Ray lists 0 living heads, not one"):
        judged()


DOCUMENTS = (
    Document(
        name="init-containers-have-other-images",
        description="init containers and side-cars that start with them run from images of their own",
        holds=init_containers_are_not_the_workers,
        stretches=("IMG-01", "IMG-02", "IMG-03"),
    ),
    Document(
        name="sidecar-is-injected-into-ray-pods",
        description="admission puts a side-car into Ray's pods, which stands first there and not in their template",
        holds=side_cars_are_not_the_workers,
        stretches=("IMG-02", "INF-06", "JOB-12", "ORC-18"),
    ),
    Document(
        name="groups-are-read-as-kuberay-does",
        description="replicas beyond minReplicas and maxReplicas, groups of several hosts, suspended, or called head",
        holds=groups_have_the_size_that_kuberay_gives_them,
        stretches=("INF-05", "INF-06", "IMG-01", "ORC-18"),
    ),
    Document(
        name="pods-name-images-differently",
        description="admission pins digests or leads to mirrors; runtimes report one digest in several forms",
        holds=images_are_compared_by_what_they_stand_for,
        stretches=("IMG-01", "IMG-02", "IMG-03", "ORC-18"),
    ),
    Document(
        name="more-replicas-are-ready-than-asked-for",
        description="a roll-out starts new pods before it ends the old ones",
        holds=more_are_ready_than_are_asked_for,
        stretches=("INF-01", "INF-06"),
    ),
    Document(
        name="workers-are-not-ready-on-purpose",
        description="Ray Serve: a worker without a replica of it fails its readiness probe, and Ray counts it",
        holds=workers_without_a_replica_of_serve_are_not_ready,
        stretches=("INF-06",),
    ),
    Document(
        name="a-head-of-an-earlier-life-is-listed",
        description="the head was restarted a moment ago, and Ray's table of nodes outlived it",
        holds=a_head_of_an_earlier_life_is_listed,
        stretches=("INF-05",),
    ),
    Document(
        name="replicas-share-an-address-of-one-node",
        description="all replicas call vLLM at a node's port, and one of them runs on that node",
        holds=replicas_share_an_address_of_one_node,
        stretches=("CFG-07",),
    ),
)
