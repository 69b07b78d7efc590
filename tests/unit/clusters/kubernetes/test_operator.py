"""What is recorded of KubeRay: the API server's own words, and in their place why there are none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fixtures.clusters.kubernetes.client.api import PODS, Api, connect
from fixtures.clusters.kubernetes.inspect.operator import (
    KEPT,
    VERSION_IN,
    kuberay_versions,
    operator,
    part,
    ray_objects,
)
from fixtures.diagnostics.evidence import Evidence
from fixtures.profile.model import load
from fixtures.redaction.redact import MASK, Redactor
from tests.support.kubernetes_stand_in import Answer, StandIn, status, write_kubeconfig

Attach = Callable[["Server"], Api]

RAY, RBAC = "/apis/ray.io/v1/namespaces/ray/rayclusters", 'is forbidden: User "u" cannot '
DEPLOYMENT = {
    "metadata": {
        "name": "kuberay-operator",
        "namespace": "kuberay-system",
        "uid": "d-1",
        "annotations": {"whole": "manifest"},
    },
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "kuberay-operator"}},
        "template": {
            "spec": {"containers": [{"name": "o", "image": "kuberay/operator:v1.6.2", "env": [{"name": "T"}]}]}
        },
    },
    "status": {"availableReplicas": 1},
}
WEBHOOKS = [
    {
        "metadata": {"name": "policies"},
        "webhooks": [{"name": "all", "rules": [{"apiGroups": ["*"], "resources": ["*"]}]}],
    },
    {
        "metadata": {"name": "kuberay"},
        "webhooks": [
            {
                "name": "vraycluster.kb.io",
                "failurePolicy": "Fail",
                "clientConfig": {"caBundle": "LS0t", "service": {"name": "webhook-service"}},
                "rules": [{"apiGroups": ["ray.io"], "resources": ["rayclusters"], "operations": ["CREATE"]}],
            }
        ],
    },
]  # fmt: skip


def ok(document: Any) -> Answer:
    return 200, json.dumps(document).encode()


class Server:
    """An API server with KubeRay; `answers` takes the place of single answers, by the path's beginning."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.made: list[str] = []

    def __call__(self, method: str, path: str) -> Answer:
        where = urlsplit(path)
        for name, answer in self.answers.items():
            if name in where.path:
                return answer
        if method == "POST":
            self.made.append(parse_qs(where.query).get("dryRun", ["made!"])[0])
            return ok({"kind": "RayCluster"})
        if where.path == "/version":
            return ok({"gitVersion": "v1.34.1"})
        if where.path == "/apis/ray.io/v1":
            return ok({"resources": [{"name": "rayclusters"}, {"name": "rayclusters/status"}, {"name": "rayjobs"}]})
        if where.path.endswith("/kuberay-operator"):
            return ok(DEPLOYMENT)
        if where.path.endswith("validatingwebhookconfigurations"):
            return ok({"items": WEBHOOKS})
        if where.path.endswith(f"{RAY}/ray-gpu"):
            return ok(
                {
                    "metadata": {"name": "ray-gpu", "namespace": "ray", "uid": "r-1", "managedFields": []},
                    "spec": {"rayVersion": "2.49.2", "headGroupSpec": {"template": {"spec": {"containers": []}}}},
                    "status": {"state": "ready", "head": {"podIP": "10.0.0.1"}},
                }
            )
        if where.path.endswith("/rayclusters.ray.io"):
            return ok(
                {"metadata": {"name": "rayclusters.ray.io"}, "spec": {"versions": [{"name": "v1", "schema": {}}]}}
            )
        return ok({"items": []})


@pytest.fixture
def attach(tmp_path: Path) -> Iterator[Attach]:
    """Starts a stand-in; returns the way to it."""
    started: list[StandIn] = []

    def start(server: Server) -> Api:
        started.append(StandIn(server))
        return connect(str(write_kubeconfig(tmp_path / "kubeconfig", started[-1].url)), None)

    yield start
    for one in started:
        one.close()


PROFILE = load("swe-ai-fleet")


