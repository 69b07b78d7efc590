"""Mutants of the orchestrator."""

from __future__ import annotations

from tests.faults.injectors import Edit, orchestrator_code, orchestrator_image
from tests.faults.jetstream import settled
from tests.faults.model import Fault

PACKAGE = "fleet_orchestrator/"
NOTHING_COMES = ("ORC-04", "E2E-01")

COLLECTS = "    subscription = await js.pull_subscribe_bind(durable, stream)\n"
LISTENS = """\
    config = (await js.consumer_info(stream, durable)).config
    async for message in (await js._nc.subscribe({subject}, queue=durable)).messages:
        await handle(message.data)
"""
REPORTS_CONTENT = "content=entry.answer.content,"
REPORTS_AUTHOR = "author_id=entry.answer.agent_id,"
CHOOSES_WINNER = 'winner_id=ranked[0].answer.agent_id if ranked and state.finished else "",'
RECORDS = """\
    state = replace(state, answers={**state.answers, answer.agent_id: answer}, status=IN_PROGRESS)
    if state.unanswered:
"""
COUNTS = (
    "        await self.deliberations.update(task_id, lambda state: deliberation.record(state, answer, now_ms()))\n"
)


def edit(file: str, old: str, new: str) -> Edit:
    return Edit(f"{PACKAGE}{file}.py", old, new)


