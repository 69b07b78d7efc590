"""A pod in which an image is tried: made as the workers are, run to its end, removed."""

from __future__ import annotations

import asyncio
import json
from math import inf
from typing import Any, cast

import pytest

from fixtures.clusters.base import Completed
from fixtures.clusters.kubernetes.client.errors import Asked, refusal
from fixtures.clusters.kubernetes.client.schemas import Pod, PodSpec
from fixtures.clusters.kubernetes.instance import Instance, amount
from fixtures.core import timeouts
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.timeouts import Timeouts

CONTAINER = {"name": "ray-worker", "image": "r", "securityContext": {"runAsUser": 1000}, "resources": {"limits": {}}}
WORKERS = PodSpec.of({"containers": [CONTAINER], "tolerations": [{"key": "gpu"}], "nodeSelector": {"gpu": "a100"}})


class Cluster:
    """Stands for an Api with one pod, whose status is what a test says."""

    def __init__(self, **status: Any) -> None:
        self.status, self.made, self.deleted = status, dict[str, Any](), list[str]()

    async def create(self, _resource: object, body: dict[str, Any], namespace: str) -> None:
        self.made = {**body, "metadata": {**body["metadata"], "namespace": namespace}}

    async def get(self, _resource: object, _name: str, _namespace: str) -> Pod:
        return Pod.of({**self.made, "status": self.status})

    async def logs(self, _pod: str, _namespace: str, *, container: str, lines: int) -> str:
        return f"{lines} lines of {container}"

    async def delete(self, _resource: object, name: str, _namespace: str, *, grace_s: int) -> bool:
        self.deleted.append(f"{name} {grace_s}")
        return True


async def run(cluster: Any) -> Completed:
    return await Instance(cluster, "ray", "fc-1").run("fleet/ray:2", ["true"], "in", WORKERS, 1.0)


def ended(**terminated: Any) -> Cluster:
    return Cluster(phase="Failed", containerStatuses=[{"name": "instance", "state": {"terminated": terminated}}])


@pytest.mark.parametrize(
    ("cluster", "code"), [(ended(exitCode=3), 3), (ended(exitCode=0), 0), (Cluster(phase="Failed"), -1)]
)
async def test_its_end_is_that_of_its_container(cluster: Cluster, code: int) -> None:
    ran = await run(cluster)
    assert (ran.returncode, ran.stdout) == (code, "100000 lines of instance")
    assert cluster.deleted == [f"{cluster.made['metadata']['name']} 0"]


async def test_it_starts_where_workers_may_with_their_rights() -> None:
    cluster = ended(exitCode=0)
    await run(cluster)
    spec = cluster.made["spec"]
    assert spec["tolerations"] == [{"key": "gpu"}]
    assert spec["containers"][0]["securityContext"] == {"runAsUser": 1000}
    assert spec["nodeSelector"] == {"gpu": "a100"}


async def test_it_is_made_as_policies_want_the_workers_to_be() -> None:
    """A quota on limits, nodes of one architecture, pull secrets that hang on the account; no place of its own."""
    term = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "Exists"}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}, "podAntiAffinity": {}}
    own = {"cpu": "16", "memory": "512Mi", "ephemeral-storage": "1Ti", "nvidia.com/gpu": "1"}
    container = {**CONTAINER, "imagePullPolicy": "Never", "resources": {"limits": own}}
    template = {"containers": [container], "serviceAccountName": "ray", "affinity": affinity, "hostNetwork": True}
    api: Any = Cluster()
    manifest = Instance(api, "ray", "fc-1").manifest("i", ["true"], "", PodSpec.of(template))
    spec, metadata = manifest["spec"], manifest["metadata"]
    made = spec["containers"][0]
    assert spec["serviceAccountName"] == "ray" and spec["automountServiceAccountToken"] is False
    assert spec["affinity"] == {"nodeAffinity": affinity["nodeAffinity"]}
    assert "hostNetwork" not in spec
    assert made["imagePullPolicy"] == "Never"
    assert made["resources"]["limits"] == {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "2Gi"}
    for marks in (metadata["labels"], metadata["annotations"]):
        assert (marks["sidecar.istio.io/inject"], marks["linkerd.io/inject"]) == ("false", "disabled")


