"""Mutants of the orchestrator that start, collect or report something else than they should."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.model import Fault
from tests.targets.decoy_servers import free_port
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, orchestrator_code, orchestrator_released, restarted
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
COUNTS = (
    "        await self.deliberations.update(task_id, lambda state: deliberation.record(state, answer, now_ms()))\n"
)


def edit(file: str, old: str, new: str) -> Edit:
    return Edit(f"{PACKAGE}{file}.py", old, new)


SAYS_HEALTHY = edit("app", '"; ".join(text for text in problems if text)', '""')


@asynccontextmanager
async def without_ray_and_healthy(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The second replica has a stale RAY_ADDRESS, and no problem of its own."""
    stale = {"RAY_ADDRESS": f"ray://127.0.0.1:{free_port(target)}"}
    async with restarted(target, [target.orchestrators[1]], SAYS_HEALTHY, environment=stale):
        yield


@asynccontextmanager
async def without_nats_and_healthy(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The second replica has a stale NATS_URL, is ready without NATS, and has no problem of its own."""
    stale = {"NATS_URL": f"nats://127.0.0.1:{free_port(target)}"}
    async with restarted(target, [target.orchestrators[1]], SAYS_HEALTHY, environment=stale):
        yield


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
        name="healthy-without-ray",
        description="the second replica looks for Ray where nothing listens, and says that it is healthy",
        inject=without_ray_and_healthy,
        expected_failures=("ORC-01",),
        tolerated_failures=("NET-06", "CFG-04", "CFG-06", "CFG-07"),
        expected_terms=("orchestrator-2", "RAY_ADDRESS", "refused"),
    ),
    Fault(
        name="healthy-without-nats",
        description="the second replica looks for NATS where nothing listens, and says that it is healthy",
        inject=without_nats_and_healthy,
        expected_failures=("NET-05", "CFG-05", "ORC-01"),
        tolerated_failures=("CFG-07",),
        expected_terms=("orchestrator-2", "refused"),
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
        name="one-orchestrator-hides-its-age",
        description="an old build runs under the new tag, in the second replica",
        inject=orchestrator_code(edit("__init__", 'VERSION = "0.8.1"', 'VERSION = "0.7.3"'), only=1),
        expected_failures=("ORC-03",),
        expected_terms=("version", "0.8.1", "orchestrator-2 says 0.7.3"),
    ),
    Fault(
        name="version-is-part-of-another-number",
        description="the replicas run version 10.8.12, in which the profile's has all its digits",
        inject=orchestrator_released("v10.8.12", edit("__init__", 'VERSION = "0.8.1"', 'VERSION = "10.8.12"')),
        expected_failures=("INF-11", "ORC-03"),
        expected_terms=("expected version 0.8.1", "v10.8.12"),
    ),
    Fault(
        name="orchestrator-reports-no-version",
        description="the answers of the replicas have no version",
        inject=orchestrator_code(edit("__init__", 'VERSION = "0.8.1"', 'VERSION = ""')),
        expected_failures=("ORC-03",),
        expected_terms=("no version is reported", "orchestrator_version", "orchestrator-1"),
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
        expected_failures=("ORC-06",),
        tolerated_failures=("ORC-15",),  # the survivor knows what it has taken over: a matter of seconds
        expected_terms=("replicas disagree", "NOT_FOUND"),
    ),
    Fault(
        name="replicas-choose-winners-of-their-own",
        description="the second replica calls the last of the proposals the winner, as one that ranks in its own order",
        inject=orchestrator_code(
            edit("servicer", CHOOSES_WINNER, CHOOSES_WINNER.replace("ranked[0]", "ranked[-1]")), only=1
        ),
        expected_failures=("ORC-06",),
        expected_terms=("replicas disagree", "says the winner"),
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
        name="agents-are-mocks-in-spite-of-vllm",
        description="AGENT_TYPE is vllm, and every agent is made up in the orchestrator's own process",
        inject=orchestrator_code(edit("driver", "self.agents[request.agent_type]", 'self.agents["mock"]')),
        expected_failures=("ORC-17",),
        expected_terms=("Ray knows 0 of its 3 agents",),
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
        name="orchestrator-sends-another-agent",
        description="the orchestrator starts agents from a copy of the class that breaks the contract; the workers' is "
        "right",
        inject=orchestrator_code(Edit(AGENT, '"author_id": self.agent_id', '"author_id": self.role')),
        expected_failures=("ORC-19",),
        expected_terms=("proposal.author_id is 'DEV'", "agent_id"),
        must_pass=("JOB-06", "ORC-04"),
    ),
    Fault(
        name="deliberations-agents-name-another-model",
        description="what the agents of deliberations publish names a model that is none of the one that was checked",
        inject=orchestrator_code(
            Edit(AGENT, "_elapsed_ms(started), self.model,", '_elapsed_ms(started), "another/model",')
        ),
        expected_failures=("ORC-19",),
        expected_terms=("model is 'another/model', not Qwen/Qwen3-0.6B",),
        must_pass=("JOB-06",),
    ),
    Fault(
        name="only-the-first-agent-is-constrained",
        description="the caller's constraints reach the first agent of each deliberation alone",
        inject=orchestrator_code(
            edit(
                "driver",
                '"constraints": request.constraints,',
                '"constraints": request.constraints if agent == state.agents[0] else {},',
            )
        ),
        expected_failures=("E2E-04",),
        expected_terms=("not in the prompt", "of 3 agents", "rubric", "2 of 3 requests"),
    ),
    Fault(
        name="constraints-are-dropped",
        description="the orchestrator does not hand the caller's constraints to the agents",
        inject=orchestrator_code(edit("driver", '"constraints": request.constraints,', '"constraints": {},')),
        expected_failures=("E2E-04",),
        expected_terms=("not in the prompt", "rubric"),
    ),
)
