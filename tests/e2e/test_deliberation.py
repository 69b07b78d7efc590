"""E2E: deliberations as users run them, from Deliberate through Ray, vLLM and NATS and back."""

from __future__ import annotations

from collections import Counter
from statistics import median

from fixtures.checks.declaration import MUST, SHOULD, Link, check
from fixtures.checks.requirement import require_none
from fixtures.clusters.base import Cluster, Component, Feature
from fixtures.core.errors import Inconclusive
from fixtures.diagnostics.evidence import Evidence
from fixtures.exercises.causes import temperatures_differ
from fixtures.exercises.deliberation_run import DeliberationRun
from fixtures.exercises.deliberations import Deliberations, over, percentile
from fixtures.exercises.proxied import raise_if_bypassed
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.profile.start_request import can_say
from fixtures.report.model import Facts
from fixtures.services.vllm import FaultProxy

FLEET = (Component.ORCHESTRATOR, Component.RAY_HEAD, Component.RAY_WORKER, Component.NATS, Component.VLLM)
#: What a caller demands: each value of the request, and the texts by which it is known in a prompt.
DEMANDS = {"rubric": ("rubric",), "requirements": ("requirement",), "metadata": ("key", "value")}
CHAIN = ("INF-09", "DEP-04", "JOB-04", "JOB-05", "ORC-02", "ORC-03", "ORC-04")


@check(
    "E2E-01",
    MUST,
    "the full round trip, for every role",
    remedy="The first failed check above names the broken link; follow its remedy first",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Deliberations do not come back complete: users get no answer, or one without all agents.",
    needs=(Part.DELIBERATIONS,),
    follows=(*CHAIN, "ORC-05", "ORC-06"),
    supports=("works",),
    never_excused=True,
)
async def test_round_trip(round_trips: list[DeliberationRun], profile: Profile) -> None:
    """For each role a deliberation of three agents goes all the way: the one thing that no part's health can show."""
    missing = set(profile.deliberations.roles) - {trip.role for trip in round_trips}
    wrong = [trip.summary for trip in round_trips if not trip.completed or len(trip.proposals) != trip.agents]
    require_none(sorted(missing), "no deliberation ran for", text=f"no deliberation ran for {missing}")
    require_none(wrong, "the round trip is broken")


@check(
    "E2E-02",
    MUST,
    "ten deliberations at once: none lost, crossed or duplicated",
    remedy="Look for state that tasks share in the orchestrator: answers must be keyed by task_id and agent_id",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="Deliberations that run at the same time lose answers, or get each other's.",
    needs=(Part.DELIBERATIONS,),
    follows=(*CHAIN, "INF-06", "INF-07", "ORC-05"),
)
async def test_ten_at_once(burst: list[DeliberationRun]) -> None:
    """Each completes with its own agents' proposals, every message belongs to one task, and none comes twice."""
    lost = [trip.summary for trip in burst if not trip.completed or len(trip.proposals) != trip.agents]
    require_none(lost, "lost")
    crossed, doubled = [], []
    for trip in burst:
        completed = [message for message in trip.messages if message.kind == "completed"]
        published = Counter(message.agent_id for message in completed)
        doubled += [f"{trip.description}: {agent} ×{count}" for agent, count in published.items() if count > 1]
        own = {message.agent_id: message.text("content") for message in completed}
        crossed += [
            f"{trip.description}: the proposal of {proposal.author} is not what that agent published for this task"
            for proposal in trip.proposals
            if own.get(proposal.author) != proposal.content
        ]
    ids = Counter(trip.task_id for trip in burst)
    shared = [f"{id} ×{count}" for id, count in ids.items() if count > 1]
    require_none(shared, "task ids are not unique")
    require_none(crossed, "crossed")
    require_none(doubled, "published more than once")


@check(
    "E2E-03",
    MUST,
    "diversity: the first agent at the base temperature, the others above it",
    remedy="Submit the first agent with diversity=False and the others with diversity=True, which multiplies the "
    "temperature by {diversity_factor}",
    concerns=FLEET,
    cuts=(Link.COLLECT,),
    impact="All agents answer alike, or none at the base temperature: a deliberation chooses among copies.",
    needs=(Part.DELIBERATIONS, Part.DIVERSITY),
    follows=(*CHAIN, "CFG-01", "CFG-02", "CFG-07", "ORC-17"),
)
async def test_diversity(
    round_trips: list[DeliberationRun], profile: Profile, cluster: Cluster, fault_proxy: FaultProxy
) -> None:
    """Of each deliberation's messages one has diversity=false and the base temperature, all others true and × 1.3.

    Where the suite's proxy is between the agents and vLLM, and can know their requests by the task, these have the
    temperatures, too.
    """
    fields = profile.contract.messages.completed.fields.paths
    base, raised = profile.agent.temperature, profile.agent.temperature * profile.deliberations.diversity_factor
    wrong, looked = [], 0
    for trip in round_trips:
        completed = [message for message in trip.messages if message.kind == "completed"]
        looked += len(completed)
        plain = [message for message in completed if message.flag("diversity") is False]
        if len(plain) != 1:
            wrong.append(f"{trip.description}: {len(plain)} agents with diversity=false, not one")
        for message in completed:
            diversity, used = message.flag("diversity"), message.number("temperature")
            expected = raised if diversity else base
            if "temperature" in fields and (used is None or abs(used - expected) > 1e-6):
                wrong.append(
                    f"{trip.description}: {message.agent_id} (diversity={diversity}) used temperature "
                    f"{used}, not {expected:g}"
                )
    assert looked, "no completed message of a deliberation to look at"
    require_none(wrong)
    if "temperature" in fields and can_say(profile, "task") and Feature.FAULT_PROXY not in cluster.unsupported:
        await _asked_as_they_say(round_trips, fault_proxy)


