"""What is missing in a cluster is the fleet's failure, said in one line; what may not be read is the suite's."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.clusters.base import Component, Unsupported
from fixtures.clusters.kubernetes.client.api import (
    DAEMONSETS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    NODES,
    PODS,
    RAY_CLUSTERS,
    SERVICES,
    STATEFULSETS,
    AnyResource,
)
from fixtures.clusters.kubernetes.client.errors import Forbidden, NotFound
from fixtures.clusters.kubernetes.client.schemas import KubernetesObject
from fixtures.clusters.kubernetes.lookup import FleetLookup
from fixtures.clusters.kubernetes.service_endpoints import PortForwards
from fixtures.clusters.kubernetes.workloads import ARCHITECTURE
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.profile import model as profiles
from fixtures.profile.ray_section import Group

ORCHESTRATOR = ("swe-ai-fleet", "orchestrator")


class StandInApi:
    """Answers from a table; what is not in it is absent."""

    inside = False

    def __init__(self, answers: dict[AnyResource, Any] | None = None) -> None:
        self.answers = answers or {}

    async def get(self, resource: AnyResource, name: str, namespace: str) -> KubernetesObject:
        answer = self.answers.get(resource, NotFound(f"{resource.name} {name} in {namespace}"))
        if isinstance(answer, Exception):
            raise answer
        return resource.model.of({"metadata": {"name": name, "namespace": namespace}, **answer})

    async def list(self, resource: AnyResource, _namespace: str, *, labels: str = "") -> list[KubernetesObject]:
        assert labels
        return [resource.model.of(document) for document in self.answers.get(resource, [])]


def found(answers: dict[AnyResource, Any] | None = None) -> FleetLookup:
    api: Any = StandInApi(answers)
    return FleetLookup(api, profiles.load("swe-ai-fleet"))


async def test_without_kuberay_the_type_itself_is_unknown() -> None:
    with pytest.raises(NonConformance, match=r"does not know rayclusters.ray.io/v1: KubeRay's CRDs are not installed"):
        await found({RAY_CLUSTERS: NotFound("404", unknown_type=True)}).workload(Component.RAY_HEAD)


async def test_no_ray_cluster_of_that_name() -> None:
    with pytest.raises(NonConformance, match="there is no RayCluster ray-gpu in namespace ray"):
        await found().ray_groups()


async def test_an_instance_is_made_as_the_workers_of_its_image_are() -> None:
    """Of several groups with it, as those of one that runs agents."""

    def group(name: str, image: str) -> dict[str, Any]:
        pod_spec = {"containers": [{"name": name, "image": image}]}
        return {"groupName": name, "replicas": 1, "template": {"spec": pod_spec}}

    groups = [group("models", "ray:b"), group("gpu", "ray:a"), group("cpu", "ray:b")]
    ray_cluster = {"spec": {"headGroupSpec": {"template": {"spec": {"containers": []}}}, "workerGroupSpecs": groups}}
    named = (
        Group(name="models", workers=1, runs_agents=False),
        Group(name="gpu", workers=1),
        Group(name="cpu", workers=1),
    )
    lookup = found({RAY_CLUSTERS: ray_cluster})
    lookup.profile = lookup.profile.replaced("ray", groups=named)
    for image, name in (("ray:a", "gpu"), ("ray:b", "cpu"), ("ray:other", "gpu"), ("", "gpu")):
        assert (await lookup.worker_template(image)).containers[0].name == name
    assert lookup.worker_groups == ("models", "gpu", "cpu")


@pytest.mark.parametrize("may_list", [True, False])
async def test_nodes_are_asked_for_their_architecture_where_images_differ(may_list: bool) -> None:
    """Once, and without the right to list them the digests decide as before."""

    def worker(name: str, digest: str, arch: str) -> dict[str, Any]:
        main = {"name": "ray-worker", "image": "r:1"}
        labels = {"ray.io/node-type": "worker", "ray.io/group": "gpu"}
        status = {"containerStatuses": [{"name": "ray-worker", "imageID": f"r@sha256:{digest}"}]}
        spec = {"nodeName": f"node-{arch}", "containers": [main]}
        return {"metadata": {"name": name, "namespace": "ns", "labels": labels}, "spec": spec, "status": status}

    class Nodes(StandInApi):
        asked = 0

        async def list(self, resource: AnyResource, *place: str, labels: str = "") -> list[KubernetesObject]:
            if resource is not NODES:
                return await super().list(resource, *place, labels=labels)
            self.asked += 1
            if not may_list:
                raise Forbidden("may not list nodes")
            names = {f"node-{arch}": arch for arch in ("amd64", "arm64")}
            rows = [{"metadata": {"name": name, "labels": {ARCHITECTURE: arch}}} for name, arch in names.items()]
            return [resource.model.of(row) for row in rows]

    head: dict[str, Any] = {"template": {"spec": {"containers": [{"name": "ray-head", "image": "r:1"}]}}}
    group = {"groupName": "gpu", "template": {"spec": {"containers": [{"name": "ray-worker", "image": "r:1"}]}}}
    ray_cluster = {"spec": {"headGroupSpec": head, "workerGroupSpecs": [group]}}
    same, other = worker("w-1", "a", "amd64"), worker("w-2", "b", "arm64")
    api: Any = Nodes(
        {RAY_CLUSTERS: ray_cluster, PODS: [same, {**same, "metadata": {**same["metadata"], "name": "w-0"}}]}
    )
    lookup = FleetLookup(api, profiles.load("swe-ai-fleet"))
    assert not (await lookup.ray_groups())[1].stale and api.asked == 0
    api.answers[PODS] = [same, other]
    for _ in range(2):
        assert bool((await lookup.ray_groups())[1].stale) is not may_list
    assert api.asked == 1


async def test_no_workload_of_that_name() -> None:
    with pytest.raises(NonConformance, match="no Deployment, StatefulSet or DaemonSet orchestrator in namespace"):
        await found().workload(Component.ORCHESTRATOR)


async def test_what_was_read_is_remembered_for_the_remedies() -> None:
    head: dict[str, Any] = {"template": {"spec": {}}}
    groups = [{"groupName": name, **head} for name in ("gpu-workers", "cpu-workers")]
    ray_cluster = {"spec": {"headGroupSpec": head, "workerGroupSpecs": groups}}
    labels = {"part": "api", "app.kubernetes.io/name": "orchestrator"}
    orchestrator = {"spec": {"selector": {"matchLabels": labels}, **head}}
    lookup = found({RAY_CLUSTERS: ray_cluster, STATEFULSETS: orchestrator})
    assert (lookup.worker_groups, lookup.selectors, lookup.workload_kinds) == ((), {}, {})
    await lookup.ray_groups()
    await lookup.workload(Component.ORCHESTRATOR)
    assert lookup.worker_groups == ("gpu-workers", "cpu-workers")
    assert lookup.selectors == {ORCHESTRATOR: "app.kubernetes.io/name=orchestrator,part=api"}
    assert lookup.workload_kinds == {ORCHESTRATOR: "statefulsets"}


@pytest.mark.parametrize(
    ("owners", "service"),
    [
        ([{"kind": "RayService", "name": "agents", "controller": True}], "agents"),
        ([{"kind": "RayJob", "name": "nightly", "controller": True}], ""),
        ([{"kind": "RayService", "name": "agents"}], ""),
        ([], ""),
    ],
)
async def test_the_ray_service_that_keeps_the_cluster_is_remembered(owners: list[Any], service: str) -> None:
    metadata = {"name": "ray-gpu", "namespace": "ray", "ownerReferences": owners}
    ray_cluster = {"metadata": metadata, "spec": {"headGroupSpec": {"template": {"spec": {}}}}}
    lookup = found({RAY_CLUSTERS: ray_cluster})
    await lookup.ray_cluster()
    assert lookup.ray_service == service


@pytest.mark.parametrize(
    ("annotations", "names", "main"),
    [
        ({"kubectl.kubernetes.io/default-container": "app"}, ["proxy", "app", "orchestrator"], "app"),
        ({}, ["proxy", "app", "orchestrator"], "orchestrator"),
        ({}, ["server", "proxy"], "server"),
        ({"kubectl.kubernetes.io/default-container": "gone"}, ["server", "proxy"], "server"),
    ],
)
async def test_commands_run_in_the_container_that_the_template_means(
    annotations: dict[str, str], names: list[str], main: str
) -> None:
    """The pods have the same containers in another order, and one more that was injected."""
    containers = [{"name": name, "image": f"fleet/{name}:1"} for name in names]
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": containers}}
    injected = [{"name": "istio-proxy", "image": "mesh"}, *reversed(containers)]
    pod = pod_of("ReplicaSet", "orchestrator-5d8f9c7b6c", {"containers": injected})
    orchestrator = {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template}}
    lookup = found({DEPLOYMENTS: orchestrator, PODS: [pod]})
    workload = await lookup.workload(Component.ORCHESTRATOR)
    assert workload.image == f"fleet/{main}:1" and not workload.stale
    assert [lookup.place(replica) for replica in workload.replicas] == [("swe-ai-fleet", main)]


def pod_of(kind: str, owner: str, spec: dict[str, Any] | None = None, name: str = "o-1") -> dict[str, Any]:
    """A pod that the object of that kind and name keeps; nobody for ""."""
    owners = [{"kind": kind, "name": owner, "controller": True}] if owner else []
    return {"metadata": {"name": name, "namespace": "ns", "ownerReferences": owners}, "spec": spec or {}}


@pytest.mark.parametrize(
    ("resource", "kind", "owner", "is_replica"),
    [
        (DEPLOYMENTS, "ReplicaSet", "orchestrator-5d8f9c7b6c", True),
        (DEPLOYMENTS, "ReplicaSet", "orchestrator-verification-5d8f9c7b6c", False),
        (DEPLOYMENTS, "StatefulSet", "orchestrator", False),
        (DEPLOYMENTS, "Job", "orchestrator-init-councils", False),
        (DEPLOYMENTS, "", "", False),
        (STATEFULSETS, "StatefulSet", "orchestrator", True),
        (STATEFULSETS, "ReplicaSet", "orchestrator-5d8f9c7b6c", False),
        (DAEMONSETS, "DaemonSet", "orchestrator", True),
        (DAEMONSETS, "Job", "orchestrator", False),
    ],
)
async def test_owners_decide_whose_replica_a_pod_is(
    resource: AnyResource, kind: str, owner: str, is_replica: bool
) -> None:
    keeper = {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"spec": {}}}}
    replicas = (await found({resource: keeper, PODS: [pod_of(kind, owner)]}).workload(Component.ORCHESTRATOR)).replicas
    assert [replica.name for replica in replicas] == (["o-1"] if is_replica else [])


async def test_a_daemon_set_asks_for_a_replica_on_each_node_that_fits() -> None:
    keeper = {
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"spec": {}}},
        "status": {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "currentNumberScheduled": 3},
    }
    workload = await found({DAEMONSETS: keeper}).workload(Component.VLLM)
    assert (workload.desired, workload.rollout) == (3, "")


@pytest.mark.parametrize(
    ("policy", "created", "waiting", "under_way"),
    [("", 2, "", True), ("", 2, "CrashLoopBackOff", False), ("OrderedReady", 1, "", False), ("Parallel", 2, "", True)],
)
async def test_a_roll_out_that_cannot_go_on_is_none(policy: str, created: int, waiting: str, under_way: bool) -> None:
    keeper = {
        "spec": {
            "replicas": 2,
            "podManagementPolicy": policy,
            "selector": {"matchLabels": {"app": "x"}},
            "template": {"spec": {}},
        },
        "status": {"replicas": created, "updatedReplicas": 1},
    }
    resource, owner = (STATEFULSETS, "StatefulSet") if policy else (DEPLOYMENTS, "ReplicaSet")
    kept = pod_of(owner, "orchestrator" if policy else "orchestrator-5d8f9c7b6c")
    kept["status"] = {"containerStatuses": [{"name": "main", "state": {"waiting": {"reason": waiting}}}]}
    workload = await found({resource: keeper, PODS: [kept]}).workload(Component.ORCHESTRATOR)
    assert len(workload.replicas) == 1 and bool(workload.rollout) == under_way and workload.stuck == bool(waiting)


async def test_pods_are_selected_by_expressions_too() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["api", "web"]},
        {"key": "canary", "operator": "DoesNotExist"},
        {"key": "app", "operator": "Exists"},
        {"key": "zone", "operator": "NotIn", "values": ["b"]},
    ]
    selector = {"matchLabels": {"part": "x"}, "matchExpressions": expressions}
    lookup = found({DEPLOYMENTS: {"spec": {"selector": selector, "template": {"spec": {}}}}})
    await lookup.workload(Component.ORCHESTRATOR)
    assert lookup.selectors == {ORCHESTRATOR: "part=x,tier in (api,web),!canary,app,zone notin (b)"}


async def strangers(*pods: dict[str, Any]) -> list[str]:
    container = {"name": "o", "image": "fleet/orchestrator:1"}
    template = {"spec": {"containers": [container]}}
    deployment = {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template}}
    mine = pod_of("ReplicaSet", "orchestrator-5d8f9c7b6c", {"containers": [container]}, name="mine")
    selecting = {"spec": {"selector": {"app": "x"}}}
    lookup = found({DEPLOYMENTS: deployment, SERVICES: selecting, PODS: [mine, *pods]})
    return await lookup.strangers(Component.ORCHESTRATOR, ["mine", *(pod["metadata"]["name"] for pod in pods)])


async def test_what_a_service_leads_to_beside_its_workload_is_named() -> None:
    job = pod_of("Job", "init", {"containers": [{"name": "i", "image": "fleet/tools:1"}]}, name="stranger")
    assert await strangers() == []
    assert await strangers(job) == ["stranger (of Job init, fleet/tools:1)"]
    bare = pod_of("", "", {"containers": [{"name": "i", "image": "other"}]}, name="bare")
    assert await strangers(bare) == ["bare (that no controller keeps, other)"]


async def test_a_canary_is_no_stranger() -> None:
    canary = {"containers": [{"name": "o", "image": "mirror.example/fleet/orchestrator:2"}]}
    assert await strangers(pod_of("ReplicaSet", "orchestrator-canary-77", canary, name="canary")) == []


class TwoNamespaces(StandInApi):
    """The orchestrator's is a Deployment that was scaled to none; vLLM's, a StatefulSet of its name, has replicas."""

    async def get(self, resource: AnyResource, name: str, namespace: str) -> KubernetesObject:
        replicas: dict[AnyResource, tuple[str, int]] = {DEPLOYMENTS: ("apps", 0), STATEFULSETS: ("models", 2)}
        if resource not in replicas or replicas[resource][0] != namespace or name != "server":
            raise NotFound(f"{resource.name} {name} in {namespace}")
        selector = {"matchLabels": {"in": namespace}}
        spec = {"replicas": replicas[resource][1], "selector": selector, "template": {"spec": {}}}
        return resource.model.of({"metadata": {"name": name, "namespace": namespace}, "spec": spec})


async def test_workloads_of_one_name_in_two_namespaces_are_two() -> None:
    profile = profiles.load("swe-ai-fleet").replaced("orchestrator", workload="server", namespace="apps")
    api: Any = TwoNamespaces()
    lookup = FleetLookup(api, profile.replaced("vllm", workload="server", namespace="models"))
    for component, desired in ((Component.ORCHESTRATOR, 0), (Component.VLLM, 2), (Component.ORCHESTRATOR, 0)):
        assert (await lookup.workload(component)).desired == desired
    assert await lookup.kind_of("server", "apps") is DEPLOYMENTS
    assert await lookup.kind_of("server", "models") is STATEFULSETS
    assert lookup.selectors == {("apps", "server"): "in=apps", ("models", "server"): "in=models"}


async def test_a_workload_that_is_gone_may_come_back_as_another_kind() -> None:
    orchestrator = {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"spec": {}}}}
    answers: dict[AnyResource, Any] = {DEPLOYMENTS: orchestrator}
    lookup = found(answers)
    await lookup.owner(Component.ORCHESTRATOR)
    assert lookup.workload_kinds == {ORCHESTRATOR: "deployments"}
    answers[STATEFULSETS] = answers.pop(DEPLOYMENTS)
    with pytest.raises(NonConformance, match="deployments orchestrator in namespace swe-ai-fleet is gone"):
        await lookup.owner(Component.ORCHESTRATOR)
    assert await lookup.kind_of("orchestrator", "swe-ai-fleet") is STATEFULSETS


async def scaled_to_none(*pods: dict[str, Any]) -> FleetLookup:
    selector = {"matchLabels": {"app": "x"}}
    deployment = {"spec": {"replicas": 0, "selector": selector, "template": {"spec": {}}}}
    lookup = found({DEPLOYMENTS: deployment, SERVICES: {"spec": {"selector": {"app": "x"}}}, PODS: list(pods)})
    await lookup.owner(Component.ORCHESTRATOR)
    return lookup


async def test_a_deployment_may_be_the_template_of_a_rollout_of_its_name() -> None:
    pods = [pod_of("ReplicaSet", "orchestrator-5d8f9c7b6c", name=name) for name in ("o-1", "o-2")]
    lookup = await scaled_to_none(*pods)
    workload = await lookup.workload(Component.ORCHESTRATOR)
    assert (workload.desired, [replica.name for replica in workload.replicas]) == (2, ["o-1", "o-2"])
    with pytest.raises(Unsupported, match="something else keeps the pods of orchestrator"):
        await lookup.kind_of(workload.name, "swe-ai-fleet")


@pytest.mark.parametrize(
    "pods",
    [[], [pod_of("Job", "init")], [pod_of("ReplicaSet", "orchestrator-canary-5d8f")], [pod_of("", "")]],
    ids=["none", "a job's", "a canary's", "nobody's"],
)
async def test_a_deployment_that_is_scaled_to_none_has_none(pods: list[dict[str, Any]]) -> None:
    lookup = await scaled_to_none(*pods)
    assert (await lookup.workload(Component.ORCHESTRATOR)).desired == 0
    assert await lookup.kind_of("orchestrator", "ns") is DEPLOYMENTS


async def test_what_may_not_be_read_is_no_failure() -> None:
    with pytest.raises(Inconclusive, match="may not"):
        await found({RAY_CLUSTERS: Forbidden("may not get rayclusters")}).workload(Component.RAY_WORKER)


def service(port: int, name: str = "") -> dict[str, Any]:
    return {"spec": {"ports": [{"port": port, "name": name}]}}


def slice_of(*pods: str, port: int = 8000, name: str = "", ready: bool = True) -> dict[str, Any]:
    endpoints = [{"targetRef": {"kind": "Pod", "name": pod}, "conditions": {"ready": ready}} for pod in pods]
    return {"ports": [{"name": name, "port": port}], "endpoints": endpoints}


async def behind(answers: dict[AnyResource, Any], port: int = 80) -> list[tuple[str, int]]:
    api: Any = StandInApi(answers)
    return await PortForwards(api).ready_endpoints("vllm", "ns", port)


async def test_a_service_leads_to_the_ports_of_its_ready_pods() -> None:
    slices = [slice_of("b", "a", name="http"), slice_of("c", name="http", ready=False), slice_of("d", name="metrics")]
    assert await behind({SERVICES: service(80, "http"), ENDPOINT_SLICES: slices}) == [("a", 8000), ("b", 8000)]


async def test_a_pod_of_two_ip_families_is_one() -> None:
    assert await behind({SERVICES: service(80), ENDPOINT_SLICES: [slice_of("a"), slice_of("a")]}) == [("a", 8000)]


async def test_a_service_without_that_port_says_which_it_has() -> None:
    with pytest.raises(NonConformance, match="service vllm in namespace ns has no port 80; its ports: 8000"):
        await behind({SERVICES: service(8000)})


async def test_a_service_that_is_not_there() -> None:
    with pytest.raises(NonConformance, match="there is no service vllm in namespace ns"):
        await behind({})
