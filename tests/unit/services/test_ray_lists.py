"""Ray's lists: what is asked for where Ray allows less, and what is known where it cut them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.services.http import Answer
from fixtures.services.ray import Ray

REFUSAL = "ValueError: Given limit {limit} exceeds the supported limit {allowed}. Use a lower limit."
SILENT = "500 Internal Server Error\n\nServer got itself in trouble"


class Dashboard(Ray):
    """Allows `allowed` rows in one request, and lists `kept` rows of a table before it looks at a request's limit.

    It counts `dropped` rows more than it has.
    """

    def __init__(
        self, allowed: int, words: str = REFUSAL, kept: int = 10_000, dropped: int = 0, **tables: list[dict[str, Any]]
    ) -> None:
        super().__init__("http://127.0.0.1:9")
        self.allowed, self.words, self.kept, self.dropped, self.tables = allowed, words, kept, dropped, tables
        self.asked: list[int] = []

    async def request(self, method: str, path: str, **arguments: Any) -> Answer:  # noqa: ARG002
        if path == "/api/jobs/":
            return self.answer(200, self.tables["jobs"])
        params = arguments["params"]
        limit = int(params["limit"])
        self.asked.append(limit)
        if limit > self.allowed:
            return Answer("Ray", 500, self.words.format(limit=limit, allowed=self.allowed).encode())
        rows = self.tables[path.rpartition("/")[2]]
        for key, value in zip(params.get("filter_keys", ()), params.get("filter_values", ()), strict=True):
            rows = [row for row in rows if row[key] == value]
        kept = rows[: self.kept]
        numbers = {"total": len(rows) + self.dropped, "num_after_truncation": len(kept), "num_filtered": len(kept)}
        return self.answer(200, {"data": {"result": numbers | {"result": kept[:limit]}}})

    @staticmethod
    def answer(status: int, document: Any) -> Answer:
        return Answer("Ray", status, json.dumps(document).encode())


def actors(count: int, **more: str) -> list[dict[str, Any]]:
    job = more.get("job_id", "01000000")
    return [{"actor_id": f"{job}-{n}", "name": f"a-{n}", "state": "DEAD", "job_id": job} | more for n in range(count)]


@pytest.mark.parametrize(
    ("allowed", "words", "asked"),
    [
        (10_000, REFUSAL, [10_000]),
        (500, REFUSAL, [10_000, 500]),
        (1_000, SILENT, [10_000, 1_000]),
        (500, SILENT, [10_000, 1_000, 100]),
    ],
)
async def test_as_many_rows_are_asked_for_as_ray_allows(allowed: int, words: str, asked: list[int]) -> None:
    ray = Dashboard(allowed, words, actors=actors(3))
    assert len(await ray.actors()) == 3
    assert ray.asked == asked
    assert len(await ray.actors()) == 3
    assert ray.asked == [*asked, asked[-1]], "what it allows is known by now"


async def test_an_error_that_is_about_something_else_is_raised_as_it_is() -> None:
    ray = Dashboard(0, "the state API is off")
    with pytest.raises(NonConformance, match=r"answers /api/v0/actors with 500: the state API is off"):
        await ray.actors()
    assert ray.asked == [10_000, 1_000, 100]


async def test_a_list_that_is_shorter_than_what_ray_has_is_not_whole() -> None:
    with pytest.raises(Inconclusive, match="Ray lists 100 of 120 actors"):
        await Dashboard(100, SILENT, actors=actors(120)).actors()


async def test_living_nodes_are_known_however_many_have_died() -> None:
    dead = [{"node_id": f"d{n}", "state": "DEAD"} for n in range(60)]
    ray = Dashboard(10_000, kept=50, nodes=[*dead, {"node_id": "w", "state": "ALIVE"}])
    nodes = await ray.nodes()
    assert [node.id for node in nodes if node.alive] == ["w"]
    assert len(nodes) == 51


async def test_of_a_cut_list_the_actors_of_drivers_that_run_are_known() -> None:
    jobs = [{"job_id": "02000000", "status": "RUNNING"}, {"job_id": "01000000", "status": "SUCCEEDED"}]
    rows = [*actors(60), *actors(2, job_id="02000000")]
    ray = Dashboard(10_000, kept=50, actors=rows, jobs=jobs)
    listing = await ray.recent_actors()
    assert {actor.id for actor in listing.rows} >= {"02000000-0", "02000000-1"}
    assert listing.cut == "Ray lists 52 of 62 actors"
    whole = await Dashboard(10_000, actors=rows, jobs=[]).recent_actors()
    assert not whole.cut and len(whole.rows) == 62


async def test_tasks_that_run_are_known_though_ray_has_forgotten_of_others() -> None:
    """Ray keeps 10,000 tasks of each job, and counts those that it dropped in the total."""
    call: dict[str, Any] = {
        "task_id": "t1",
        "type": "NORMAL_TASK",
        "state": "RUNNING",
        "node_id": "w",
        "job_id": "02000000",
    }
    holds = {"required_resources": {"CPU": 2.0}}
    rows = [call | holds, call | {"task_id": "t2", "type": "ACTOR_TASK"}, call | {"task_id": "t3", "state": "FINISHED"}]
    (task,) = await Dashboard(10_000, dropped=7, tasks=rows).running_tasks()
    assert (task.id, task.node_id, task.job_id, task.resources) == ("t1", "w", "02000000", {"CPU": 2.0})
    assert await Dashboard(10_000, tasks=[call | {"node_id": None, "required_resources": None}]).running_tasks()
