"""Mutants of the orchestrator that do not survive what fails: agents, messages, its replicas, and Ray."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fixtures.clusters.base import Replica
from tests.faults.catalogue.orchestrator import COLLECTS, COUNTS, LISTENS, edit
from tests.faults.model import Fault
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import imaged, orchestrator_code, orchestrator_image
from tests.targets.nats_injectors import settled

LISTENS_INSTEAD = edit("collector", COLLECTS, LISTENS.format(subject="config.filter_subject"))
RECORDS = """\
    state = replace(state, answers={**state.answers, answer.agent_id: answer}, status=IN_PROGRESS)
    if state.unanswered:
"""


@asynccontextmanager
async def restored_at_once(target: EmbeddedTarget) -> AsyncIterator[None]:
    """A replica that is killed is there again when the kill has returned; answers are taken from a subscription."""

    async def kill(*replicas: Replica) -> None:
        await target.cluster.kill(*replicas)
        await target.cluster.revive(*replicas)

    async with imaged(target, target.orchestrators, LISTENS_INSTEAD):
        with target.overridden(kill=kill):
            yield


FAULTS = (
    Fault(
        name="orchestrator-waits-for-failed-agents",
        description="a deliberation with one failed agent waits until its timeout",
        inject=orchestrator_code(
            edit(
                "deliberation",
                "    if state.unanswered:",
                "    if state.unanswered or 0 < sum(not a.content for a in state.answers.values()) < "
                "len(state.agents):",
            )
        ),
        expected_failures=("ORC-07",),
        expected_terms=("COMPLETED", "IN_PROGRESS"),
    ),
    Fault(
        name="orchestrator-hides-why",
        description="what failed agents said is not reported",
        inject=orchestrator_code(
            edit("servicer", 'tags[f"failed:{answer.agent_id}"] =', "_ ="),
            edit(
                "deliberation",
                'error = f"all {len(state.agents)} agents failed: {_causes(state)}"',
                'error = "deliberation failed"',
            ),
        ),
        expected_failures=("ORC-07", "ORC-08"),
        expected_terms=("failed agent is not shown", "does not name the cause"),
    ),
    Fault(
        name="failed-agent-is-shown-by-chance",
        description="the reason of every failed agent is a text that only has the digits of the right one",
        inject=orchestrator_code(edit("servicer", 'f"{answer.error_type}: {answer.error}"', '"after 422 ms"')),
        expected_failures=("ORC-07",),
        expected_terms=("failed agent is not shown", "after 422 ms"),
    ),
    Fault(
        name="orchestrator-never-fails",
        description="a deliberation of which all agents failed stays in progress",
        inject=orchestrator_code(
            edit(
                "deliberation",
                "    return replace(state, status=FAILED, finished_ms=now_ms, error=error)",
                "    return state",
            )
        ),
        expected_failures=("ORC-08",),
        expected_terms=("did not end", "IN_PROGRESS"),
    ),
    Fault(
        name="orchestrator-listens-instead-of-collecting",
        description="answers are taken from a plain subscription, not from the durable consumers",
        inject=orchestrator_image(LISTENS_INSTEAD),
        expected_failures=("ORC-11",),
        expected_terms=("published during the downtime were lost", "on NATS there are 3 answers"),
    ),
    Fault(
        name="replicas-come-back-too-soon",
        description="something starts killed replicas again at once: nobody sees that their absence loses answers",
        inject=restored_at_once,
        expected_failures=(),
        expected_terms=(),
        inconclusive={"ORC-11": "brings replicas back", "ORC-15": "brings replicas back"},
    ),
    Fault(
        name="agents-are-not-detached",
        description="agents belong to the replica that starts them, and end with it",
        inject=orchestrator_code(edit("ray_thread", ', lifetime="detached"', "")),
        expected_failures=("ORC-11",),
        expected_terms=("answers of 3 agents on NATS", "0 answers"),
    ),
    Fault(
        name="duplicates-count-twice",
        description="answers are counted by message, not by agent",
        inject=orchestrator_code(
            edit("deliberation", "if state.finished or answer.agent_id not in state.unanswered:", "if state.finished:"),
            edit(
                "deliberation",
                RECORDS,
                "    key = answer.agent_id if answer.agent_id in state.unanswered else str(len(state.answers))\n"
                "    state = replace(state, answers={**state.answers, key: answer}, status=IN_PROGRESS)\n"
                "    if len(state.answers) < len(state.agents):\n",
            ),
        ),
        expected_failures=("ORC-12",),
        expected_terms=("one proposal of each of 3 agents",),
    ),
    Fault(
        name="poison-comes-again-and-again",
        description="a message that cannot be parsed is given back, and so delivered for ever",
        inject=settled(
            orchestrator_code(edit("collector", "await message.term()", "await message.nak(delay=RETRY_SECONDS)"))
        ),
        expected_failures=("ORC-13",),
        expected_terms=("malformed", "unacknowledged"),
    ),
    Fault(
        name="nobody-takes-over",
        description="a replica takes answers to its own deliberations only, and nobody takes over those of a dead one",
        inject=orchestrator_image(
            edit("peers", "for state in self._orphans():", "for state in ():"),
            edit(
                "service",
                COUNTS,
                "        known = await self.deliberations.get(task_id)\n"
                "        if known and known.owner != self.replica:\n"
                "            raise LookupError(known.owner)\n" + COUNTS,
            ),
        ),
        expected_failures=("ORC-15",),
        # What one replica refuses is delivered again until the other one gets it: of many at once some come too late.
        tolerated_failures=("ORC-10", "E2E-02"),
        expected_terms=("orchestrator-1", "does not complete what orchestrator-2 began", "on NATS there are 3 answers"),
    ),
    Fault(
        name="deliberations-have-no-deadline",
        description="a deliberation lasts until all agents have answered",
        inject=orchestrator_code(
            edit(
                "driver",
                "await asyncio.wait_for(finished.wait(), max(0.0, (state.deadline_ms - now_ms()) / 1000))",
                "await finished.wait()",
            )
        ),
        expected_failures=("ORC-16",),
        expected_terms=("still not ended", "after its timeout"),
    ),
    Fault(
        name="deliberation-fails-at-once",
        description="where the time is short, the agents get an address at which no vLLM is",
        inject=orchestrator_code(
            edit(
                "driver",
                '"vllm_url": settings.vllm_url,',
                '"vllm_url": settings.vllm_url if state.deadline_ms - state.created_ms > 10_000 '
                'else "http://127.0.0.1:9",',
            )
        ),
        expected_failures=("ORC-16",),
        expected_terms=("0 of 2 agents asked vLLM before it ended", "FAILED"),
    ),
    Fault(
        name="agents-survive-the-timeout",
        description="nobody ends the agents of a deliberation that timed out, until another replica takes it over",
        inject=orchestrator_code(
            edit(
                "driver",
                "        for name in sorted(left):\n",
                "        if left and not state.finished and state.deadline_ms - state.created_ms < 10_000:\n"
                "            return\n        for name in sorted(left):\n",
            )
        ),
        expected_failures=("ORC-16",),
        expected_terms=("the end of the agents", "2 of 2 agents", "ALIVE"),
    ),
    Fault(
        name="orchestrator-keeps-a-stale-ray-client",
        description="the orchestrator connects to Ray once and never again",
        inject=orchestrator_code(
            edit(
                "ray_thread",
                "        self.disconnect()\n        self._reach()\n",
                "        self._reach()\n"
                '        if getattr(self, "_was_connected", False):\n'
                '            raise LinkLost("Ray Client is not made anew")\n'
                "        self._was_connected = True\n",
            )
        ),
        expected_failures=("ORC-18",),
        expected_terms=("after the restart of Ray", "Ray Client is not made anew"),
    ),
)
