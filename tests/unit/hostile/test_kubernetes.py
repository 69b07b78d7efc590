"""Whatever an API server, or who answers in its place, says: what a check asks for, or a reason,
in time and in bounded memory.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.clusters.base import Completed, Component, Replica
from fixtures.clusters.kind import readiness, waits
from fixtures.clusters.kubernetes import workloads
from fixtures.clusters.kubernetes.client import transport
from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, NODES, PODS, Api, connect
from fixtures.clusters.kubernetes.client.errors import ApiError, Asked, refusal
from fixtures.clusters.kubernetes.client.exec import exit_status
from fixtures.clusters.kubernetes.containers import Containers
from fixtures.clusters.kubernetes.inspect import objects
from fixtures.clusters.kubernetes.lookup import FleetLookup
from fixtures.clusters.kubernetes.service_endpoints import PortForwards
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.timeouts import Timeouts
from fixtures.profile import model as profiles
from tests.support.kubernetes_stand_in import write_kubeconfig
from tests.unit.hostile import servers
from tests.unit.hostile.answers import a_reason_at_most, assert_is_a_reason, bodies, wounded

PROFILE = profiles.load("swe-ai-fleet")
MOMENT = "2026-01-01T00:00:00Z"


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "ray",
            "labels": {"app": "x", **labels},
            "uid": "u",
            "ownerReferences": [{"kind": "ReplicaSet", "name": "orchestrator-5d8f9c7b6c", "controller": True}],
        },
        "spec": {"containers": [{"name": "main", "image": "fleet/ray:1", "env": [{"name": "A", "value": "b"}]}]},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.2",
            "startTime": MOMENT,
            "conditions": [{"type": "Ready", "status": "False", "reason": "x", "lastTransitionTime": MOMENT}],
            "containerStatuses": [
                {
                    "name": "main",
                    "imageID": "fleet/ray@sha256:aa",
                    "ready": False,
                    "restartCount": 2,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                    "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": MOMENT}},
                }
            ],
            "initContainerStatuses": None,
        },
    }


TEMPLATE = {"metadata": {}, "spec": {"containers": [{"name": "main", "image": "fleet/ray:1"}], "tolerations": []}}
HEAD = pod("head", **{"ray.io/node-type": "head"})
WORKER = pod("worker", **{"ray.io/node-type": "worker", "ray.io/group": "gpu-workers"})
EVENT = {
    "involvedObject": {"kind": "Pod", "name": "worker"},
    "reason": "BackOff",
    "message": "…",
    "count": 3,
    "lastTimestamp": MOMENT,
}
SELECTOR = {"matchLabels": {"app": "x"}}
#: By the end of the path; for a list the items.
VALID: dict[str, Any] = {
    "rayclusters/ray-gpu": {
        "metadata": {"name": "ray-gpu", "namespace": "ray", "generation": 3},
        "spec": {
            "rayVersion": "2.49.2",
            "headGroupSpec": {"template": TEMPLATE, "rayStartParams": {}},
            "workerGroupSpecs": [{"groupName": "gpu-workers", "replicas": 2, "numOfHosts": 1, "template": TEMPLATE}],
        },
        "status": {
            "state": "failed",
            "reason": "x",
            "conditions": [{"type": "HeadPodReady", "status": "False", "reason": "x"}],
        },
    },
    "ray/pods": {"kind": "PodList", "items": [HEAD, WORKER]},
    "swe-ai-fleet/pods": {"kind": "PodList", "items": [pod("orchestrator-1"), pod("orchestrator-2")]},
    "deployments": {
        "metadata": {"name": "orchestrator", "namespace": "swe-ai-fleet", "generation": 1},
        "spec": {"replicas": 2, "selector": SELECTOR, "template": TEMPLATE},
        "status": {"observedGeneration": 1, "readyReplicas": 2, "updatedReplicas": 2, "replicas": 2},
    },
    "services": {
        "metadata": {"name": "nats", "namespace": "swe-ai-fleet"},
        "spec": {
            "ports": [{"port": 4222, "name": "client"}, {"port": 8000}, {"port": 50055}],
            "selector": {"app": "x"},
        },
    },
    "endpointslices": {
        "items": [
            {
                "ports": [{"port": 4222, "name": "client"}, {"port": 8000, "name": None}],
                "endpoints": [
                    {"targetRef": {"kind": "Pod", "name": "nats-0"}, "conditions": {"ready": True}},
                    {"targetRef": None},
                ],
            }
        ]
    },
    "nodes": {"items": [{"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}]},
    "events": {"items": [EVENT]},
    "version": {"gitVersion": "v1.34.1"},
}


class Recorded(Api):
    """Answers with documents by the path, one of which a test may have wounded."""

    def __init__(self, documents: dict[str, bytes]) -> None:
        self.context, self.inside, self.server = "here", False, "https://kubernetes"
        self.documents, self.requests, self.used = documents, 0, Counter()

    async def request(self, asked: Asked, *_: Any, **_named: Any) -> bytes:
        if asked.resource == "pods/log":
            return b"last words"
        return next(body for key, body in self.documents.items() if key in asked.path)


def api_with(name: str, body: bytes) -> Api:
    documents = {key: json.dumps(value).encode() for key, value in VALID.items()}
    return Recorded({**documents, name: body})


async def use(api: Api) -> None:
    """Everything that is asked of a cluster without changing it, each on its own."""
    found, access = FleetLookup(api, PROFILE), PortForwards(api)

    async def complaint() -> Any:
        return workloads.raycluster_not_ready_reason(await found.ray_cluster())

    async def described(component: Component) -> Any:
        pods, owner = await found.pods(component), await found.owner(component)
        return await objects.describe(api, [pod.raw for pod in pods], "ray", owner.raw)

    async def judged() -> Any:
        pods = await found.ray_pods()
        return [
            (readiness.is_unrecoverable(one, 2e9), readiness.restarted(one), await waits.evidence(api, one))
            for one in pods
        ]

    async def missing() -> Any:
        deployment = await api.get(DEPLOYMENTS, "orchestrator", "swe-ai-fleet")
        return readiness.ray_missing(await found.ray_cluster()), readiness.replicas_missing(deployment)

    async def nodes() -> Any:
        return [node.status.is_ready and node.metadata.name for node in await api.list(NODES)]

    questions: list[Any] = [
        found.ray_groups(),
        found.worker_template(),
        complaint(),
        judged(),
        missing(),
        nodes(),
        api.version(),
    ]
    questions += [found.workload(component) for component in Component]
    questions += [described(component) for component in (Component.RAY_WORKER, Component.ORCHESTRATOR, Component.NATS)]
    questions += [
        access.ready_endpoints("nats", "swe-ai-fleet", 4222),
        access.ready_endpoints("vllm-server-service", "swe-ai-fleet", 8000),
    ]
    questions.append(api.list(PODS, "ray"))
    for question in questions:
        with a_reason_at_most(NonConformance, Inconclusive):
            await question


async def test_the_valid_documents_are_read() -> None:
    api = api_with("version", json.dumps(VALID["version"]).encode())
    found = FleetLookup(api, PROFILE)
    for component in set(Component) - {Component.EXECUTOR}:  # which the profile has not
        assert (await found.workload(component)).replicas
    assert await PortForwards(api).ready_endpoints("nats", "swe-ai-fleet", 4222) == [("nats-0", 4222)]
    await use(api)


@pytest.mark.parametrize("name", VALID)
@given(data=st.data())
async def test_any_answer(name: str, data: st.DataObject) -> None:
    await use(api_with(name, data.draw(bodies(VALID[name]))))


@given(wounded(HEAD), wounded(EVENT))
def test_any_object_is_described(document: Any, event: Any) -> None:
    assert isinstance(objects.describe_object("Pod", document, [event], [document]), str)


STATUS = {"kind": "Status", "status": "Failure", "reason": "NonZeroExitCode", "message": "…"}
STATUS["details"] = {"causes": [{"reason": "ExitCode", "message": "3"}]}  # type: ignore[assignment]


@given(bodies(STATUS), st.integers(100, 599))
def test_any_refusal(body: bytes, code: int) -> None:
    assert_is_a_reason(str(refusal(Asked("get", "pods", namespace="ray"), "here", code, body)))


@given(bodies(STATUS))
def test_any_end_of_a_command(body: bytes) -> None:
    with a_reason_at_most(Inconclusive):
        assert isinstance(exit_status(body, "true in pod x"), int)


LOOK = {"pid": 7, "program": "/usr/bin/python3.11", "python": "/venv/bin/python", "environment": {"A": "b"}}


@given(st.one_of(st.text(max_size=200), bodies(LOOK).map(lambda body: body.decode("utf-8", "replace"))))
async def test_any_look_at_the_processes_of_a_container(text: str) -> None:
    ran = Completed((), 0, text, "")
    api: Any = SimpleNamespace(execute=lambda *_, **__: asyncio.sleep(0, ran))
    with a_reason_at_most(Inconclusive):
        main = await Containers(api).main_process(Replica("x", Component.ORCHESTRATOR, "x", "x:1", "", True), "ns")
        assert all(isinstance(value, str) for value in main.environment.values())


@pytest.mark.parametrize("name", servers.HTTP)
async def test_any_server(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TIMEOUTS", Timeouts(request=servers.PATIENCE))
    async with servers.serving(servers.HTTP[name]) as port:
        api = connect(str(write_kubeconfig(tmp_path / "k", f"http://127.0.0.1:{port}")), None)
        with servers.within_bounds(), a_reason_at_most(ApiError):
            await api.list(PODS, "ray")
            pytest.fail("such a server was understood")
        await api.close()
