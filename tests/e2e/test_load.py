"""LOAD: what holds for one agent job holds for hundreds (`-m load`, `--load-jobs N`, `--soak-minutes M`)."""

from __future__ import annotations

from collections import Counter
from statistics import median

from fixtures.checks.declaration import MUST, SHOULD, Link, check
from fixtures.checks.remedy import ENDPOINTS, KUBERNETES, about, do, kubectl, shell, steps
from fixtures.checks.requirement import require_none
from fixtures.clusters.base import Component
from fixtures.core import release
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.diagnostics.evidence import Evidence
from fixtures.exercises.acknowledgement import Awaited, Before, wait_until_acknowledged
from fixtures.exercises.deliberations import over, percentile
from fixtures.exercises.load.jobs import Load, dropped_after
from fixtures.exercises.load.over_time import over_time
from fixtures.exercises.load.plot import drawn
from fixtures.exercises.residue import actors_that_stay
from fixtures.harness.outcome import skip_unsupported
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.profile.remedy_values import About
from fixtures.report.model import Facts
from fixtures.services.nats import Nats
from fixtures.services.ray import Ray, shown_names
from tests.e2e.repairs import EVIDENCE, nats_cli, nats_reached, ray_cli

AGENTS = (Component.RAY_HEAD, Component.RAY_WORKER, Component.NATS, Component.VLLM)
SHOWN = 5  # of many that are wrong alike
FAIR = 0.5  # of a worker's share
LEAST = 2  # jobs: a smaller share says nothing


def some(lines: list[str]) -> str:
    more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


@check(
    "LOAD-01",
    MUST,
    "every agent job of a load returns its result",
    remedy=steps(
        "What fails for one of many is shared: connections, rates, memory, files.",
        do("Look at the workers while the load runs:", KUBERNETES, ENDPOINTS),
        ray_cli("list actors --filter state=DEAD --detail"),
    ),
    concerns=AGENTS,
    cuts=(Link.JOB,),
    impact="With many agents at once some of them fail or never return: busy hours lose answers.",
    follows=("INF-09", "JOB-02", "JOB-03", "JOB-04"),
)
async def test_every_job_returns(load: Load, facts: Facts, evidence: Evidence) -> None:
    """Hundreds of agent jobs, as many at a time as there are CPUs: each one returns, none raises, none is forgotten."""
    rows = [
        {"task": job.task_id, "node": job.node, "seconds": round(job.seconds, 3), "error": job.error}
        for job in load.jobs
    ]
    evidence.attach(
        "load.json", {"jobs": load.asked, "at once": load.concurrency, "seconds": load.seconds, "each": rows}
    )
    course = over_time(load)
    evidence.attach("load-over-time.json", course)
    if release.can_draw():
        evidence.attach("load-over-time.png", drawn(course))
    facts.measurements |= {
        "load: agent jobs": load.asked,
        "load: at a time": load.concurrency,
        "load: agent jobs per second": round(load.per_second, 2),
        **{
            f"load: memory of {name}, {what} in MiB/min": value
            for name, found in course["MiB per minute"].items()
            for what, value in found.items()
        },
    }
    away = {job.task_id: job for job in load.of_gone_nodes}
    errors = Counter(job.error for job in load.jobs if job.error and job.task_id not in away)
    wrong = [f"{error} (×{count})" for error, count in errors.items()]
    if len(load.jobs) < load.asked:
        wrong.append(f"{load.asked - len(load.jobs)} were not begun within {load.limit:g} s")
    failed_on = {job.node for job in load.jobs if job.error and job.task_id not in away}
    if len(load.jobs) == load.asked and "" not in failed_on and load.unplaced.may_be(len(failed_on), len(load.workers)):
        raise Inconclusive(f"{some(wrong)}; {load.unplaced.why}")
    missing = f"{load.asked - len(load.good)} of {load.asked} agent jobs returned no result"
    require_none(wrong, missing, text=f"{missing}: {some(wrong)}")
    if away:
        lost = (
            f"{len(away)} of {load.asked} agent jobs returned no result, of workers that left Ray's cluster meanwhile"
        )
        raise Inconclusive(f"{lost}: {some(sorted({job.error for job in away.values()}))}")