FAULTS = (
    Fault(
        name="orchestrator-never-acknowledges",
        says="the collector handles messages and does not acknowledge them",
        inject=settled(orchestrator_code(edit("collector", "await message.ack_sync()", "pass"))),
        breaks=("ORC-10",),
        words=("unacknowledged",),
    ),
    Fault(
        name="orchestrator-has-strangers-delivered-for-ever",
        says="a message for a task that the orchestrator does not know is refused, and so delivered again and again",
        inject=orchestrator_code(
            edit(
                "service",
                COUNTS,
                "        if not await self.deliberations.update(\n"
                "            task_id, lambda state: deliberation.record(state, answer, now_ms())\n"
                "        ):\n            raise LookupError(task_id)\n",
            )
        ),
        breaks=("ORC-10",),
        words=("redelivered",),
    ),
    Fault(
        name="one-orchestrator-is-unhealthy",
        says="the second replica says of itself that it is not healthy",
        inject=orchestrator_code(edit("servicer", 'if problem else "healthy"', 'if problem else "unhealthy"'), only=1),
        breaks=("ORC-01",),
        words=("orchestrator-2", "unhealthy"),
    ),
    Fault(
        name="orchestrator-does-not-know-a-role",
        says="there is no council for DATA, and none can be made",
        inject=orchestrator_code(edit("__init__", '"DEVOPS", "DATA")', '"DEVOPS")')),
        breaks=("ORC-02", "ORC-03", *NOTHING_COMES),
        words=("DATA", "council"),
    ),
    Fault(
        name="council-says-another-number-of-agents",
        says="ListCouncils lists three agents and says that there are four",
        inject=orchestrator_code(
            edit("servicer", "num_agents=len(council.agents),", "num_agents=len(council.agents) + 1,")
        ),
        breaks=("ORC-02",),
        words=("3 agents", "says 4", "DEV"),
    ),
    Fault(
        name="council-uses-another-model",
        says="ListCouncils names another model than the agents are configured with",
        inject=orchestrator_code(edit("servicer", "model=council.model,", 'model="Qwen/Qwen3-1.7B",')),
        breaks=("ORC-02",),
        words=("DEV", "Qwen/Qwen3-1.7B"),
    ),
    Fault(
        name="deliberate-blocks",
        says="Deliberate comes back three seconds later, when some agents may be done",
        inject=orchestrator_code(
            edit(
                "service",
                "        self.driver.launch(task_id)\n        return state\n",
                "        self.driver.launch(task_id)\n        import asyncio\n\n        await asyncio.sleep(3)\n"
                "        return state\n",
            )
        ),
        breaks=("ORC-03",),
        words=("Deliberate", "within 1 s"),
    ),
    Fault(
        name="orchestrator-says-another-version",
        says="the replicas answer as version 0.7.3",
        inject=orchestrator_code(edit("__init__", 'VERSION = "0.8.1"', 'VERSION = "0.7.3"')),
        breaks=("ORC-03",),
        words=("version", "0.7.3", "0.8.1"),
    ),
    Fault(
        name="results-never-arrive",
        says="the collector listens to a subject on which no agent publishes",
        inject=orchestrator_code(edit("collector", COLLECTS, LISTENS.format(subject='"agent.responses"'))),
        breaks=NOTHING_COMES,
        words=("PENDING", "on NATS there are 3 answers"),
    ),
    Fault(
        name="orchestrator-waits-after-the-last-message",
        says="with all answers there the orchestrator waits for one more",
        inject=orchestrator_code(
            edit("deliberation", "    if state.unanswered:", "    if len(state.answers) <= len(state.agents):")
        ),
        breaks=NOTHING_COMES,
        words=("IN_PROGRESS", "3 proposals"),
    ),
    Fault(
        name="orchestrator-names-no-winner",
        says="a completed deliberation has no winner",
        inject=orchestrator_code(edit("servicer", CHOOSES_WINNER, 'winner_id="",')),
        breaks=("ORC-04",),
        words=("winner",),
    ),
    Fault(
        name="orchestrator-reports-empty-proposals",
        says="the proposals have authors and no content",
        inject=orchestrator_code(edit("servicer", REPORTS_CONTENT, 'content="",')),
        breaks=("ORC-04", "ORC-05"),
        words=("empty proposals",),
    ),
    Fault(
        name="orchestrator-reports-one-author",
        says="all proposals come under the name of the first agent",
        inject=orchestrator_code(edit("servicer", REPORTS_AUTHOR, "author_id=state.agents[0],")),
        breaks=("ORC-04", "ORC-05"),
        words=("authors", "-001"),
    ),
    Fault(
        name="orchestrator-mixes-proposals-up",
        says="each proposal is reported under the name of another agent",
        inject=orchestrator_code(
            edit("servicer", REPORTS_CONTENT, "content=ranked[entry.rank % len(ranked)].answer.content,")
        ),
        breaks=("ORC-05", "E2E-02"),
        words=("reports", "published"),
    ),
    Fault(
        name="orchestrator-loses-the-fifth-at-once",
        says="a replica drives four deliberations at once and forgets what comes meanwhile",
        inject=orchestrator_code(edit("driver", "if task_id not in self._tasks:", "if len(self._tasks) < 4:")),
        breaks=("E2E-02",),
        words=("lost", "PENDING", "0 answers"),
    ),
    Fault(
        name="results-stay-in-one-replica",
        says="a replica knows only the deliberations that it started itself",
        inject=orchestrator_code(
            edit("service", "        if state is None:", "        if state is None or state.owner != self.replica:")
        ),
        breaks=("ORC-06", "ORC-15"),
        words=("replicas disagree", "NOT_FOUND"),
    ),
    Fault(
        name="orchestrator-waits-for-failed-agents",
        says="a deliberation with one failed agent waits until its timeout",
        inject=orchestrator_code(
            edit(
                "deliberation",
                "    if state.unanswered:",
                "    if state.unanswered or 0 < sum(not a.content for a in state.answers.values()) < "
                "len(state.agents):",
            )
        ),
        breaks=("ORC-07",),
        words=("COMPLETED", "IN_PROGRESS"),
    ),
    Fault(
        name="orchestrator-hides-why",
        says="what failed agents said is not reported",
        inject=orchestrator_code(
            edit("servicer", 'tags[f"failed:{answer.agent_id}"] =', "_ ="),
            edit(
                "deliberation",
                'error = f"all {len(state.agents)} agents failed: {_causes(state)}"',
                'error = "deliberation failed"',
            ),
        ),
        breaks=("ORC-07", "ORC-08"),
        words=("failed agent is not shown", "does not name the cause"),
    ),
    Fault(
        name="orchestrator-never-fails",
        says="a deliberation of which all agents failed stays in progress",
        inject=orchestrator_code(
            edit(
                "deliberation",
                "    return replace(state, status=FAILED, finished_ms=now_ms, error=error)",
                "    return state",
            )
        ),
        breaks=("ORC-08",),
        words=("did not end", "IN_PROGRESS"),
    ),
    Fault(
        name="unknown-things-are-internal-errors",
        says="whatever is refused is answered with INTERNAL",
        inject=orchestrator_code(edit("servicer", "grpc.StatusCode[refused.code]", "grpc.StatusCode.INTERNAL")),
        breaks=("ORC-09",),
        words=("INTERNAL", "unknown role", "unknown task"),
    ),
    Fault(
        name="unknown-tasks-hang",
        says="who asks for a task that nobody knows waits for ever",
        inject=orchestrator_code(
            edit(
                "service",
                '        if state is None:\n            raise Refused("NOT_FOUND", f"no deliberation',
                "        if state is None:\n            import asyncio\n\n            await asyncio.sleep(3600)\n"
                '            raise Refused("NOT_FOUND", f"no deliberation',
            )
        ),
        breaks=("ORC-09",),
        words=("unknown task", "DEADLINE_EXCEEDED"),
    ),
    Fault(
        name="orchestrator-listens-instead-of-collecting",
        says="answers are taken from a plain subscription, not from the durable consumers",
        inject=orchestrator_image(edit("collector", COLLECTS, LISTENS.format(subject="config.filter_subject"))),
        breaks=("ORC-11",),
        words=("published during the downtime were lost", "on NATS there are 3 answers"),
    ),
    Fault(
        name="agents-are-not-detached",
        says="agents belong to the replica that starts them, and end with it",
        inject=orchestrator_code(edit("ray_thread", ', lifetime="detached"', "")),
        breaks=("ORC-11",),
        words=("answers of 3 agents on NATS", "0 answers"),
    ),
    Fault(
        name="duplicates-count-twice",
        says="answers are counted by message, not by agent",
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
        breaks=("ORC-12",),
        words=("one proposal of each of 3 agents",),
    ),
    Fault(
        name="poison-comes-again-and-again",
        says="a message that cannot be parsed is given back, and so delivered for ever",
        inject=settled(
            orchestrator_code(edit("collector", "await message.term()", "await message.nak(delay=RETRY_SECONDS)"))
        ),
        breaks=("ORC-13",),
        words=("malformed", "unacknowledged"),
    ),
    Fault(
        name="approved-plans-start-nothing",
        says="the orchestrator does not read approved plans",
        inject=orchestrator_code(edit("streams", ", (planning, APPROVED_CONSUMER))", ")")),
        breaks=("ORC-14",),
        words=("deliberation for each role", "NOT_FOUND"),
    ),
    Fault(
        name="nobody-takes-over",
        says="a replica takes answers to its own deliberations only, and nobody takes over those of a dead one",
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
        breaks=("ORC-15",),
        words=("orchestrator-1", "does not complete what orchestrator-2 began", "on NATS there are 3 answers"),
    ),
    Fault(
        name="deliberations-have-no-deadline",
        says="a deliberation lasts until all agents have answered",
        inject=orchestrator_code(
            edit(
                "driver",
                "await asyncio.wait_for(finished.wait(), max(0.0, (state.deadline_ms - now_ms()) / 1000))",
                "await finished.wait()",
            )
        ),
        breaks=("ORC-16",),
        words=("still not ended", "after its timeout"),
    ),
    Fault(
        name="orchestrator-keeps-a-stale-ray-client",
        says="the orchestrator connects to Ray once and never again",
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
        breaks=("ORC-18",),
        words=("after the restart of Ray", "Ray Client is not made anew"),
    ),
    Fault(
        name="all-agents-are-alike",
        says="the orchestrator asks every agent for the same, without diversity",
        inject=orchestrator_code(edit("driver", '"diversity": agent != state.agents[0],', '"diversity": False,')),
        breaks=("E2E-03",),
        words=("3 agents with diversity=false",),
    ),
    Fault(
        name="constraints-are-dropped",
        says="the orchestrator does not hand the caller's constraints to the agents",
        inject=orchestrator_code(edit("driver", '"constraints": request.constraints,', '"constraints": {},')),
        breaks=("E2E-04",),
        words=("not in the prompt", "rubric"),
    ),
)
