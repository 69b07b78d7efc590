"""Ray's lists: what is asked for where Ray allows less, and what is known where it cut them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.json_models import HEAVIEST, estimated_size
from fixtures.exercises.deliberations import Deliberations
from fixtures.profile.model import load
from fixtures.services.http import Answer
from fixtures.services.ray import MAX_RESPONSE_BYTES, Ray

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


SAID = "died unexpectedly, of one of these reasons: "  # and what is in the place of 330 more of Ray's
BRIEF = ("actor_id", "class_name", "state", "job_id", "name", "node_id", "pid", "ray_namespace")  # without detail=1
SHORT, LONG = (8, 4), (13, 60)  # environments: variables, and characters of each


def former_agent(number: int, environment: tuple[int, int]) -> dict[str, Any]:
    """A dead agent with the columns, and of the size, that Ray 2.60 lists with detail=1."""
    own: dict[str, Any] = {"actor_id": f"{number:024x}02000000", "class_name": "VLLMAgentJob"}
    own |= {"name": f"task-{number}-agent-1", "ray_namespace": "swe-ai-fleet", "pid": 12345}
    died = own | {"error_message": SAID + "x" * 330, "owner_id": "0" * 56, "owner_ip_address": "10.244.0.117"}
    died |= {"node_ip_address": "10.244.0.118", "never_started": False, "reason": "UNSPECIFIED"}
    variables = {f"VARIABLE_{n}": "x" * environment[1] for n in range(environment[0])}
    numbers = ("num_restarts", "num_restarts_due_to_lineage_reconstruction", "num_restarts_due_to_node_preemption")
    return {
        **own,
        **{"state": "DEAD", "job_id": "02000000", "node_id": "1" * 56},
        "serialized_runtime_env": json.dumps({"env_vars": variables, "_ray_commit": "0" * 40}),
        **{"required_resources": {"CPU": 1.0, "GPU": 0.25}, "death_cause": {"actor_died_error_context": died}},
        **{"is_detached": False, "placement_group_id": None, "repr_name": "", "call_site": None, "label_selector": {}},
        **dict.fromkeys(numbers, "0"),
    }


@asynccontextmanager
async def dashboard(rows: list[dict[str, Any]], asked: list[tuple[str, int]]) -> AsyncIterator[Ray]:
    """A client of a server that answers as Ray's does; `asked` gets "detail" or "brief", and the limit."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        wanted = parse_qs(urlsplit(head.split()[1]).query)
        detail, limit = wanted["detail"] == ["1"], int(wanted["limit"][0])
        asked.append(("detail" if detail else "brief", limit))
        shown = [row if detail else {key: row[key] for key in BRIEF} for row in rows[:limit]]
        numbers = {"total": len(rows), "num_after_truncation": len(rows), "num_filtered": len(rows)}
        body = json.dumps({"result": True, "msg": "", "data": {"result": numbers | {"result": shown}}}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        ray = Ray(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        try:
            yield ray
        finally:
            await ray.close()


@pytest.mark.parametrize("environment", [SHORT, LONG])
async def test_all_of_10_000_actors_are_known_where_their_details_are_too_much(environment: tuple[int, int]) -> None:
    """Too many values of JSON in less than 16 MiB, and more than 16 MiB."""
    rows, asked = [former_agent(number, environment) for number in range(10_000)], list[tuple[str, int]]()
    text = json.dumps(rows)
    assert (len(text) > MAX_RESPONSE_BYTES) is (environment == LONG) and estimated_size(text) > HEAVIEST
    async with dashboard(rows, asked) as ray:
        listing = await ray.recent_actors()
        assert (len(listing.rows), listing.cut) == (10_000, "")
        assert listing.rows[9_999].name == "task-9999-agent-1" and listing.rows[9_999].state == "DEAD"
        assert asked == [("detail", 10_000), ("brief", 10_000)]
        nothing: Any = None
        before = await Deliberations(nothing, nothing, ray, load("swe-ai-fleet"), "fc-1").actors_before()
        assert (len(before.ids), before.cut) == (10_000, "")
        assert asked[2:] == [("brief", 10_000)], "that the details are too much is known by now"


async def test_few_actors_have_their_details() -> None:
    asked: list[tuple[str, int]] = []
    async with dashboard([former_agent(number, SHORT) for number in range(300)], asked) as ray:
        listing = await ray.recent_actors()
    assert asked == [("detail", 10_000)]
    assert all(SAID in actor.death_cause and actor.resources == {"CPU": 1.0, "GPU": 0.25} for actor in listing.rows)


async def test_where_details_are_wanted_a_list_that_is_too_much_is_cut() -> None:
    asked: list[tuple[str, int]] = []
    async with dashboard([former_agent(number, LONG) for number in range(10_000)], asked) as ray:
        listing = await ray.listed_actors()
        assert (len(listing.rows), listing.cut) == (5_000, "Ray lists 5000 of 10000 actors")
        assert all(actor.death_cause for actor in listing.rows)
        assert asked == [("detail", 10_000), ("detail", 5_000)]
        with pytest.raises(Inconclusive, match="Ray lists 5000 of 10000 actors"):
            await ray.actors(job_id="02000000")


async def test_rows_that_are_too_much_by_a_few_are_said_to_be() -> None:
    asked: list[tuple[str, int]] = []
    async with dashboard([former_agent(number, (1, 15_000)) for number in range(100)], asked) as ray:
        ray._largest = 1 << 20
        with pytest.raises(Inconclusive, match="with more than the 1 MiB that the suite reads"):
            await ray.listed_actors()
    assert [limit for _, limit in asked] == [10_000, 5_000, 2_500, 1_250, 625, 312, 156]