@check(
    "LOAD-02",
    MUST,
    "under load no result is lost, doubled or another's",
    remedy=steps(
        "Publish with JetStream, wait for its acknowledgement (js.publish), once for each job, under a message id of "
        "task and agent.",
        nats_reached(),
        nats_cli("See what the stream has:", "stream info {stream}"),
    ),
    concerns=AGENTS,
    cuts=(Link.PUBLISH,),
    impact="With many agents at once results are lost, doubled or assigned to other tasks.",
    follows=("JOB-05", "JOB-06", "LOAD-01"),
)
async def test_nothing_lost_or_doubled(load: Load) -> None:
    """The stream holds exactly one completed message of each job that returned, and nothing that is none of theirs.

    Where its limits dropped messages during the load, what was lost cannot be told.
    """
    if not load.good:
        raise Inconclusive("no agent job of the load returned")
    lost = [f"{job.task_id} published no result" for job in load.good if not job.completed]
    doubled = [f"{job.task_id} ×{len(job.completed)}" for job in load.jobs if len(job.completed) > 1]
    both = [f"{job.task_id} returned a result" for job in load.good if job.failed]
    foreign = [f"{what} ×{count}" for what, count in load.strangers.items()]
    for lines, heading in (
        ([] if load.dropped else lost, "lost"),
        (doubled, "published more than once"),
        (both, "published as failed, too"),
        (foreign, "published under the name of none of the jobs"),
    ):
        require_none(lines, heading, text=f"{heading}: {some(lines)}")
    if load.dropped:
        raise Inconclusive(load.dropped)


@check(
    "LOAD-03",
    MUST,
    "the orchestrator takes in every result of a load, once",
    remedy=steps(
        "Acknowledge each message once it is stored, within the consumer's ack wait.",
        nats_reached(),
        nats_cli("See what is pending:", "consumer info {stream} {completed_consumer}"),
    ),
    concerns=(Component.ORCHESTRATOR, Component.NATS),
    cuts=(Link.COLLECT,),
    impact="The orchestrator falls behind a burst of results, or takes in some of them twice: "
    "deliberations complete late or wrong.",
    needs=(Part.CONSUMERS,),
    follows=("INF-12", "ORC-10", "LOAD-02"),
)
async def test_collector_takes_in_all(load: Load, nats: Nats, profile: Profile) -> None:
    """The orchestrator's consumer keeps up with a load: it has passed its last result, and had each delivered once.

    What others publish meanwhile is counted, too. Where that may be what was delivered again, or where the stream's
    limits dropped messages since the load began, it cannot be decided.
    """
    stream, name, before = profile.nats.stream, profile.nats.consumers.completed, load.collector
    if isinstance(before, NonConformance):
        raise before
    if dropped := load.dropped or await dropped_after(nats, stream, load.sequence):
        raise Inconclusive(dropped)
    results = frozenset(message.sequence for job in load.jobs for message in job.completed)
    if not results:
        raise Inconclusive("the load published no result that the orchestrator could take in")
    place, floor = before.delivered.stream_seq, before.ack_floor.stream_seq
    since = Before(place, before.num_ack_pending, before.num_redelivered, floor)
    what = f"that {name} has acknowledged sequence {max(results)}"
    after = (await wait_until_acknowledged(nats, stream, [Awaited(name, results, since)], what))[name]
    published = sum(
        after.config.reads(message.subject) and message.sequence <= after.delivered.stream_seq
        for message in await nats.messages(
            stream, before.delivered.stream_seq, subjects=after.config.filters, bodies=False
        )
    )
    if dropped := await dropped_after(nats, stream, load.sequence):
        raise Inconclusive(dropped)
    deliveries, others = after.delivered.consumer_seq - before.delivered.consumer_seq, published - len(results)
    lines = f"{name} had {published} results to deliver, and delivered {deliveries} times"
    if deliveries > published and (others > 0 or before.num_ack_pending):
        raise Inconclusive(
            f"{lines}: {others} of them are not of the load, and {before.num_ack_pending} were unacknowledged before it"
        )
    assert deliveries == published, lines