async def _asked_as_they_say(trips: list[DeliberationRun], fault_proxy: FaultProxy) -> None:
    """The requests that the proxy has seen have the temperatures that the agents' messages name."""
    wrong, unseen = [], []
    for trip in trips:
        completed = [message for message in trip.messages if message.kind == "completed"]
        named = [message.number("temperature") for message in completed]
        prompts = [prompt.get("temperature") for prompt in await fault_proxy.prompts(f"Task {trip.marker}.")]
        asked = [float(value) if isinstance(value, int | float) else None for value in prompts]
        if len(asked) < len(completed):
            unseen.append(f"{trip.description}: {len(asked)} requests of {len(completed)} agents that answered")
        elif difference := temperatures_differ([value for value in named if value is not None], asked):
            wrong.append(f"{trip.description}: {difference}")
    require_none(wrong)
    if unseen:
        raise Inconclusive(
            f"the suite's proxy, which VLLM_URL should lead to, has seen too little: {'; '.join(unseen)}"
        )


@check(
    "E2E-04",
    SHOULD,
    "rubric, requirements and metadata reach the prompt",
    remedy="Hand the whole of TaskConstraints to the agent job, and put all of it into its system prompt",
    concerns=FLEET,
    cuts=(),
    impact="Agents do not see what the caller demanded: proposals ignore rubric, requirements or metadata.",
    needs=(Part.CONSTRAINTS, Part.DELIBERATIONS, Part.TASKS, Feature.FAULT_PROXY),
    follows=(*CHAIN, "ORC-17"),
)
async def test_constraints_reach_the_prompt(
    deliberations: Deliberations, fault_proxy: FaultProxy, profile: Profile, evidence: Evidence
) -> None:
    """What the caller demands of a proposal is in every agent's request to vLLM, as the suite's proxy sees it.

    A request for a deliberation need not have a place for all of it.
    """
    trip = deliberations.new(profile.deliberations.roles[0])
    marks = {part: f"{part}-{trip.marker}" for parts in DEMANDS.values() for part in parts}
    demanded = [part for value, parts in DEMANDS.items() if can_say(profile, value) for part in parts]
    await deliberations.begin(
        trip, rubric=marks["rubric"], requirements=[marks["requirement"]], metadata={marks["key"]: marks["value"]}
    )
    await deliberations.finish(trip)
    prompts = await fault_proxy.prompts(f"Task {trip.marker}.")
    evidence.attach("prompts.json", prompts)
    raise_if_bypassed(trip, len(prompts))
    assert prompts, f"no request of this task reached vLLM: {trip.summary}"
    texts = [str(prompt.get("messages")) for prompt in prompts]
    without = {part: sum(marks[part] not in text for text in texts) for part in demanded}
    dropped = [f"{part} (missing in {count} of {len(texts)} requests)" for part, count in without.items() if count]
    require_none(dropped, f"not in the prompt of each of {trip.agents} agents", separator=", ")
    if len(texts) < trip.agents:
        raise Inconclusive(f"the suite's proxy has seen {len(texts)} requests of {trip.agents} agents: {trip.summary}")


@check(
    "E2E-05",
    SHOULD,
    "round trips keep the profile's limits",
    remedy="See which leg is slow in the evidence; start-up of agents dominates where CPUs are scarce "
    "(limits.round_trip_p50_s and _p95_s are the bounds)",
    concerns=FLEET,
    cuts=(),
    impact="Deliberations take longer than agreed; none is lost.",
    needs=(Part.DELIBERATIONS,),
    follows=(*CHAIN, "E2E-01", "E2E-02"),
)
async def test_round_trip_times(
    round_trips: list[DeliberationRun], burst: list[DeliberationRun], profile: Profile, facts: Facts, evidence: Evidence
) -> None:
    """Median and 95th percentile of the round trip, and of each of its legs,
    are measured, and within the bounds that the profile has (seconds).
    """
    done = [trip for trip in (*round_trips, *burst) if trip.completed]
    assert done, "no deliberation completed: there is nothing to measure"
    seconds = [trip.seconds for trip in done]
    p50, p95 = median(seconds), percentile(seconds, 95)
    facts.measurements |= {"round trip p50 s": round(p50, 3), "round trip p95 s": round(p95, 3)}
    phases: dict[str, list[float]] = {}
    for trip in done:
        for leg, took in trip.phases().items():
            phases.setdefault(leg, []).append(took)
    for leg in sorted(phases):
        facts.measurements[f"leg: {leg}, p50 s"] = round(median(phases[leg]), 3)
        facts.measurements[f"leg: {leg}, p95 s"] = round(percentile(phases[leg], 95), 3)
    evidence.attach("legs.json", [{"task": trip.task_id, "seconds": trip.seconds, **trip.phases()} for trip in done])
    slowest = max(phases, key=lambda leg: median(phases[leg]), default="none was measured")
    late = over(p50, p95, profile)
    assert not late, f"{late}; the slowest leg is {slowest}"
