"""IMG: the image that is specified is the one that runs, and it holds on its own what agents need."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

import pytest

from fixtures.checks.declaration import MUST, SHOULD, Disruption, Gate, Link, check
from fixtures.checks.remedy import steps
from fixtures.checks.requirement import require_none
from fixtures.clusters.base import Cluster, Component, Feature, Replica, Workload
from fixtures.core.errors import Inconclusive
from fixtures.core.image_reference import digest_of, is_floating, parse_reference, same_image
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.diagnostics import operator_evidence
from fixtures.diagnostics.evidence import Evidence
from fixtures.exercises.agent_jobs import AgentJobs, standard_scenarios
from fixtures.exercises.deliberations import Deliberations
from fixtures.harness.roll_out_fixtures import OnStockImage
from fixtures.probes import schema
from fixtures.probes.agent_nodes import agent_groups, agent_nodes, without_agents
from fixtures.probes.census import Census
from fixtures.probes.packaging import document_in, probe_command
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.report.model import Facts
from fixtures.services.ray import Node, Ray
from tests.e2e.repairs import correct_the_profile, image, restart_ray, roll_out
from tests.e2e.runs import DEPENDENCIES
from tests.e2e.scaling import what_moves

RAY = (Component.RAY_HEAD, Component.RAY_WORKER)
REPLICAS = (Feature.REPLICAS,)
IMAGE_RUNS = ("IMG-01", "IMG-02")  # what is said of the image and of new workers is of another one where these fail


def required(profile: Profile) -> list[str]:
    """Every module that agents of this profile import."""
    tools = profile.agent.tools.imports if profile.agent.tools.enabled and profile.agent.delivery == "image" else ()
    return [*profile.agent.imports, *tools]


def missing_in(document: Mapping[str, Any], profile: Profile) -> list[str]:
    """What a probe's document shows to be missing, of another version, or shadowed, one line each."""
    found = [f"{name}: {seen['error']}" for name, seen in document["modules"].items() if not seen["ok"]]
    for wanted in profile.agent.dependencies:
        version, imported = wanted.version_in(document["distributions"]), document["modules"].get(wanted.module, {})
        if not imported.get("ok"):
            continue
        if not wanted.is_met_by(version):
            other = f", not {wanted.asked}" if wanted.asked else ""
            found.append(f"{wanted.distribution} is {version or 'of no version'}{other}")
        elif shadow := wanted.shadow(imported, version):
            found.append(shadow)
    return found


def class_missing_in(symbols: Mapping[str, Mapping[str, Any]], profile: Profile) -> list[str]:
    """That the agent's class does not import, and why, as a line; none where it does."""
    job = profile.agent_code
    return [] if symbols[job]["ok"] else [f"{job}: {symbols[job]['error']}"]


def digest(image_id: str) -> str:
    """The beginning of a digest, enough to distinguish two."""
    return digest_of(image_id)[:19] or "digest unknown"


def names_image(wanted: str, group: Workload) -> bool | None:
    """Whether the group's specification names the image that is wanted. None where only a registry could tell: one of
    them is a digest, the other a tag, and no replica says what that resolves to.
    """
    same = same_image(wanted, group.image)
    if same is not None:
        return same
    pinned = parse_reference(wanted).digest
    if not pinned or "@" not in group.image_id:
        return None
    return digest_of(group.image_id) == pinned


@check(
    "IMG-01",
    MUST,
    "head and every worker group name the profile's image",
    remedy=steps(correct_the_profile("groups name one other image"), image()),
    concerns=RAY,
    cuts=(Link.IMPORTS,),
    impact="Agents that land on a group with another image fail when they import what that image lacks.",
    needs=(Part.IMAGE, *REPLICAS),
    gate=Gate.ALWAYS,
)
async def test_specified_image(cluster: Cluster) -> None:
    """The specification of head and of each worker group names the image of the profile, which may be another one for
    each group; one stock group is enough for agents to fail by chance of placement. A group that the profile names no
    image of may have any."""
    image = cluster.profile.ray.image_of
    groups = [group for group in await cluster.ray_groups() if image(group.name)]
    if not groups:
        raise Inconclusive("no group is there of those that the profile names an image of (ray.groups)")
    named = [(group, names_image(image(group.name), group)) for group in groups]
    wanted = ", ".join(dict.fromkeys(image(group.name) for group in groups))
    wrong = [f"{group.name}: {group.image}" for group, same in named if same is False]
    image_is = f"the profile's image is {wanted}"
    require_none(wrong, image_is, text=f"{image_is}; specified are {', '.join(wrong)}")
    if unknown := [f"{group.name} names {group.image}" for group, same in named if same is None]:
        raise Inconclusive(
            f"{'; '.join(unknown)}; the profile names {wanted}: nothing that runs says if the tag is of that digest"
        )