async def test_the_part_that_bears_on_it_is_recorded_with_its_command(attach: Attach) -> None:
    told = await operator(attach(Server()), PROFILE, "fc-1", dry_runs=False)
    assert told["version"] == {
        "command": "kubectl get --raw /version | jq '{gitVersion}'",
        "answer": {"gitVersion": "v1.34.1"},
    }
    assert told["types"]["answer"] == ["rayclusters", "rayjobs"]
    assert told["definition"]["answer"]["spec"] == {"versions": [{"name": "v1"}]}
    kept = told["deployment"]
    assert kept["command"] == "kubectl -n kuberay-system get deployment kuberay-operator -o json"
    assert kept["answer"]["spec"]["template"]["spec"]["containers"] == [
        {"name": "o", "image": "kuberay/operator:v1.6.2"}
    ]
    assert "annotations" not in kept["answer"]["metadata"]
    assert told["pods"]["command"] == "kubectl -n kuberay-system get pods -l app=kuberay-operator -o json"


async def test_only_webhooks_that_name_rayclusters_are_the_operators(attach: Attach) -> None:
    told = (await operator(attach(Server()), PROFILE, "fc-1", dry_runs=False))["webhooks"]["answer"]
    assert told["configurations"] == 2
    (webhook,) = told["for_ray_clusters"]
    assert (webhook["name"], webhook["clientConfig"]) == ("vraycluster.kb.io", {"service": {"name": "webhook-service"}})


async def test_a_reading_run_asks_for_no_dry_run(attach: Attach) -> None:
    server = Server()
    told = await operator(attach(server), PROFILE, "fc-1", dry_runs=False)
    assert server.made == []
    assert all("right to create" in trial["unknown"] for trial in told["admission"])


async def test_dry_runs_make_nothing(attach: Attach) -> None:
    server = Server()
    told = await operator(attach(server), PROFILE, "fc-1", dry_runs=True)
    assert server.made == ["All"] * 3
    assert [trial["let_in"] for trial in told["admission"]] == [True] * 3


@pytest.mark.parametrize(
    ("code", "reason", "message", "outcome"),
    [
        (422, "Invalid", "spec.workerGroupSpecs[0].replicas: must be of type integer", False),
        (403, "Forbidden", 'admission webhook "vraycluster.kb.io" denied the request: unique', False),
        (500, "InternalError", 'failed calling webhook "vraycluster.kb.io": connection refused', False),
        (403, "Forbidden", f'rayclusters.ray.io {RBAC}create resource "rayclusters" in API group "ray.io"', None),
        (503, "ServiceUnavailable", "later", None),
    ],
)
async def test_who_turned_a_dry_run_away_is_told_from_not_knowing(
    attach: Attach, code: int, reason: str, message: str, outcome: bool | None
) -> None:
    server = Server(**{"namespaces/ray/rayclusters": (code, status(code, reason, message))})
    trial = (await operator(attach(server), PROFILE, "fc-1", dry_runs=True))["admission"][0]
    assert trial.get("let_in") is outcome
    assert ("unknown" in trial) is (outcome is None)


async def test_a_missing_right_is_said_in_its_place_and_was_not_made_use_of(attach: Attach) -> None:
    forbidden = (
        403,
        status(403, "Forbidden", f'x {RBAC}get resource "customresourcedefinitions" at the cluster scope'),
    )
    absent = (404, status(404, "NotFound", 'deployments.apps "kuberay-operator" not found'))
    api = attach(Server(customresourcedefinitions=forbidden, **{"deployments/": absent}))
    told = await operator(api, PROFILE, "fc-1", dry_runs=False)
    assert "may not get customresourcedefinitions" in told["definition"]["unknown"]
    assert "not found" in told["deployment"]["absent"]
    assert "without its Deployment" in told["pods"]["unknown"]
    assert ("get", "customresourcedefinitions.apiextensions.k8s.io") not in api.used


async def test_the_ray_cluster_comes_with_its_status_and_without_the_rest(attach: Attach) -> None:
    told = await ray_objects(attach(Server()), PROFILE)
    assert told["ray_cluster"]["answer"]["status"] == {"state": "ready", "head": {"podIP": "10.0.0.1"}}
    assert "managedFields" not in told["ray_cluster"]["answer"]["metadata"]
    assert told["pods"] == {"command": "kubectl -n ray get pods -l ray.io/cluster=ray-gpu -o json", "answer": []}


