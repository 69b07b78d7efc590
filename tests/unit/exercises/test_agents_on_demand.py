"""Agents that one lasting Ray job makes, one by one: what its lines say, and what becomes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fixtures.core.errors import NonConformance
from fixtures.exercises.agents_on_demand import AgentEnd, AgentsOnDemand, read
from fixtures.services.ray import Job
from tests.unit.exercises.test_agent_runs import jobs_of


def line(number: int, state: str, **more: Any) -> str:
    return "fleet-agent " + json.dumps({"number": number, "state": state, "at": 10.0 + number, **more})


class Ray:
    """A dashboard: what it was asked for, and the output of the job that it runs."""

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self.submitted: list[str] = []
        self.output: list[str] = []
        self.status = "RUNNING"
        self.down = False

    def _up(self) -> None:
        if self.down:
            raise NonConformance("Ray's dashboard does not answer")

    async def put_secret(self, value: Any) -> str:
        self._up()
        assert value == {}
        return "gcs://orders.zip"

    async def put_in_place(self, address: str, value: dict[str, Any]) -> None:
        assert address == "gcs://orders.zip"
        self._up()
        self.orders.append(value)

    async def submit(self, entrypoint: str, submission_id: str, *_: Any) -> None:
        self._up()
        assert "python" in entrypoint
        self.submitted.append(submission_id)
        self.status, self.output = "RUNNING", []

    async def job_logs(self, submission_id: str) -> str:
        self._up()
        assert submission_id == self.submitted[-1]
        return "\n".join(self.output)

    async def jobs(self, contains: str) -> list[Job]:
        self._up()
        rows = [] if self.status == "UNKNOWN" else self.submitted[-1:]
        return [
            Job(submission_id=name, status=self.status, message="the head went") for name in rows if contains in name
        ]


@pytest.fixture
def ray() -> Ray:
    return Ray()


@pytest.fixture
def agents(ray: Ray) -> AgentsOnDemand:
    jobs = jobs_of()
    jobs.ray = ray  # type: ignore[assignment]
    return AgentsOnDemand(jobs)


async def ended(agents: AgentsOnDemand, number: int, within: float = 1.0) -> tuple[AgentEnd, list[AgentEnd]]:
    changes: list[AgentEnd] = []
    return await agents.ended(number, within, 0.01, changes.append), changes


def test_lines_of_an_agent_are_put_together_and_damaged_ones_left_out() -> None:
    output = "\n".join(
        [
            "starting",
            line(1, "begun", free=2.0),
            "fleet-agent {damaged}",
            line(2, "begun"),
            line(1, "ready"),
            line(1, "ended", error="ValueError: no"),
            'fleet-agent {"number": "x"}',
        ]
    )
    ends = read(output)
    assert ends[1] == AgentEnd(number=1, begun=11.0, free=2.0, ready=11.0, ended=11.0, error="ValueError: no")
    assert ends[2] == AgentEnd(number=2, begun=12.0)
    assert ends.keys() == {1, 2}


async def test_one_job_makes_all_agents(agents: AgentsOnDemand, ray: Ray) -> None:
    for number in (1, 2):
        await agents.ask(number)
        ray.output += [line(number, "begun", free=3.0), line(number, "ended")]
        end, _ = await ended(agents, number)
        assert (end.ended, end.error, end.gone) == (10.0 + number, "", "")
        assert agents.task_id(number) == f"fc-1-agents-1-0000{number}"
    assert ray.submitted == ["fc-1-agents-1"]
    assert [order["number"] for order in ray.orders] == [1, 2]


async def test_what_is_known_is_handed_on_as_it_grows(agents: AgentsOnDemand, ray: Ray) -> None:
    await agents.ask(1)
    ray.output += [line(1, "begun"), line(1, "ready")]
    end, changes = await ended(agents, 1, within=0.05)
    assert (end.ended, end.gone) == (None, "")
    assert [change.ready for change in changes] == [11.0]


@pytest.mark.parametrize(
    ("status", "why"), [("FAILED", "ended as FAILED: the head went"), ("UNKNOWN", "does not know the Ray job")]
)
async def test_a_job_that_has_ended_is_said_and_the_next_agent_gets_a_new_one(
    agents: AgentsOnDemand, ray: Ray, status: str, why: str
) -> None:
    await agents.ask(1)
    ray.output.append(line(1, "begun"))
    ray.status = status
    end, _ = await ended(agents, 1)
    assert why in end.gone
    await agents.ask(2)
    assert ray.submitted == ["fc-1-agents-1", "fc-1-agents-2"]
    assert agents.task_id(2) == "fc-1-agents-2-00002"


async def test_a_dashboard_that_is_down_refuses_and_a_job_that_may_live_is_kept(
    agents: AgentsOnDemand, ray: Ray
) -> None:
    await agents.ask(1)
    ray.down = True
    with pytest.raises(NonConformance, match="does not answer"):
        await agents.ask(2)
    end, _ = await ended(agents, 1, within=0.05)
    assert (end.ended, end.gone) == (None, "")
    ray.down = False
    await agents.ask(3)
    assert ray.submitted == ["fc-1-agents-1"]


async def test_in_the_end_the_job_is_told_so_where_there_is_one(agents: AgentsOnDemand, ray: Ray) -> None:
    await agents.close()
    assert ray.orders == []
    await agents.ask(1)
    await agents.close()
    assert ray.orders[-1] == {"number": 0, "node": None, "end": True}
