"""Executables that somebody added to the checklist (checks.toml): where each runs, and what it answered there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from fixtures.clusters.base import Cluster, front_of
from fixtures.core.errors import Inconclusive
from fixtures.diagnostics.evidence import Evidence
from fixtures.harness.suite import Suite, about_the_run
from fixtures.own_checks.executables import Executable
from fixtures.own_checks.verdict import outcome
from fixtures.probes import replicas
from fixtures.probes.census import Census
from fixtures.probes.payload.executables import run_executable
from fixtures.probes.questions import Questions
from fixtures.probes.schema import Answer
from fixtures.report.model import Facts

Conclude = Callable[[Executable, Mapping[str, Answer]], None]


@pytest.fixture
def conclude(evidence: Evidence, note: Callable[[str], None], facts: Facts) -> Conclude:
    """Keeps what the places answered, and ends the check."""

    def end(executable: Executable, answers: Mapping[str, Answer]) -> None:
        seen = outcome(answers)
        for place, report in seen.reports.items():
            for name, content in report.evidence.items():
                evidence.attach(f"{place}-{name}" if place else name, content)
            if len(answers) == 1 and report.detail:
                note(report.detail)
        for place in {**seen.failed, **seen.undecided}:
            answer = answers[place]
            evidence.attach(f"{place or 'output'}.txt", f"{answer.output}\n{answer.errors}".strip())
        facts.measurements.update(seen.measurements(executable.check))
        seen.raise_unless_passed()

    return end


@pytest.mark.executables("here")
async def test_executable_here(executable: Executable, suite: Suite, cluster: Cluster, conclude: Conclude) -> None:
    """Where the suite runs, with a clean environment."""
    asked = executable.question(about_the_run(suite, cluster.endpoints))["executable"]
    answer = await asyncio.to_thread(run_executable, {**asked, "environment": executable.environment()})
    conclude(executable, {"": Answer.of(answer)})


@pytest.mark.executables("workers")
async def test_executable_on_workers(executable: Executable, census: Census, conclude: Conclude) -> None:
    """On every worker on which agents run, in their environment."""
    answers = {worker.name: worker.asked[executable.name] for worker in census.workers}
    wrong = outcome(answers).failed
    census.raise_if_elsewhere(list(wrong), "; ".join(f"{name}: {why}" for name, why in wrong.items()))
    conclude(executable, answers)


@pytest.mark.executables("orchestrator")
async def test_executable_in_replicas(
    executable: Executable, suite: Suite, cluster: Cluster, conclude: Conclude
) -> None:
    """In each ready replica of the service that has the deliberations."""
    row = executable.question(about_the_run(suite, cluster.inside))
    there = (await cluster.workload(front_of(cluster.profile))).ready
    if not there:
        raise Inconclusive(f"no {front_of(cluster.profile)} replica is ready, in which it could run")
    answers = await asyncio.gather(
        *(replicas.put(cluster, replica, Questions((row,), executable.timeout)) for replica in there)
    )
    conclude(executable, {replica.name: seen[executable.name] for replica, seen in zip(there, answers, strict=True)})