@check(
    "IMG-02",
    MUST,
    "every replica runs the image that the specification names now",
    remedy=steps("KubeRay does not replace pods when the image changes: restart workers and head.", restart_ray()),
    concerns=RAY,
    cuts=(Link.IMPORTS,),
    impact="What runs is not what the specification says: a restart changes the behaviour of the fleet.",
    needs=REPLICAS,
    gate=Gate.ALWAYS,
)
async def test_running_image(cluster: Cluster, note: Callable[[str], None]) -> None:
    """The digest of what runs is the digest that the specified reference resolves to: a patched specification alone
    changes nothing. Where no digest is known, the tags are compared. Digests of two architectures need not be equal,
    where it is known which one each node has.

    Source: https://docs.ray.io/en/latest/cluster/kubernetes/user-guides/upgrade-guide.html
    """
    groups = await cluster.ray_groups()
    stale = [
        f"{replica.name} runs {replica.image} ({digest(replica.image_id)}), specified is {group.image} "
        f"({digest(group.image_id)})"
        for group in groups
        for replica in group.stale
    ]
    require_none(stale)
    undecided = [
        f"{replica.name} runs {replica.image}, specified is {group.image}"
        for group in groups
        for replica in group.undecided
    ]
    if undecided:
        raise Inconclusive(f"nothing that runs says which digest a tag is of: {'; '.join(undecided)}")
    for group in groups:
        if len(set(group.image_ids.values()) - {""}) > 1:
            note(f"{group.name}: digests were compared within each architecture ({', '.join(sorted(group.image_ids))})")


@check(
    "IMG-03",
    SHOULD,
    "the image reference is pinned",
    remedy="Name a version or a digest, such as registry.example/ray:2.49.2-1 or registry.example/ray@sha256:… A "
    "floating tag such as :latest means something else tomorrow.",
    concerns=RAY,
    cuts=(),
    impact="The next pull may bring another image without anybody asking for it.",
    needs=REPLICAS,
)
async def test_pinned(cluster: Cluster) -> None:
    """A reference without tag, with :latest, main or a like one, with `latest` in it or a major version alone (:v1),
    makes restarts change the software.
    """
    loose = [f"{group.name}: {group.image}" for group in await cluster.ray_groups() if is_floating(group.image)]
    require_none(loose, "not pinned", separator=", ")


@check(
    "IMG-04",
    MUST,
    "the image alone imports all that the profile requires",
    remedy=image("Add what is missing to {image_sources}."),
    concerns=RAY,
    cuts=(Link.IMPORTS,),
    impact="Every new worker lacks what agents import: the fleet works only as long as repaired workers live.",
    needs=(Feature.FRESH_INSTANCE,),
    disrupts=Disruption.REPLICA,
    follows=(*IMAGE_RUNS, "DEP-01", "DEP-02", "DEP-03", "DEP-04", "DEP-05", "DEP-07", "DEP-08", DEPENDENCIES),
)
async def test_image_alone(cluster: Cluster, profile: Profile, evidence: Evidence) -> None:
    """A fresh instance of each image that a group of agents names, with nothing done to it, imports every required
    module in its version, and the agent's class where that comes with the image.

    In Kubernetes it has the variables that the RayCluster gives the workers by value.
    """
    groups = await agent_groups(cluster)
    assert groups, "there is no group of workers that agents run on"
    lacking, undecided = [], []
    for number, reference in enumerate(dict.fromkeys(group.image for group in groups), 1):
        try:
            lines, document = await lacks(cluster, reference, profile)
        except Inconclusive as error:  # of the next one it may be known
            undecided.append(error)
            continue
        evidence.attach(f"instance-{number}.json" if number > 1 else "instance.json", document)
        lacking += [f"{reference} lacks: {'; '.join(lines)}"] if lines else []
    require_none(lacking, separator=". ")
    if undecided:
        raise undecided[0]


