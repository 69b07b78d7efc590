"""What the orchestrator is configured with."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.model import Fault
from tests.targets.decoy_servers import another_nats, another_ray, another_vllm, orchestrator_led
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, orchestrator_code, orchestrator_has, restarted
from tests.targets.links import closed_port

NOTHING_COMES = ("ORC-04", "E2E-01")  # of deliberations
NO_RAY = ("CFG-04", "CFG-06", "ORC-01")
PASSWORDS = ("tr0ubadour-of-may", "c0rrect-horse-june")


@asynccontextmanager
async def nobody(_: EmbeddedTarget) -> AsyncIterator[str]:
    """A URL of HTTP where nobody listens."""
    async with closed_port() as address:
        yield f"http://{address}"


@asynccontextmanager
async def another_of_the_same_second(target: EmbeddedTarget) -> AsyncIterator[str]:
    """The URL of a second server, which says of its process that it started when the fleet's own did."""
    edit = Edit(
        "vllm_stub/metrics.py", "process_start_time_seconds {self.started}", "process_start_time_seconds 1.7e+09"
    )
    async with restarted(target, ["vllm-server-1"], edit), another_vllm(target, "", edit) as url:
        yield url


@asynccontextmanager
async def profile_names_other_settings(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The fleet is held against a profile with another MAX_TOKENS than its replicas were started with."""
    profile = target.cluster.profile
    environment = profile.orchestrator.environment | {"MAX_TOKENS": "4096"}
    with target.overridden(profile=profile.replaced("orchestrator", environment=environment)):
        yield


@asynccontextmanager
async def password_was_rotated(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The first replica still runs with the old password of a database, the second with the new one."""
    old, new = (orchestrator_has(number, DB_PASSWORD=word) for number, word in enumerate(PASSWORDS))
    async with old(target), new(target):
        yield


@asynccontextmanager
async def older_interpreter(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The second replica runs by the full path of an interpreter with an older Ray; on its PATH is the first one's."""
    sound = target.member(target.orchestrators[0]).folder / "bin"
    older = Edit("ray/_version.py", 'version = "2.49.2"', 'version = "2.48.0"')
    async with restarted(target, [target.orchestrators[1]], older, environment={"PATH": f"{sound}:{os.defpath}"}):
        yield


FAULTS = (
    Fault(
        name="agent-type-is-mock-on-one-replica",
        description="the first replica runs with AGENT_TYPE=mock",
        inject=orchestrator_has(0, AGENT_TYPE="mock"),
        expected_failures=("CFG-01", "CFG-07"),
        expected_terms=("AGENT_TYPE", "mock", "orchestrator-1"),
    ),
    Fault(
        name="agent-type-is-mock",
        description="every replica runs with AGENT_TYPE=mock: deliberations complete, and no agent ever ran",
        inject=orchestrator_has(AGENT_TYPE="mock"),
        expected_failures=("CFG-01", "ORC-17", "E2E-03"),
        expected_terms=("AGENT_TYPE", "mock", "orchestrator-1", "orchestrator-2"),
    ),
    Fault(
        name="vllm-url-leads-to-another-server",
        description="the first replica's VLLM_URL leads to a second server with the same model",
        inject=orchestrator_led("VLLM_URL", another_vllm, only=0),
        expected_failures=("CFG-02", "CFG-07"),
        expected_terms=("VLLM_URL", "another server", "orchestrator-1"),
    ),
    Fault(
        name="another-vllm-of-the-same-second",
        description="the first replica's VLLM_URL leads to a second server, which started in the same moment",
        inject=orchestrator_led("VLLM_URL", another_of_the_same_second, only=0),
        expected_failures=("CFG-02", "CFG-07"),
        expected_terms=("VLLM_URL", "another server", "orchestrator-1"),
    ),
    Fault(
        name="vllm-url-leads-to-another-model",
        description="every replica's VLLM_URL leads to a server with another model",
        inject=orchestrator_led("VLLM_URL", lambda target: another_vllm(target, "Qwen/Qwen3-1.7B")),
        expected_failures=("CFG-02", "CFG-03", "NET-01", *NOTHING_COMES),
        expected_terms=("VLLM_URL", "Qwen/Qwen3-1.7B", "orchestrator-1", "orchestrator-2"),
    ),
    Fault(
        name="vllm-url-is-stale-on-one-replica",
        description="nobody listens where the second replica's VLLM_URL leads to",
        inject=orchestrator_led("VLLM_URL", nobody, only=1),
        expected_failures=("CFG-02", "CFG-03", "CFG-07", "NET-01"),
        expected_terms=("VLLM_URL", "refused", "orchestrator-2"),
    ),
    Fault(
        name="vllm-model-is-misspelt",
        description="VLLM_MODEL names the model in lower case, on every replica",
        inject=orchestrator_has(VLLM_MODEL="Qwen/qwen3-0.6b"),
        expected_failures=("CFG-03", "CFG-08", *NOTHING_COMES),
        expected_terms=("VLLM_MODEL", "Qwen/qwen3-0.6b", "orchestrator-1", "orchestrator-2"),
    ),
    Fault(
        name="ray-address-leads-to-another-cluster",
        description="the first replica's RAY_ADDRESS leads to the head of a second Ray cluster",
        inject=orchestrator_led("RAY_ADDRESS", another_ray, only=0),
        expected_failures=("CFG-04", "CFG-07"),
        expected_terms=("RAY_ADDRESS", "another Ray cluster", "orchestrator-1"),
    ),
    Fault(
        name="ray-address-is-stale",
        description="nobody listens where the first replica's RAY_ADDRESS leads to",
        inject=orchestrator_has(0, RAY_ADDRESS="ray://127.0.0.1:9"),
        expected_failures=("NET-06", *NO_RAY, "CFG-07"),
        expected_terms=("RAY_ADDRESS", "refused", "orchestrator-1"),
    ),
    Fault(
        name="nats-url-leads-to-another-server",
        description="the first replica's NATS_URL leads to a second NATS, where it makes streams of its own",
        inject=orchestrator_led("NATS_URL", another_nats, only=0),
        expected_failures=("CFG-05", "CFG-07"),
        expected_terms=("NATS_URL", "another NATS", "orchestrator-1"),
    ),
    Fault(
        name="ray-of-one-replica-is-older",
        description="the second replica's image has Ray 2.48.0, which may not talk to a head of 2.49.2",
        inject=orchestrator_code(Edit("ray/_version.py", 'version = "2.49.2"', 'version = "2.48.0"'), only=1),
        expected_failures=NO_RAY,
        expected_terms=("orchestrator-2", "2.48.0", "2.49.2"),
    ),
    Fault(
        name="service-runs-on-another-interpreter",
        description="the second replica's PATH has an interpreter with Ray 2.49.2, its service runs on one with 2.48.0",
        inject=older_interpreter,
        expected_failures=NO_RAY,
        expected_terms=("orchestrator-2", "2.48.0", "2.49.2"),
    ),
    Fault(
        name="python-of-the-orchestrator-is-another",
        description="the orchestrator's Ray takes its Python for 3.9, which may not talk to a head on another minor",
        inject=orchestrator_code(
            Edit(
                "ray/_private/utils.py",
                "    my_version_info = compute_version_info()",
                "    my_version_info = compute_version_info()[0], '3.9.21'",
            )
        ),
        expected_failures=NO_RAY,
        expected_terms=("orchestrator-1", "orchestrator-2", "Python", "3.9.21"),
    ),
    Fault(
        name="temperature-drifted-on-one-replica",
        description="the second replica hands its agents another temperature",
        inject=orchestrator_has(1, TEMPERATURE="0.2"),
        expected_failures=("CFG-07", "E2E-03"),
        expected_terms=("TEMPERATURE", "0.2", "orchestrator-2"),
    ),
    Fault(
        name="max-tokens-drifted-on-one-replica",
        description="the first replica was not restarted when MAX_TOKENS was changed",
        inject=orchestrator_has(0, MAX_TOKENS="16"),
        expected_failures=("CFG-07",),
        expected_terms=("MAX_TOKENS", "16", "orchestrator-1"),
    ),
    Fault(
        name="drift-looks-like-the-pods-own",
        description="two variables of the second replica differ whose names begin like those that differ by nature",
        inject=orchestrator_has(1, PATH_PREFIX="/beta", NODE_OPTIONS="--max-old-space-size=64"),
        expected_failures=("CFG-07",),
        expected_terms=("PATH_PREFIX", "NODE_OPTIONS", "orchestrator-2"),
    ),
    Fault(
        name="a-rotated-password-reached-one-replica",
        description="only the second replica was started again after a password was changed",
        inject=password_was_rotated,
        expected_failures=("CFG-07",),
        expected_terms=("DB_PASSWORD", "value 2", "orchestrator-2"),
        forbidden_terms=PASSWORDS,
    ),
    Fault(
        name="environment-is-not-the-profiles",
        description="the profile wants MAX_TOKENS of 4096, which no replica has",
        inject=profile_names_other_settings,
        expected_failures=("CFG-08",),
        expected_terms=("MAX_TOKENS", "4096", "32", "orchestrator-1", "orchestrator-2"),
    ),
)