@check(
    "LOAD-04",
    SHOULD,
    "a load is spread over all workers",
    remedy=about(
        About.RAY,
        "See what holds a worker's CPUs, or keeps its processes from starting.",
        kubectl("-n {ray_namespace} exec service/{head_service} -- ray status -v"),
        shell("curl -sS {dashboard}/api/cluster_status", ENDPOINTS),
        EVIDENCE,
    ),
    concerns=AGENTS,
    cuts=(),
    impact="Some workers idle while others queue: deliberations take longer than the hardware requires.",
    follows=("INF-06", "INF-07", "LOAD-01"),
)
async def test_spread(load: Load) -> None:
    """No worker is idle while others work: each runs at least half of what is its share by its CPUs.

    Where some workers are for other work, the suite puts each job on one that runs agents: Ray's choice is not seen.
    """
    if load.pinned:
        skip_unsupported(
            "Ray would choose among workers for other work, too (ray.groups, runs_agents = false): the suite puts each "
            "job of the load on one that runs agents, by their CPUs"
        )
    cpus = {node.id: node.resources.get("CPU", 0.0) for node in load.workers}
    names, ran = shown_names(load.workers), Counter(job.node for job in load.jobs)
    wrong = []
    for node in load.workers:
        share = load.asked * cpus[node.id] / (sum(cpus.values()) or 1)
        if 0 < share < LEAST:
            raise Inconclusive(f"{load.asked} agent jobs are too few for {len(load.workers)} workers (--load-jobs)")
        if ran[node.id] < FAIR * share:
            wrong.append(f"{names[node.id]} ran {ran[node.id]}, its share is {share:.0f}")
    assert ran, "no agent job of the load was begun"
    if load.unplaced.may_be(len(wrong), len(load.workers)):
        raise Inconclusive(f"{some(wrong)}; {load.unplaced.why}")
    of_all = f"of {load.asked} agent jobs on {len(load.workers)} workers"
    require_none(wrong, of_all, text=f"{of_all} {some(wrong)}")


@check(
    "LOAD-05",
    SHOULD,
    "under load agent jobs keep the profile's limits",
    remedy="Fewer at a time (--load-concurrency), more workers or a faster vLLM; limits.round_trip_p50_s and _p95_s "
    "are the bounds",
    concerns=AGENTS,
    cuts=(),
    impact="In busy hours agents take longer than agreed; none is lost.",
    follows=("E2E-05", "LOAD-01"),
)
async def test_limits(load: Load, profile: Profile, facts: Facts) -> None:
    """With as many at work as there are CPUs, a job takes no longer than a round trip may,
    as median and as 95th percentile.
    """
    seconds = [job.seconds for job in load.good]
    if not seconds:
        raise Inconclusive("no agent job of the load returned")
    p50, p95 = median(seconds), percentile(seconds, 95)
    facts.measurements |= {"load: agent job p50 s": round(p50, 3), "load: agent job p95 s": round(p95, 3)}
    late = over(p50, p95, profile)
    assert not late, f"under load {late}, with {load.concurrency} at a time"


@check(
    "LOAD-06",
    MUST,
    "after a load nothing of it is left",
    remedy=steps(
        "End agents when their answer is there, and what they start with them.",
        do("See which are alive:", KUBERNETES, ENDPOINTS),
        ray_cli("list actors --filter state=ALIVE"),
    ),
    concerns=AGENTS,
    cuts=(),
    impact="Each load leaves actors that hold CPUs and memory: the fleet gets slower until Ray is restarted.",
    follows=("JOB-11", "LOAD-01"),
)
async def test_nothing_left(load: Load, ray: Ray, run_id: str) -> None:
    """No actor that the load started lives on, its agents' own included: what one leaves,
    hundreds leave hundreds of.
    """
    stay = await actors_that_stay(ray, f"{run_id}-load", load.job_id)
    alive = f"actors live on after the load ({len(stay)})"
    require_none(stay, alive, text=f"{alive}: {some(stay)}")