async def lacks(cluster: Cluster, image: str, profile: Profile) -> tuple[list[str], dict[str, Any]]:
    """What a fresh instance of an image lacks, one line each, and the document that says so. Raises Inconclusive where
    that cannot be told of it."""
    symbols = [profile.agent_code] if profile.agent.delivery == "image" else []
    modules = list(dict.fromkeys(["ray", *required(profile)]))
    packages = profile.agent.packages
    request = json.dumps({"modules": modules, "packages": packages, "symbols": symbols, "distributions": True})
    ran = await cluster.run_image(image, probe_command(), stdin=request, timeout=TIMEOUTS.exec)
    what = f"a fresh instance of {image}"
    document = schema.read(document_in(ran.stdout, what), what)
    if document["modules"].get("ray", {}).get("missing") == "ray":
        raise Inconclusive(f"the python on the PATH of {what} has no Ray: it is not the interpreter that runs Ray")
    missing = missing_in(document, profile)
    section = schema.ProbeSection(what, document["symbols"])
    unimported = class_missing_in(section, profile) if symbols else []
    if unimported and not missing and not section[profile.agent_code]["missing"]:
        raise Inconclusive(f"{what}, which has no ConfigMaps, Secrets and volumes of the workers: {unimported[0]}")
    return [*missing, *unimported], document


async def joined(ray: Ray, new: Replica, known: Collection[str]) -> Node:
    """Ray's node of a new worker, which may be ready before Ray lists it. Raises StateNotReached where it never does.

    `known`: the ids of the nodes of before, of which one can have had the same address.
    """

    async def listed() -> Node | None:
        alive = [node for node in await ray.nodes() if node.alive and node.id not in known]
        return next((node for node in alive if new.is_node(node.name, node.address)), None)

    return await wait_until(listed, f"that Ray lists the new worker {new.name}", TIMEOUTS.ray_worker_up)


@check(
    "IMG-05",
    MUST,
    "a replaced worker has everything again",
    remedy=image("What was installed by hand is gone with the pod: put it into the image."),
    concerns=RAY,
    cuts=(Link.IMPORTS,),
    impact="The fleet works only until a worker is replaced.",
    needs=(Feature.REPLICAS, Feature.DISRUPTION),
    disrupts=Disruption.REPLICA,
    follows=(*IMAGE_RUNS, "IMG-04", "DEP-01", "DEP-02", "DEP-03", "DEP-04", "DEP-05", "DEP-07", "DEP-08", DEPENDENCIES),
    supports=("worker_recreated",),
)
async def test_replaced_worker(
    cluster: Cluster, ray: Ray, profile: Profile, take_census: Callable[[str], Awaitable[Census]], evidence: Evidence
) -> None:
    """A worker of each group that agents run on is removed and a new one takes its place: it imports all that agents
    need, their class too, and nothing was by hand.

    One after another. Of a group that is to have no workers now none is looked at.
    """
    groups = [group for group in await agent_groups(cluster) if group.desired]
    undecided = [
        f"no worker of the group {group.name} is ready, to be replaced: {group.not_ready}"
        for group in groups
        if not group.ready
    ]
    if len(undecided) == len(groups):
        raise Inconclusive("; ".join(undecided) or "no group that agents run on is to have a worker, to be replaced")
    await operator_evidence.leave(evidence, operator_evidence.BEFORE["worker"], cluster.ray_objects())
    replaced = []
    for group in groups:
        if group.ready:
            old, known = group.ready[-1], {node.id for node in await ray.nodes()}
            new = await cluster.replace(old)
            replaced.append((old, new, await joined(ray, new, known)))
    await operator_evidence.leave(evidence, operator_evidence.AFTER["worker"], cluster.ray_objects())
    reports = {report.node_id: report for report in (await take_census("census-replaced")).nodes}
    wrong = []
    for old, new, node in replaced:
        worker = reports.get(node.id)
        if worker is None:
            wrong.append(f"the new worker {new.name} joined Ray and was gone again")
        elif worker.error:
            undecided.append(f"Ray cannot run a task on the new worker {new.name}: {worker.error}")
        else:
            document = {"modules": worker.modules, "distributions": worker.distributions}
            evidence.attach(f"{new.name}.json", document | {"symbols": worker.symbols})
            if missing := [*missing_in(document, profile), *class_missing_in(worker.symbols, profile)]:
                wrong.append(f"{new.name}, which took the place of {old.name}, lacks: {'; '.join(missing)}")
    require_none(wrong, separator=". ")
    if undecided:
        raise Inconclusive("; ".join(undecided))


def behind(groups: Iterable[Workload], alive: Collection[Node]) -> list[str]:
    """The replicas that run another image than is specified, or are neither ready nor a living node of Ray's."""
    return [
        replica.name
        for group in groups
        for replica in group.replicas
        if replica in group.stale
        or not (replica.ready or any(replica.is_node(node.name, node.address) for node in alive))
    ]


