"""Mutants of the agent job that end, or answer, in another way than they must."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.catalogue.agents import CLIENT, FAILURES, JOB, MESSAGES
from tests.faults.model import Fault
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, agent_code, changed, restarted
from tests.targets.links import wall_but_for

#: The body of run(): it joins the run of a task that is under way, or done.
JOINED = """        if task_id not in self._runs:
            run = self._run(task_id, task_description, constraints or {}, diversity)
            self._runs[task_id] = asyncio.ensure_future(run)
        return await asyncio.shield(self._runs[task_id])
"""
NO_TIMEOUT = Edit(JOB, "started), max(remaining, 0.0)\n", "started), None\n")


@asynccontextmanager
async def behind_a_wall(target: EmbeddedTarget) -> AsyncIterator[None]:
    """Workers reach vLLM and NATS and nothing else, as where policies allow what a fleet needs; agents wait for ever
    for a vLLM that hangs."""
    inside = target.cluster.inside
    wall = wall_but_for(inside.vllm, inside.fault_proxy, inside.nats, inside.dashboard)
    async with restarted(target, target.workers, *wall), agent_code(NO_TIMEOUT)(target):
        yield


FAULTS = (
    Fault(
        name="agent-runs-its-own-loop",
        description="the agent's run() is a plain function that calls asyncio.run, in an actor that runs in a loop",
        inject=agent_code(
            Edit(JOB, "    async def run(\n", "    def run(\n"),
            Edit(
                JOB,
                JOINED,
                "        return asyncio.run(self._run(task_id, task_description, constraints or {}, diversity))\n",
            ),
        ),
        expected_failures=("JOB-14", "JOB-03", "JOB-04", "JOB-05", "JOB-06", "JOB-07", *FAILURES, "JOB-13"),
        expected_terms=("run() raised RuntimeError: asyncio.run() cannot be called", "on every worker"),
        inconclusive={"JOB-12": "ended before it asked vLLM"},
    ),
    Fault(
        name="agent-invents-its-proposal",
        description="the agent asks no vLLM, and returns a text of its own",
        inject=agent_code(
            Edit(CLIENT, "    request = {\n", '    return Completion("A canned answer.", 3, model)\n    request = {\n')
        ),
        expected_failures=("JOB-04", *FAILURES),
        expected_terms=("vLLM counted 0 requests",),
    ),
    Fault(
        name="one-worker-invents-its-proposal",
        description="on the first of two workers agents ask no vLLM, and return a text of their own",
        inject=lambda target: changed(
            target,
            target.workers[:1],
            Edit(CLIENT, "    request = {\n", '    return Completion("A canned answer.", 3, model)\n    request = {\n'),
        ),
        expected_failures=("JOB-04",),
        tolerated_failures=FAILURES,  # where Ray places them there
        expected_terms=("2 different proposals", "vLLM counted 1 requests"),
    ),
    Fault(
        name="agent-timeout-has-no-text",
        description="the failure of an agent whose vLLM hangs has no text: str() of a bare TimeoutError",
        inject=agent_code(
            Edit(
                JOB,
                'return TimeoutError(f"vLLM at {self.vllm_url} gave no answer within {self.timeout:g} s")',
                "return error",
            ),
            Edit(MESSAGES, "str(error) or type(error).__name__", "str(error)"),
        ),
        expected_failures=("JOB-10",),
        expected_terms=("vllm hangs", "breaks the contract", "error is ''; a text that is not empty is wanted"),
    ),
    Fault(
        name="agent-blocks-its-loop",
        description="once it has answered, the agent's process answers nothing for 20 s: what it left open is unknown",
        inject=agent_code(
            Edit(
                JOB,
                "        return await asyncio.shield(self._runs[task_id])\n",
                "        message = await asyncio.shield(self._runs[task_id])\n"
                "        asyncio.get_running_loop().call_later(0.001, time.sleep, 20)\n        return message\n",
            )
        ),
        expected_failures=(),
        expected_terms=(),
        inconclusive={"JOB-11": "connections to NATS were not counted"},
    ),
    Fault(
        name="silent-server-is-out-of-reach",
        description="workers reach vLLM and NATS alone: an agent without a timeout is refused where it should hang",
        inject=behind_a_wall,
        expected_failures=(),
        expected_terms=(),
        inconclusive={"JOB-10": "0 connections reached the server that never answers"},
    ),
)
