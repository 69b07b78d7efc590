"""Profiles that declare absent what their fleet has: the fleet stays as it is."""

from __future__ import annotations

from fixtures.profile.components import Consumers
from tests.faults.model import Fault
from tests.targets.target import profile_is

CONSUMERS_ARE_HIDDEN = Fault(
    name="consumers-are-declared-absent",
    description="the profile names no consumers, and two durable ones read what agents publish",
    inject=profile_is({"nats.consumers": Consumers()}),
    expected_failures=("INF-16",),
    applies_here=("INF-16",),
    expected_terms=("deliberation-collector-completed", "AGENT_RESPONSES", "nats.consumers"),
)

FAULTS = (
    Fault(
        name="councils-are-declared-absent",
        description="the profile says that there are no councils, and the orchestrator lists five",
        inject=profile_is({"features.councils": False}),
        expected_failures=("INF-16",),
        applies_here=("INF-16",),
        expected_terms=("orchestrator-1", "councils", "ARCHITECT", "features.councils"),
    ),
    CONSUMERS_ARE_HIDDEN,
    Fault(
        name="a-variable-is-declared-absent",
        description="the profile names no variable that leads to vLLM, and both replicas have one",
        inject=profile_is({"orchestrator.variables.vllm_url": ""}),
        expected_failures=("INF-16",),
        applies_here=("INF-16",),
        expected_terms=("orchestrator-2", "VLLM_URL", "orchestrator.variables.vllm_url"),
    ),
)
