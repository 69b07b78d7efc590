"""Mutants of the orchestrator."""

from __future__ import annotations

from tests.faults.model import Fault
from tests.targets.injectors import Edit, orchestrator_code, orchestrator_image
from tests.targets.nats_injectors import settled

PACKAGE = "fleet_orchestrator/"
AGENT = "swe_ai_fleet/orchestrator/ray_jobs/vllm_agent_job.py"  # a deliberation's agents have the submitter's code
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
        description="the collector handles messages and does not acknowledge them",
        inject=settled(orchestrator_code(edit("collector", "await message.ack_sync()", "pass"))),
        expected_failures=("ORC-10",),
        expected_terms=("unacknowledged",),
    ),
    Fault(
        name="orchestrator-has-strangers-delivered-for-ever",
        description="a message for a task that the orchestrator does not know is refused, "
        "and so delivered again and again",
        inject=orchestrator_code(
            edit(
                "service",
                COUNTS,
                "        if not await self.deliberations.update(\n"
                "            task_id, lambda state: deliberation.record(state, answer, now_ms())\n"
                "        ):\n            raise LookupError(task_id)\n",
            )
        ),
        expected_failures=("ORC-10",),
        expected_terms=("redelivered",),
    ),
    Fault(
        name="one-orchestrator-is-unhealthy",
        description="the second replica says of itself that it is not healthy",
        inject=orchestrator_code(edit("servicer", 'if problem else "healthy"', 'if problem else "unhealthy"'), only=1),
        expected_failures=("ORC-01",),
        expected_terms=("orchestrator-2", "unhealthy"),
    ),
    Fault(
        name="orchestrator-does-not-know-a-role",
        description="there is no council for DATA, and none can be made",
        inject=orchestrator_code(edit("__init__", '"DEVOPS", "DATA")', '"DEVOPS")')),
        expected_failures=("ORC-02", "ORC-03", *NOTHING_COMES),
        expected_terms=("DATA", "council"),
    ),
    Fault(
        name="council-says-another-number-of-agents",
        description="ListCouncils lists three agents and says that there are four",
        inject=orchestrator_code(
            edit("servicer", "num_agents=len(council.agents),", "num_agents=len(council.agents) + 1,")
        ),
        expected_failures=("ORC-02",),
        expected_terms=("3 agents", "says 4", "DEV"),
    ),
    Fault(
        name="council-uses-another-model",
        description="ListCouncils names another model than the agents are configured with",
        inject=orchestrator_code(edit("servicer", "model=council.model,", 'model="Qwen/Qwen3-1.7B",')),
        expected_failures=("ORC-02",),
        expected_terms=("DEV", "Qwen/Qwen3-1.7B"),
    ),
    Fault(
        name="deliberate-blocks",
        description="Deliberate comes back three seconds later, when some agents may be done",
        inject=orchestrator_code(
            edit(
                "service",
                "        self.driver.launch(task_id)\n        return state\n",
                "        self.driver.launch(task_id)\n        import asyncio\n\n        await asyncio.sleep(3)\n"
                "        return state\n",
            )
        ),
        expected_failures=("ORC-03",),
        expected_terms=("Deliberate", "within 1 s"),
    ),
    Fault(
        name="orchestrator-says-another-version",
        description="the replicas answer as version 0.7.3",
        inject=orchestrator_code(edit("__init__", 'VERSION = "0.8.1"', 'VERSION = "0.7.3"')),
        expected_failures=("ORC-03",),
        expected_terms=("version", "0.7.3", "0.8.1"),
    ),
    Fault(
        name="results-never-arrive",
        description="the collector listens to a subject on which no agent publishes",
        inject=orchestrator_code(edit("collector", COLLECTS, LISTENS.format(subject='"agent.responses"'))),
        expected_failures=NOTHING_COMES,
        expected_terms=("PENDING", "on NATS there are 3 answers"),
    ),
    Fault(
        name="orchestrator-waits-after-the-last-message",
        description="with all answers there the orchestrator waits for one more",
        inject=orchestrator_code(
            edit("deliberation", "    if state.unanswered:", "    if len(state.answers) <= len(state.agents):")
        ),
        expected_failures=NOTHING_COMES,
        expected_terms=("IN_PROGRESS", "3 proposals"),
    ),
    Fault(
        name="orchestrator-names-no-winner",
        description="a completed deliberation has no winner",
        inject=orchestrator_code(edit("servicer", CHOOSES_WINNER, 'winner_id="",')),
        expected_failures=("ORC-04",),
        expected_terms=("winner",),
    ),
    Fault(
        name="orchestrator-reports-empty-proposals",
        description="the proposals have authors and no content",
        inject=orchestrator_code(edit("servicer", REPORTS_CONTENT, 'content="",')),
        expected_failures=("ORC-04", "ORC-05"),
        expected_terms=("empty proposals",),
    ),
    Fault(
        name="orchestrator-reports-one-author",
        description="all proposals come under the name of the first agent",
        inject=orchestrator_code(edit("servicer", REPORTS_AUTHOR, "author_id=state.agents[0],")),
        expected_failures=("ORC-04", "ORC-05"),
        expected_terms=("authors", "-001"),
    ),
    Fault(
        name="orchestrator-mixes-proposals-up",
        description="each proposal is reported under the name of another agent",
        inject=orchestrator_code(
            edit("servicer", REPORTS_CONTENT, "content=ranked[entry.rank % len(ranked)].answer.content,")
        ),
        expected_failures=("ORC-05", "E2E-02"),
        expected_terms=("reports", "published"),
    ),
    Fault(
        name="orchestrator-loses-the-fifth-at-once",
        description="a replica drives four deliberations at once and forgets what comes meanwhile",
        inject=orchestrator_code(edit("driver", "if task_id not in self._tasks:", "if len(self._tasks) < 4:")),
        expected_failures=("E2E-02",),
        expected_terms=("lost", "PENDING", "0 answers"),
    ),
    Fault(
        name="results-stay-in-one-replica",
        description="a replica knows only the deliberations that it started itself",
        inject=orchestrator_code(
            edit("service", "        if state is None:", "        if state is None or state.owner != self.replica:")
        ),
        expected_failures=("ORC-06", "ORC-15"),
        expected_terms=("replicas disagree", "NOT_FOUND"),
    ),
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
        inject=orchestrator_code(edit("servicer", 'f"{answer.error_type}: {answer.error}"', '"after 500 ms"')),
        expected_failures=("ORC-07",),
        expected_terms=("failed agent is not shown", "after 500 ms"),
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
        name="unknown-things-are-internal-errors",
        description="whatever is refused is answered with INTERNAL",
        inject=orchestrator_code(edit("servicer", "grpc.StatusCode[refused.code]", "grpc.StatusCode.INTERNAL")),
        expected_failures=("ORC-09",),
        expected_terms=("INTERNAL", "unknown role", "unknown task"),
    ),
    Fault(
        name="unknown-tasks-hang",
        description="who asks for a task that nobody knows waits for ever",
        inject=orchestrator_code(
            edit(
                "service",
                '        if state is None:\n            raise Refused("NOT_FOUND", f"no deliberation',
                "        if state is None:\n            import asyncio\n\n            await asyncio.sleep(3600)\n"
                '            raise Refused("NOT_FOUND", f"no deliberation',
            )
        ),
        expected_failures=("ORC-09",),
        expected_terms=("unknown task", "DEADLINE_EXCEEDED"),
    ),
    Fault(
        name="orchestrator-listens-instead-of-collecting",
        description="answers are taken from a plain subscription, not from the durable consumers",
        inject=orchestrator_image(edit("collector", COLLECTS, LISTENS.format(subject="config.filter_subject"))),
        expected_failures=("ORC-11",),
        expected_terms=("published during the downtime were lost", "on NATS there are 3 answers"),
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
        name="approved-plans-start-nothing",
        description="the orchestrator does not read approved plans",
        inject=orchestrator_code(
            edit(
                "streams",
                "        consumers.append(",
                "        if durable != APPROVED_CONSUMER:\n            consumers.append(",
            )
        ),
        expected_failures=("ORC-14",),
        expected_terms=("deliberation for each role", "NOT_FOUND"),
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
        name="agents-run-on-the-head",
        description="the orchestrator starts its agents on Ray's head",
        inject=orchestrator_code(
            edit(
                "ray_thread",
                "get_if_exists=True)",
                'get_if_exists=True,\n                num_cpus=0, resources={"node:__internal_head__": 0.001})',
            )
        ),
        expected_failures=("ORC-17",),
        expected_terms=("ran on the head ray-head",),
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
    Fault(
        name="all-agents-are-alike",
        description="the orchestrator asks every agent for the same, without diversity",
        inject=orchestrator_code(edit("driver", '"diversity": agent != state.agents[0],', '"diversity": False,')),
        expected_failures=("E2E-03",),
        expected_terms=("3 agents with diversity=false",),
    ),
    Fault(
        name="agent-lies-about-its-temperature",
        description="every agent asks vLLM with the base temperature; its message names the one that it should use",
        inject=orchestrator_code(
            Edit(AGENT, "user, temperature, self.max_tokens", "user, self.temperature, self.max_tokens")
        ),
        expected_failures=("E2E-03",),
        expected_terms=("2 × 0.91", "asked vLLM with 0.7, 0.7, 0.7"),
    ),
    Fault(
        name="constraints-are-dropped",
        description="the orchestrator does not hand the caller's constraints to the agents",
        inject=orchestrator_code(edit("driver", '"constraints": request.constraints,', '"constraints": {},')),
        expected_failures=("E2E-04",),
        expected_terms=("not in the prompt", "rubric"),
    ),
)
