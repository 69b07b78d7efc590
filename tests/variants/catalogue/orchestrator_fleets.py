"""Orchestrators that are configured, sized or released in another way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import nats
from nats.js import JetStreamContext
from nats.js.errors import KeyNotFoundError

from fixtures.clusters.base import Component
from fixtures.services.grpc_contract import GrpcContract
from fixtures.services.orchestrator import Council, Orchestrator
from tests.faults.catalogue.declared import CONSUMERS_ARE_HIDDEN
from tests.faults.catalogue.orchestrator import edit
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, imaged, orchestrator_code, orchestrator_has, orchestrator_released
from tests.targets.target import Change
from tests.variants.model import Presence, Variant
from tests.variants.presence import orchestrators_have, orchestrators_run

COUNCILS = "orchestrator-councils"  # the bucket, by role
ROLES = ("DEV", "QA", "ARCHITECT", "DEVOPS", "DATA")
OWN_ROLES = ("BACKEND", "REVIEW")
FURTHER_ROLES = ("SECURITY", "REVIEW")
FURTHER_AGENTS = 5

HAS_OWN_ROLES = edit("__init__", '("DEV", "QA", "ARCHITECT", "DEVOPS", "DATA")', str(OWN_ROLES))
HAS_FURTHER_ROLES = edit("__init__", '"DEVOPS", "DATA")', f'"DEVOPS", "DATA", *{FURTHER_ROLES})')
LISTS_IN_BRIEF = (
    edit("servicer", "agents=agents if include_agents else [],", "agents=[],"),
    edit("servicer", 'status="active",\n        model=council.model,', 'status="idle",'),
)
STARTS_NO_MORE_THAN_ITS_COUNCIL_HAS = edit(
    "service",
    "number = _number(num_agents) or len(council.agents)\n",
    "number = _number(num_agents) or len(council.agents)\n"
    "        if number > len(council.agents):\n"
    '            raise Refused("INVALID_ARGUMENT", f"the council has {len(council.agents)} agents")\n',
)
LISTS_NOTHING = edit("servicer", "councils = await service.list_councils(request.role_filter)", "councils = ()")
RAISES_NO_TEMPERATURE = edit("driver", '"diversity": agent != state.agents[0],', '"diversity": False,')
REPORTS_A_BUILD = edit("__init__", 'VERSION = "0.8.1"', 'VERSION = "v0.8.1+7.git-1a2b3c"')


@asynccontextmanager
async def one_replica(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The second replica is ended, and no specification asks for it."""
    fleet, plan, outside = target.fleet, target.fleet.plan, target.cluster.endpoints
    before, spare = plan.profile, target.members(Component.ORCHESTRATOR)[1:]
    kept = {name: at for name, at in outside.orchestrators.items() if name not in {member.name for member in spare}}
    await fleet.launcher.end(*spare)
    fleet.members = [member for member in fleet.members if member not in spare]
    plan.profile = before.replaced("orchestrator", replicas=len(kept))
    try:
        endpoints = replace(outside, orchestrators=kept)
        with target.overridden(endpoints=endpoints, inside=replace(target.cluster.inside, orchestrators=kept)):
            yield
    finally:
        plan.profile = before
        fleet.members += spare
        await fleet.start_again(*spare)


async def has_one_replica(target: EmbeddedTarget) -> bool:
    return len(target.orchestrators) == 1


@asynccontextmanager
async def councils(target: EmbeddedTarget, roles: Sequence[str], agents: int) -> AsyncIterator[None]:
    """Councils of these roles have so many agents; in the end they are as they were before, or gone."""
    async with await nats.connect(target.cluster.endpoints.nats) as client:
        js = client.jetstream()
        bucket = await js.key_value(COUNCILS)
        before: dict[str, bytes | None] = {}
        for role in roles:
            with suppress(KeyNotFoundError):
                before[role] = (await bucket.get(role)).value
            await forget(js, role)
        orchestrator = Orchestrator(
            lambda: target.cluster.endpoints.orchestrators, GrpcContract.of(target.cluster.profile.contract)
        )
        try:
            for role in roles:
                await orchestrator.any.create_council(role, agents)
            yield
        finally:
            await orchestrator.close()
            for role in roles:
                await forget(js, role)
                if kept := before.get(role):
                    await bucket.put(role, kept)


async def forget(js: JetStreamContext, role: str) -> None:
    await js.purge_stream(f"KV_{COUNCILS}", subject=f"$KV.{COUNCILS}.{role}")


async def lists_no_council(target: EmbeddedTarget) -> bool:
    """Whether no replica lists a council."""
    return not any(await listed_councils(target))


def with_councils(roles: Sequence[str], agents: int, *edits: Edit) -> Change:
    """Orchestrators that run these edits, and have such councils."""

    @asynccontextmanager
    async def changed(target: EmbeddedTarget) -> AsyncIterator[None]:
        async with imaged(target, target.orchestrators, *edits), councils(target, roles, agents):
            yield

    return changed


