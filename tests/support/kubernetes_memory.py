"""A Kubernetes in memory whose controllers are done at once: pods follow workloads, RayClusters their RayService."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any

from fixtures.clusters.kind.apply import place_of
from fixtures.clusters.kubernetes.client.api import PODS, RAY_CLUSTERS, RAY_SERVICES, AnyResource
from fixtures.clusters.kubernetes.client.errors import NotFound
from fixtures.clusters.kubernetes.client.schemas import KubernetesObject
from fixtures.clusters.kubernetes.client.transport import Document

Key = tuple[str, str, str]  # resource, namespace, name
#: Resource → kind of what controls the pods of a workload.
KEEPERS = {"deployments": "ReplicaSet", "statefulsets": "StatefulSet", "replicasets": "ReplicaSet"}


def merged(document: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    before = document if isinstance(document, dict) else {}
    changed = {key: merged(before.get(key), value) for key, value in patch.items() if value is not None}
    return {key: value for key, value in before.items() if key not in patch} | changed


def fits(labels: dict[str, str], selector: str) -> bool:
    pairs = [term.partition("=") for term in selector.split(",") if term]
    return all(key in labels and (not sign or labels[key] == value) for key, sign, value in pairs)


class MemoryCluster:
    """Has the methods of `Api` that changes need, and serves as one that is inside the cluster."""

    inside = True

    def __init__(self, documents: Sequence[Document]) -> None:
        self.objects: dict[Key, Document] = {}
        for document in documents:
            resource, name, namespace = place_of(document)
            self.objects[resource.name, namespace, name] = copy.deepcopy(document)

    async def get(self, resource: AnyResource, name: str, namespace: str = "") -> KubernetesObject:
        self._settle()
        for document in self._all(resource, namespace):
            if document["metadata"]["name"] == name:
                return resource.model.of(copy.deepcopy(document))
        raise NotFound(f"there is no {resource.name} {name}", status=404, reason="NotFound")

    async def list(self, resource: AnyResource, namespace: str = "", *, labels: str = "") -> list[KubernetesObject]:
        self._settle()
        there = list(self._all(resource, namespace))
        fitting = [row for row in there if fits(row["metadata"].get("labels", {}), labels)]
        return [resource.model.of(copy.deepcopy(row)) for row in fitting]

    async def create(self, resource: AnyResource, body: Document, namespace: str = "") -> None:
        key = (resource.name, namespace, body["metadata"]["name"])
        assert key not in self.objects
        self.objects[key] = copy.deepcopy(body)

    async def delete(
        self, resource: AnyResource, name: str, namespace: str = "", *, grace_s: int | None = None
    ) -> bool:
        del grace_s
        removed = self.objects.pop((resource.name, namespace, name), None)
        if resource.name == "namespaces":
            self.objects = {key: value for key, value in self.objects.items() if key[1] != name}
        self._settle()
        return removed is not None

    async def patch(self, resource: AnyResource, name: str, body: Any, namespace: str = "") -> None:
        key = (resource.name, namespace, name)
        if isinstance(body, dict):
            self.objects[key] = merged(self.objects[key], copy.deepcopy(body))
            return
        for operation in body:
            *way, last = operation["path"].split("/")[1:]
            where: Any = self.objects[key]
            for step in way:
                where = where[int(step) if isinstance(where, list) else step]
            index = last if isinstance(where, dict) else len(where) if last == "-" else int(last)
            if operation["op"] == "remove":
                del where[index]
            elif isinstance(where, list) and operation["op"] == "add":
                where.insert(index, copy.deepcopy(operation["value"]))
            else:
                where[index] = copy.deepcopy(operation["value"])

    def _all(self, resource: AnyResource, namespace: str) -> Iterator[Document]:
        for (kind, space, _name), document in list(self.objects.items()):
            if kind == resource.name and namespace in ("", space):
                yield document if resource.name == "namespaces" else self._with_status(kind, document)
            if resource is PODS and kind in (*KEEPERS, RAY_CLUSTERS.name) and namespace in ("", space):
                yield from self._pods(kind, document)

    def _with_status(self, kind: str, document: Document) -> Document:
        count = document["spec"].get("replicas", 1) if kind in KEEPERS else 0
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        counts = {"replicas": count, "readyReplicas": count, "updatedReplicas": count}
        status = {PODS.name: ready, **dict.fromkeys(KEEPERS, counts)}.get(kind, document.get("status", {}))
        return {**document, "status": status}

    def _pods(self, kind: str, document: Document) -> Iterator[Document]:
        name, spec = document["metadata"]["name"], document["spec"]
        if kind == RAY_CLUSTERS.name:
            groups = [] if spec.get("suspend") else spec["workerGroupSpecs"]
            for group in groups:
                labels = {"ray.io/cluster": name, "ray.io/node-type": "worker", "ray.io/group": group["groupName"]}
                yield from self._made(document, "RayCluster", group["groupName"], group, labels)
        elif kind == "deployments":
            yield from self._made(document, "ReplicaSet", f"{name}-5d8f9", spec, {"pod-template-hash": "5d8f9"})
        else:
            yield from self._made(document, KEEPERS[kind], name, spec, {})

    @staticmethod
    def _made(document: Document, kind: str, keeper: str, spec: Document, more: dict[str, str]) -> Iterator[Document]:
        for number in range(spec.get("replicas", 1)):
            owner = {"kind": kind, "name": keeper, "controller": True}
            labels = {**spec["template"]["metadata"]["labels"], **more}
            metadata = {"name": f"{keeper}-{number}", "namespace": document["metadata"]["namespace"]}
            yield {
                "metadata": {**metadata, "labels": labels, "ownerReferences": [owner]},
                "spec": spec["template"]["spec"],
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
            }

    def _settle(self) -> None:
        """KubeRay's work. A suspended cluster is resumed where `suspend` is false, and not where it is absent."""
        services = {key: value for key, value in self.objects.items() if key[0] == RAY_SERVICES.name}
        for key, value in list(self.objects.items()):
            owner = value["metadata"].get("labels", {}).get("ray.io/originated-from-cr-name")
            if owner and (RAY_SERVICES.name, key[1], owner) not in services:
                del self.objects[key]
        for (_kind, space, name), service in services.items():
            self._serve(space, name, service)
        for key, value in self.objects.items():
            if key[0] == RAY_CLUSTERS.name:
                before, asked = value.get("status", {}).get("state"), value["spec"].get("suspend")
                suspended = asked or (before == "suspended" and asked is None)
                value["status"] = {"state": "suspended" if suspended else "ready"}

    def _serve(self, space: str, name: str, service: Document) -> None:
        """One cluster of the specification that the service has now, of a name that follows from it."""
        spec = service["spec"]["rayClusterConfig"]
        active = f"{name}-{len(json.dumps(spec))}"
        labels = {"ray.io/originated-from-cr-name": name}
        for key, value in list(self.objects.items()):
            if value["metadata"].get("labels", {}).get("ray.io/originated-from-cr-name") == name and key[2] != active:
                del self.objects[key]
        metadata = {"name": active, "namespace": space, "labels": labels}
        self.objects.setdefault((RAY_CLUSTERS.name, space, active), {"metadata": metadata, "spec": copy.deepcopy(spec)})
        service["status"] = {"activeServiceStatus": {"rayClusterName": active}}
