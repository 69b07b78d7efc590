"""Orchestrators that fulfil the contract in another way: other words, another order, other settings of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats

from tests.faults.catalogue.orchestrator import edit
from tests.faults.model import Fault
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, orchestrator_code, orchestrator_image
from tests.targets.nats_injectors import consumer_is
from tests.targets.ray_injectors import without_its_agents
from tests.variants.model import Variant
from tests.variants.presence import orchestrators_run

ACK_WAIT = 12  # seconds
HISTORY = 5  # revisions of each result
KEPT_SECONDS = 3600

STATUS_IS_SERVING = edit("servicer", 'if problem else "healthy"', 'if problem else "SERVING"')
REFUSES_IN_OTHER_WORDS = (
    edit("service", 'Refused("NOT_FOUND", f"no deliberation has', 'Refused("FAILED_PRECONDITION", f"desconocido: '),
    edit("service", 'Refused("NOT_FOUND", f"role {role!r} is none', 'Refused("FAILED_PRECONDITION", f"{role!r}: none'),
)
ANSWERS_FROM_A_COPY = (
    edit(
        "service",
        "        return state\n\n    async def on_answer",
        "        if state.owner != self.replica and state.finished and now_ms() - state.finished_ms < 1500:\n"
        '            return replace(state, status="IN_PROGRESS", finished_ms=0)\n'
        "        return state\n\n    async def on_answer",
    ),
    edit(
        "servicer",
        "for entry in ranked\n        ]\n",
        "for entry in sorted(ranked, key=lambda entry: hash((self._started, entry.answer.agent_id)))\n        ]\n",
    ),
)
ENDS_BEFORE_THE_TIMEOUT = (
    edit("driver", "(state.deadline_ms - now_ms()) / 1000)", "(state.deadline_ms - now_ms()) / 1000 - 1.2)"),
    edit("deliberation", "return replace(state, status=TIMEOUT,", "return replace(state, status=FAILED,"),
    edit("deliberation", 'reasons = [f"no answer from', 'reasons = [f"deadline exceeded: no answer from'),
)
FAILURES_ARE_IN_THE_MESSAGE_ALONE = (
    edit("servicer", 'tags[f"failed:{answer.agent_id}"] =', "_ ="),
    edit(
        "deliberation",
        "status=COMPLETED, finished_ms=now_ms)",
        "status=COMPLETED, finished_ms=now_ms, error=_causes(state))",
    ),
)
TAKES_THREE_SECONDS = edit(
    "service",
    "        self.driver.launch(task_id)\n        return state\n",
    "        self.driver.launch(task_id)\n        import asyncio\n\n        await asyncio.sleep(3)\n"
    "        return state\n",
)

HAS_NAMELESS_AGENTS = (
    edit(
        "ray_thread",
        'options = self._actor_class.options(name=name, namespace=NAMESPACE, lifetime="detached", get_if_exists=True)\n'
        "            return options.remote(**job).run.remote(**task).future()",
        'self._agents = getattr(self, "_agents", {})\n'
        "            if name not in self._agents:\n"
        "                self._agents[name] = self._actor_class.options().remote(**job)\n"
        "            return self._agents[name].run.remote(**task).future()",
    ),
    edit(
        "ray_thread",
        "ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=True)\n        except ValueError:",
        'ray.kill(getattr(self, "_agents", {}).pop(name), no_restart=True)\n        except KeyError:',
    ),
)
OWN_NAME = '"agent-" + __import__("hashlib").sha256(name.encode()).hexdigest()[:12]'
NAMES_ITS_AGENTS_ITSELF = (
    edit("ray_thread", "self._actor_class.options(name=name, ", f"self._actor_class.options(name={OWN_NAME}, "),
    edit("ray_thread", "ray.get_actor(name, namespace", f"ray.get_actor({OWN_NAME}, namespace"),
)
NAMELESS_ON_THE_HEAD = Fault(
    name="nameless-agents-run-on-the-head",
    description="the orchestrator starts its agents, which have no names, on Ray's head",
    inject=orchestrator_code(
        edit(
            "ray_thread",
            ".options().remote",
            '.options(num_cpus=0, resources={"node:__internal_head__": 0.001}).remote',
        )
    ),
    expected_failures=("ORC-17",),
    expected_terms=("an agent without a name", "ran on the head ray-head"),
)
NAMELESS_MOCKS = Fault(
    name="nameless-agents-are-mocks",
    description="every agent is made up in the orchestrator's own process",
    inject=orchestrator_code(edit("driver", "self.agents[request.agent_type]", 'self.agents["mock"]')),
    expected_failures=("ORC-17",),
    expected_terms=("Ray knows 0 of its 3 agents",),
)


def behaving(name: str, description: str, edits: tuple[Edit, ...], *stretches: str) -> Variant:
    """A variant of the orchestrator's code, also in replicas that a check starts again."""
    return Variant(
        name=name,
        description=description,
        apply=orchestrator_image(*edits),
        is_present=orchestrators_run(*edits),
        stretches=stretches,
    )


