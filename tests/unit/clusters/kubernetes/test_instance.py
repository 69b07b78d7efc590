"""A pod in which an image is tried: made as the workers are, run to its end, removed."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.clusters.base import Completed
from fixtures.clusters.kubernetes.client.schemas import Pod, PodSpec
from fixtures.clusters.kubernetes.instance import Instance
from fixtures.core.errors import NonConformance

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
    assert "nodeSelector" not in spec


async def test_an_image_that_cannot_be_pulled_is_the_fleets_failure() -> None:
    waiting = {"reason": "ErrImagePull", "message": "no such image"}
    cluster = Cluster(phase="Pending", containerStatuses=[{"name": "instance", "state": {"waiting": waiting}}])
    with pytest.raises(NonConformance, match="fleet/ray:2 cannot start: instance: ErrImagePull: no such image"):
        await run(cluster)
    assert cluster.deleted
