"""Checks of deliberations, asked about systems that are made up: what passes, what fails, what cannot be decided."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.clusters.base import Feature
from fixtures.core.errors import Inconclusive
from fixtures.core.timeouts import Timeouts, applied
from fixtures.exercises.acknowledgement import RunStart
from fixtures.exercises.agent_actors import ActorsBefore
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.profile import model as profiles
from fixtures.profile.model import Profile
from fixtures.services.orchestrator import Outcome, Proposal, Started
from fixtures.services.ray import Actor, Listing, Node
from fixtures.services.stream_messages import Message
from tests.e2e.test_deliberation import test_diversity as diversity
from tests.e2e.test_orchestrator_failures import test_all_agents_fail as all_agents_fail
from tests.e2e.test_orchestrator_failures import test_deliberation_times_out as deliberation_times_out
from tests.e2e.test_orchestrator_failures import test_one_agent_fails as one_agent_fails
from tests.e2e.test_orchestrator_results import test_agents_ran_here as agents_ran_here
from tests.e2e.test_orchestrator_results import test_all_acknowledged as all_acknowledged
from tests.e2e.test_orchestrator_results import test_deliberate_returns_at_once as returns_at_once
from tests.e2e.test_orchestrator_survival import test_ray_restart as ray_restart
from tests.support.agent_messages import agent_message
from tests.unit.profile.test_parts import without_values

PROFILE = profiles.load("embedded")
MESSAGES = PROFILE.contract.messages
EVIDENCE: Any = SimpleNamespace(attach=lambda *_: None)
REFUSED = "all 2 agents failed: ConnectionError: vLLM cannot be reached"
CUT = "Ray lists 100 of 120 actors"
NO_ANSWER = "all 2 agents failed: TimeoutError: vLLM gave no answer within 5 s"


def trip_of(agents: int) -> DeliberationRun:
    asked: Any = SimpleNamespace(name="orchestrator-1")
    return DeliberationRun("DEV", agents, "fc-1-task-1", asked, started=Started("task-1", "0.8.1", 0.1, 0.0))


def proposals_of(agents: int) -> tuple[Proposal, ...]:
    return tuple(Proposal(f"agent-{n}", "DEV", "a name", 1.0, n) for n in range(agents))


class Scene:
    """A deliberation that ends so, the suite's proxy, and Ray, in one."""

    def __init__(
        self, status: str = "TIMEOUT", seconds: float = 6.1, error: str = "", hits: int = 2, answers: int = 0
    ) -> None:
        self.trip, self._hits = trip_of(2), hits
        self.trip.outcome = Outcome("task-1", status, proposals_of(answers), "", error)
        self.trip.seconds = seconds

    def new(self, agents: int) -> DeliberationRun:
        assert agents == self.trip.agents
        return self.trip

    async def begin(self, *_: Any, **__: Any) -> None: ...

    async def finish(self, *_: Any, **__: Any) -> None: ...

    @asynccontextmanager
    async def fault(self, **_: Any) -> AsyncIterator[str]:
        yield "rule"

    async def hits(self, _rule: str) -> int:
        return self._hits

    async def actors_before(self) -> ActorsBefore:
        return ActorsBefore()

    async def recent_actors(self) -> Listing[Actor]:
        rows = [Actor(id=str(number), name=f"task-1/{number}", state="DEAD") for number in range(2)]
        return Listing("actors", rows, len(rows))


async def times_out(scene: Any) -> None:
    with applied(Timeouts(settle=0.01)):
        await deliberation_times_out(scene, scene, scene, EVIDENCE)


