"""The account by which sessions attach to a fleet in Kubernetes, with some of the rights that ci/attach/ grants."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import yaml

from fixtures.clusters.kubernetes.client.api import SERVICE_ACCOUNTS, AnyResource
from fixtures.clusters.kubernetes.client.errors import Asked
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.core.paths import ROOT
from tests.targets.kubernetes_objects import ROLE_BINDINGS, ROLES, made
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.target import Change

ACCOUNT, DISRUPTIVE = "fleet-conformance-variant", "role-disruptive"
KINDS: Mapping[str, AnyResource] = {"ServiceAccount": SERVICE_ACCOUNTS, "Role": ROLES, "RoleBinding": ROLE_BINDINGS}


def rights(*names: str) -> list[Document]:
    """What files of ci/attach/ have, for an account of another name."""
    texts = [(ROOT / "ci" / "attach" / f"{name}.yaml").read_text("utf-8") for name in names]
    documents: list[Document] = [document for text in texts for document in yaml.safe_load_all(text)]
    for document in documents:
        renamed = [document["metadata"], *document.get("subjects", ())]
        for named in [*renamed, *([document["roleRef"]] if "roleRef" in document else [])]:
            named["name"] = named["name"].replace("fleet-conformance", ACCOUNT)
    return documents


async def token_of(target: KubernetesTarget, account: str, namespace: str) -> str:
    """Source: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/"""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    asked = Asked("create", "serviceaccounts/token", namespace, account)
    return str((await target.api.document(asked, body=body))["status"]["token"])


def kubeconfig_with(kubeconfig: Path, token: str) -> str:
    """A kubeconfig for the same server, whose users have this token and nothing else."""
    document = yaml.safe_load(kubeconfig.read_text("utf-8"))
    for user in document["users"]:
        user["user"] = {"token": token}
    return yaml.safe_dump(document)


def account_has(*names: str) -> Change:
    """Sessions attach with the rights in these files of ci/attach/, and disturb the fleet if those allow it."""

    @asynccontextmanager
    async def attached(target: KubernetesTarget) -> AsyncIterator[None]:
        before = target.kubeconfig
        async with AsyncExitStack() as stack:
            for document in rights(*names):
                await stack.enter_async_context(made(target, KINDS[document["kind"]], document))
            token = await token_of(target, ACCOUNT, target.profile.kubernetes.namespace)
            changed = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "kubeconfig"
            changed.write_text(kubeconfig_with(Path(before), token), "utf-8")
            target.kubeconfig, target.may_disrupt = str(changed), DISRUPTIVE in names
            try:
                yield
            finally:
                target.kubeconfig, target.may_disrupt = before, True

    return attached
