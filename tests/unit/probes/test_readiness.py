"""What `--wait` misses of a fleet: replicas first, then services that do not answer, each with its component."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Feature
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.probes.readiness import missing
from fixtures.profile.model import load

PROFILE = load("embedded")
HEAD, WORKER = SimpleNamespace(head=True, alive=True), SimpleNamespace(head=False, alive=True)
DEAD = SimpleNamespace(head=False, alive=False)


def answers(what: object) -> Any:
    async def answer() -> object:
        if isinstance(what, Exception):
            raise what
        return what

    return answer


async def looked(
    *,
    unsettled: str = "",
    listed: int | None = None,
    nodes: object = (HEAD, WORKER, WORKER, DEAD),
    vllm: object = (),
    nats: object = None,
    status: object = None,
) -> str:
    """`listed`: how many workers the specification asks for; None where replicas cannot be listed."""

    async def workload(_component: object) -> Any:
        return SimpleNamespace(desired=listed)

    cluster: Any = SimpleNamespace(
        profile=PROFILE,
        unsettled=answers(unsettled),
        workload=workload,
        unsupported={Feature.REPLICAS: "plain endpoints"} if listed is None else {},
    )
    orchestrator: Any = SimpleNamespace(tells_status=True, replicas=[SimpleNamespace(status=answers(status))])
    server: Any = SimpleNamespace(models=answers(vllm))
    ray: Any = SimpleNamespace(nodes=answers(nodes))
    queue: Any = SimpleNamespace(info=answers(nats))
    return await missing(cluster, server, ray, queue, orchestrator)


async def test_nothing_is_missing_where_all_answer() -> None:
    assert await looked() == ""
    assert await looked(listed=2) == ""


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        ({"unsettled": "orchestrator: 1 of 2 replicas do not exist"}, "orchestrator: 1 of 2 replicas do not exist"),
        ({"nodes": (HEAD, WORKER)}, "ray: its table has 1 living heads and 1 living workers, not 1 and 2"),
        ({"nodes": (WORKER, WORKER)}, "ray: its table has 0 living heads and 2 living workers, not 1 and 2"),
        ({"listed": 3}, "ray: its table has 1 living heads and 2 living workers, not 1 and 3"),
        ({"nodes": Inconclusive("the dashboard does not answer")}, "ray: the dashboard does not answer"),
        ({"vllm": NonConformance("503 from /v1/models")}, "vllm: 503 from /v1/models"),
        ({"nats": Inconclusive("nobody listens")}, "nats: nobody listens"),
        ({"status": NonConformance("UNAVAILABLE")}, "orchestrator: UNAVAILABLE"),
    ],
)
async def test_what_is_missing_is_named(state: dict[str, Any], seen: str) -> None:
    assert await looked(**state) == seen