@asynccontextmanager
async def messaging_is_set_otherwise(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The consumer of the proposals repeats earlier and takes a few at a time; results have a history and an end."""
    bucket = f"KV_{target.cluster.profile.nats.results_bucket}"
    async with (
        await nats.connect(target.cluster.endpoints.nats) as client,
        consumer_is(ack_wait=ACK_WAIT, max_ack_pending=4, max_deliver=20)(target),
    ):
        js = client.jetstream()
        before = (await js.stream_info(bucket)).config
        await js.update_stream(before.evolve(max_msgs_per_subject=HISTORY, max_age=KEPT_SECONDS))
        try:
            yield
        finally:
            await js.update_stream(before)


async def is_set_otherwise(target: EmbeddedTarget) -> bool:
    names = target.cluster.profile.nats
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        js = client.jetstream()
        consumer = (await js.consumer_info(names.stream, names.consumers.completed)).config
        bucket = (await js.stream_info(f"KV_{names.results_bucket}")).config
    return bool(consumer.ack_wait == ACK_WAIT and bucket.max_msgs_per_subject == HISTORY)


VARIANTS = (
    behaving(
        "status-is-in-another-word",
        "GetStatus says SERVING, as gRPC's own health protocol does",
        (STATUS_IS_SERVING,),
        "ORC-01",
    ),
    behaving(
        "refusals-are-in-other-words",
        "what nobody knows is refused as a failed precondition, in another language",
        REFUSES_IN_OTHER_WORDS,
        "ORC-09",
    ),
    behaving(
        "replicas-read-copies",
        "a replica sees the end of another's deliberation 1.5 s later, and lists proposals in an order of its own",
        ANSWERS_FROM_A_COPY,
        *("ORC-04", "ORC-05", "ORC-06", "ORC-15", "E2E-01"),
    ),
    behaving(
        "timeouts-end-as-failures",
        "a deliberation without answers is FAILED, 1.2 s before its time is over",
        ENDS_BEFORE_THE_TIMEOUT,
        "ORC-16",
    ),
    behaving(
        "failures-are-in-the-message-alone",
        "a failed agent of a completed deliberation is in error_message, and in no tag",
        FAILURES_ARE_IN_THE_MESSAGE_ALONE,
        *("ORC-04", "ORC-05", "ORC-07", "ORC-08"),
    ),
    Variant(
        name="agents-are-anonymous",
        description="the orchestrator holds its agents' handles and gives them no names",
        apply=orchestrator_image(*HAS_NAMELESS_AGENTS),
        is_present=orchestrators_run(*HAS_NAMELESS_AGENTS),
        stretches=("ORC-04", "ORC-07", "ORC-16", "ORC-17", "E2E-01", "E2E-02", "E2E-03"),
        detects=(NAMELESS_ON_THE_HEAD, NAMELESS_MOCKS),
    ),
    Variant(
        name="agents-have-names-of-their-own",
        description="the orchestrator calls its agents agent-4f1c…, and not after the deliberation",
        apply=without_its_agents(orchestrator_image(*NAMES_ITS_AGENTS_ITSELF)),
        is_present=orchestrators_run(*NAMES_ITS_AGENTS_ITSELF),
        stretches=("ORC-04", "ORC-07", "ORC-11", "ORC-15", "ORC-16", "ORC-17", "E2E-01", "E2E-02", "E2E-03"),
        detects=(NAMELESS_MOCKS,),
    ),
    Variant(
        name="messaging-is-set-otherwise",
        description="the consumer repeats after 12 s and takes four messages at a time; results have a history and end",
        apply=messaging_is_set_otherwise,
        is_present=is_set_otherwise,
        stretches=("INF-12", "ORC-06", "ORC-10", "ORC-11", "ORC-12", "ORC-13", "ORC-15"),
    ),
    Variant(
        name="deliberate-takes-three-seconds",
        description="each task is checked against a remote policy before it is accepted",
        apply=orchestrator_code(TAKES_THREE_SECONDS),
        is_present=orchestrators_run(TAKES_THREE_SECONDS),
        profile={"limits.deliberate_s": 5.0},
        stretches=("ORC-03", "ORC-04", "E2E-05"),
    ),
)
