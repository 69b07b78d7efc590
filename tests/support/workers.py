"""INF-06 without a fleet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fixtures.clusters.base import Component
from fixtures.core.timeouts import Timeouts, applied
from fixtures.probes.components import Components
from fixtures.profile.model import Profile
from tests.e2e.test_infrastructure_ray import test_workers_agree as workers_agree


async def agree(seen: Components, profile: Profile, later: Components | None = None) -> list[str]:
    """Judges what was `seen`, and `later` when it is looked at again; None: the same. Returns the notes."""
    notes: list[str] = []
    again = later or seen

    async def workload(component: Component) -> Any:
        return again.workload(component)

    async def nodes() -> Any:
        return again.ray_nodes.get()

    cluster: Any = SimpleNamespace(workload=workload)
    ray: Any = SimpleNamespace(nodes=nodes)
    with applied(Timeouts(ray_node_gone=0.01)):
        await workers_agree(seen, cluster, ray, profile, notes.append)
    return notes
