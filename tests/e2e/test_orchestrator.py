"""ORC: the orchestrator serves, knows its councils and roles, and starts what an approved plan asks for."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress

from fixtures.checks.declaration import MUST, SHOULD, Disruption, Gate, Link, check
from fixtures.checks.remedy import ENDPOINTS, KUBERNETES, about, do, kubectl, shell, steps
from fixtures.checks.requirement import require_none
from fixtures.clusters.base import Cluster, Feature, Replica, Unsupported, front_of
from fixtures.core.polling import wait_until
from fixtures.core.tasks import together
from fixtures.core.timeouts import TIMEOUTS
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.exercises.deliberations import Deliberations
from fixtures.exercises.modes import caller_of
from fixtures.exercises.plans import approved_plan, task_of
from fixtures.harness.suite import Suite
from fixtures.probes.replicas import out_of_reach
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.profile.remedy_values import About
from fixtures.profile.start_request import can_say
from fixtures.services.nats import Nats
from fixtures.services.orchestrator import Orchestrator, OrchestratorReplica, Refused
from fixtures.services.vllm import ModelNames
from tests.e2e.repairs import LOGS
from tests.e2e.runs import FLEET

GRPC = "grpcurl {grpc_tls} {grpc_schema} "


@check(
    "ORC-01",
    MUST,
    "GetStatus is healthy on every replica",
    remedy=about(About.ORCHESTRATOR, do("See what the replicas say:", KUBERNETES), LOGS),
    concerns=FLEET,
    cuts=(Link.ORCHESTRATOR,),
    impact="The orchestrator itself reports that it lacks NATS or Ray: deliberations fail or are refused.",
    needs=(Part.ORCHESTRATOR, Part.GRPC, Part.STATUS),
    follows=("INF-05", "INF-09", "INF-11", "CFG-04", "CFG-05"),
    gate=Gate.ALWAYS,
)
async def test_status(orchestrator: Orchestrator, cluster: Cluster, suite: Suite) -> None:
    """Each replica says of itself that it is healthy, which it may only while it reaches NATS and Ray.

    Where commands can be run in replicas, one from which nothing is reached where its addresses lead is not believed;
    the gate enters none.
    """

    async def healthy() -> bool:
        now = {replica.name: await replica.status() for replica in orchestrator.all}
        seen.clear()
        seen.update({name: answer.status for name, answer in now.items()})
        return all(answer.healthy for answer in now.values())

    seen: dict[str, str] = {}
    await wait_until(healthy, "healthy on every replica", TIMEOUTS.ray_client, detail=lambda: str(seen))
    if suite.gate:
        return
    replicas: Sequence[Replica] = ()
    with suppress(Unsupported):  # none can be entered, or they are known by an address alone
        replicas = (await cluster.workload(front_of(cluster.profile))).ready
    reasons = await asyncio.gather(*(out_of_reach(cluster, replica) for replica in replicas))
    cut_off = [f"{replica.name}: {why}" for replica, why in zip(replicas, reasons, strict=True) if why]
    require_none(cut_off, "called healthy, and reaches nothing")


@check(
    "ORC-02",
    MUST,
    "councils for all roles exist, as configured",
    remedy=steps(
        "Create the councils that are missing, one for each role.",
        about(
            About.ORCHESTRATOR_PORT,
            do("Forward the orchestrator's port in a second terminal:", KUBERNETES),
            kubectl(
                "-n {orchestrator_namespace} port-forward service/{orchestrator_service} "
                "{orchestrator_port}:{orchestrator_port}"
            ),
        ),
        do("List the councils:", KUBERNETES, ENDPOINTS),
        shell(GRPC + "{orchestrator} {list_councils}", KUBERNETES, ENDPOINTS),
        do("Then create the one of ROLE:", KUBERNETES, ENDPOINTS, about="create_council"),
        shell(
            GRPC + "-d {council_of_role} {orchestrator} {create_council}", KUBERNETES, ENDPOINTS, about="create_council"
        ),
    ),
    concerns=FLEET,
    cuts=(Link.ORCHESTRATOR,),
    impact="Deliberations for these roles are refused: there is no council to run them.",
    needs=(Part.ORCHESTRATOR, Part.GRPC, Part.COUNCILS),
    follows=("INF-11", "CFG-05", "ORC-01"),  # replicas may share them through NATS
)
async def test_councils(
    councils: dict[str, str], orchestrator: Orchestrator, profile: Profile, model_names: ModelNames
) -> None:
    """A council with its agents and the profile's model exists for every role; without one, Deliberate is refused.

    Where disruption is allowed the suite creates what is missing before it looks.
    """
    wrong = []
    for replica in orchestrator.all:
        found = await replica.councils()
        for role in profile.deliberations.roles:
            council = found.get(role)
            if council is None:
                reason = f", and none can be made: {councils[role]}" if role in councils else ""
                wrong.append(f"{replica.name}: {role} has no council{reason}")
            elif council.agents is not None and (council.agents < 1 or council.members not in (0, council.agents)):
                wrong.append(f"{replica.name}: {role} has {council.members} agents, says {council.agents}")
            elif council.model and council.model not in model_names:
                wrong.append(f"{replica.name}: {role} uses {council.model}, not {profile.vllm.model}")
    require_none(wrong)


@check(
    "ORC-09",
    MUST,
    "unknown role and unknown task are refused properly",
    remedy="Answer NOT_FOUND or FAILED_PRECONDITION; INTERNAL says that the server is at fault",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Callers take their own mistake for a broken server, and retry requests that can never succeed.",
    needs=(Part.ORCHESTRATOR, Part.GRPC, Part.CALLS, Part.REFUSALS),
    follows=("INF-09", "INF-11", "CFG-05", "NET-05", "ORC-01"),  # a replica may ask NATS before it refuses
)
async def test_unknown_things(orchestrator: Orchestrator, profile: Profile, run_id: str) -> None:
    """NOT_FOUND or FAILED_PRECONDITION on every replica: the caller sees that the mistake is its own.

    An unknown role is all that is wrong with a request, which is else that of a deliberation of the suite; it is asked
    for where a request has a place for a role, and tasks where the contract has a method for that (`grpc.result`).
    """
    replicas, caller = orchestrator.all, caller_of(profile, orchestrator)
    contract = replicas[0].contract.section
    allowed, wrong = contract.refusals, []

    async def ask(name: str, what: str, call: Awaitable[object]) -> None:
        try:
            wrong.append(f"{name} accepts {what}: {await call}")
        except Refused as refused:
            if refused.code not in allowed:
                wrong.append(f"{name} answers {what} with {refused.code}: {refused.details[:200]}")

    async def ask_for_a_role(number: int, replica: OrchestratorReplica) -> None:
        marker, agents = f"{run_id}-no-such-role-{number}", profile.deliberations.agents
        trip = DeliberationRun(f"NO-SUCH-ROLE-{run_id}", agents, marker, replica)
        await ask(replica.name, "an unknown role", caller.start(trip, task_of(marker)))

    of_roles = replicas if can_say(profile, "role", "roles") else ()
    of_tasks = replicas if contract.result else ()
    await together(
        *(ask_for_a_role(number, replica) for number, replica in enumerate(of_roles, 1)),
        *(ask(replica.name, "an unknown task", replica.result(f"no-such-task-{run_id}")) for replica in of_tasks),
    )
    require_none(wrong, f"expected {' or '.join(allowed)}")


@check(
    "ORC-14",
    SHOULD,
    "an approved plan starts one deliberation per role",
    remedy="Subscribe durably to {plan_approved} and start the deliberation STORY-ROLE-deliberation for each of its "
    "roles",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Approved plans start nothing: their deliberations have to be started by hand.",
    needs=(Part.DELIBERATIONS, Part.GRPC, Part.CALLS, Part.PLANS, Feature.DISRUPTION),
    disrupts=Disruption.MESSAGES,
    follows=("INF-09", "ORC-04"),
)
async def test_auto_dispatch(
    deliberations: Deliberations, orchestrator: Orchestrator, nats: Nats, profile: Profile
) -> None:
    """The contract's plan leads to a completed deliberation of each of its roles, under the agreed task ids."""
    section = profile.contract.messages.plan
    assert section is not None  # else the check does not apply
    roles = profile.deliberations.roles[:2]
    plan = approved_plan(section, f"{deliberations.run_id}-story", roles, profile.deliberations.agents)
    for body in plan.bodies:
        await nats.publish(section.subject, body)
    wrong: dict[str, str] = {}

    async def dispatched() -> bool:
        for role, task_id in plan.tasks.items():
            try:
                outcome = await orchestrator.any.result(task_id)
                wrong[role] = f"{task_id}: {outcome.status} {outcome.error}" if not outcome.ended else ""
                done[role] = outcome.status
            except Refused as refused:
                wrong[role] = f"{task_id}: {refused.code}"
        return not any(wrong.values())

    done: dict[str, str] = {}
    await wait_until(dispatched, "a deliberation for each role", TIMEOUTS.deliberation, detail=lambda: str(wrong))
    not_completed = [f"{role} {status}" for role, status in done.items() if status != "COMPLETED"]
    require_none(not_completed, "dispatched, and ended as", text=f"the dispatched deliberations ended as {done}")