@check(
    "IMG-06",
    MUST,
    "the roll-out from the stock to the custom image mends the fleet",
    remedy=roll_out("One group on the old image is enough for agents to fail."),
    concerns=RAY,
    cuts=(Link.IMPORTS,),
    impact="The fix that the missing package needs does not work: agents go on failing after the roll-out.",
    needs=(Part.HEAD_IMAGE, Feature.REPLICAS, Feature.ROLL_OUT),
    disrupts=Disruption.IMAGE,
    follows=("IMG-04", "DEP-04", "ORC-18", DEPENDENCIES),
    package="nats",
)
@pytest.mark.usefixtures("requires_custom_image")
async def test_roll_out(
    cluster: Cluster,
    jobs: AgentJobs,
    ray: Ray,
    profile: Profile,
    deliberations: Deliberations,
    take_census: Callable[[str], Awaitable[Census]],
    stock_image_run: OnStockImage,
    evidence: Evidence,
) -> None:
    """On the stock image agent jobs fail, and say that it is nats; after the roll-out everything works: workers have
    what agents import, and the head, which may have another image, loads their class, too.
    """
    failed = stock_image_run.run
    evidence.attach("on-stock-image.txt", failed.error)
    assert not failed.ok, "on the stock image the agent job succeeds: it is not the image that lacks nats-py"
    assert failed.missing_module == "nats", (
        f"on the stock image the job must be diagnosed as missing nats: {failed.summary}"
    )

    await cluster.roll_out(profile.ray.head_image)
    alive = [node for node in await ray.nodes() if node.alive]
    groups = await cluster.ray_groups()
    stale = behind(groups, alive)
    of_workers = [group for group in groups if group.component is Component.RAY_WORKER]
    late = bool(stale) and stale == behind(of_workers, alive) and not any(group.stale for group in groups)
    if late and what_moves(await cluster.workload(Component.RAY_WORKER), alive, profile):
        stale = []  # an autoscaler has asked for them since
    text = f"after the roll-out {stale} do not run what their groups name ({profile.ray.head_image})"
    require_none(stale, "after the roll-out not what its group names", text=text)
    census = await take_census("census-rolled-out")
    evidence.attach("census.json", dict(census.document))
    missing = [f"{worker.name}: {line}" for worker in census.workers for line in missing_in(vars(worker), profile)]
    missing += [
        f"{node.name}: {line}" for node in census.agent_hosts for line in class_missing_in(node.symbols, profile)
    ]
    require_none(missing, "after the roll-out")
    workers = agent_nodes(alive, await without_agents(cluster))
    scenarios = standard_scenarios(workers, profile.vllm.model)[: len(workers)]
    runs = (await jobs.run("rolled-out", scenarios)).healthy
    silent = [run.summary for run in runs if not run.ok or len(run.completed) != 1]
    require_none(silent, "after the roll-out agent jobs do not deliver")
    if profile.mode != "none":
        trip = (await deliberations.run([deliberations.new(profile.role)]))[0]
        assert trip.completed, f"after the roll-out the orchestrator gets no results: {trip.summary}"


@check(
    "IMG-07",
    SHOULD,
    "the stop-gap: a runtime_env with the missing package works on stock workers",
    remedy="The workers must reach a package index for it, and the image needs pip. "
    "Rolling out an image that has the package is the cure.",
    concerns=RAY,
    cuts=(),
    impact="Nothing bridges the time until the custom image is rolled out: until then agents fail on stock workers.",
    needs=(Part.HEAD_IMAGE, Feature.REPLICAS, Feature.ROLL_OUT),
    disrupts=Disruption.IMAGE,
    follows=("NET-04",),
    package="nats",
)
@pytest.mark.usefixtures("rollout_source_image")
async def test_stop_gap(stock_image_run: OnStockImage, facts: Facts, profile: Profile, evidence: Evidence) -> None:
    """Until the image is rolled out, runtime_env={"pip": ["nats-py==…"]} makes agent jobs work; its first run costs."""
    run, seconds = stock_image_run.stop_gap, stock_image_run.stop_gap_seconds
    how = f"runtime_env pip {stock_image_run.package}"
    assert not isinstance(run, str), f"Ray cannot run a job with {how}: {run}"
    evidence.attach("stop-gap.txt", run.error or f"worked; the first run took {seconds:.1f} s\n")
    facts.measurements["stop-gap runtime_env, first run s"] = round(seconds, 2)
    assert run.ok and len(run.completed) == 1, f"with {how}: {run.summary}"
