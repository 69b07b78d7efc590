"""Mutants of the agent job.

Ray pickles an actor class that its module decorates by value: the code of vllm_agent_job.py is the submitter's, which
is the head for the suite's own jobs and an orchestrator for a deliberation's. What the class imports is the worker's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.model import Fault
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, FileChange, agent_code, orchestrator_code
from tests.targets.target import Change

JOBS = "swe_ai_fleet/orchestrator/ray_jobs"
JOB, MESSAGES, PROMPTS, PUBLISHER, CLIENT = (
    f"{JOBS}/{name}.py" for name in ("vllm_agent_job", "messages", "prompts", "publisher", "vllm_client")
)
IMPORT = "        from swe_ai_fleet.orchestrator.ray_jobs.publisher import Publisher"

#: Ends by itself, so that healing leaves nothing: 40 s outlast what a check waits for.
HELPER = """
        class Helper:
            def __init__(self):
                import os, threading
                threading.Timer(40, os._exit, (0,)).start()

        ray.remote(num_cpus=0.25)(Helper).options(name=agent_id + "-helper", lifetime="detached").remote()
"""

FAILURES = ("JOB-08", "JOB-09", "JOB-10")


def everywhere(*changes: FileChange) -> Change:
    """In the Ray image, and in the orchestrator's."""

    @asynccontextmanager
    async def both(target: EmbeddedTarget) -> AsyncIterator[None]:
        async with agent_code(*changes)(target), orchestrator_code(*changes)(target):
            yield

    return both


