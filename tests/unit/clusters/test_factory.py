"""What the command line and a profile must say for a cluster to be made, and what is said where they do not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.endpoints import EndpointsCluster
from fixtures.clusters.factory import MADE_IN_KIND, ONLY_FOR, create_cluster
from fixtures.core.errors import UsageError
from tests.support.profiles import profile_text

URLS: dict[str, dict[str, Any]] = {
    "vllm": {"url": "http://10.0.0.1:8000"},
    "ray": {"url": "http://10.0.0.1:8265"},
    "nats": {"url": "nats://10.0.0.1:4222"},
    "orchestrator": {"url": ["10.0.0.1:50055"]},
}


def asked(tmp_path: Path, cluster: str, text: str, **options: Any) -> Any:
    """A session's options, with the profile of this text."""
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    option = SimpleNamespace(**dict.fromkeys(ONLY_FOR), cluster=cluster, profile=str(file))
    for name, value in options.items():
        setattr(option, name, value)
    return SimpleNamespace(option=option)


def outside(**sections: dict[str, Any]) -> str:
    """A profile without [kubernetes]."""
    text = profile_text("swe-ai-fleet", **sections)
    assert '[kubernetes]\nnamespace = "swe-ai-fleet"\n' in text
    return text.replace('[kubernetes]\nnamespace = "swe-ai-fleet"\n', "")


def test_with_an_address_for_each_part_no_kubernetes_is_needed(tmp_path: Path) -> None:
    assert isinstance(create_cluster(asked(tmp_path, "attach", outside(**URLS))), EndpointsCluster)


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        (["nats"], "has no nats.url: without [kubernetes] each part is reached by its address"),
        (["vllm", "orchestrator"], "has no vllm.url, orchestrator.url: without [kubernetes] each part"),
    ],
)
def test_the_addresses_that_are_missing_are_named(tmp_path: Path, missing: list[str], line: str) -> None:
    text = outside(**{part: keys for part, keys in URLS.items() if part not in missing})
    with pytest.raises(UsageError) as caught:
        create_cluster(asked(tmp_path, "attach", text))
    assert str(caught.value).startswith(f"profile swe-ai-fleet: {line}")


@pytest.mark.parametrize(
    ("cluster", "options", "by"),
    [("attach", {"kubeconfig": "fleet.kubeconfig"}, "a kubeconfig"), ("kind", {}, "--cluster kind")],
)
def test_what_is_in_kubernetes_has_a_namespace(tmp_path: Path, cluster: str, options: dict[str, str], by: str) -> None:
    with pytest.raises(UsageError) as caught:
        create_cluster(asked(tmp_path, cluster, outside(**URLS), **options))
    assert str(caught.value) == (
        f"profile swe-ai-fleet: kubernetes.namespace: is missing, and {by} is for parts in Kubernetes"
    )


def test_kind_makes_what_the_profile_has_names_for(tmp_path: Path) -> None:
    nameless = {"vllm": {**URLS["vllm"], "service": "", "workload": ""}, "nats": {**URLS["nats"], "service": ""}}
    with pytest.raises(UsageError) as caught:
        create_cluster(asked(tmp_path, "kind", profile_text("kind", **nameless)))
    assert str(caught.value) == (
        f"profile kind: has no {', '.join(MADE_IN_KIND[:3])}: --cluster kind makes what these name"
    )
