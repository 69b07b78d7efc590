"""Kubernetes documents become text that helps: bounded, without secrets, whatever the documents hold."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.clusters.kubernetes.client.schemas import KubernetesObject
from fixtures.clusters.kubernetes.inspect import failure_logs, objects
from fixtures.core.errors import Inconclusive

SECRET = "hunter2secret"
POD: dict[str, Any] = {
    "metadata": {
        "name": "vllm-server-5c9-x2x",
        "namespace": "swe-ai-fleet",
        "uid": "u-1",
        "creationTimestamp": "2026-01-01T10:00:00Z",
        "labels": {"app": "vllm-server"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": f'{{"PASSWORD":"{SECRET}"}}'},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "vllm-server-5c9"}],
    },
    "spec": {
        "nodeName": "worker-1",
        "containers": [
            {
                "name": "vllm",
                "image": "vllm:1",
                "imagePullPolicy": "IfNotPresent",
                "command": ["serve", "--api-key", SECRET, "--port", "8000", f"--hf-token={SECRET}"],
                "env": [
                    {"name": "VLLM_MODEL", "value": "Qwen/Qwen3-0.6B"},
                    {"name": "EXTRA_ARGS", "value": f"anything, {SECRET} too"},
                    {"name": "HF_TOKEN", "value": SECRET},
                    {"name": "NATS_URL", "value": f"nats://user:{SECRET}@nats:4222"},
                    {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "vllm", "key": "api-key"}}},
                    {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                ],
                "envFrom": [{"secretRef": {"name": "more"}}],
                "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 5},
                "resources": {"limits": {"memory": "2Gi"}},
                "volumeMounts": [{"name": "model", "mountPath": "/model"}],
            }
        ],
        "volumes": [{"name": "model", "persistentVolumeClaim": {"claimName": "models"}}],
    },
    "status": {
        "phase": "Running",
        "podIP": "10.1.2.3",
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "unready: [vllm]"}
        ],
        "containerStatuses": [
            {
                "name": "vllm",
                "ready": False,
                "restartCount": 3,
                "imageID": "sha256:abc",
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
            }
        ],
    },
}
READY: dict[str, Any] = {
    "metadata": {"name": "vllm-server-5c9-aaa", "namespace": "swe-ai-fleet"},
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "vllm", "ready": True, "restartCount": 0, "state": {"running": {}}}],
    },
}


def event(kind: str, name: str, message: str, time: str = "2026-01-01T10:00:00Z", **more: Any) -> dict[str, Any]:
    about = {"kind": kind, "name": name, **more}
    return {"involvedObject": about, "type": "Warning", "reason": "X", "message": message, "lastTimestamp": time}


DEPLOYMENT: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"name": "vllm-server", "namespace": "swe-ai-fleet", "generation": 4},
    "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "vllm", "image": "vllm:2"}]}}},
    "status": {"observedGeneration": 3, "readyReplicas": 1},
}
RAY_CLUSTER: dict[str, Any] = {
    "metadata": {"name": "ray-gpu", "namespace": "ray"},
    "spec": {
        "rayVersion": "2.49.2",
        "headGroupSpec": {"template": {"spec": {"containers": [{"name": "ray-head", "image": "custom:1"}]}}},
        "workerGroupSpecs": [
            {
                "groupName": "gpu-workers",
                "replicas": 2,
                "template": {"spec": {"containers": [{"name": "ray-worker", "image": "stock:1"}]}},
            }
        ],
    },
    "status": {"state": "failed", "reason": "quota", "desiredWorkerReplicas": 2, "head": {"podIP": "10.1.1.1"}},
}


def described(document: Any, *events: Any, kind: str = "Pod", pods: list[Any] | None = None) -> str:
    return objects.describe_object(kind, document, events, pods)


@pytest.mark.parametrize(
    "wanted",
    [
        "reason: CrashLoopBackOff",
        "message: back-off 40s",
        "reason: OOMKilled",
        "exitCode: 137",
        "restartCount: 3",
        "imageID: sha256:abc",
        "message: 'unready: [vllm]'",
        "name: vllm-server-5c9",
        "value: Qwen/Qwen3-0.6B",
        "value: (not shown)",
        "value: nats://[redacted]@nats:4222",
        "key: api-key",
        "secretRef:",
        "path: /health",
        "periodSeconds: 5",
        "claimName: models",
        "- --port",
        "memory: 2Gi",
        "was killed",
        "team: a",
    ],
)
def test_a_pod_tells(wanted: str) -> None:
    annotations = {**POD["metadata"]["annotations"], "team": "a"}
    pod = {**POD, "metadata": {**POD["metadata"], "annotations": annotations}}
    assert wanted in described(pod, event("Pod", POD["metadata"]["name"], "was killed"))


def test_what_is_shown_is_yaml_whose_status_comes_first() -> None:
    text = described({**POD, "metadata": {**POD["metadata"], "managedFields": [{"manager": "kubelet"}]}})
    shown = yaml.safe_load(text)
    assert list(shown) == ["kind", "metadata", "status", "spec"]
    assert (shown["kind"], shown["status"]) == ("Pod", POD["status"])
    assert "managedFields" not in text and "last-applied" not in text
    assert shown["spec"]["containers"][0]["command"][3:5] == ["--port", "8000"]


def test_a_script_keeps_its_lines() -> None:
    text = described({"spec": {"containers": [{"command": ["sh", "-c", "set -e\necho a: b\n"]}]}})
    assert "    - |\n      set -e\n      echo a: b\n" in text


def test_no_secret_is_shown() -> None:
    text = described(POD, event("Pod", POD["metadata"]["name"], f"password={SECRET}"))
    assert SECRET not in text
    assert yaml.safe_load(text)["spec"]["containers"][0]["command"] == [
        *("serve", "--api-key", "[redacted]", "--port", "8000", "--hf-token=[redacted]")
    ]
    assert POD["spec"]["containers"][0]["env"][1]["value"] == f"anything, {SECRET} too", (
        "what is described stays as it was"
    )


def test_events_are_of_the_object_and_of_what_it_made() -> None:
    events = [
        event("Deployment", "vllm-server", "scaled"),
        event("ReplicaSet", "vllm-server-5c9", "exceeded quota"),
        event("Pod", "vllm-server-old-1", "a pod that is gone"),
        event("Pod", "other", "somebody else's"),
        event("Deployment", "vllm-server-2", "a namesake"),
    ]
    told = described(DEPLOYMENT, *events, kind="Deployment")
    assert all(one in told for one in ("scaled", "exceeded quota", "a pod that is gone"))
    assert "somebody else" not in told and "namesake" not in told
    of_pod = [event("Pod", POD["metadata"]["name"], "of a namesake", uid="u-0")]
    assert "of a namesake" not in described(POD, *of_pod), "an earlier pod of the same name"


def test_only_the_last_events_are_kept_in_their_order() -> None:
    name = POD["metadata"]["name"]
    events = [event("Pod", name, f"no {n:03}.", f"2026-01-01T10:{n:02}:00Z") for n in range(59, -1, -1)]
    told = described(POD, *events)
    assert "no 059." in told and "no 034." not in told
    assert told.index("no 035.") < told.index("no 059.")


def test_a_workload_tells_what_it_asks_for_and_has() -> None:
    told = described(DEPLOYMENT, kind="Deployment", pods=[READY, POD])
    assert all(one in told for one in ("generation: 4", "observedGeneration: 3", "replicas: 2", "image: vllm:2"))
    assert told.index("vllm-server-5c9-x2x") < told.index("vllm-server-5c9-aaa"), "what is not ready comes first"
    assert "NOT READY, restarts 3 CrashLoopBackOff" in told


def test_a_ray_cluster_tells_images_of_each_group() -> None:
    shown = yaml.safe_load(described(RAY_CLUSTER, kind="RayCluster"))
    assert shown["status"] == RAY_CLUSTER["status"] and shown["spec"] == RAY_CLUSTER["spec"]


class Asked:
    """Stands for the API: remembers which logs were asked for."""

    def __init__(self, *, forbidden: bool = False) -> None:
        self.asked: list[tuple[str, bool, int]] = []
        self.lists = 0
        self.forbidden = forbidden

    async def list(self, _resource: object, _namespace: str) -> list[KubernetesObject]:
        self.lists += 1
        if self.forbidden:
            raise Inconclusive("may not list events")
        return [KubernetesObject.of(event("Pod", POD["metadata"]["name"], "was killed"))]

    async def logs(self, pod: str, _namespace: str, *, container: str, previous: bool, lines: int) -> str:
        if self.forbidden:
            raise Inconclusive("may not get pods/log")
        self.asked.append((f"{pod}.{container}", previous, lines))
        return "x" * 100_000 + "the end"


async def told(api: Asked, pods: list[dict[str, Any]], owner: dict[str, Any] | None = None) -> dict[str, str]:
    return await objects.describe(api, pods, "swe-ai-fleet", owner)  # type: ignore[arg-type]


async def test_files_of_a_component() -> None:
    api = Asked()
    files = await told(api, [READY, POD], DEPLOYMENT)
    assert set(files) == {
        "deployment-vllm-server.yaml",
        "vllm-server-5c9-x2x.yaml",
        "vllm-server-5c9-aaa.yaml",
        "vllm-server-5c9-x2x.vllm.previous.log",
        "vllm-server-5c9-aaa.vllm.log",
    }
    assert ("vllm-server-5c9-aaa.vllm", False, failure_logs.QUIET_LINES) in api.asked
    log = files["vllm-server-5c9-x2x.vllm.previous.log"]
    assert len(log) < failure_logs.LIMIT + 100 and log.endswith("the end")


async def test_requests_do_not_grow_with_the_number_of_pods() -> None:
    api = Asked()
    pods = [{**READY, "metadata": {"name": f"pod-{number}"}} for number in range(1000)]
    files = await told(api, pods, DEPLOYMENT)
    assert (api.lists, len(api.asked)) == (1, objects.PODS)
    assert "… and 950 more" in files["deployment-vllm-server.yaml"]


async def test_missing_rights_are_said_in_place() -> None:
    files = await told(Asked(forbidden=True), [POD])
    assert "may not list events" in files["events-swe-ai-fleet.txt"]
    assert "may not get pods/log" in files["vllm-server-5c9-x2x.vllm.previous.log"]
    assert "CrashLoopBackOff" in files["vllm-server-5c9-x2x.yaml"]


async def test_a_container_that_never_started_has_no_log() -> None:
    status = {"name": "vllm", "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    api = Asked()
    await told(api, [{"metadata": {"name": "p"}, "status": {"containerStatuses": [status]}}])
    assert api.asked == []


KEYS = sorted(
    {"metadata", "spec", "status", "name", "containers", "env", "value", "valueFrom", "state", "waiting", "reason"}
    | {"containerStatuses", "conditions", "events", "involvedObject", "kind", "message", "template", "restartCount"}
    | {"workerGroupSpecs", "headGroupSpec", "ownerReferences", "labels", "args", "readinessProbe", "exec", "command"}
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=200)
@given(document=JSON, events=st.lists(JSON, max_size=4), pods=st.lists(JSON, max_size=3))
def test_any_json_becomes_bounded_text(document: Any, events: list[Any], pods: list[Any]) -> None:
    text = objects.describe_object("Pod", document, events, pods)
    assert len(text) <= objects.LIMIT + 20_000
    yaml.safe_load(text)
    for pod in pods:
        list(failure_logs.logs_of(pod))


@pytest.mark.parametrize(
    "document",
    [
        {"metadata": {"name": "n" * 10**6, "labels": {str(n): "v" * 10**4 for n in range(10**4)}}},
        {"spec": [[[[["x" * 100] * 50] * 50] * 50] * 50] * 50},
    ],
)
def test_a_huge_document_is_cut(document: Any) -> None:
    text = described(document, *[event("Pod", "x", "m" * 10**6)] * 1000)
    assert len(text) <= objects.LIMIT + 100 and "# Parts are left out" in text


def test_a_service_tells_its_selector_and_ports() -> None:
    spec = {"selector": {"app": "nats"}, "ports": [{"name": "client", "port": 4222}]}
    shown = yaml.safe_load(described({"metadata": {"name": "nats"}, "spec": spec}, kind="Service"))
    assert shown["spec"] == spec
