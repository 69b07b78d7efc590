"""Changes of how replicas start, against objects in memory: each puts back what it changed."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Completed
from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, PODS, AnyResource
from fixtures.clusters.kubernetes.client.schemas import KubernetesObject
from fixtures.profile.model import load
from tests.targets.kubernetes_accounts import ACCOUNT, rights
from tests.targets.replica_injectors import (
    MEMORY_LEFT,
    entrypoint_overrides,
    entrypoint_sets,
    memory_limit_is_tight,
    no_program_on_path,
)
from tests.variants.catalogue.replicas import (
    addresses_are_not_in_the_specification,
    limits_are_below_the_reference,
    path_leads_nowhere,
)

USED = 300 << 20  # bytes
CONTAINER = {
    "name": "orchestrator",
    "image": "fleet/orchestrator:v0.8.1",
    "env": [{"name": "NATS_URL", "value": "nats://it's:4222"}, {"name": "AGENT_TYPE", "value": "vllm"}],
    "resources": {"requests": {"memory": "128Mi"}, "limits": {"memory": "1Gi"}},
}
TEMPLATE: dict[str, Any] = {"metadata": {"labels": {"app": "orchestrator"}}, "spec": {"containers": [CONTAINER]}}


class Api:
    """One Deployment, whose two pods follow at once."""

    def __init__(self) -> None:
        spec = {"replicas": 2, "selector": {"matchLabels": {"app": "orchestrator"}}, "template": TEMPLATE}
        status = {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}
        metadata = {"name": "orchestrator", "namespace": "ns"}
        self.deployment: dict[str, Any] = copy.deepcopy({"metadata": metadata, "spec": spec, "status": status})

    @property
    def container(self) -> dict[str, Any]:
        (container,) = self.deployment["spec"]["template"]["spec"]["containers"]
        return dict(container)

    async def get(self, resource: AnyResource, _name: str, _namespace: str) -> KubernetesObject:
        assert resource is DEPLOYMENTS
        return resource.model.of(copy.deepcopy(self.deployment))

    async def patch(self, _resource: AnyResource, _name: str, body: list[dict[str, Any]], _namespace: str) -> None:
        ((path, value),) = [(operation["path"], operation["value"]) for operation in body]
        assert path == "/spec/template"
        self.deployment["spec"]["template"] = copy.deepcopy(value)

    async def list(self, _resource: AnyResource, _namespace: str, *, labels: str) -> list[KubernetesObject]:
        assert labels
        spec = self.deployment["spec"]["template"]["spec"]
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        named = [{"name": f"p-{number}", "namespace": "ns"} for number in range(2)]
        return [PODS.model.of({"metadata": metadata, "spec": spec, "status": status}) for metadata in named]

    async def execute(self, _pod: str, _namespace: str, argv: Any, *, timeout: float) -> Completed:
        del timeout
        output = f"{USED + 5}\ninactive_file 5\n" if argv[0] == "cat" else "/opt/venv/bin/python\n"
        return Completed(tuple(argv), 0, output, "")


@pytest.fixture
def target() -> Any:
    return SimpleNamespace(api=Api(), profile=load("swe-ai-fleet"))


@pytest.mark.parametrize(
    ("change", "is_present"),
    [
        (entrypoint_sets("NATS_URL"), addresses_are_not_in_the_specification),
        (no_program_on_path(), path_leads_nowhere),
        (memory_limit_is_tight(), limits_are_below_the_reference),
    ],
)
async def test_it_is_there_while_it_is_held_and_is_put_back(target: Any, change: Any, is_present: Any) -> None:
    before = copy.deepcopy(target.api.deployment)
    assert not await is_present(target)
    with pytest.raises(ValueError, match="a check"):
        async with change(target):
            assert await is_present(target)
            raise ValueError("a check")
    assert target.api.deployment == before


async def test_an_entrypoint_exports_what_the_specification_had(target: Any) -> None:
    async with entrypoint_sets("NATS_URL")(target):
        *shell, script = target.api.container["command"]
        assert shell == ["sh", "-c"]
        assert script == """export NATS_URL='nats://it'"'"'s:4222'; exec python -m fleet_orchestrator"""
        assert target.api.container["env"] == CONTAINER["env"][1:]  # type: ignore[index]
    async with entrypoint_overrides(AGENT_TYPE="mock")(target):
        assert "export AGENT_TYPE=mock; exec" in target.api.container["command"][2]
        assert target.api.container["env"] == CONTAINER["env"]


async def test_a_service_starts_by_the_full_path_of_its_python(target: Any) -> None:
    async with no_program_on_path()(target):
        assert target.api.container["command"] == ["/opt/venv/bin/python", "-m", "fleet_orchestrator"]


async def test_a_tight_limit_follows_from_what_is_used(target: Any) -> None:
    async with memory_limit_is_tight()(target):
        assert target.api.container["resources"] == {
            "requests": {"memory": "128Mi"},
            "limits": {"memory": str(USED + MEMORY_LEFT)},
        }


def test_an_account_has_the_rights_of_files_under_its_own_name() -> None:
    documents = rights("role", "role-forward")
    rules = [rule for document in documents for rule in document.get("rules", ())]
    assert not [rule for rule in rules if "pods/exec" in rule["resources"]]
    assert [rule for rule in rules if "pods/portforward" in rule["resources"]]
    assert all(document["metadata"]["name"].startswith(ACCOUNT) for document in documents)
    subjects = [subject for document in documents for subject in document.get("subjects", ())]
    assert subjects and {subject["name"] for subject in subjects} == {ACCOUNT}
    names = {document["metadata"]["name"] for document in documents}
    assert {document["roleRef"]["name"] for document in documents if "roleRef" in document} <= names
