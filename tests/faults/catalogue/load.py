"""What only shows when many agents work."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.services.ray import Ray
from tests.faults.catalogue.agents import JOB, PUBLISHER
from tests.faults.catalogue.answers import error
from tests.faults.catalogue.orchestrator import edit
from tests.faults.model import Fault
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, agent_code, orchestrator_code, stub_answers
from tests.targets.target import Change

PUBLISH = "                await publisher.publish(message, seconds=max(remaining, REPORT_SECONDS))\n"
ONE_OF_MANY = '                if task_id.endswith("-load-0013"):\n    '

HOLDER = "forgotten-holder"
HOLDS = f"""
import time
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

class Holder:
    def held(self): pass

ray.init(logging_level="ERROR")
node = next(node for node in ray.nodes() if node["NodeName"] == "NAME")
here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
actor = ray.remote(num_cpus=node["Resources"]["CPU"])(Holder)
holder = actor.options(name="{HOLDER}", scheduling_strategy=here).remote()
ray.get(holder.held.remote())
time.sleep(3600)
"""


def held(worker: str) -> Change:
    """All CPUs of a worker, by an actor of a Ray job that waits; the job is ended in the end."""

    @asynccontextmanager
    async def holding(target: EmbeddedTarget) -> AsyncIterator[None]:
        ray = Ray(target.cluster.endpoints.dashboard)

        async def holder_is(state: str) -> bool:
            return {actor.state for actor in await ray.actors(HOLDER) if actor.name == HOLDER} == {state}

        try:
            await ray.submit(f"python -c {shlex.quote(HOLDS.replace('NAME', worker))}", HOLDER)
            try:
                await wait_until(lambda: holder_is("ALIVE"), f"that all of {worker} is held", TIMEOUTS.job)
                yield
            finally:
                await ray.forget(HOLDER)
                await wait_until(lambda: holder_is("DEAD"), f"that {worker} is free", TIMEOUTS.settle)
        finally:
            await ray.close()

    return holding


FAULTS = (
    Fault(
        name="one-of-many-requests-is-refused",
        description="vLLM refuses one request of the load, as a gateway with a rate limit does",
        inject=stub_answers({**error(429, "Rate limit reached", "rate_limit_error"), "contains": "-load-0013"}),
        expected_failures=("LOAD-01",),
        expected_terms=("vLLM answered 429", "1 of 24", "×1"),
    ),
    Fault(
        name="one-of-many-results-is-not-published",
        description="one agent of the load returns its result without having published it",
        inject=agent_code(Edit(JOB, PUBLISH, ONE_OF_MANY.replace("if", "if not") + PUBLISH)),
        expected_failures=("LOAD-02",),
        expected_terms=("lost", "-load-0013 published no result"),
    ),
    Fault(
        name="one-of-many-results-comes-twice",
        description="one agent of the load publishes its result twice, and not under one message id",
        inject=agent_code(
            Edit(PUBLISHER, 'headers={"Nats-Msg-Id": message_id}', "headers=None"),
            Edit(JOB, PUBLISH, ONE_OF_MANY + PUBLISH + PUBLISH),
        ),
        expected_failures=("LOAD-02",),
        expected_terms=("more than once", "-load-0013 ×2"),
    ),
    Fault(
        name="orchestrator-gives-every-message-back-once",
        description="the collector refuses each message when it comes for the first time",
        inject=orchestrator_code(
            edit(
                "collector",
                "        await handle(message.data)\n",
                "        if message.metadata.num_delivered == 1:\n            raise LookupError('not yet')\n"
                "        await handle(message.data)\n",
            )
        ),
        expected_failures=("ORC-10", "LOAD-03"),
        expected_terms=("to deliver", "times", "delivered again"),
    ),
    Fault(
        name="forgotten-job-holds-one-worker",
        description="a job that nobody ended holds all CPUs of the second worker",
        inject=held("ray-worker-2"),
        expected_failures=("LOAD-04",),
        tolerated_failures=("JOB-02",),
        expected_terms=("ray-worker-2 ran 0", "its share is 12"),
    ),
)
