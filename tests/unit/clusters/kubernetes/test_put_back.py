"""Before a change its object's value is noted, after it no more; what a killed run left is put back by the next one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component
from fixtures.clusters.kubernetes.changes import COST, Change
from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, LEASES, PODS, RAY_CLUSTERS
from fixtures.clusters.kubernetes.client.errors import ApiError
from fixtures.clusters.kubernetes.cluster import AttachOptions, KubernetesCluster
from fixtures.clusters.kubernetes.disruption import Disruption
from fixtures.clusters.kubernetes.instance import RUN_LABEL
from fixtures.clusters.kubernetes.lease import DURATION_S, NAME, NOTES, RunLease
from fixtures.clusters.kubernetes.lookup import FleetLookup
from fixtures.clusters.kubernetes.put_back import instances_removed, put_back
from fixtures.core import timeouts
from fixtures.core.errors import Inconclusive
from fixtures.core.timeouts import Timeouts
from fixtures.profile import model as profiles
from fixtures.profile.model import load
from tests.support.kubernetes_objects import StoredObjects

PROFILE = profiles.load("swe-ai-fleet")
RAY_CLUSTER = PROFILE.ray.cluster
RIGHT, STOCK = "fleet/ray-custom:1", "rayproject/ray:1"


class Killed(Exception):
    """The run is no more."""


class Fleet(StoredObjects):
    """Two orchestrators, a head and a worker. Controllers follow at once; after `lives` changes the run is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.lives = 1000
        selector = {"matchLabels": {"app": "orchestrator"}}
        template = {"spec": {"containers": [{"name": "main", "image": "o:1"}]}}
        workload = PROFILE.orchestrator.workload
        self.put(DEPLOYMENTS, workload, {"spec": {"replicas": 2, "selector": selector, "template": template}})
        vllm = {"replicas": 1, "selector": {"matchLabels": {"app": "vllm"}}, "template": template}
        self.put(DEPLOYMENTS, PROFILE.vllm.workload, {"spec": vllm})
        group = {"template": {"spec": {"containers": [{"name": "ray", "image": RIGHT}]}}}
        spec = {"headGroupSpec": group, "workerGroupSpecs": [{"groupName": "gpu", "replicas": 1, **group}]}
        self.put(RAY_CLUSTERS, RAY_CLUSTER, {"spec": copy.deepcopy(spec), "status": READY})
        self.follow()

    @property
    def replicas(self) -> int:
        return int(self.objects["deployments", PROFILE.orchestrator.workload]["spec"]["replicas"])

    @property
    def images(self) -> list[str]:
        spec = self.objects["rayclusters", RAY_CLUSTER]["spec"]
        groups = (spec["headGroupSpec"], *spec["workerGroupSpecs"])
        return [group["template"]["spec"]["containers"][0]["image"] for group in groups]

    @property
    def notes(self) -> str:
        return self.annotations(LEASES, NAME).get(NOTES, "")

    def follow(self) -> None:
        """What controllers make of it: pods that are missing, and none too many."""
        for number in (1, 2):
            self._keep(f"orchestrator-{number}", number <= self.replicas, "o:1", {"app": "orchestrator"})
        if ("rayclusters", RAY_CLUSTER) not in self.objects:
            return
        for kind, image in zip(("head", "worker"), self.images, strict=True):
            labels = {"ray.io/cluster": RAY_CLUSTER, "ray.io/node-type": kind, "ray.io/group": "gpu"}
            names = [name for resource, name in self.objects if resource == "pods" and name.startswith(f"ray-{kind}")]
            self._keep(names[0] if names else f"ray-{kind}-{next(self._versions)}", True, image, labels)

    def _keep(self, name: str, wanted: bool, image: str, labels: dict[str, str]) -> None:
        there = ("pods", name) in self.objects
        if wanted and not there:
            container = {"name": "main", "image": image}
            owners = [{"kind": "ReplicaSet", "name": f"{PROFILE.orchestrator.workload}-7f", "controller": True}]
            metadata = {"labels": labels, "ownerReferences": owners if "app" in labels else []}
            self.put(PODS, name, {"metadata": metadata, "spec": {"containers": [container]}, "status": UP})
        elif there and not wanted:
            del self.objects["pods", name]

    async def patch(self, resource: Any, name: str, body: Any, namespace: str) -> dict[str, Any]:
        self._live()
        document = await super().patch(resource, name, body, namespace)
        self.follow()
        return document

    async def delete(
        self, resource: Any, name: str, namespace: str, *, grace_s: int | None = None, version: str = ""
    ) -> bool:
        del grace_s
        self._live()
        there = await super().delete(resource, name, namespace, version=version)
        self.follow()
        return there

    def _live(self) -> None:
        if not self.lives:
            raise Killed
        self.lives -= 1


