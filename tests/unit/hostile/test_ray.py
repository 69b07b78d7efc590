"""Whatever Ray's dashboard says: typed rows or a reason."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.services.http import Answer
from fixtures.services.ray import Actor, Job, Node, Ray, Version
from tests.unit.hostile.answers import a_reason_at_most, bodies


def table(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"result": True, "msg": "", "data": {"result": {"total": len(rows), "result": list(rows)}}}


NODES = table(
    {
        "node_id": "c" * 56,
        "node_name": "10.0.0.7",
        "node_ip": "10.0.0.7",
        "is_head_node": True,
        "state": "ALIVE",
        "state_message": None,
        "resources_total": {"CPU": 4.0, "memory": 8e9, "node:__internal_head__": 1.0},
        "labels": {"ray.io/node_id": "c" * 56},
    },
    {"node_id": "d" * 56, "state": "DEAD", "state_message": "lost", "is_head_node": False, "resources_total": {}},
)
ACTORS = table(
    {
        "actor_id": "a" * 32,
        "class_name": "VLLMAgentJob",
        "state": "DEAD",
        "job_id": "01000000",
        "name": "fc-1-jobs-worker-1",
        "node_id": "c" * 56,
        "pid": 4711,
        "death_cause": {"actor_died_error_context": {"error_message": "OOM", "pid": 4711}},
    },
    {"actor_id": "b" * 32, "name": None, "pid": None, "state": "PENDING_CREATION"},
)
JOB = {
    "type": "SUBMISSION",
    "submission_id": "fc-1-census",
    "status": "FAILED",
    "message": "Job entrypoint command failed with exit code 1",
    "start_time": 1700000000000,
    "end_time": None,
    "entrypoint": "python -c …",
}
LOGS = {"logs": "…\n<<<fleet-probe{}fleet-probe>>>\n"}


class Recorded(Ray):
    """A client that is answered with `body`, whatever it asks."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def request(self, method: str, path: str, **_: Any) -> Answer:
        del method
        return Answer(f"Ray's dashboard at http://ray:8265 answers {path}", 200, self.body)


def only(kind: type) -> Callable[[Any], bool]:
    return lambda found: all(isinstance(one, kind) for one in found)


Question = tuple[Any, Callable[[Ray], Awaitable[Any]], Callable[[Any], bool]]  # valid answer, call, what it must give

QUESTIONS: dict[str, Question] = {
    "nodes": (NODES, lambda ray: ray.nodes(), only(Node)),
    "actors": (ACTORS, lambda ray: ray.actors("fc-1"), only(Actor)),
    "jobs": (
        [JOB, {"submission_id": None, "status": "RUNNING", "type": "DRIVER"}],
        lambda ray: ray.jobs("fc"),
        only(Job),
    ),
    "job": (JOB, lambda ray: ray.job("fc-1-census"), lambda job: isinstance(job.status, str)),
    "logs": (LOGS, lambda ray: ray.job_logs("fc-1-census"), lambda logs: isinstance(logs, str)),
    "version": (
        {"ray_version": "2.49.2", "session_name": "s"},
        lambda ray: ray.version(),
        lambda one: type(one) is Version,
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
@given(data=st.data())
async def test_any_answer(name: str, data: st.DataObject) -> None:
    valid, ask, fits = QUESTIONS[name]
    ray = Recorded(data.draw(bodies(valid)))
    with a_reason_at_most():
        assert fits(await ask(ray))


@pytest.mark.parametrize("name", QUESTIONS)
async def test_the_valid_answer_is_read(name: str) -> None:
    valid, ask, fits = QUESTIONS[name]
    found = await ask(Recorded(json.dumps(valid).encode()))
    assert fits(found) and found
