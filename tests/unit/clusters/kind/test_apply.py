"""What is applied: created, changed in place or made again, and left alone where it is as it should be."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.kind.apply import apply, covers, up_to_date
from fixtures.clusters.kubernetes.client.api import AnyResource, Api, connect
from fixtures.clusters.kubernetes.client.errors import ApiError, NotFound
from fixtures.clusters.kubernetes.client.schemas import KubernetesObject
from tests.support.kubernetes_stand_in import StandIn, write_kubeconfig

Document = dict[str, Any]
Merge = Callable[[Document | None, Document], Document]


def replaced(live: Document | None, wanted: Document) -> Document:
    """What server-side apply makes of an object that nobody else has changed."""
    made = copy.deepcopy(wanted)
    made["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    made["spec"] = {"filled": "in", **made["spec"]}
    return made


class Server:
    """Objects by name, and what was done: stands for an Api."""

    def __init__(self, *live: Document, merge: Merge = replaced) -> None:
        self.objects = {one["metadata"]["name"]: replaced(None, one) for one in live}
        self.merge = merge
        self.done: list[str] = []

    async def get(self, _resource: AnyResource, name: str, _namespace: str = "") -> KubernetesObject:
        if name not in self.objects:
            raise NotFound(f"{name} is not there")
        return KubernetesObject.of(self.objects[name])

    async def apply(self, _resource: AnyResource, body: Document, *, dry_run: bool = False) -> KubernetesObject:
        made = self.merge(self.objects.get(body["metadata"]["name"]), body)
        if not dry_run:
            self.done.append("apply")
            self.objects[body["metadata"]["name"]] = made
        return KubernetesObject.of(made)

    async def delete(self, _resource: AnyResource, name: str, _namespace: str = "") -> bool:
        if removed := self.objects.pop(name, None):
            self.done.append("delete")
        return removed is not None

    async def list(self, *_: Any) -> list[Document]:
        return []


def document(kind: str, **spec: Any) -> Document:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "namespace": "n"}, "spec": spec}


async def done_by(server: Any, wanted: Document, *, anew: bool = False) -> list[str]:
    await apply(server, wanted, anew=anew)
    return list(server.done)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "RayCluster", "Service"])
async def test_what_is_absent_is_applied(kind: str) -> None:
    assert await done_by(Server(), document(kind, a=1)) == ["apply"]


@pytest.mark.parametrize("kind", ["StatefulSet", "RayCluster"])
async def test_what_cannot_be_changed_in_place_is_left_alone_or_made_again(kind: str) -> None:
    live = document(kind, a=1, b=2)
    assert await done_by(Server(live), document(kind, a=1, b=2)) == []
    assert await done_by(Server(live), document(kind, a=1, b=3)) == ["delete", "apply"], "changed"
    assert await done_by(Server(live), document(kind, a=1)) == ["delete", "apply"], "taken out of the manifest"
    assert await done_by(Server(live), live, anew=True) == ["delete", "apply"]


async def test_a_change_that_the_api_server_does_not_allow_means_that_it_differs() -> None:
    def refuses(live: Document | None, wanted: Document) -> Document:
        if live:
            raise ApiError("spec: Forbidden: updates to statefulset spec", status=422)
        return replaced(live, wanted)

    live = document("StatefulSet", a=1)
    assert await done_by(Server(live, merge=refuses), document("StatefulSet", a=2)) == ["delete", "apply"]
    assert await done_by(Server(live, merge=refuses), live) == ["delete", "apply"]


async def test_another_refusal_is_no_difference() -> None:
    def refuses(live: Document | None, wanted: Document) -> Document:
        raise ApiError("etcdserver: request timed out", status=500)

    server: Any = Server(document("RayCluster", a=1), merge=refuses)
    with pytest.raises(ApiError, match="timed out"):
        await apply(server, document("RayCluster", a=1))
    assert server.done == []


async def test_what_others_added_to_a_deployment_is_removed_with_it() -> None:
    def keeps_lists(live: Document | None, wanted: Document) -> Document:
        made = replaced(live, wanted)
        made["spec"]["env"] = [*wanted["spec"]["env"], *(live["spec"]["env"][1:] if live else [])]
        return made

    wanted = document("Deployment", env=[{"name": "A"}])
    server = Server(document("Deployment", env=[{"name": "A"}, {"name": "LEFT"}]), merge=keeps_lists)
    assert await done_by(server, wanted) == ["apply", "delete", "apply"]
    assert server.objects["x"]["spec"]["env"] == [{"name": "A"}]


async def test_up_to_date_is_what_would_not_change() -> None:
    live = document("Deployment", a=1, b=2)
    assert await up_to_date(Server(live), live)  # type: ignore[arg-type]
    assert not await up_to_date(Server(live), document("Deployment", a=1))  # type: ignore[arg-type]
    assert not await up_to_date(Server(), live)  # type: ignore[arg-type]


def test_what_the_api_server_fills_in_is_no_difference() -> None:
    wanted = {"spec": {"ports": [{"port": 1}], "replicas": 2}}
    assert covers({"spec": {"ports": [{"port": 1, "protocol": "TCP"}], "replicas": 2, "more": 1}}, wanted)
    assert not covers({"spec": {"ports": [{"port": 1}, {"port": 2}], "replicas": 2}}, wanted)
    assert not covers({"spec": {"ports": [{"port": 1}], "replicas": 1}}, wanted), "scaled by somebody"
    assert not covers({}, wanted)
    assert covers({"env": [{"name": "FLAG"}]}, {"env": [{"name": "FLAG", "value": ""}]}), 'API servers leave out ""'
    assert not covers({"env": [{"name": "FLAG", "value": "1"}]}, {"env": [{"name": "FLAG", "value": ""}]})


@asynccontextmanager
async def api_of(path: Path, server: StandIn) -> AsyncIterator[Api]:
    api = connect(str(write_kubeconfig(path, server.url)), None)
    try:
        yield api
    finally:
        await api.close()


async def test_it_is_one_forced_patch_of_the_suites_own_manager(tmp_path: Path) -> None:
    server = StandIn((200, b'{"kind": "Service", "metadata": {"name": "x", "namespace": "n"}, "spec": {"a": 1}}'))
    try:
        async with api_of(tmp_path / "k", server) as api:
            await apply(api, document("Service", a=1))
            assert dict(api.used) == {("patch", "services"): 1}
    finally:
        server.close()
    ((method, path, headers),) = server.seen
    assert (method, path) == ("PATCH", "/api/v1/namespaces/n/services/x?fieldManager=fleet-conformance&force=true")
    assert headers["Content-Type"] == "application/apply-patch+yaml"
