"""The process of an agent that is killed: what cannot be found is said in a line (JOB-12)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive
from fixtures.services.ray import Actor, Node
from tests.e2e.test_agent_job_failures import asked_or_ended, kill_agent, living_agent

AGENT = Actor(id="a1", name="task-1", state="ALIVE", node_id="n2", pid=7)


class Table:
    """Ray's actors and nodes."""

    def __init__(self, *actors: Actor) -> None:
        self.rows = list(actors)

    async def actors(self, name: str, *, state: str) -> list[Actor]:
        return [actor for actor in self.rows if name in actor.name and actor.state == state]

    async def nodes(self) -> list[Node]:
        return [Node(id="n1", name="ray-worker-1", state="ALIVE")]


async def test_an_agent_on_a_node_that_ray_does_not_list_cannot_be_killed() -> None:
    ray: Any = Table()
    cluster: Any = SimpleNamespace()
    with pytest.raises(Inconclusive, match="Ray does not list the node n2 of the agent task-1"):
        await kill_agent(cluster, ray, AGENT)


async def test_an_agent_that_is_gone_cannot_be_killed() -> None:
    ray: Any = Table(AGENT)
    assert await living_agent(ray, "task-1") == AGENT
    with pytest.raises(Inconclusive, match="Ray lists no living actor task-2"):
        await living_agent(ray, "task-2")


@pytest.mark.parametrize(("hits", "ended"), [(1, False), (0, True), (1, True)])
async def test_a_job_that_ended_before_it_asked_is_not_waited_for(hits: int, ended: bool) -> None:
    async def met(_rule: str) -> int:
        return hits

    proxy: Any = SimpleNamespace(hits=met)
    job = asyncio.get_running_loop().create_future()
    if ended:
        job.set_result("")
    assert await asked_or_ended(proxy, "rule", job) is (hits > 0)
