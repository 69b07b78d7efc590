"""Rounds against stand-ins for an orchestrator and for Ray: what is noted of each, and what is skipped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.polling import StateNotReached
from fixtures.exercises.agents_on_demand import AgentEnd, AgentsOnDemand
from fixtures.exercises.deliberations import Deliberations
from fixtures.profile.model import load
from fixtures.services.orchestrator import Outcome, Proposal, Started
from fixtures.watch.document import Word
from fixtures.watch.rounds import AgentJobRounds, DeliberationRounds, Rounds

LOST_S = 0.2
PROFILE = load("embedded")
PROPOSAL = Proposal("agent-1", "DEV", "yes", 1.0, 1)


class Clock:
    """Seconds that go on by themselves, as little as that."""

    def __init__(self) -> None:
        self.loop = asyncio.get_event_loop
        self.began: float | None = None

    def __call__(self) -> float:
        now = asyncio.get_running_loop().time()
        self.began = now if self.began is None else self.began
        return now - self.began


class Orchestrators:
    """Two replicas, of which a test says what each answers: an outcome, an error, or nothing yet (None)."""

    def __init__(self, *answers: Any, refuses: str = "") -> None:
        self.answers, self.refuses = dict(enumerate(answers)), refuses
        self.replicas = [SimpleNamespace(name=f"orchestrator-{number}") for number in (1, 2)]
        self.asked: list[str] = []
        self.numbers = count(1)
        self.profile, self.look_every = PROFILE, 0.01
        self.orchestrator, self.mode = self, self

    def new(self, agents: int) -> Any:
        assert agents == 1
        number = next(self.numbers)
        replica = self.replicas[number % 2]
        return SimpleNamespace(asked=replica, replica=replica.name, started=None, error="", task_id="", proposals=())

    async def begin(self, trip: Any) -> None:
        if self.refuses:
            trip.error = self.refuses
            return
        trip.task_id = f"task-{trip.replica}"
        trip.started = Started(trip.task_id, "", 0.0, 0.0, 0.0)

    async def outcome(self, trip: Any, at: Any, timeout: float, _every: float) -> Outcome:
        assert timeout == 0
        self.asked.append(at.name)
        answer = self.answers.get(self.replicas.index(at))
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            raise StateNotReached(f"the end of {trip.task_id} did not happen")
        return cast(Outcome, answer)


def outcome(status: str = "COMPLETED", *proposals: Proposal, error: str = "") -> Outcome:
    return Outcome("t", status, proposals, "", error)


def deliberations(*answers: Any, refuses: str = "") -> tuple[DeliberationRounds, Orchestrators, list[str]]:
    fake, followed = Orchestrators(*answers, refuses=refuses), list[str]()
    return DeliberationRounds(cast(Deliberations, fake), followed.append, Clock(), 30.0, LOST_S), fake, followed


async def one_of(rounds: Rounds) -> Any:
    rounds.due(5.0)
    await rounds.last_ended()
    return rounds.rows[-1]


async def test_a_deliberation_that_ends_is_good_and_its_task_is_followed() -> None:
    rounds, _, followed = deliberations(outcome("COMPLETED", PROPOSAL), outcome("COMPLETED", PROPOSAL))
    row = await one_of(rounds)
    assert (row.word, row.end, row.asked, row.task) == (Word.GOOD, "completed", "orchestrator-2", "task-orchestrator-2")
    assert followed == ["task-orchestrator-2"]
    assert (await one_of(rounds)).asked == "orchestrator-1", "each replica in turn"
    assert list(rounds.completed) == ["task-orchestrator-2", "task-orchestrator-1"]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (outcome("FAILED", error="no model"), "no model"),
        (outcome("TIMEOUT"), "it ended as TIMEOUT with 0 proposals"),
        (outcome("COMPLETED"), "it ended as COMPLETED with 0 proposals"),
    ],
)
async def test_a_failure_that_is_reported_has_its_reason(end: Outcome, reason: str) -> None:
    row = await one_of(deliberations(end, end)[0])
    assert row.word is Word.FAILED
    assert reason in row.reason


async def test_what_is_refused_is_not_lost() -> None:
    rounds, _, followed = deliberations(refuses="orchestrator-1 answers Deliberate with UNAVAILABLE: down")
    row = await one_of(rounds)
    assert (row.word, row.accepted_s) == (Word.REFUSED, None)
    assert "UNAVAILABLE" in row.reason
    assert followed == []


async def test_where_the_suites_own_way_is_cut_nothing_is_said_of_the_fleet() -> None:
    rounds, _, _ = deliberations(refuses="UNAVAILABLE")
    rounds.own_way_cut = lambda _since: "API server: no answer"
    row = await one_of(rounds)
    assert (row.word, row.reason) == (Word.UNSEEN, "API server: no answer")


async def test_without_a_replica_it_is_refused() -> None:
    rounds, fake, _ = deliberations()
    fake.replicas = []
    assert (await one_of(rounds)).word is Word.REFUSED


async def test_the_end_is_read_at_another_replica_where_the_one_that_was_asked_is_gone() -> None:
    rounds, fake, _ = deliberations(outcome("COMPLETED", PROPOSAL), NonConformance("UNAVAILABLE"))
    row = await one_of(rounds)
    assert row.word is Word.GOOD
    assert fake.asked == ["orchestrator-2", "orchestrator-1"]


async def test_where_results_are_not_shared_nobody_else_is_asked() -> None:
    rounds, fake, _ = deliberations(outcome("COMPLETED", PROPOSAL), None)
    fake.profile = PROFILE.replaced("features", results_shared=False)
    fake.outcome = lambda *_args: missing()  # type: ignore[method-assign]

    async def missing() -> Outcome:
        raise NonConformance("NOT_FOUND")

    assert rounds._places(fake.new(agents=1)) == [None]
    assert (await one_of(rounds)).word is Word.LOST


async def test_without_an_end_it_is_lost_after_its_time_with_what_was_seen_last() -> None:
    row = await one_of(deliberations(NonConformance("NOT_FOUND"), NonConformance("NOT_FOUND"))[0])
    assert (row.word, row.reason, row.end) == (Word.LOST, "NOT_FOUND", "")


async def test_a_round_that_is_due_while_the_last_one_is_open_is_skipped() -> None:
    rounds, _, _ = deliberations(None, None)
    for _ in range(3):
        rounds.due(5.0)
    assert (len(rounds.rows), rounds.skipped, rounds.is_open) == (1, 2, True)
    await rounds.abandon()
    assert (rounds.is_open, rounds.rows[-1].word) == (False, None)


async def test_who_wants_to_know_hears_of_each_end() -> None:
    rounds, _, _ = deliberations(refuses="no")
    heard_of: list[int] = []
    rounds.when_ended = lambda row: heard_of.append(row.number)
    await one_of(rounds)
    await one_of(rounds)
    assert heard_of == [1, 2]


class Agents:
    """Makes agents of which a test says what becomes of them."""

    def __init__(self, *changes: AgentEnd, error: Exception | None = None) -> None:
        self.changes, self.error = changes, error

    def task_id(self, number: int) -> str:
        return f"fc-1-agents-1-{number:05}"

    async def ask(self, _number: int) -> None:
        if self.error:
            raise self.error

    async def ended(
        self, _number: int, within: float, _every: float, on_change: Callable[[AgentEnd], None]
    ) -> AgentEnd:
        for change in self.changes[:-1]:
            on_change(change)
        last = self.changes[-1]
        if last.ended is None and not last.gone:
            await asyncio.sleep(within)
        return last


def agent_jobs(*changes: AgentEnd, error: Exception | None = None) -> AgentJobRounds:
    agents = cast(AgentsOnDemand, Agents(*changes, error=error))
    return AgentJobRounds(agents, lambda _task: None, Clock(), 30.0, LOST_S, 0.01)


BEGUN = AgentEnd(number=1, begun=1.0, free=0.0)
READY = BEGUN.model_copy(update={"ready": 2.0})


async def test_an_agent_job_that_returns_is_good() -> None:
    rounds = agent_jobs(BEGUN, READY, READY.model_copy(update={"ended": 3.0}))
    row = await one_of(rounds)
    assert (row.word, row.task) == (Word.GOOD, "fc-1-agents-1-00001")
    assert None not in (row.accepted_s, row.started_s, row.ended_s)
    assert rounds.free == 0.0


@pytest.mark.parametrize(
    ("last", "word", "reason"),
    [
        (READY.model_copy(update={"ended": 3.0, "error": "ValueError: no"}), Word.FAILED, "ValueError: no"),
        (BEGUN.model_copy(update={"gone": "Ray does not know the job"}), Word.FAILED, "Ray does not know"),
        (BEGUN, Word.LOST, ""),
        (AgentEnd(number=1, gone="Ray does not know the job"), Word.REFUSED, "Ray does not know"),
        (AgentEnd(number=1), Word.REFUSED, "did not begin"),
    ],
)
async def test_what_becomes_of_others(last: AgentEnd, word: Word, reason: str) -> None:
    row = await one_of(agent_jobs(last if last.begun is None else BEGUN, last))
    assert row.word is word
    assert reason in row.reason
    assert (row.started_s is None) is (last.ready is None)


@pytest.mark.parametrize(
    ("error", "word"), [(NonConformance("no dashboard"), Word.REFUSED), (Inconclusive("401"), Word.UNSEEN)]
)
async def test_what_cannot_be_asked_for(error: Exception, word: Word) -> None:
    assert (await one_of(agent_jobs(BEGUN, error=error))).word is word
