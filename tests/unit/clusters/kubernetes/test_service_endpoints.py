"""Connections from outside: those to vLLM meet its ready pods in turn, those to any other service the first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component
from fixtures.clusters.kubernetes.client.portforward import Place, ResolveTarget
from fixtures.clusters.kubernetes.service_endpoints import PortForwards


class Forwards(PortForwards):
    """Nothing is listened to: what would lead a connection on is kept."""

    def __init__(self) -> None:
        api: Any = SimpleNamespace(inside=False)
        super().__init__(api)

    async def ready_endpoints(self, *_: Any, **__: Any) -> list[Place]:
        return [("pod-a", 8000), ("pod-b", 8000)]

    async def to_pod(self, *asked: Any, **_: Any) -> str:
        self.resolve_target: ResolveTarget = asked[2]
        return "127.0.0.1:1"


@pytest.mark.parametrize(
    ("component", "pods"),
    [(Component.VLLM, ["pod-a", "pod-b", "pod-a"]), (Component.RAY_HEAD, ["pod-a"] * 3), (None, ["pod-a"] * 3)],
)
async def test_connections_to_vllm_meet_its_pods_in_turn(component: Component | None, pods: list[str]) -> None:
    forwards = Forwards()
    await forwards.service_address("service", "fleet", 8000, component)
    assert [(await forwards.resolve_target())[0] for _ in pods] == pods
