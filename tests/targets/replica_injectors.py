"""Ways in which the replicas of a fleet in Kubernetes start and can be entered, each undone in the end."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, PODS
from fixtures.clusters.kubernetes.client.schemas import Pod
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.clusters.kubernetes.lookup import selector_of
from fixtures.clusters.kubernetes.memory import COMMAND, working_set
from fixtures.core.timeouts import TIMEOUTS
from tests.targets.kubernetes_objects import orchestrator_is
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.target import Change

SERVICE = ("-m", "fleet_orchestrator")  # of images/orchestrator: what its Python runs
MEMORY_LEFT = 100 << 20  # bytes between what a replica takes and its limit


async def orchestrator_pods(target: KubernetesTarget) -> list[Pod]:
    name, namespace = target.profile.orchestrator.workload, target.profile.kubernetes.namespace
    deployment = await target.api.get(DEPLOYMENTS, name, namespace)
    return await target.api.list(PODS, namespace, labels=selector_of(deployment.pod_labels))


def main_of(template: Document) -> dict[str, Any]:
    (container,) = template["spec"]["containers"]
    return dict(container)


def with_main(template: Document, container: Mapping[str, Any], **more: Any) -> Document:
    return {**template, "spec": {**template["spec"], **more, "containers": [container]}}


def started_by_a_shell(template: Document, exported: Mapping[str, str], removed: bool, shared: bool) -> Document:
    """The service behind a shell that exports these; `removed`: they are in the container's own environment no more.
    `shared`: process 1 is the pod's `pause`."""
    main = main_of(template)
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in exported.items())
    main["command"] = ["sh", "-c", f"export {exports}; exec python {' '.join(SERVICE)}"]
    main["env"] = [row for row in main["env"] if not (removed and row["name"] in exported)]
    return with_main(template, main, **({"shareProcessNamespace": True} if shared else {}))


@asynccontextmanager
async def _entrypoint_sets(target: KubernetesTarget, names: tuple[str, ...]) -> AsyncIterator[None]:
    name, namespace = target.profile.orchestrator.workload, target.profile.kubernetes.namespace
    template = (await target.api.get(DEPLOYMENTS, name, namespace)).raw["spec"]["template"]
    exported = {row["name"]: row["value"] for row in main_of(template)["env"] if row["name"] in names}
    changed = partial(started_by_a_shell, exported=exported, removed=True, shared=True)
    async with orchestrator_is(changed)(target):
        yield


def entrypoint_sets(*names: str) -> Change:
    """What the specification sets is set by the entrypoint instead, and processes are shared with `pause`."""
    return partial(_entrypoint_sets, names=names)


def entrypoint_overrides(**values: str) -> Change:
    """The specification stays right; the entrypoint exports something else."""
    changed: Callable[[Document], Document] = partial(started_by_a_shell, exported=values, removed=False, shared=False)
    return orchestrator_is(changed)


@asynccontextmanager
async def _no_program_on_path(target: KubernetesTarget) -> AsyncIterator[None]:
    pod = (await orchestrator_pods(target))[0].metadata
    show = ["python", "-c", "import sys; print(sys.executable)"]
    python = (await target.api.execute(pod.name, pod.namespace, show, timeout=TIMEOUTS.exec)).stdout.strip()

    def changed(template: Document) -> Document:
        main = main_of(template)
        environment = [row for row in main["env"] if row["name"] != "PATH"]
        return with_main(
            template, {**main, "command": [python, *SERVICE], "env": [*environment, {"name": "PATH", "value": "/none"}]}
        )

    async with orchestrator_is(changed)(target):
        yield


def no_program_on_path() -> Change:
    """The service is started by the full path of its Python."""
    return _no_program_on_path


@asynccontextmanager
async def _memory_limit_is_tight(target: KubernetesTarget) -> AsyncIterator[None]:
    used = []
    for pod in (pod.metadata for pod in await orchestrator_pods(target)):
        ran = await target.api.execute(pod.name, pod.namespace, COMMAND, timeout=TIMEOUTS.exec)
        used.append(working_set(pod.name, ran))

    def changed(template: Document) -> Document:
        main = main_of(template)
        limits = {**main["resources"]["limits"], "memory": str(max(used) + MEMORY_LEFT)}
        return with_main(template, {**main, "resources": {**main["resources"], "limits": limits}})

    async with orchestrator_is(changed)(target):
        yield


def memory_limit_is_tight() -> Change:
    """A little above what the replicas take."""
    return _memory_limit_is_tight
