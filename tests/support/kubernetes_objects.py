"""A stand-in for the Kubernetes client: objects in memory, which change as an API server changes them."""

from __future__ import annotations

import copy
import itertools
from typing import Any

from fixtures.clusters.kubernetes.client.api import AnyResource
from fixtures.clusters.kubernetes.client.errors import ApiError, NotFound
from fixtures.clusters.kubernetes.client.schemas import KubernetesObject

Key = tuple[str, str]  # resource, name


class StoredObjects:
    """Has the methods of `Api` that changes need. Namespaces do not matter. `clock` is the server's own."""

    inside = False
    context, server = "here", "https://api.test"

    def __init__(self, clock: float = 1_000_000.0) -> None:
        self.clock = clock
        self.objects: dict[Key, dict[str, Any]] = {}
        self.done: list[tuple[str, str, str]] = []  # verb, resource, name of each change
        self.refused: dict[tuple[str, str], ApiError] = {}  # verb, resource → the answer
        self._versions = itertools.count(1)

    def now(self) -> float:
        return self.clock

    def put(self, resource: AnyResource, name: str, document: dict[str, Any]) -> None:
        metadata = {"name": name, "namespace": "n", **document.get("metadata", {})}
        self.objects[resource.name, name] = {**document, "metadata": metadata}
        self._stamp(self.objects[resource.name, name])

    def annotations(self, resource: AnyResource, name: str) -> dict[str, str]:
        return dict(self.objects[resource.name, name]["metadata"].get("annotations", {}))

    async def get(self, resource: AnyResource, name: str, _namespace: str) -> KubernetesObject:
        self._refuse("get", resource)
        return resource.model.of(copy.deepcopy(self._one(resource, name)))

    async def list(self, resource: AnyResource, _namespace: str, *, labels: str = "") -> list[KubernetesObject]:
        wanted = [word.partition("=") for word in labels.split(",") if word]
        rows = [document for (kind, _), document in self.objects.items() if kind == resource.name]
        fitting = [row for row in rows if all(_has(row["metadata"].get("labels", {}), *word) for word in wanted)]
        return [resource.model.of(copy.deepcopy(row)) for row in fitting]

    async def create(self, resource: AnyResource, body: dict[str, Any], _namespace: str) -> dict[str, Any]:
        self._refuse("create", resource)
        name = body["metadata"]["name"]
        if (resource.name, name) in self.objects:
            raise ApiError(f"{name} exists", status=409, reason="AlreadyExists")
        self.put(resource, name, copy.deepcopy(body))
        self.done.append(("create", resource.name, name))
        return self._one(resource, name)

    async def patch(self, resource: AnyResource, name: str, body: Any, _namespace: str) -> dict[str, Any]:
        self._refuse("patch", resource)
        document = self._one(resource, name)
        if isinstance(body, dict):
            self._require(document, body.get("metadata", {}).get("resourceVersion", ""))
            _merge(document, copy.deepcopy(body))
        else:
            for operation in body:
                _replace(document, operation)
        self._stamp(document)
        self.done.append(("patch", resource.name, name))
        return document

    async def scale(self, resource: AnyResource, name: str, replicas: int, namespace: str) -> None:
        await self.patch(resource, name, {"spec": {"replicas": replicas}}, namespace)

    async def delete(
        self, resource: AnyResource, name: str, _namespace: str, *, grace_s: int | None = None, version: str = ""
    ) -> bool:
        del grace_s
        if (resource.name, name) not in self.objects:
            return False
        self._require(self._one(resource, name), version)
        del self.objects[resource.name, name]
        self.done.append(("delete", resource.name, name))
        return True

    def _one(self, resource: AnyResource, name: str) -> dict[str, Any]:
        if (resource.name, name) not in self.objects:
            raise NotFound(f"there is no {resource.name} {name}", status=404, reason="NotFound")
        return self.objects[resource.name, name]

    def _stamp(self, document: dict[str, Any]) -> None:
        document["metadata"]["resourceVersion"] = str(next(self._versions))

    def _require(self, document: dict[str, Any], version: str) -> None:
        if version and version != document["metadata"]["resourceVersion"]:
            raise ApiError("the object has been modified", status=409, reason="Conflict")

    def _refuse(self, verb: str, resource: AnyResource) -> None:
        if answer := self.refused.get((verb, resource.name)):
            raise answer


def _has(labels: dict[str, str], key: str, equals: str, value: str) -> bool:
    return key in labels and (not equals or labels[key] == value)


def _merge(document: dict[str, Any], patch: dict[str, Any]) -> None:
    """RFC 7396."""
    for key, value in patch.items():
        if value is None:
            document.pop(key, None)
        elif isinstance(value, dict):
            _merge(document.setdefault(key, {}), value)
        else:
            document[key] = value


def _replace(document: dict[str, Any], operation: dict[str, Any]) -> None:
    """The operation "replace" of RFC 6902."""
    assert operation["op"] == "replace"
    *path, last = operation["path"].strip("/").split("/")
    place: Any = document
    for step in path:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[last] = operation["value"]
