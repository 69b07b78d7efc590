"""How kubectl reaches the cluster that a run is attached to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.kubernetes.cluster import AttachOptions, KubernetesCluster
from fixtures.profile import model as profiles


def attached(context: str | None, kubeconfig: str | None) -> KubernetesCluster:
    return KubernetesCluster(AttachOptions(profiles.load("swe-ai-fleet"), kubeconfig, context, "fc-1", False))


def with_api(cluster: KubernetesCluster, *, inside: bool, context: str) -> KubernetesCluster:
    api: Any = SimpleNamespace(inside=inside, context=context, server="https://10.96.0.1:443")
    cluster._api = api
    return cluster


def test_before_the_kubeconfig_is_read_the_options_say_it() -> None:
    target = attached("prod", "/k").kubernetes_target
    assert (target.context, target.kubeconfig, target.server) == ("prod", "/k", "")


def test_the_current_context_is_named_once_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    target = with_api(attached(None, None), inside=False, context="staging").kubernetes_target
    assert target.kubectl == "kubectl --context staging"


def test_in_a_pod_the_api_server_stands_for_the_context() -> None:
    target = with_api(attached(None, None), inside=True, context="in-cluster").kubernetes_target
    assert (target.context, target.server, target.kubectl) == ("", "https://10.96.0.1:443", "kubectl")


@pytest.mark.parametrize(
    ("option", "variable", "named"),
    [
        (None, "", ""),
        (None, "/home/me/prod", "/home/me/prod"),  # the current context of another shell may be another cluster
        ("/k", "/home/me/prod", "/k"),
        (None, "/home/me/prod:/home/me/dev", ""),  # kubectl takes one file by its option
    ],
)
def test_a_command_names_the_file_that_was_read(
    monkeypatch: pytest.MonkeyPatch, option: str | None, variable: str, named: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", variable)
    target = with_api(attached(None, option), inside=False, context="default").kubernetes_target
    assert target.kubeconfig == named
    assert target.kubectl == f"kubectl {f'--kubeconfig {named} ' if named else ''}--context default"