@pytest.mark.parametrize(
    "scene", [Scene(), Scene("FAILED", error=REFUSED), Scene("FAILED", seconds=4.2, error=NO_ANSWER)]
)
async def test_a_deliberation_ends_after_its_timeout(scene: Scene) -> None:
    await times_out(scene)


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        (Scene("COMPLETED"), "expected TIMEOUT or FAILED"),
        (Scene("COMPLETED", hits=0, answers=1), "expected TIMEOUT or FAILED"),
        (Scene("COMPLETED", answers=2), "expected TIMEOUT or FAILED"),
        (Scene("FAILED", 0.4, REFUSED, hits=0), "0 of 2 agents asked vLLM before it ended, 0.4 s after its start"),
        (Scene("FAILED", 0.4, REFUSED), r"FAILED after 0\.4 s, before its 6 s were over"),
        (Scene(seconds=2.0), r"TIMEOUT after 2\.0 s, before its 6 s were over"),
    ],
)
async def test_a_deliberation_that_does_not_is_told_apart(scene: Scene, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        await times_out(scene)


@pytest.mark.parametrize("code", ["INTERNAL", "DEADLINE_EXCEEDED"])
async def test_a_start_that_fails_is_no_deliberation_that_lasts_too_long(code: str) -> None:
    scene = Scene(hits=0)
    scene.trip.started, scene.trip.outcome, scene.trip.error = (
        None,
        None,
        f"orchestrator-1 answers Deliberate with {code}",
    )
    with pytest.raises(AssertionError, match=f"the start failed: .*{code}"):
        await times_out(scene)


async def test_without_a_hang_nothing_is_decided() -> None:
    with pytest.raises(Inconclusive, match="1 of 2 agents asked vLLM within the 6 s"):
        await times_out(Scene(hits=1))


async def test_a_hang_that_nobody_met_decides_nothing() -> None:
    words = r"\(vllm\.fault_proxy\), .* VLLM_URL .* has seen none of the requests of 2 agents, .* and all have answered"
    with pytest.raises(Inconclusive, match=words):
        await times_out(Scene("COMPLETED", hits=0, answers=2))


class Provoked:
    """Deliberations and the suite's proxy: one that ends so, after so many completed answers on NATS."""

    def __init__(
        self, status: str, error: str = "", answers: int = 0, refusal: str = "", requests: int = 2, hits: int = 1
    ) -> None:
        self.trip, self.requests, self._hits = trip_of(2), requests, hits
        if refusal:
            self.trip.started, self.trip.refusal, self.trip.error = (
                None,
                refusal,
                f"Deliberate with {refusal}: too long",
            )
        else:
            self.trip.outcome = Outcome("task-1", status, proposals_of(answers), "agent-0", error)
        self.trip.messages = [
            agent_message(MESSAGES, "completed", {"task_id": "task-1", "agent_id": f"agent-{n}"}, n)
            for n in range(answers)
        ]

    def new(self, *_: Any, **__: Any) -> DeliberationRun:
        return self.trip

    async def run(self, _trips: list[DeliberationRun]) -> None: ...

    async def begin(self, *_: Any, **__: Any) -> DeliberationRun:
        return self.trip

    async def finish(self, *_: Any, **__: Any) -> None: ...

    @asynccontextmanager
    async def observed(self, *_: Any) -> AsyncIterator[int]:
        yield 0

    @asynccontextmanager
    async def fault(self, **_: Any) -> AsyncIterator[str]:
        yield "rule"

    async def hits(self, _rule: str) -> int:
        return self._hits

    async def prompts(self, _contains: str) -> list[dict[str, Any]]:
        return [{}] * self.requests


async def with_one_failure(scene: Any) -> None:
    await one_agent_fails(scene, scene, PROFILE, EVIDENCE)


async def with_long_task(scene: Any) -> None:
    await all_agents_fail(scene, "a " * 100_000, PROFILE, EVIDENCE)


async def test_one_failure_is_counted_and_shown() -> None:
    await with_one_failure(Provoked("COMPLETED", "agent-1: vLLM answered 422", answers=1))
    with pytest.raises(AssertionError, match="the failed agent is not shown"):
        await with_one_failure(Provoked("COMPLETED", answers=1))
    with pytest.raises(AssertionError, match="expected COMPLETED with 1 proposals"):
        await with_one_failure(Provoked("TIMEOUT", answers=1))


async def test_an_agent_that_asks_again_after_any_failure_has_not_failed() -> None:
    with pytest.raises(Inconclusive, match=r"completed \(agent-0, agent-1\): it asked again, so that none failed"):
        await with_one_failure(Provoked("COMPLETED", answers=2, requests=3))
    with pytest.raises(AssertionError, match=r"completed \(agent-0, agent-1\): the failure is hidden"):
        await with_one_failure(Provoked("COMPLETED", answers=2))


async def test_a_refusal_that_no_agent_met_decides_nothing() -> None:
    with pytest.raises(Inconclusive, match="has seen none of the requests of 2 agents"):
        await with_one_failure(Provoked("COMPLETED", answers=2, requests=0, hits=0))
    with pytest.raises(AssertionError, match="expected COMPLETED with 1 proposals"):
        await with_one_failure(Provoked("FAILED", REFUSED, requests=0, hits=0))


async def test_a_task_that_is_too_long_fails_with_the_cause() -> None:
    await with_long_task(Provoked("FAILED", f"the maximum context length is {PROFILE.vllm.max_model_len} tokens"))
    with pytest.raises(AssertionError, match="the error does not name the cause"):
        await with_long_task(Provoked("FAILED", "bad gateway"))
    with pytest.raises(AssertionError, match="expected FAILED, since vLLM refuses every agent"):
        await with_long_task(Provoked("COMPLETED", answers=1))
    with pytest.raises(AssertionError, match=r"the start failed: .*INTERNAL: too long"):
        await with_long_task(Provoked("", refusal="INTERNAL"))
    no_end = Provoked("FAILED")
    no_end.trip.outcome = None
    with pytest.raises(AssertionError, match="the deliberation did not end"):
        await with_long_task(no_end)


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED"])
async def test_an_orchestrator_that_refuses_long_tasks_lets_no_agent_meet_one(code: str) -> None:
    with pytest.raises(pytest.skip.Exception, match="the orchestrator refuses a task of 200000 bytes at once"):
        await with_long_task(Provoked("", refusal=code))


async def test_prompts_that_nobody_refuses_decide_nothing() -> None:
    with pytest.raises(Inconclusive, match="no agent failed: vLLM refused none of 2 prompts"):
        await with_long_task(Provoked("COMPLETED", answers=2))


NODES = [
    Node(id="h", name="ray-head", head=True, state="ALIVE"),
    Node(id="w", name="ray-worker-1", state="ALIVE"),
    Node(id="gone", name="ray-worker-2", state="DEAD"),
]


async def ran_on(*nodes: str, named: bool = True, agents: int = 0, name: str = "") -> None:
    """Agents on these nodes, of a deliberation that has as many, or so many, and where they are not named after it all
    of this name."""

    async def listed() -> list[Node]:
        return NODES

    ray: Any = SimpleNamespace(nodes=listed)
    trip = trip_of(agents or len(nodes))
    actors = [
        Actor(id=str(number), name=f"task-1/{number}" if named else name, class_name=PROFILE.agent.name, node_id=node)
        for number, node in enumerate(nodes)
    ]
    trip.actors, trip.unassigned = (actors, []) if named else ([], actors)
    await agents_ran_here([trip], ray, PROFILE)


async def test_agents_may_run_on_workers_also_on_one_that_has_left() -> None:
    await ran_on("w", "gone", "w")
    await ran_on("w", "gone", "w", named=False)
    await ran_on("w", "w", "w", named=False, agents=2)
    await ran_on("w", "w", named=False, name="agent-4f1c")


@pytest.mark.parametrize(
    ("node", "words"),
    [("h", r"\['task-1/1'\] ran on the head ray-head"), ("x", "not of this cluster"), ("", "ran nowhere")],
)
async def test_agents_may_run_nowhere_else(node: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        await ran_on("w", node)


@pytest.mark.parametrize(
    ("nodes", "agents", "words"),
    [
        (("w",), 2, "Ray knows 1 of its 2 agents"),
        (("w", "h"), 2, r"an agent without a name \(1\)'\] ran on the head"),
        (("h", "h", "w"), 2, "ran on the head"),
    ],
)
async def test_agents_without_names_may_run_nowhere_else(nodes: tuple[str, ...], agents: int, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        await ran_on(*nodes, named=False, agents=agents)


async def test_an_agent_without_a_name_on_the_head_may_be_others() -> None:
    with pytest.raises(Inconclusive, match=r"where agents ran is not known: .* ran on the head"):
        await ran_on("w", "w", "h", named=False, agents=2)


async def asked_with(*temperatures: float | None, proxied: bool = True, profile: Profile = PROFILE) -> None:
    """Three agents that say that they used 0.7, 0.91 and 0.91."""

    async def prompts(contains: str) -> list[dict[str, Any]]:
        assert proxied and contains == "Task fc-1-task-1."
        return [{"temperature": temperature} for temperature in temperatures]

    def message(diversity: bool, temperature: float) -> Any:
        document = {"diversity": diversity, "proposal": {"temperature": temperature}, "agent_id": "agent"}
        return agent_message(MESSAGES, "completed", document)

    trip = trip_of(3)
    trip.messages = [message(False, 0.7), message(True, 0.7 * 1.3), message(True, 0.7 * 1.3)]
    cluster: Any = SimpleNamespace(unsupported={} if proxied else {Feature.FAULT_PROXY: "none"})
    proxy: Any = SimpleNamespace(prompts=prompts)
    await diversity([trip], profile, cluster, proxy)


async def test_the_requests_have_the_temperatures_that_messages_name() -> None:
    await asked_with(0.7, 0.7 * 1.3, 0.7 * 1.3)
    await asked_with(0.7, 0.91, 0.91, 0.91)
    await asked_with(proxied=False)
    await asked_with(profile=without_values("task_description"))


async def test_an_agent_that_names_another_temperature_than_it_used_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"2 × 0\.91; their agents asked vLLM with 0\.7, 0\.7, 0\.7"):
        await asked_with(0.7, 0.7, 0.7)


async def test_requests_that_the_proxy_has_not_seen_decide_nothing() -> None:
    with pytest.raises(Inconclusive, match="1 requests of 3 agents that answered"):
        await asked_with(0.7)


async def restarted_with(*nodes: str, cut: str = "") -> None:
    """A deliberation of one agent after a restart of Ray; its listed actors ran on these nodes: "old" left with it."""
    clusters = [[Node(id="old", head=True, state="ALIVE")], [Node(id="new", state="ALIVE")]]
    trip = trip_of(1)
    trip.outcome = Outcome("task-1", "COMPLETED", (), "", "")
    trip.actors, trip.actors_cut = (
        [Actor(id=node, name="task-1/0", class_name=PROFILE.agent.name, node_id=node) for node in nodes],
        cut,
    )

    async def nothing(*_: Any) -> None: ...

    async def listed() -> list[Node]:
        return clusters.pop(0)

    cluster: Any = SimpleNamespace(ray_objects=nothing, restart_ray=nothing)
    deliberations: Any = SimpleNamespace(one_of_each_replica=lambda **_: [trip], run=nothing)
    ray: Any = SimpleNamespace(nodes=listed)
    await ray_restart(cluster, deliberations, ray, PROFILE, EVIDENCE)


async def test_after_a_restart_of_ray_agents_run_in_the_new_cluster() -> None:
    await restarted_with("new")
    await restarted_with("new", cut=CUT)


@pytest.mark.parametrize(("nodes", "cut"), [((), ""), (("old",), ""), (("old",), CUT)])
async def test_agents_that_ran_before_the_restart_or_nowhere_are_told(nodes: tuple[str, ...], cut: str) -> None:
    with pytest.raises(AssertionError, match="did not run in the restarted cluster"):
        await restarted_with(*nodes, cut=cut)


async def test_where_agents_ran_that_ray_does_not_list_any_more_is_undecided() -> None:
    with pytest.raises(Inconclusive, match=f"where agents ran is not known: .*{CUT}, 0 of its agents"):
        await restarted_with(cut=CUT)


async def versions_reported(*versions: str) -> None:
    trips = [trip_of(1) for _ in versions]
    for trip, version in zip(trips, versions, strict=True):
        trip.started = Started("task-1", version, 0.1, 0.0)
    await returns_at_once(trips, PROFILE)


async def test_a_build_of_the_profile_s_release_is_that_release() -> None:
    version = PROFILE.orchestrator.version
    await versions_reported(version, f"v{version}", f"{version}+7", "git-1a2b3c")


async def test_another_release_is_another() -> None:
    words = f"version must be {PROFILE.orchestrator.version}: orchestrator-1 says 0.7.3; .* says v9.9.9\\+1"
    with pytest.raises(AssertionError, match=words):
        await versions_reported(PROFILE.orchestrator.version, "v9.9.9+1", "0.7.3")


async def test_a_version_is_reported() -> None:
    with pytest.raises(AssertionError, match=r"no version is reported .* by orchestrator-1"):
        await versions_reported("", "")


async def test_a_replica_that_was_only_asked_for_a_result_reports_its_version_too() -> None:
    trip = trip_of(1)
    trip.seen = {"orchestrator-2": Outcome("task-1", "COMPLETED", (), "", "", version="0.7.3")}
    with pytest.raises(AssertionError, match=r"orchestrator-2 says 0\.7\.3"):
        await returns_at_once([trip], PROFILE)


async def test_messages_without_a_task_are_not_of_a_deliberation_that_was_refused() -> None:
    foreign = Message(7, MESSAGES.completed.subject, b"", {"task_id": ""}, datetime.now(UTC))

    async def messages(_stream: str, _after: int, **_: Any) -> list[Message]:
        return [foreign]

    nats: Any = SimpleNamespace(messages=messages)
    refused, unused, start = trip_of(2), cast(Any, None), RunStart(3)
    refused.started = None
    with pytest.raises(AssertionError, match="no message of this run is on the stream"):
        await all_acknowledged([refused], unused, nats, PROFILE, "fc-1", start)
