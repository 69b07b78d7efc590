"""A stand-in for an API server with the roles that it is given: it answers reviews by them, and has these objects."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from fixtures.clusters.kubernetes.rights import role_files
from fixtures.clusters.kubernetes.role_manifests import manifest
from fixtures.profile.model import Profile
from tests.support.kubernetes_stand_in import Answer, StandIn, write_kubeconfig

OBJECT = re.compile(r"/apis?/(?:[^/]+/)?v1/namespaces/(?P<namespace>[^/]+)/(?P<resource>[^/?]+)(?:/(?P<name>[^/?]+))?")
USER = "system:serviceaccount:swe-ai-fleet:fleet-conformance"


def granted(profile: Profile, *names: str) -> list[dict[str, Any]]:
    """The roles of these files, for a profile's fleet."""
    texts = [manifest(file, profile, "Made for a test.") for file in role_files() if file.name in names]
    return [role for text in texts for role in yaml.safe_load_all(text) if role["kind"] == "Role"]


class RoleServer:
    """Answers by roles and by the names of objects: (namespace, plural) → names."""

    def __init__(self, roles: list[dict[str, Any]], objects: Mapping[tuple[str, str], Collection[str]]) -> None:
        self.roles, self.objects = roles, objects
        self.refuses: Answer | None = None  # what it says to everything

    def may(self, namespace: str, verb: str, group: str, resource: str, name: str) -> bool:
        """By the roles.

        Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#role-and-clusterrole
        """
        return any(
            group in rule["apiGroups"]
            and resource in rule["resources"]
            and verb in rule["verbs"]
            and (not rule.get("resourceNames") or name in rule["resourceNames"])
            for role in self.roles
            if role["metadata"]["namespace"] == namespace
            for rule in role["rules"]
        )

    def answer(self, _method: str, path: str, body: bytes) -> Answer:
        if self.refuses:
            return self.refuses
        if path.endswith("/selfsubjectreviews"):
            return 201, json.dumps({"status": {"userInfo": {"username": USER}}}).encode()
        if path.endswith("/selfsubjectaccessreviews"):
            asked = json.loads(body)["spec"]["resourceAttributes"]
            resource = "/".join(part for part in (asked["resource"], asked.get("subresource")) if part)
            allowed = self.may(
                asked["namespace"], asked["verb"], asked.get("group", ""), resource, asked.get("name", "")
            )
            return 201, json.dumps({"status": {"allowed": allowed}}).encode()
        return self._object(path)

    def _object(self, path: str) -> Answer:
        match = OBJECT.match(path)
        assert match, path
        namespace, resource, name = match["namespace"], match["resource"], match["name"]
        group = path.split("/")[2] if path.startswith("/apis/") else ""
        if not self.may(namespace, "get" if name else "list", group, resource, name or ""):
            return 403, json.dumps({"kind": "Status", "message": "forbidden"}).encode()
        there = self.objects.get((namespace, resource), ())
        items = [{"metadata": {"name": one, "namespace": namespace}, "spec": {}, "status": {}} for one in there]
        if not name:
            return 200, json.dumps({"items": items}).encode()
        if name not in there:
            return 404, json.dumps({"kind": "Status", "message": f'{resource} "{name}" not found'}).encode()
        return 200, json.dumps(next(item for item in items if item["metadata"]["name"] == name)).encode()


@contextmanager
def serving(server: RoleServer, folder: Path) -> Iterator[str]:
    """The path of a kubeconfig that leads to it."""
    stand_in = StandIn(with_body=server.answer)
    try:
        yield str(write_kubeconfig(folder / "kubeconfig", stand_in.url))
    finally:
        stand_in.close()
