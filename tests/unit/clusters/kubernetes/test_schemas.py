"""Kubernetes' objects as the suite reads them: parts by attribute, and all of each as the API has it."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.clusters.kubernetes.client.schemas import KubernetesObject, Pod, ReplicatedWorkload, Service
from fixtures.core.json_models import InvalidDocument

METADATA = {"name": "x", "namespace": "n", "resourceVersion": "7"}


def pod(**status: Any) -> dict[str, Any]:
    container = {"name": "main", "securityContext": {"runAsUser": 1000}}
    return {"metadata": METADATA, "spec": {"containers": [container], "tolerations": []}, "status": status}


def test_an_object_and_its_parts_keep_what_the_suite_does_not_read() -> None:
    document = pod(phase="Running", qosClass="Burstable")
    parsed = Pod.of(document)
    assert parsed.raw == document
    assert parsed.spec.raw == document["spec"]
    assert parsed.spec.containers[0].raw == document["spec"]["containers"][0]


def test_of_a_type_that_the_suite_does_not_read_any_object_is_one() -> None:
    assert KubernetesObject.of({"rules": 5}).raw == {"rules": 5}
    with pytest.raises(InvalidDocument, match="should be an object, not an array"):
        KubernetesObject.of([1])


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [("2026-01-01T00:00:00Z", 1767225600.0), ("2026-01-01T01:00:00.5+01:00", 1767225600.5), (None, 0.0)],
)
def test_moments_are_seconds_since_the_epoch(moment: str | None, seconds: float) -> None:
    assert Pod.of(pod(startTime=moment)).status.startTime == seconds


@pytest.mark.parametrize("moment", [5, "yesterday", "", "0000-01-01T00:00:00Z"])
def test_what_is_no_moment_is_refused_with_its_place(moment: Any) -> None:
    with pytest.raises(InvalidDocument, match=r"^status\.startTime "):
        Pod.of(pod(startTime=moment))


def test_a_workload_that_selects_by_expressions_has_no_labels_of_its_pods() -> None:
    expression = {"key": "app", "operator": "Exists"}
    spec = {"selector": {"matchExpressions": [expression]}, "template": {"spec": {}}}
    assert ReplicatedWorkload.of({"metadata": METADATA, "spec": spec}).pod_labels == {}
    assert Service.of({"metadata": METADATA, "spec": {"selector": {"app": "x"}}}).pod_labels == {"app": "x"}


@pytest.mark.parametrize(
    ("metadata", "phase", "leaving"),
    [({}, "Running", False), ({}, "Failed", True), ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, "Running", True)],
)
def test_a_pod_that_is_deleted_or_has_ended_is_leaving(metadata: dict[str, str], phase: str, leaving: bool) -> None:
    assert Pod.of({**pod(phase=phase), "metadata": {**METADATA, **metadata}}).is_leaving is leaving
