"""Pods of these tests: made, waited for, removed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fixtures.clusters.kubernetes.client.api import PODS, Api
from fixtures.clusters.kubernetes.client.errors import NotFound
from fixtures.core.polling import wait_until

UP = 120.0  # seconds from the creation of a pod, whose image the node has, to its readiness
SERVER = Path(__file__).with_name("pod_server.py").read_text("utf-8")


async def start(
    api: Api,
    namespace: str,
    image: str,
    argv: list[str],
    *,
    port: int | None = None,
    pod: Mapping[str, Any] | None = None,
    **more: Any,
) -> str:
    """A new pod that runs `argv` (nothing: what its image does); returns its name once it runs and, with `port`,
    listens there. `pod`, `more`: of its specification, and of its container's."""
    name = f"pod-{secrets.token_hex(3)}"
    container: dict[str, Any] = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", **more}
    if argv:
        container["command"] = argv
    if port:
        container["readinessProbe"] = {"tcpSocket": {"port": port}, "periodSeconds": 1}
    specification = {
        "containers": [container],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        **(pod or {}),
    }
    await api.create(PODS, {"metadata": {"name": name}, "spec": specification}, namespace)
    seen = ""

    async def ready() -> bool:
        nonlocal seen
        status = (await api.get(PODS, name, namespace)).status
        seen = str(status)[:500]
        return status.is_ready

    await wait_until(ready, f"pod {name} with {image} ready", UP, every=0.2, detail=lambda: seen)
    return name


async def start_server(api: Api, namespace: str, image: str) -> str:
    """A pod that serves what pod_server.py says."""
    return await start(api, namespace, image, ["python", "-c", SERVER], port=8001)


async def remove(api: Api, namespace: str, name: str) -> None:
    """End a pod at once and wait until it is gone."""
    await api.delete(PODS, name, namespace, grace_s=0)

    async def gone() -> bool:
        try:
            await api.get(PODS, name, namespace)
        except NotFound:
            return True
        return False

    await wait_until(gone, f"pod {name} gone", UP, every=0.1)


def piece(size: int) -> bytes:
    """What the server sends for "send {size}"."""
    block = bytes(range(256)) * 256
    return (block * (size // len(block) + 1))[:size]
