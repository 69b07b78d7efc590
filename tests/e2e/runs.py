"""Agent jobs and deliberations in the checks: what they involve, which checks come before, what is kept of them."""

from collections.abc import Iterable
from typing import Any

from fixtures.checks.contract import AgentMessage
from fixtures.clusters.base import Component
from fixtures.diagnostics.evidence import Evidence
from fixtures.exercises.agent_run import AgentRun
from fixtures.exercises.deliberation_run import DeliberationRun

#: What an agent job needs, and what a deliberation needs.
AGENTS = (Component.RAY_HEAD, Component.RAY_WORKER, Component.NATS)
FLEET = (Component.ORCHESTRATOR, *AGENTS)

#: The rows of further packages: a finding follows those whose module or distribution it names.
DEPENDENCIES = "DEP-11"
ANSWERS = ("JOB-14", "JOB-03", "JOB-04", "JOB-05")
CONFIGURED = ("CFG-01", "CFG-02", "CFG-03", "CFG-04", "CFG-05", "CFG-06")
CHAIN = ("INF-09", "INF-11", "INF-12", "ORC-01", *CONFIGURED, "DEP-04", "DEP-07", *ANSWERS)


def described(runs: Iterable[AgentRun | DeliberationRun]) -> str:
    return "; ".join(run.summary for run in runs)


def keep_agent_jobs(evidence: Evidence, runs: Iterable[AgentRun]) -> None:
    """Keep what the submitter saw and what was published."""
    for run in runs:
        evidence.attach(
            f"{run.name}.json",
            {
                "task_id": run.task_id,
                "returned": run.result,
                "returned_left_out_bytes": run.result_left_out,
                "error": run.error,
                "cause": run.cause,
                "seconds": run.seconds,
                "seconds_of_call": run.seconds_of_call,
                "actor": vars(run.actor) if run.actor else None,
                "published": _published(run.messages),
            },
        )


def keep_deliberations(evidence: Evidence, trips: Iterable[DeliberationRun]) -> None:
    """Keep what was started, published and reported of each deliberation."""
    for trip in trips:
        evidence.attach(
            f"{trip.marker}.json",
            {
                "role": trip.role,
                "started": vars(trip.started) if trip.started else None,
                "error": trip.error,
                "seconds": trip.seconds,
                "legs": trip.phases(),
                "seen": {name: seen if isinstance(seen, str) else repr(seen) for name, seen in trip.seen.items()},
                "published": _published(trip.messages),
                "actors": [vars(actor) for actor in trip.actors],
            },
        )


def _published(messages: Iterable[AgentMessage]) -> list[dict[str, Any]]:
    return [{"subject": m.subject, "sequence": m.sequence, "message": m.document} for m in messages]
