"""What an executable of an own check is told of the run is JSON, in every kind of cluster, and has no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Endpoints
from fixtures.harness.suite import about_the_run
from fixtures.profile.model import PROFILES, load
from fixtures.redaction.redact import Redactor


class Live(Mapping[str, str]):
    """As in Kubernetes: targets that change, and are no dict."""

    def __getitem__(self, name: str) -> str:
        return {"orchestrator-1": "127.0.0.1:1"}[name]

    def __iter__(self) -> Iterator[str]:
        return iter(["orchestrator-1"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("profile", sorted(file.stem for file in PROFILES.glob("*.toml")))
def test_it_is_json(profile: str) -> None:
    redactor = Redactor()
    redactor.add("s3cret-token")
    suite: Any = SimpleNamespace(
        cluster=SimpleNamespace(profile=load(profile)),
        run=SimpleNamespace(run_id="fc-1"),
        recorder=SimpleNamespace(redactor=redactor),
    )
    endpoints = Endpoints(
        "http://vllm:8000", "http://ray:8265", "ray://ray:10001", "nats://s3cret-token@n:4222", Live()
    )
    document = json.loads(json.dumps(about_the_run(suite, endpoints)))
    assert document["run_id"] == "fc-1" and document["profile"]["name"] == load(profile).name
    assert document["endpoints"]["orchestrators"] == {"orchestrator-1": "127.0.0.1:1"}
    assert "contract" not in document["profile"] and "s3cret-token" not in str(document)
