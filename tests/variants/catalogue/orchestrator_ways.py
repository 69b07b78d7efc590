"""Orchestrators that lack a call, or whose agents ask vLLM by a way that the suite does not see."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from tests.faults.catalogue.orchestrator import edit
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import orchestrator_code, restarted
from tests.variants.model import Variant
from tests.variants.presence import orchestrators_run

LISTS_NO_COUNCILS = edit(
    "servicer",
    "councils = await service.list_councils(request.role_filter)",
    'raise Refused("UNIMPLEMENTED", "councils are not listed")',
)
UNSEEN = "has seen none of the requests of 3 agents"


def past_the_proxy(target: EmbeddedTarget) -> AbstractAsyncContextManager[None]:
    return restarted(target, target.orchestrators, environment={"VLLM_URL": target.cluster.endpoints.vllm})


async def agents_ask_past_the_proxy(target: EmbeddedTarget) -> bool:
    started = [target.member(name).part.environment() for name in target.orchestrators]
    return all(environment["VLLM_URL"] == target.cluster.endpoints.vllm for environment in started)


VARIANTS = (
    Variant(
        name="councils-are-not-listed",
        description="the orchestrator has councils and no call that lists them, as the profile says",
        apply=orchestrator_code(LISTS_NO_COUNCILS),
        is_present=orchestrators_run(LISTS_NO_COUNCILS),
        profile={"features.councils": False},
        stretches=("ORC-03", "ORC-04", "ORC-07", "ORC-14", "E2E-01"),
        exempt={"ORC-02": ("not_applicable", "features.councils")},
    ),
    Variant(
        name="agents-ask-past-the-proxy",
        description="the profile names the suite's proxy, and the orchestrator's VLLM_URL leads to vLLM itself",
        apply=past_the_proxy,
        is_present=agents_ask_past_the_proxy,
        stretches=("CFG-02", "NET-02", "ORC-04", "ORC-08", "E2E-01", "E2E-02"),
        inconclusive={
            **dict.fromkeys(("ORC-07", "ORC-11", "ORC-12", "ORC-15", "E2E-04"), UNSEEN),
            "ORC-16": "has seen none of the requests of 2 agents",
            "E2E-03": "has seen too little",
        },
    ),
)