READY = {"state": "ready", "conditions": []}
UP = {
    "phase": "Running",
    "podIP": "10.0.0.1",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [
        {"name": "main", "imageID": "sha256:1", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    ],
}


class Run:
    """One run's hold of the fleet."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        api: Any = fleet
        endpoints: Any = SimpleNamespace(renew=_nothing, close=_nothing, awaits_replicas=False)
        self.lease = RunLease(api, "n", name)
        self.disruption = Disruption(api, FleetLookup(api, PROFILE), endpoints, self.lease)

    async def begin(self) -> list[str]:
        await self.lease.take()
        return await put_back(self.disruption, self.lease.left, self.lease.left_by)

    async def shrink(self) -> None:
        workload = await self.disruption.lookup.workload(Component.ORCHESTRATOR)
        await self.disruption.kill([replica for replica in workload.replicas if replica.name == "orchestrator-2"])


async def _nothing() -> None: ...


async def killed_while(fleet: Fleet, what: str, lives: int) -> bool:
    """Whether a run was killed after so many requests of a change."""
    run = Run(fleet, "fc-0a1b2c")
    await run.begin()
    fleet.lives = lives
    try:
        await (run.shrink() if what == "size" else run.disruption.set_image(STOCK))
    except Killed:
        return True
    finally:
        fleet.lives = 1000
        await run.lease.abandon()
        fleet.clock += DURATION_S + 1
    return False


@pytest.fixture(autouse=True)
def _short_waits() -> Iterator[None]:
    with timeouts.applied(Timeouts(ray_pods_up=2, orchestrator_up=2, pod_gone=2)):
        yield


async def test_a_change_that_is_undone_leaves_no_note() -> None:
    fleet = Fleet()
    run = Run(fleet, "fc-0a1b2c")
    await run.begin()
    await run.shrink()
    assert '"before":["2"],"after":["1"]' in fleet.notes
    await run.disruption.restore()
    assert (fleet.replicas, fleet.notes) == (2, "")
    await run.disruption.set_image(STOCK)
    assert RIGHT in fleet.notes
    await run.disruption.restore()
    assert (fleet.images, fleet.notes) == ([RIGHT, RIGHT], "")
    await run.lease.release()
    assert ("leases", NAME) not in fleet.objects


SHRINKING = 6  # requests that change something: two notes, a pod's cost, the size, the pod's end, and one note less


@pytest.mark.parametrize("lives", range(SHRINKING + 1))
async def test_a_size_that_a_killed_run_left_is_put_back(lives: int) -> None:
    fleet = Fleet()
    assert await killed_while(fleet, "size", lives) == (lives < SHRINKING)
    changed = fleet.replicas == 1
    assert changed == (lives >= SHRINKING - 2), "its last two requests end the pod and forget its cost"
    run = Run(fleet, "fc-dddddd")
    lines = await run.begin()
    assert fleet.replicas == 2
    assert not any(COST in fleet.annotations(PODS, name) for kind, name in fleet.objects if kind == "pods")
    assert any("deployment" in line and line.endswith(": done") for line in lines) == changed
    assert fleet.notes == ""
    await run.lease.release()


async def begun() -> tuple[Fleet, Run]:
    fleet = Fleet()
    run = Run(fleet, "fc-0a1b2c")
    await run.begin()
    return fleet, run


def refuse_sizes(run: Run, *refused: int) -> list[int]:
    """Have the API server refuse the changes of a size of these numbers. Returns those that are asked for."""
    api: Any = run.disruption.api
    scale, asked = api.scale, list[int]()

    async def sometimes(resource: Any, name: str, replicas: int, namespace: str) -> None:
        asked.append(replicas)
        if len(asked) in refused:
            raise ApiError("429: too many requests", status=429)
        await scale(resource, name, replicas, namespace)

    api.scale = sometimes
    return asked


async def test_a_size_that_cannot_be_given_back_at_once_is_given_back_at_the_end() -> None:
    fleet, run = await begun()
    asked = refuse_sizes(run, 2)
    replicas = (await run.disruption.lookup.workload(Component.ORCHESTRATOR)).replicas
    await run.shrink()
    with pytest.raises(ApiError, match="429"):
        await run.disruption.revive(replicas)
    assert fleet.replicas == 1 and run.lease.noted and run.disruption.endpoints.awaits_replicas
    await run.disruption.restore()
    assert not run.disruption.endpoints.awaits_replicas
    assert (fleet.replicas, asked, run.lease.noted, fleet.notes) == (2, [1, 2, 2], "", "")
    await run.lease.release()


@pytest.mark.parametrize("refused", [("delete", ApiError("a webhook denied it", status=403)), ("stays", None)])
async def test_replicas_that_cannot_be_killed_leave_the_size_as_it_was(refused: tuple[str, ApiError | None]) -> None:
    fleet, run = await begun()
    kind, answer = refused

    async def delete(*_: Any, **__: Any) -> bool:
        if answer:
            raise answer
        return True

    api: Any = fleet
    api.delete = delete
    api.follow = lambda: None  # the node of the pod that is to end is slow
    with timeouts.applied(Timeouts(pod_gone=0.1)), pytest.raises(Inconclusive, match="denied" if answer else "the end"):
        await run.shrink()
    assert (fleet.replicas, run.lease.noted, fleet.notes) == (2, "", ""), kind
    assert COST not in fleet.annotations(PODS, "orchestrator-2")
    await run.lease.abandon()


async def test_what_cannot_be_undone_at_once_is_undone_at_the_end() -> None:
    fleet, run = await begun()
    fleet.refused["patch", "deployments"] = fleet.refused["patch", "pods"] = ApiError("503", status=503)
    with pytest.raises(ApiError):
        await run.shrink()
    assert "deployment" in run.lease.noted and COST in run.lease.noted
    fleet.refused.clear()
    await run.disruption.restore()
    assert (fleet.replicas, run.lease.noted, fleet.notes) == (2, "", "")
    await run.lease.release()


async def test_the_end_names_it_too_where_the_object_is_gone() -> None:
    fleet, run = await begun()
    await run.disruption.set_image(STOCK)
    del fleet.objects["rayclusters", RAY_CLUSTER]
    cluster: Any = KubernetesCluster(AttachOptions(PROFILE, None, None, "fc-0a1b2c", True))
    cluster._attached, cluster._lease = run.disruption, run.lease
    with pytest.raises(Inconclusive, match=f"{RAY_CLUSTER}: image .* could not be put back: there is no RayCluster"):
        await cluster.stop()


async def test_a_change_that_could_not_be_noted_is_none() -> None:
    fleet, run = await begun()
    fleet.refused["patch", "leases"] = ApiError("500", status=500)
    with pytest.raises(ApiError):
        await run.shrink()
    assert (fleet.replicas, run.lease.noted) == (2, "")
    await run.lease.abandon()


async def test_the_end_names_what_stays_changed() -> None:
    """Though nothing was left for it to put back."""
    fleet, run = await begun()
    options = AttachOptions(PROFILE, None, None, "fc-0a1b2c", True)
    cluster: Any = KubernetesCluster(options)
    cluster._attached, cluster._lease = run.disruption, run.lease
    sized = Change(kind="deployments", namespace="n", name="orchestrator", before=["2"], after=["0"])
    await run.lease.note(sized)
    with pytest.raises(Inconclusive, match=r"orchestrator: replicas 2 \(now 0\) could not be put back$"):
        await cluster.stop()
    assert "orchestrator" in fleet.notes, "the next run puts it back"


async def test_images_that_are_set_back_without_a_restart_leave_no_note() -> None:
    fleet = Fleet()
    run = Run(fleet, "fc-0a1b2c")
    await run.begin()
    await run.disruption.set_image(STOCK)
    await run.disruption.set_image(RIGHT)
    await run.disruption.restore()
    await run.lease.release()
    assert ("leases", NAME) not in fleet.objects


@pytest.mark.parametrize("lives", range(3))
async def test_images_that_a_killed_run_left_are_put_back(lives: int) -> None:
    fleet = Fleet()
    await killed_while(fleet, "image", lives)
    changed = fleet.images != [RIGHT, RIGHT]
    run = Run(fleet, "fc-dddddd")
    lines = await run.begin()
    assert fleet.images == [RIGHT, RIGHT]
    assert [line.rpartition(": ")[2] for line in lines] == ["done"] * changed
    assert fleet.notes == ""
    await run.disruption.restore()
    assert fleet.images == [RIGHT, RIGHT], "what was put back is no change of this run"
    await run.lease.release()


@pytest.mark.parametrize("patched_back", [False, True])
async def test_pods_that_run_a_killed_runs_image_are_replaced(patched_back: bool) -> None:
    fleet = Fleet()
    run = Run(fleet, "fc-0a1b2c")
    await run.begin()
    await run.disruption.roll_out(STOCK)
    if patched_back:  # and killed before its pods were replaced
        await run.disruption.set_image(RIGHT)
    await run.lease.abandon()
    fleet.clock += DURATION_S + 1
    later = Run(fleet, "fc-dddddd")
    (line,) = await later.begin()
    assert line.endswith(": done, and Ray restarted")
    pods = [pod for (kind, name), pod in fleet.objects.items() if kind == "pods" and name.startswith("ray-")]
    assert [pod["spec"]["containers"][0]["image"] for pod in pods] == [RIGHT, RIGHT]
    await later.lease.release()


async def test_a_size_is_given_back_to_the_workload_of_its_namespace() -> None:
    """Both parts are called alike; a name alone would be that of the last one."""
    asked: list[Component] = []

    async def workload(component: Component) -> Any:
        asked.append(component)
        return SimpleNamespace(desired=2)

    profile = PROFILE.replaced("vllm", workload="server", namespace="models")
    lookup = SimpleNamespace(
        profile=profile.replaced("orchestrator", workload="server", namespace="apps"), workload=workload
    )
    run: Any = SimpleNamespace(lookup=lookup, changes=SimpleNamespace(forget=forgotten))
    for namespace in ("apps", "models"):
        sized = Change(kind="deployments", namespace=namespace, name="server", before=["2"], after=["1"])
        assert await put_back(run, [sized], "fc-1") == []
    assert asked == [Component.ORCHESTRATOR, Component.VLLM]
    elsewhere = Change(kind="deployments", namespace="other", name="server", before=["2"], after=["1"])
    with pytest.raises(Inconclusive, match="the profile names no such workload"):
        await put_back(run, [elsewhere], "fc-1")


async def forgotten(*_keys: object) -> None:
    """Nothing is noted."""


async def test_what_somebody_has_changed_since_stays() -> None:
    fleet = Fleet()
    await killed_while(fleet, "image", 1000)
    await killed_while(fleet, "size", 1000)
    await fleet.patch(DEPLOYMENTS, PROFILE.orchestrator.workload, {"spec": {"replicas": 4}}, "")
    run = Run(fleet, "fc-dddddd")
    lines = await run.begin()
    assert fleet.replicas == 4
    assert any("it is 4 now, by somebody else: left as it is" in line for line in lines)
    await run.lease.release()


async def test_pods_of_a_killed_run_are_removed() -> None:
    fleet = Fleet()
    fleet.put(PODS, "fleet-conformance-fc-0a1b2c-1", {"metadata": {"labels": {RUN_LABEL: "fc-0a1b2c"}}, "spec": {}})
    run = Run(fleet, "fc-dddddd")
    (line,) = await instances_removed(run.disruption, "fc-0a1b2c on ci-7")
    assert "had removed pod fleet-conformance-fc-0a1b2c-1 in namespace ray: done" in line
    assert ("pods", "fleet-conformance-fc-0a1b2c-1") not in fleet.objects
    assert await instances_removed(run.disruption, "fc-0a1b2c on ci-7") == []


async def test_an_object_that_is_gone_is_told() -> None:
    fleet = Fleet()
    await killed_while(fleet, "image", 1000)
    del fleet.objects["rayclusters", RAY_CLUSTER]
    run = Run(fleet, "fc-dddddd")
    (line,) = await run.begin()
    assert f"there is no RayCluster {RAY_CLUSTER}" in line
    await run.lease.release()


@pytest.mark.parametrize("there", [True, False])
async def test_a_cost_is_forgotten_only_where_its_pod_was_looked_for(there: bool) -> None:
    """Where the API server did not say which pods there are, the note stays for the next run."""
    pod = SimpleNamespace(metadata=SimpleNamespace(name="orchestrator-1", annotations={}))

    class Disrupted:
        def __init__(self) -> None:
            self.forgotten: list[object] = []

        @property
        def lookup(self) -> Any:
            return self

        changes = lookup
        profile = load("swe-ai-fleet")

        def namespace(self, _component: Component) -> str:
            return "ns"

        async def pods(self, component: Component) -> list[Any]:
            if component is Component.VLLM:
                raise Inconclusive("the API server does not answer")
            return [pod] if there else []

        async def forget(self, *keys: object) -> None:
            self.forgotten.extend(keys)

    cost = Change(kind="pods", namespace="ns", name="orchestrator-1", before=[""], after=["-1000"])
    disrupted: Any = Disrupted()
    if there:
        assert await put_back(disrupted, [cost], "fc-1") == []
    else:
        with pytest.raises(Inconclusive, match="does not answer"):
            await put_back(disrupted, [cost], "fc-1")
    assert disrupted.forgotten == ([cost.key] if there else [])