FAULTS = (
    # -- ways of failing ------------------------------------------------------------------------------------
    Fault(
        name="agent-returns-its-failure",
        description="the agent publishes its failure and returns it, instead of raising",
        inject=agent_code(Edit(JOB, "raise failure from error", "return report")),
        expected_failures=FAILURES,
        tolerated_failures=("ORC-08",),
        expected_terms=("returned", "instead of raising"),
    ),
    Fault(
        name="agent-publishes-no-failure",
        description="the agent raises, and publishes nothing about it",
        inject=agent_code(Edit(JOB, "await publisher.publish_if_possible(report, seconds=REPORT_SECONDS)", "pass")),
        expected_failures=FAILURES,
        expected_terms=("0 messages on agent.response.failed",),
    ),
    Fault(
        name="agent-swallows-every-error",
        description="whatever goes wrong, the agent returns as if nothing had happened, and publishes nothing",
        inject=agent_code(
            Edit(JOB, "await publisher.publish_if_possible(report, seconds=REPORT_SECONDS)", "pass"),
            Edit(JOB, "raise failure from error", "return {}"),
        ),
        expected_failures=FAILURES,
        tolerated_failures=("ORC-08",),
        expected_terms=("returned {} instead of raising",),
    ),
    Fault(
        name="agent-error-is-generic",
        description="the agent reports that vLLM failed, and neither the model nor what vLLM said",
        inject=agent_code(
            Edit(
                CLIENT, "f\"vLLM answered {status} for model '{model}': {_reason(body)}\"", '"the model server failed"'
            )
        ),
        expected_failures=("JOB-09",),
        tolerated_failures=("ORC-08",),
        expected_terms=("does not name the model", "the model server failed"),
    ),
    Fault(
        name="agent-names-its-model-whatever-fails",
        description="before it asks for a model that is unknown the agent fails with an error that has its name",
        inject=agent_code(
            Edit(
                JOB,
                "        from swe_ai_fleet.orchestrator.ray_jobs import vllm_client\n",
                "        from swe_ai_fleet.orchestrator.ray_jobs import vllm_client\n\n"
                '        if self.model.endswith("-does-not-exist"):\n'
                '            raise ValueError(f"{self.model}: invalid token")\n',
            )
        ),
        expected_failures=("JOB-09",),
        expected_terms=("not that vLLM does not serve it", "invalid token"),
    ),
    Fault(
        name="agent-has-no-timeout",
        description="the agent waits for vLLM for ever",
        inject=agent_code(Edit(JOB, "started), max(remaining, 0.0)\n", "started), None\n")),
        expected_failures=("JOB-10",),
        expected_terms=("vllm hangs", "neither returned nor raised"),
    ),
    Fault(
        name="agent-reports-late",
        description="the agent tries for six seconds more before it reports that vLLM gave no answer",
        inject=agent_code(
            Edit(JOB, "failure = self._as_failure(error)", "failure = self._as_failure(error); await asyncio.sleep(6)")
        ),
        expected_failures=("JOB-10",),
        tolerated_failures=("JOB-08", "JOB-09"),
        expected_terms=("reported after", "vllm hangs"),
    ),
    Fault(
        name="agent-fails-before-it-asks",
        description="where vLLM's address has port 9 the agent fails of itself, and asks nobody",
        inject=agent_code(
            Edit(
                JOB,
                "        from swe_ai_fleet.orchestrator.ray_jobs import vllm_client\n",
                "        from swe_ai_fleet.orchestrator.ray_jobs import vllm_client\n\n"
                '        if self.vllm_url.endswith(":9"):\n'
                '            raise ValueError("the address is not allowed")\n',
            )
        ),
        expected_failures=("JOB-08",),
        expected_terms=("vllm unreachable", "ValueError", "the address is not allowed"),
    ),
    Fault(
        name="agent-failure-has-no-type",
        description="the agent's failure message lacks error_type",
        inject=agent_code(Edit(MESSAGES, '        "error_type": type(error).__name__,\n', "")),
        expected_failures=FAILURES,
        expected_terms=("error_type is missing",),
    ),
    Fault(
        name="agent-swallows-missing-nats",
        description="an agent without nats-py returns as if all were well: the missing-nats-py incident",
        inject=agent_code(
            Edit(
                JOB,
                IMPORT,
                f"        try:\n    {IMPORT}\n        except ImportError:\n            return {{}}\n        #",
            )
        ),
        expected_failures=("JOB-13",),
        expected_terms=("returned without nats",),
    ),
    Fault(
        name="agent-hides-that-nats-is-missing",
        description="an agent without nats-py raises an error that does not say so",
        inject=agent_code(
            Edit(
                JOB,
                IMPORT,
                f"        try:\n    {IMPORT}\n        except ImportError:\n"
                "            raise RuntimeError('the agent cannot start') from None\n        #",
            )
        ),
        expected_failures=("JOB-13",),
        expected_terms=("does not get the error that the module nats is missing", "the agent cannot start"),
    ),
    Fault(
        name="agent-restarted-waits-for-ever",
        description="an agent that was restarted after a crash waits for the answer of the one that is gone",
        inject=agent_code(
            Edit(
                JOB,
                "        if task_id not in self._runs:\n",
                "        if ray.get_runtime_context().was_current_actor_reconstructed:\n"
                "            await asyncio.Event().wait()\n        if task_id not in self._runs:\n",
            )
        ),
        expected_failures=("JOB-12",),
        expected_terms=("crashed silently", "neither a result nor an error"),
    ),
    # -- what is published ----------------------------------------------------------------------------------
    Fault(
        name="agent-publishes-twice",
        description="the agent publishes its answer twice, and not under one message id",
        inject=everywhere(
            Edit(PUBLISHER, 'headers={"Nats-Msg-Id": message_id}', "headers=None"),
            Edit(
                JOB,
                "                return message\n",
                "                await publisher.publish(message, seconds=REPORT_SECONDS)\n"
                "                return message\n",
            ),
        ),
        expected_failures=("JOB-05", "E2E-02"),
        expected_terms=("2 completed",),
    ),
    Fault(
        name="agent-publishes-where-no-stream-listens",
        description="the agent publishes with core NATS, on a subject that no stream captures",
        inject=agent_code(
            Edit(PUBLISHER, "f\"agent.response.{message['status']}\"", "f\"agent.answer.{message['status']}\""),
            Edit(
                PUBLISHER,
                "await self._connection.jetstream().publish(\n"
                "                subject, json.dumps(message).encode(), timeout=seconds, "
                'headers={"Nats-Msg-Id": message_id}\n'
                "            )",
                "await self._connection.publish(subject, json.dumps(message).encode())",
            ),
            Edit(PUBLISHER, "return int(ack.seq)", "return 0"),
        ),
        expected_failures=("JOB-03", "JOB-05", "JOB-06", "JOB-07", *FAILURES),
        expected_terms=("AGENT_RESPONSES", "returned"),
    ),
    Fault(
        name="agent-omits-the-model",
        description="the agent's completed message lacks the model",
        inject=agent_code(Edit(MESSAGES, '        "model": model,\n', "")),
        expected_failures=("JOB-06",),
        expected_terms=("model is missing",),
    ),
    Fault(
        name="agent-duration-is-text",
        description="duration_ms is the text '12 ms' in the completed message",
        inject=agent_code(
            Edit(
                JOB, "proposal, _elapsed_ms(started), self.model", 'proposal, f"{_elapsed_ms(started)} ms", self.model'
            )
        ),
        expected_failures=("JOB-06",),
        expected_terms=("duration_ms", "number"),
    ),
    Fault(
        name="agent-is-not-its-author",
        description="the author of the proposal is the role, not the agent",
        inject=agent_code(Edit(JOB, '"author_id": self.agent_id', '"author_id": self.role')),
        expected_failures=("JOB-06",),
        expected_terms=("proposal.author_id is 'DEV'",),
    ),
    Fault(
        name="agent-names-another-role",
        description="the author of the proposal has a role that the job was not given",
        inject=agent_code(Edit(JOB, '"author_role": self.role', '"author_role": "QA"')),
        expected_failures=("JOB-06",),
        expected_terms=("proposal.author_role is 'QA', not 'DEV'",),
    ),
    Fault(
        name="agent-names-another-model",
        description="the completed message names a model that the job was not given; its proposal names the right one",
        inject=agent_code(Edit(MESSAGES, '        "model": model,\n', '        "model": "another/model",\n')),
        expected_failures=("JOB-06",),
        expected_terms=("model is 'another/model', not 'Qwen/Qwen3-0.6B'",),
    ),
    Fault(
        name="agent-changes-its-role",
        description="the agent publishes its role in lower case",
        inject=agent_code(Edit(JOB, "self.role = role", "self.role = role.lower()")),
        expected_failures=("JOB-06",),
        expected_terms=("role is 'dev', not 'DEV'",),
    ),
    Fault(
        name="agent-shortens-task-ids",
        description="the agent keeps the first twelve characters of a task's id: tasks of one run are one",
        inject=agent_code(
            Edit(
                JOB,
                "        if task_id not in self._runs:\n",
                "        task_id = task_id[:12]\n        if task_id not in self._runs:\n",
            )
        ),
        expected_failures=("JOB-03", "JOB-05", "JOB-06", "JOB-07", *FAILURES),
        expected_terms=("AGENT_RESPONSES", "returned"),
    ),
    Fault(
        name="agent-returns-something-else",
        description="the agent returns another duration than it has published",
        inject=agent_code(
            Edit(JOB, "                return message\n", '                return {**message, "duration_ms": -1}\n')
        ),
        expected_failures=("JOB-07",),
        expected_terms=("duration_ms: returned -1, published",),
    ),
    Fault(
        name="agent-counts-no-tokens",
        description="the agent says that its proposal took no tokens",
        inject=agent_code(Edit(CLIENT, 'int(answer["usage"]["completion_tokens"])', "0")),
        expected_failures=("JOB-04", "JOB-06"),
        expected_terms=("tokens is 0",),
    ),
    # -- where it runs, and what it leaves --------------------------------------------------------------------
    Fault(
        name="agent-constructor-raises",
        description="the agent's constructor raises",
        inject=agent_code(
            Edit(
                JOB,
                "        self.workspace_path = workspace_path\n",
                "        self.workspace_path = workspace_path.strip()\n",
            )
        ),
        expected_failures=("JOB-02", "JOB-03", "JOB-04", "JOB-05", "JOB-06", "JOB-07", *FAILURES, "JOB-13"),
        expected_terms=("no agent actor started on", "ray-worker-1", "ray-worker-2", "has no attribute 'strip'"),
    ),
    Fault(
        name="agent-asks-for-too-many-cpus",
        description="an agent asks for more CPUs than a worker has: it is never placed",
        inject=agent_code(Edit(JOB, "num_cpus=1", "num_cpus=64")),
        expected_failures=("JOB-02", "JOB-03", "JOB-04", "JOB-05", "JOB-06", "JOB-07", *FAILURES),
        expected_terms=("no agent actor started on", "ray-worker-1", "ray-worker-2", "not schedulable"),
    ),
    Fault(
        name="agent-has-a-nats-url-of-its-own",
        description="the agent connects to a NATS of its own choice, where none is",
        inject=agent_code(Edit(JOB, "self.nats_url = nats_url", 'self.nats_url = "nats://127.0.0.1:9"')),
        expected_failures=("JOB-14", "JOB-03", "JOB-04", "JOB-05", "JOB-06", "JOB-07", *FAILURES),
        expected_terms=("run() raised ConnectionError: NATS at nats://127.0.0.1:9 cannot be reached", "every worker"),
    ),
    Fault(
        name="agent-leaves-its-connection-open",
        description="the agent does not close its connection to NATS",
        inject=agent_code(Edit(PUBLISHER, "await self._connection.close()", "pass")),
        expected_failures=("JOB-11",),
        expected_terms=("connections to NATS are still open",),
    ),
    Fault(
        name="agent-leaves-a-helper-behind",
        description="the agent starts a detached actor, which keeps a share of a CPU after the agent's end",
        inject=agent_code(Edit(JOB, "        self._runs: Dict", HELPER + "        self._runs: Dict")),
        expected_failures=("JOB-11", "LOAD-06"),
        expected_terms=(
            "-agent-helper",
            "VLLMAgentJob.__init__.<locals>.Helper",
            "on ray-worker-",
            "detached",
            "holds 0.25 CPU",
        ),
    ),
    # -- what it asks vLLM for --------------------------------------------------------------------------------
    Fault(
        name="agent-ignores-diversity",
        description="the agent takes no notice of the diversity flag",
        inject=orchestrator_code(
            Edit(
                JOB,
                "        if task_id not in self._runs:\n",
                "        diversity = False\n        if task_id not in self._runs:\n",
            )
        ),
        expected_failures=("E2E-03",),
        expected_terms=("3 agents with diversity=false",),
    ),
    Fault(
        name="agent-diversity-changes-no-temperature",
        description="the agents of a deliberation all use the base temperature",
        inject=orchestrator_code(Edit(JOB, "DIVERSITY_FACTOR = 1.3", "DIVERSITY_FACTOR = 1.0")),
        expected_failures=("E2E-03",),
        expected_terms=("used temperature 0.7, not 0.91",),
    ),
    Fault(
        name="agent-drops-the-rubric",
        description="the rubric does not reach the prompt",
        inject=agent_code(Edit(PROMPTS, 'if constraints.get("rubric"):', "if False:")),
        expected_failures=("E2E-04",),
        expected_terms=("not in the prompt of each of 3 agents: rubric",),
    ),
    Fault(
        name="agent-drops-requirements-and-metadata",
        description="neither requirements nor metadata reach the prompt",
        inject=agent_code(
            Edit(PROMPTS, 'if constraints.get("requirements"):', "if False:"),
            Edit(PROMPTS, 'if constraints.get("metadata"):', "if False:"),
        ),
        expected_failures=("E2E-04",),
        expected_terms=("not in the prompt of each of 3 agents: requirement", "key", "value"),
    ),
)