async def test_it_has_the_variables_that_the_workers_are_given_by_value() -> None:
    secret = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    path = {"name": "PYTHONPATH", "value": "/opt/agents"}
    container = {**CONTAINER, "env": [path, secret, {"name": "FLEET_STDIN", "value": "x"}, {"name": "EMPTY"}]}
    api: Any = Cluster()
    template = PodSpec.of({"containers": [container]})
    (made,) = Instance(api, "ray", "fc-1").manifest("i", ["true"], "in", template)["spec"]["containers"]
    assert made["env"] == [path, {"name": "FLEET_STDIN", "value": "in"}]


async def test_a_side_car_that_runs_on_does_not_keep_it_waiting() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "istio-proxy", "state": {"running": {}}},
        {"name": "instance", "state": {"terminated": {"exitCode": 0}}},
    ]
    assert (await run(Cluster(phase="Running", containerStatuses=rows))).returncode == 0


async def test_a_quota_that_is_used_up_is_said_in_its_own_words() -> None:
    words = "exceeded quota: team, requested: limits.memory=2Gi, used: limits.memory=8Gi, limited: limits.memory=8Gi"

    class Full(Cluster):
        async def create(self, _resource: object, _body: dict[str, Any], _namespace: str) -> None:
            raise refusal(Asked("create", "pods", "ray"), "kind", 403, json.dumps({"message": words}).encode())

    with pytest.raises(Inconclusive, match=r"exceeded quota: team, requested: limits\.memory=2Gi"):
        await run(Full())


async def test_a_run_that_ends_while_the_pod_is_made_leaves_none() -> None:
    """Ctrl-C: the server has the request, and its answer is not there yet."""
    asked, answered = asyncio.Event(), asyncio.Event()

    class Slow(Cluster):
        async def create(self, resource: object, body: dict[str, Any], namespace: str) -> None:
            asked.set()
            await answered.wait()
            await super().create(resource, body, namespace)

    cluster = Slow()
    running = asyncio.create_task(run(cluster))
    await asked.wait()
    running.cancel()
    await asyncio.sleep(0)
    assert not cluster.deleted, "it could be made after that"
    answered.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cluster.deleted == [f"{cluster.made['metadata']['name']} 0"]


@pytest.mark.parametrize(
    ("quantity", "number"),
    [("500m", 0.5), ("2", 2.0), ("1.5", 1.5), ("2Gi", 2 * 2**30), ("1e3", 1e3), ("64Ti", inf), ("", inf), ("?", inf)],
)
def test_quantities_are_compared_as_numbers(quantity: str, number: float) -> None:
    assert amount(quantity) == number


async def test_an_image_that_cannot_be_pulled_is_the_fleets_failure() -> None:
    waiting = {"reason": "ErrImagePull", "message": "no such image"}
    cluster = Cluster(phase="Pending", containerStatuses=[{"name": "instance", "state": {"waiting": waiting}}])
    with pytest.raises(NonConformance, match="fleet/ray:2 cannot start: instance: ErrImagePull: no such image"):
        await run(cluster)
    assert cluster.deleted


async def test_a_registry_that_does_not_answer_is_waited_for() -> None:
    """Kubernetes tries again; in the end the reason is named, and is not the image's."""
    waiting = {"reason": "ErrImagePull", "message": "pull QPS exceeded"}
    cluster = Cluster(phase="Pending", containerStatuses=[{"name": "instance", "state": {"waiting": waiting}}])
    with timeouts.applied(Timeouts(instance_up=0.1)), pytest.raises(Inconclusive, match="pull QPS exceeded"):
        await Instance(cast(Any, cluster), "ray", "fc-1").run("fleet/ray:2", ["true"], "in", WORKERS, 0.0)
    assert cluster.deleted
