"""Model servers that differ, and what stands before them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from fixtures.core.timeouts import TIMEOUTS
from fixtures.services.vllm import Vllm, context_of
from tests.faults.catalogue.answers import server_started_with
from tests.faults.model import Fault
from tests.targets.decoy_servers import TwoServers
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, restarted, ruled, stub_answers
from tests.variants.model import Variant

LONG_CONTEXT = 1_000_000  # tokens
SHORT_WAIT, SLOW, ALLOWED = 3.0, 4.0, 40.0  # seconds: what [timeouts] says, of a completion, what [limits] allows

#: The first of --served-model-name is the one that answers name.
#: Source: https://github.com/vllm-project/vllm/pull/2894 (--served-model-name)
FIRST_NAME = "fleet-default"
HAS_AN_ALIAS = (
    Edit("vllm_stub/answers.py", "for name in (model, *aliases)", f'for name in ("{FIRST_NAME}", model, *aliases)'),
    Edit(
        "vllm_stub/answers.py",
        '        "model": model,\n        "choices"',
        f'        "model": model if model.startswith("fault/") else "{FIRST_NAME}",\n        "choices"',
    ),
)
ROUTERS_METRICS = "# TYPE router_requests_total counter\nrouter_requests_total 7.0\n"
TWO = TwoServers()

ENGINE_IS_DEAD = Fault(
    name="one-of-two-engines-is-dead",
    description="of two servers behind one address the second answers /health with 503",
    inject=TWO.second_answers({"action": "unhealthy"}),
    expected_failures=("INF-02",),
    expected_terms=("503", "1 of 2 servers"),
)
MODEL_IS_ANOTHER = Fault(
    name="one-of-two-servers-has-another-model",
    description="of two servers behind one address the second serves another model",
    inject=TWO.second_answers({"action": "wrong-model", "path": "/v1/models"}),
    expected_failures=("INF-03", "INF-04"),
    expected_terms=("fault/another-model", "1 of 2 servers"),
)
ANOTHER_ANSWERS = Fault(
    name="none-of-the-aliases-answers",
    description="completions come from a model that is none of the names that vLLM serves",
    inject=stub_answers({"action": "wrong-model", "path": "/v1/chat/completions"}),
    expected_failures=("JOB-04",),
    expected_terms=("model is 'fault/another-model', asked for Qwen/Qwen3-0.6B",),
)
ONE_REFUSES = Fault(
    name="one-of-two-servers-refuses",
    description="of two servers behind one address the second answers 503 to every question for its models",
    inject=TWO.second_answers({"action": "status", "code": 503, "path": "/v1/models"}),
    expected_failures=("INF-03", "INF-04", "NET-01", "NET-03"),
    tolerated_failures=("CFG-02", "CFG-03", "NET-02"),
    expected_terms=("503", "ray-worker-1"),
)


def server_of(target: EmbeddedTarget) -> Vllm:
    """A client for the address at which sessions reach vLLM."""
    return Vllm(target.instead.get("endpoints", target.cluster.endpoints).vllm)


async def has_two_starts(target: EmbeddedTarget) -> bool:
    """Whether two servers are met on the suite's own way, and on that of the orchestrator and its agents."""
    for vllm in (server_of(target), Vllm(target.cluster.endpoints.fault_proxy)):
        try:
            if len({server.identity for server in await vllm.of_each_server(Vllm.health)}) != 2:
                return False
        finally:
            await vllm.close()
    return True


async def hides_its_start(target: EmbeddedTarget) -> bool:
    vllm = server_of(target)
    try:
        return not await vllm.identity()
    finally:
        await vllm.close()


async def has_a_long_context(target: EmbeddedTarget) -> bool:
    vllm = server_of(target)
    try:
        return context_of(await vllm.models(), target.cluster.profile.vllm.model) == LONG_CONTEXT
    finally:
        await vllm.close()


