"""What the model server answers to those who can reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from fixtures.clusters.base import Component
from fixtures.clusters.embedded.replica import LaunchSpec
from tests.faults.model import Fault
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import proxy_answers, restarted, ruled, stub_answers
from tests.targets.target import Change

#: No agent gets a proposal, wherever it runs and whoever started it.
NO_PROPOSAL = ("JOB-04", "JOB-05", "JOB-06", "JOB-07", "ORC-04", "E2E-01")


def server_started_with(**options: str) -> Change:
    """The model server, started anew with these command line options in place of those that it had."""

    def changed(launch: LaunchSpec) -> LaunchSpec:
        given = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
        kept = list(launch.arguments)
        for name in given:
            if name in kept:
                del kept[kept.index(name) : kept.index(name) + 2]
        return replace(launch, arguments=[*kept, *(word for pair in given.items() for word in pair)])

    return lambda target: restarted(target, [member.name for member in target.members(Component.VLLM)], launch=changed)


def slow_under_limits(seconds: float, p50: float, p95: float) -> Change:
    """Completions take so long, where round trips may take this long."""

    @asynccontextmanager
    async def slow(target: EmbeddedTarget) -> AsyncIterator[None]:
        profile = target.cluster.profile.replaced("limits", round_trip_p50_s=p50, round_trip_p95_s=p95)
        with target.overridden(profile=profile):
            async with ruled(target, target.cluster.endpoints.vllm, {"action": "delay", "seconds": seconds}):
                yield

    return slow


def error(status: int, message: str, kind: str) -> dict[str, object]:
    """A rule: that status, with an error as vLLM words it."""
    return {
        "action": "status",
        "code": status,
        "body": {"error": {"message": message, "type": kind, "param": None, "code": status}},
    }


EMPTY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "Qwen/Qwen3-0.6B",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21},
}

FAULTS = (
    Fault(
        name="vllm-is-unhealthy",
        description="vLLM's /health answers 503 while the server is up, as with a dead engine",
        inject=stub_answers({"action": "unhealthy"}),
        expected_failures=("INF-02",),
        tolerated_failures=("INF-01",),
        expected_terms=("503",),
    ),
    Fault(
        name="vllm-content-is-null",
        description="vLLM answers with content null, as a reasoning parser does that took all tokens",
        inject=stub_answers({"action": "null-content"}),
        expected_failures=NO_PROPOSAL,
        expected_terms=("content is None",),
    ),
    Fault(
        name="vllm-content-is-empty",
        description="vLLM answers with an empty text",
        inject=stub_answers({"action": "status", "code": 200, "body": EMPTY}),
        expected_failures=NO_PROPOSAL,
        expected_terms=("content is ''",),
    ),
    Fault(
        name="vllm-gives-no-choices",
        description="vLLM answers 200 with an empty list of choices",
        inject=stub_answers({"action": "empty-choices"}),
        expected_failures=NO_PROPOSAL,
        expected_terms=("not a chat completion", '"choices": []'),
    ),
    Fault(
        name="vllm-answers-html",
        description="a gateway's page, with status 200, in place of vLLM's JSON",
        inject=stub_answers({"action": "html"}),
        expected_failures=NO_PROPOSAL,
        expected_terms=("not a chat completion", "<html"),
    ),
    Fault(
        name="vllm-answers-500",
        description="vLLM answers every completion with 500",
        inject=stub_answers(error(500, "CUDA error: out of memory", "InternalServerError")),
        expected_failures=NO_PROPOSAL,
        expected_terms=("vLLM answered 500", "CUDA error: out of memory"),
    ),
    Fault(
        name="vllm-answers-429",
        description="a gateway before vLLM lets no completion through: too many requests",
        inject=stub_answers(error(429, "Rate limit reached for requests", "rate_limit_error")),
        expected_failures=NO_PROPOSAL,
        expected_terms=("vLLM answered 429", "Rate limit reached"),
    ),
    Fault(
        name="vllm-closes-the-connection",
        description="vLLM drops every connection on which a completion is asked for",
        inject=stub_answers({"action": "close"}),
        expected_failures=NO_PROPOSAL,
        tolerated_failures=("JOB-09",),
        expected_terms=("vLLM at http", "disconnected"),
    ),
    Fault(
        name="vllm-answers-are-cut",
        description="the connection to vLLM ends in the middle of every answer",
        inject=stub_answers({"action": "cut-stream"}),
        expected_failures=NO_PROPOSAL,
        tolerated_failures=("JOB-09",),
        expected_terms=("vLLM at http", "not completed"),
    ),
    Fault(
        name="vllm-never-answers",
        description="vLLM takes requests for completions and never answers",
        inject=stub_answers({"action": "hang"}),
        expected_failures=("JOB-04", "JOB-05", "JOB-06", "JOB-07"),
        tolerated_failures=("JOB-09",),
        expected_terms=("gave no answer within",),
    ),
    Fault(
        name="vllm-answers-with-another-model",
        description="completions come from another model than was asked for",
        inject=stub_answers({"action": "wrong-model"}),
        expected_failures=("JOB-04",),
        expected_terms=("model is 'fault/another-model', asked for Qwen/Qwen3-0.6B",),
    ),
    Fault(
        name="orchestrators-way-to-vllm-answers-500",
        description="what the orchestrator's VLLM_URL leads to answers 500, vLLM itself is well",
        inject=proxy_answers(error(500, "upstream connect error", "InternalServerError")),
        expected_failures=("ORC-04", "E2E-01"),
        tolerated_failures=("ORC-05",),
        expected_terms=("vLLM answered 500", "upstream connect error"),
    ),
    Fault(
        name="gateway-refuses-long-prompts",
        description="a gateway before vLLM gives up on prompts of many words, and says nothing of their length",
        inject=proxy_answers({**error(502, "context deadline exceeded", "BadGatewayError"), "contains": "a " * 1000}),
        expected_failures=("ORC-08",),
        expected_terms=("does not name the cause", "502"),
    ),
    Fault(
        name="vllm-wants-a-key",
        description="vLLM was started with an API key that nobody was told",
        inject=server_started_with(api_key="somebody-elses"),
        expected_failures=("JOB-04", "JOB-05", "JOB-06", "JOB-07"),
        tolerated_failures=(
            "INF-03",
            "INF-04",
            "CFG-02",
            "CFG-03",
            "NET-01",
            "NET-02",
            "NET-03",
        ),  # the suite has no key, too
        expected_terms=("401",),
    ),
    Fault(
        name="a-mesh-refuses-the-orchestrator",
        description="a policy of the mesh lets no replica through to vLLM's models: Envoy answers 403 in its own words",
        inject=proxy_answers({"action": "status", "code": 403, "path": "/v1/models", "body": "RBAC: access denied"}),
        expected_failures=("NET-01", "CFG-02", "CFG-03"),
        tolerated_failures=("NET-02",),
        expected_terms=("HTTP 403", "RBAC: access denied", "orchestrator-1", "orchestrator-2"),
    ),
    Fault(
        name="vllm-accepts-every-length",
        description="vLLM was started with a context so large that no prompt is too long",
        inject=server_started_with(max_model_len="1000000"),
        expected_failures=("INF-04",),
        inconclusive={"ORC-08": "no agent failed: vLLM refused none of 2 prompts"},
        expected_terms=("1000000", "40960"),
    ),
    Fault(
        name="vllm-is-slow",
        description="each completion takes six seconds, where the whole of a round trip may take no more",
        inject=slow_under_limits(6, p50=6, p95=12),
        expected_failures=("E2E-05", "LOAD-05"),
        expected_terms=("p50", "limit 6", "the slowest leg is agents'"),
    ),
)
