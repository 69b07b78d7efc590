"""Model servers that differ, and what stands before them."""

from __future__ import annotations

from fixtures.services.vllm import Vllm, context_of
from tests.faults.catalogue.answers import server_started_with
from tests.faults.model import Fault
from tests.targets.decoy_servers import TwoServers
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, restarted
from tests.variants.model import Variant

LONG_CONTEXT = 1_000_000  # tokens
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


VARIANTS = (
    Variant(
        name="vllm-has-two-replicas",
        description="two model servers are behind one address: each connection meets the other one",
        apply=TWO.behind_one_address,
        is_present=has_two_starts,
        stretches=("CFG-02", "INF-01", "INF-02", "INF-03", "INF-04", "NET-01", "NET-03", "E2E-03"),
        detects=(ENGINE_IS_DEAD, MODEL_IS_ANOTHER),
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
        exempt={"ORC-08": ("unsupported", "longer than a message may be")},
    ),
)