def has_councils(roles: Sequence[str], agents: int) -> Presence:
    """Whether each replica lists councils of these roles, with so many agents."""

    async def present(target: EmbeddedTarget) -> bool:
        listed = await listed_councils(target)
        return all(role in rows and rows[role].agents == agents for rows in listed for role in roles)

    return present


async def listed_councils(target: EmbeddedTarget) -> list[dict[str, Council]]:
    """What each replica lists, by role."""
    orchestrator = Orchestrator(
        lambda: target.cluster.endpoints.orchestrators, GrpcContract.of(target.cluster.profile.contract)
    )
    try:
        return [await replica.councils() for replica in orchestrator.replicas]
    finally:
        await orchestrator.close()


VARIANTS = (
    Variant(
        name="orchestrator-has-one-replica",
        description="one replica is enough there: there is no other one to disagree, or to take over",
        apply=one_replica,
        is_present=has_one_replica,
        profile={"orchestrator.replicas": 1},
        stretches=("INF-11", "ORC-01", "ORC-02", "ORC-04", "ORC-09", "ORC-11"),
        exempt={
            "CFG-07": ("not_applicable", "one replica"),
            "ORC-06": ("not_applicable", "one replica"),
            "ORC-15": ("not_applicable", "one replica"),
        },
    ),
    Variant(
        name="agent-type-is-in-capitals",
        description="AGENT_TYPE is VLLM, which the orchestrator reads in any case",
        apply=orchestrator_has(AGENT_TYPE="VLLM"),
        is_present=orchestrators_have(AGENT_TYPE="VLLM"),
        stretches=("CFG-01", "CFG-07", "ORC-17"),
    ),
    Variant(
        name="one-agent-per-deliberation",
        description="a council is one agent, and a deliberation of more is refused",
        apply=with_councils(ROLES, 1, STARTS_NO_MORE_THAN_ITS_COUNCIL_HAS),
        is_present=has_councils(ROLES, 1),
        profile={"deliberations.agents": 1},
        stretches=("ORC-02", "ORC-04", "ORC-05", "ORC-08", "ORC-15", "ORC-16", "ORC-17", "E2E-01", "E2E-02", "E2E-03"),
        exempt={"ORC-07": ("not_applicable", "one agent"), "ORC-12": ("not_applicable", "one agent")},
    ),
    Variant(
        name="roles-are-others",
        description="the fleet has two roles of its own and none of the reference deployment's",
        apply=with_councils(OWN_ROLES, 3, HAS_OWN_ROLES),
        is_present=has_councils(OWN_ROLES, 3),
        profile={"deliberations.roles": OWN_ROLES},
        stretches=("ORC-02", "ORC-03", "ORC-07", "ORC-08", "ORC-09", "ORC-14", "ORC-19", "JOB-06", "E2E-01", "E2E-02"),
    ),
    Variant(
        name="users-have-councils-of-their-own",
        description="there are councils of further roles, with five agents each; all are listed without their agents",
        apply=with_councils(FURTHER_ROLES, FURTHER_AGENTS, HAS_FURTHER_ROLES, *LISTS_IN_BRIEF),
        is_present=has_councils(FURTHER_ROLES, FURTHER_AGENTS),
        stretches=("ORC-02", "ORC-03", "ORC-09", "E2E-01"),
    ),
    Variant(
        name="what-is-declared-absent-is-absent",
        description="the fleet lists no councils and raises no temperatures, and its profile says so",
        apply=orchestrator_code(LISTS_NOTHING, RAISES_NO_TEMPERATURE),
        is_present=lists_no_council,
        profile={"features.councils": False, "features.diversity": False},
        stretches=("INF-16", "JOB-05", "ORC-04"),
        applies_here=("INF-16",),
        exempt={"ORC-02": ("not_applicable", "features.councils"), "E2E-03": ("not_applicable", "features.diversity")},
        detects=(CONSUMERS_ARE_HIDDEN,),
    ),
    Variant(
        name="tools-are-off",
        description="agents run without tools, by the profile and by ENABLE_TOOLS",
        apply=orchestrator_has(ENABLE_TOOLS="false"),
        is_present=orchestrators_have(ENABLE_TOOLS="false"),
        profile={"agent.tools.enabled": False},
        stretches=("CFG-07", "CFG-08", "DEP-07", "JOB-02", "JOB-04", "ORC-04"),
        exempt={"DEP-08": ("not_applicable", "agents run without tools")},
    ),
    Variant(
        name="image-tag-is-a-commit",
        description="replicas run from a tag that is a commit, and report their version with the number of a build",
        apply=orchestrator_released("git-1a2b3c", REPORTS_A_BUILD),
        is_present=orchestrators_run(REPORTS_A_BUILD),
        stretches=("INF-11", "ORC-03"),
    ),
)