async def test_no_secret_in_a_command_line_becomes_evidence(attach: Attach, tmp_path: Path) -> None:
    """Of Ray's own container, of a side-car and of the operator: as words of a list, in one word, in a script."""
    secret = "hunter2pw"
    containers = [
        {"name": "ray-head", "image": "ray:1", "args": ["--redis-password", secret, "--port", "6379"]},
        {"name": "side-car", "image": "proxy:1", "args": ["-auth-token", secret, f"--api-key={secret}"]},
        {"name": "script", "image": "sh:1", "args": ["-c", f"REDIS_PASSWORD={secret} ray start --token '{secret}'"]},
    ]
    template = {"spec": {"containers": containers}}
    cluster = {
        "metadata": {"name": "ray-gpu", "namespace": "ray"},
        "spec": {
            "headGroupSpec": {"template": template},
            "workerGroupSpecs": [{"groupName": "a", "template": template}],
        },
    }
    operators = {"metadata": DEPLOYMENT["metadata"], "spec": {"template": template}}
    api = attach(Server(**{f"{RAY}/ray-gpu": ok(cluster), "deployments/kuberay-operator": ok(operators)}))
    evidence = Evidence(tmp_path, "INF-05", Redactor())
    written = [
        evidence.attach("ray.json", dict(await ray_objects(api, PROFILE))),
        evidence.attach("operator.json", dict(await operator(api, PROFILE, "fc-1", dry_runs=False))),
    ]
    for file in written:
        assert secret not in file.read_text()
        assert "6379" in file.read_text() and MASK in file.read_text()


def test_of_a_containers_state_is_kept_whether_it_runs() -> None:
    runs, waits = {"running": {"startedAt": "t"}}, {"waiting": {"message": "pull of registry.internal/x failed"}}
    pod = {"status": {"containerStatuses": [{"name": "ray-worker", "state": runs}, {"name": "x", "state": waits}]}}
    kept = [{"name": "ray-worker", "state": runs}, {"name": "x", "state": {}}]
    assert part(pod, KEPT[PODS]) == {"status": {"containerStatuses": kept}}


def test_of_environments_the_version_alone_is_kept() -> None:
    container = {"env": [{"name": "TOKEN", "value": "t"}, {"name": VERSION_IN, "value": "kuberay_version=v1.6.2"}]}
    assert part(container, {"env": {}}) == {"env": container["env"][1:]}


@pytest.mark.parametrize("version", ["v1.5.1", "v1.6.2", "v1.7.0"])
def test_the_version_is_read_from_the_mark_on_the_head(version: str) -> None:
    """As each of them writes it; that of a worker has no mark, and one of a RayService names another kind."""
    mark = {"name": VERSION_IN, "value": f"kuberay_version={version};kuberay_crd=RayService"}
    head = {"spec": {"containers": [{"name": "ray-head", "env": [{"name": "OTHER"}, mark]}, {"name": "sidecar"}]}}
    worker = {"spec": {"containers": [{"name": "ray-worker", "env": []}]}}
    assert kuberay_versions([worker, head]) == [version]
    assert kuberay_versions([worker]) == []


async def test_events_of_both_apis_are_kept_in_the_order_of_their_times(attach: Attach) -> None:
    """KubeRay 1.7 writes them by events.k8s.io: those have no lastTimestamp."""
    old = {"reason": "Old", "lastTimestamp": "2026-11-26T14:00:00Z", "source": {"component": "raycluster-controller"}}
    new = {
        "reason": "New",
        "lastTimestamp": None,
        "eventTime": "2026-11-26T15:00:00.000000Z",
        "reportingComponent": "raycluster-controller",
    }
    rows = [{"metadata": {"name": str(row["reason"]).lower()}, **row} for row in (new, old)]
    told = await ray_objects(attach(Server(events=ok({"items": rows}))), PROFILE)
    assert told["events"]["answer"] == [old, {key: value for key, value in new.items() if value}]


def test_lists_are_gone_through() -> None:
    document = {"a": [{"b": 1, "c": 2}, {"c": 3}], "d": {"e": [1]}}
    assert part(document, {"a": {"b": {}}, "d": {}, "absent": {}}) == {"a": [{"b": 1}, {}], "d": {"e": [1]}}