@asynccontextmanager
async def behind_a_router(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The address has a router's metrics, no version, and a list of models without their contexts."""
    model = target.cluster.profile.vllm.model
    rows = {"object": "list", "data": [{"id": model, "object": "model", "created": 0, "owned_by": "router"}]}
    async with ruled(
        target,
        target.cluster.endpoints.vllm,
        {"action": "status", "code": 404, "path": "/version", "body": {"detail": "Not Found"}},
        {"action": "status", "code": 200, "path": "/metrics", "body": ROUTERS_METRICS},
        {"action": "status", "code": 200, "path": "/v1/models", "body": rows},
    ):
        yield


async def is_a_router(target: EmbeddedTarget) -> bool:
    vllm = server_of(target)
    try:
        return await vllm.version() == "" and context_of(await vllm.models(), target.cluster.profile.vllm.model) == 0
    finally:
        await vllm.close()


async def has_an_alias(target: EmbeddedTarget) -> bool:
    vllm = server_of(target)
    try:
        return FIRST_NAME in await vllm.models()
    finally:
        await vllm.close()


async def is_slow(target: EmbeddedTarget) -> bool:
    """Whether a completion takes longer than the profile's [timeouts] would wait for an agent."""
    question = {"model": target.cluster.profile.vllm.model, "messages": [{"role": "user", "content": "Are you slow?"}]}
    began = time.monotonic()
    async with httpx.AsyncClient(
        base_url=target.cluster.endpoints.vllm, trust_env=False, timeout=TIMEOUTS.request
    ) as http:
        await http.post("/v1/chat/completions", json=question | {"max_tokens": 8})
    return time.monotonic() - began > SHORT_WAIT


VARIANTS = (
    Variant(
        name="vllm-has-two-replicas",
        description="two model servers are behind one address: each connection meets the other one",
        apply=TWO.behind_one_address,
        is_present=has_two_starts,
        stretches=("CFG-02", "INF-01", "INF-02", "INF-03", "INF-04", "NET-01", "NET-03", "E2E-03"),
        detects=(ENGINE_IS_DEAD, MODEL_IS_ANOTHER, ONE_REFUSES),
    ),
    Variant(
        name="metrics-have-no-process-start",
        description="vLLM's metrics do not say when its process started, as with several API servers",
        apply=lambda target: restarted(
            target, ["vllm-server-1"], Edit("vllm_stub/metrics.py", "process_start_time_seconds {self.started}\n", "")
        ),
        is_present=hides_its_start,
        stretches=("CFG-02", "CFG-03", "INF-02"),
    ),
    Variant(
        name="context-is-very-long",
        description="the model's context has a million tokens: no message can exceed it",
        apply=server_started_with(max_model_len=str(LONG_CONTEXT)),
        is_present=has_a_long_context,
        profile={"vllm.max_model_len": LONG_CONTEXT},
        stretches=("INF-04", "ORC-03", "ORC-04"),
        exempt={"ORC-08": ("not_applicable", "longer than a message may be")},
    ),
    Variant(
        name="model-has-aliases",
        description="one model is served under two names; answers name the first, agents ask for the second",
        apply=lambda target: restarted(target, ["vllm-server-1"], *HAS_AN_ALIAS),
        is_present=has_an_alias,
        stretches=("INF-03", "INF-04", "CFG-02", "CFG-03", "JOB-04", "JOB-06", "ORC-02", "ORC-19", "E2E-01"),
        detects=(ANOTHER_ANSWERS,),
    ),
    Variant(
        name="a-router-is-before-vllm",
        description="a router has metrics of its own, no version, and lists models without their contexts",
        apply=behind_a_router,
        is_present=is_a_router,
        stretches=("INF-01", "INF-02", "INF-03", "CFG-02", "CFG-03", "NET-01", "NET-03", "JOB-04", "ORC-04"),
        exempt={"INF-04": ("unsupported", "does not say what context")},
    ),
    Variant(
        name="model-is-slow-within-its-limits",
        description="a completion takes longer than the suite waits by default, and less than the profile's limits",
        apply=stub_answers({"action": "delay", "seconds": SLOW}),
        is_present=is_slow,
        profile={
            "timeouts.agent": SHORT_WAIT,
            "timeouts.deliberation": SHORT_WAIT,
            "limits.round_trip_p50_s": ALLOWED,
            "limits.round_trip_p95_s": ALLOWED,
        },
        stretches=("JOB-03", "JOB-04", "ORC-03", "ORC-04", "ORC-07", "ORC-15", "E2E-01", "E2E-02", "E2E-05"),
    ),
)
