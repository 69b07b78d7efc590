"""What the checks of the orchestrator itself say of replicas that are made up, or of none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from fixtures.core.errors import Inconclusive
from fixtures.profile.model import Profile, load
from fixtures.services.grpc_contract import GrpcContract
from fixtures.services.orchestrator import Orchestrator, Refused, Started
from tests.e2e.test_orchestrator import test_councils as councils_exist
from tests.e2e.test_orchestrator import test_status as status_is_healthy
from tests.e2e.test_orchestrator import test_unknown_things as unknown_things_are_refused
from tests.unit.profile.test_parts import with_contract, without_values

PROFILE = load("embedded")
NOTHING: Any = None


async def test_without_a_replica_neither_health_nor_councils_are_known() -> None:
    orchestrator = Orchestrator(dict, GrpcContract.of(PROFILE.contract))
    with pytest.raises(Inconclusive, match=r"the orchestrator has no replica that could be asked$"):
        await status_is_healthy(orchestrator, NOTHING, NOTHING)
    with pytest.raises(Inconclusive, match=r"the orchestrator has no replica that could be asked$"):
        await councils_exist({}, orchestrator, PROFILE, NOTHING)


class Replica:
    """Refuses what it does not know with a code, or starts it all the same."""

    def __init__(self, number: int, profile: Profile, code: str) -> None:
        self.name, self.code = f"orchestrator-{number}", code
        self.contract = SimpleNamespace(section=profile.contract.grpc)
        self.asked: list[dict[str, Any]] = []

    def _refuse(self, method: str) -> None:
        error: Any = SimpleNamespace(code=lambda: grpc.StatusCode[self.code], details=lambda: "")
        raise Refused(self.name, method, error)

    async def deliberate(self, task: str, role: str, agents: int, **values: Any) -> Started:
        self.asked.append({"task": task, "role": role, "agents": agents, **values})
        if self.code:
            self._refuse("Deliberate")
        return Started("task-1", "", 0.1, 0.0)

    async def result(self, task_id: str) -> None:
        self.asked.append({"task_id": task_id})
        self._refuse("GetDeliberationResult")


async def asked_for_unknown_things(profile: Profile = PROFILE, code: str = "NOT_FOUND") -> list[dict[str, Any]]:
    replicas = [Replica(number, profile, code) for number in (1, 2)]
    orchestrator: Any = SimpleNamespace(all=replicas)
    await unknown_things_are_refused(orchestrator, profile, "fc-1")
    return [values for replica in replicas for values in replica.asked]


async def test_an_unknown_role_is_all_that_is_wrong_with_a_request() -> None:
    """The caller's id and its mark are those of a deliberation: without them it would be refused for another reason."""
    asked = await asked_for_unknown_things(PROFILE.replaced("deliberations", task_id="ceremony-{marker}:role-{role}"))
    roles = [values for values in asked if "role" in values]
    assert roles == [
        {
            "task": f"Propose a name for a variable that counts retries. Task {marker}.",
            "role": "NO-SUCH-ROLE-fc-1",
            "agents": PROFILE.deliberations.agents,
            "marker": marker,
            "task_id": f"ceremony-{marker}:role-NO-SUCH-ROLE-fc-1",
        }
        for marker in ("fc-1-no-such-role-1", "fc-1-no-such-role-2")
    ]
    assert [values for values in asked if "role" not in values] == [{"task_id": "no-such-task-fc-1"}] * 2


async def test_what_a_request_has_no_place_for_is_not_asked_for() -> None:
    assert [list(values) for values in await asked_for_unknown_things(without_values("role"))] == [["task_id"]] * 2
    without = with_contract(PROFILE, "grpc", result=None)
    assert all("role" in values for values in await asked_for_unknown_things(without))


async def test_what_is_not_refused_properly_is_named_with_its_replica() -> None:
    with pytest.raises(AssertionError, match="orchestrator-2 answers an unknown role with INTERNAL"):
        await asked_for_unknown_things(code="INTERNAL")
    accepting = with_contract(PROFILE, "grpc", result=None)
    with pytest.raises(AssertionError, match="orchestrator-1 accepts an unknown role"):
        await asked_for_unknown_things(accepting, code="")
