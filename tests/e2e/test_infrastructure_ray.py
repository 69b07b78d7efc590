"""INF: Ray is there, complete, and of one version."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from fixtures.checks.declaration import MUST, Gate, Link, check
from fixtures.checks.remedy import EMBEDDED, ENDPOINTS, KUBERNETES, about, do, kubectl, shell, steps
from fixtures.checks.requirement import by_place, require_none
from fixtures.clusters.base import Cluster, Component, Workload
from fixtures.core.errors import Inconclusive
from fixtures.core.polling import StateNotReached, wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.core.versions import is_version
from fixtures.diagnostics import operator_evidence
from fixtures.diagnostics.evidence import Evidence
from fixtures.probes.agent_nodes import require_groups
from fixtures.probes.census import Census
from fixtures.probes.components import Components
from fixtures.profile.amounts import Span, holds, shown
from fixtures.profile.model import Profile
from fixtures.profile.remedy_values import About
from fixtures.profile.scalars import bytes_of
from fixtures.services.ray import Node, Ray, shown_names
from tests.e2e.repairs import EVIDENCE, RAY_PODS, WORKERS, correct_the_profile, roll_out
from tests.e2e.scaling import by_amount, run, what_moves

WANTS_TOKENS = ("token", "k8s")  # what Ray reports as its mode


@check(
    "INF-05",
    MUST,
    "Ray: head runs, GCS and dashboard answer",
    remedy=about(
        About.RAY,
        do("See what KubeRay says of the cluster, and what the head's log says:", KUBERNETES),
        kubectl("-n {ray_namespace} get raycluster {ray_cluster} -o wide"),
        kubectl(f"-n {{ray_namespace}} describe pods {RAY_PODS},ray.io/node-type=head"),
        kubectl(f"-n {{ray_namespace}} logs {RAY_PODS},ray.io/node-type=head --tail=50"),
        do("Look for the head's process and its log where it runs, and ask its dashboard:", ENDPOINTS),
        shell("curl -sS {dashboard}/api/version", ENDPOINTS),
        do("Where it answers without a token: see what the head was started with (RAY_AUTH_MODE).", KUBERNETES),
        kubectl("-n {ray_namespace} exec service/{head_service} -- sh -c 'echo \"${RAY_AUTH_MODE:-not set}\"'"),
        do(
            "Then set `authOptions: { mode: token }` of the RayCluster, which restarts head and workers, or correct "
            "ray.auth.mode of the profile.",
            KUBERNETES,
        ),
        do(
            "Where it answers without a token: start the head again with RAY_AUTH_MODE=token and the token that the "
            "other parts have, or correct ray.auth.mode of the profile.",
            ENDPOINTS,
        ),
        EVIDENCE,
    ),
    concerns=(Component.RAY_HEAD,),
    cuts=(Link.JOB,),
    impact="No agent job can be started at all, or anybody who reaches Ray can start one.",
    supports=("installed", "reconciled"),
    never_excused=True,
    gate=Gate.ALWAYS,
)
async def test_ray_is_ready(
    components: Components,
    cluster: Cluster,
    evidence: Evidence,
    ray: Ray,
    profile: Profile,
    note: Callable[[str], None],
) -> None:
    """The head is alive in Ray's own node table, which GCS keeps and the dashboard shows, and asks for a token where
    the profile says so (`ray.auth.mode`). After a restart its earlier life may be listed, too, until Ray has found that
    it does not answer: that is waited for.

    Without it no job can be submitted and running ones cannot be followed. A head without a token, among parts that
    have one, runs what anybody sends it, and has none for its own requests to the workers. In Kubernetes it leaves as
    evidence what the API server reports of KubeRay and of its RayCluster; `ci/report --cncf` reads it.
    """
    await operator_evidence.leave(evidence, operator_evidence.OPERATOR, cluster.operator())
    await operator_evidence.leave(evidence, operator_evidence.RAY, cluster.ray_objects())
    workload = components.workload(Component.RAY_HEAD)
    assert workload is None or workload.ready, f"the head's replica is not ready: {workload.not_ready}"
    components.ray_version.get()  # raises where the dashboard does not answer
    if profile.ray.auth.mode == "token":
        await raise_if_without_token(ray, note)
    heads = await living_heads(components, ray)
    alive = [node for node in heads if node.alive]
    replicas = workload.ready if workload else ()
    own = [node for node in alive if any(replica.is_node(node.name, node.address) for replica in replicas)]
    if len(own) == 1 < len(alive):
        raise Inconclusive(
            f"Ray lists {len(alive)} living heads, and one of them has a replica: a head of an earlier life counts as "
            "alive until Ray has found that it does not answer"
        )
    assert len(alive) == 1, f"Ray lists {len(alive)} living heads, not one ({[node.reason for node in heads]})"
    complaint = await cluster.raycluster_not_ready_reason()
    if complaint and await cluster.raycluster_was_never_ready() and workers_are_not_ready_on_purpose(components):
        return
    assert not complaint, f"Ray answers, but its own object in Kubernetes says: {complaint}"


async def raise_if_without_token(ray: Ray, note: Callable[[str], None]) -> None:
    """Raises AssertionError where Ray asks nobody for a token; what stands before Ray may ask, or let everybody in."""
    lets_in, mode = await ray.lets_in_strangers("/api/version"), await ray.authentication_mode()
    wrong = mode == "disabled" or (lets_in and mode not in WANTS_TOKENS)
    does = f"answers without a token at {ray.url}" if lets_in else f"asks for no token itself, behind {ray.url}"
    says = f"reports that its mode is {mode!r}" if mode else "knows no such mode, as before 2.52"
    assert not wrong, (
        f'Ray\'s head {does}, and the profile says ray.auth.mode = "token": it {says}. Start it with '
        "RAY_AUTH_MODE=token, or correct the profile"
    )
    if lets_in:
        note(f"{ray.url} lets everybody in: something before Ray adds a token, which Ray itself asks for")


def workers_are_not_ready_on_purpose(components: Components) -> bool:
    """Whether all workers that are asked for run and are alive in Ray, while probes call some of them not ready: until
    all were ready once KubeRay does not call the cluster ready.

    Source: calculateStatus in
    https://github.com/ray-project/kuberay/blob/master/ray-operator/controllers/ray/raycluster_controller.go
    """
    workers = components.workload(Component.RAY_WORKER)
    if workers is None or len(workers.ready) >= workers.desired:
        return False
    return len(run(workers, [node for node in components.ray_nodes.get() if node.alive])) >= workers.desired


def uneven_groups(workers: Workload, profile: Profile) -> list[str]:
    """The groups that ask for another number of workers than the profile, where it names all of them."""
    return [
        f"{group.name} {group.desired}, not {shown(amount)}"
        for amount, group in by_amount(workers, profile)
        if not holds(amount, group.desired)
    ]


async def living_heads(components: Components, ray: Ray) -> list[Node]:
    """Ray's rows of heads; asked again while one of an earlier life may be in them, or a new one not yet."""
    rows = components.ray_nodes.get()

    async def one() -> bool:
        nonlocal rows
        rows = await ray.nodes()
        return sum(node.head and node.alive for node in rows) == 1

    if sum(node.head and node.alive for node in rows) != 1:
        with suppress(StateNotReached):
            await wait_until(one, "one living head", TIMEOUTS.ray_node_gone, every=0.5)
    return [node for node in rows if node.head]


async def living_workers(
    components: Components, cluster: Cluster, ray: Ray, wanted: int | Span
) -> tuple[Workload | None, list[Node]]:
    """The workers' replicas, and Ray's living workers. Both are looked at again for as long as Ray may list a worker
    whose pod is gone, or, where their number is open, may not list one yet whose pod is ready."""
    workload, rows = components.workload(Component.RAY_WORKER), components.ray_nodes.get()

    def living() -> list[Node]:
        return [node for node in rows if node.alive and not node.head]

    def agree() -> bool:
        assert workload is not None
        few = len(workload.ready) if isinstance(wanted, Span) else 0
        return few <= len(living()) <= len(workload.replicas)

    async def look() -> bool:
        nonlocal workload, rows
        workload, rows = await asyncio.gather(cluster.workload(Component.RAY_WORKER), ray.nodes())
        return agree()

    if workload and not agree():
        with suppress(StateNotReached):
            await wait_until(look, "Ray's list of the workers", TIMEOUTS.ray_node_gone, every=0.5)
    return workload, living()


def disagreement(workload: Workload | None, alive: Sequence[Node], wanted: int | Span) -> str:
    """How the running replicas, or Ray's living workers, are not as many as are asked for; "" where they are."""
    names = ", ".join(sorted(shown_names(alive).values())) or "none"
    if workload and len(running := run(workload, alive)) < workload.desired:
        return f"{len(running)} of {workload.desired} worker replicas run ({workload.not_ready}); Ray lists {names}"
    expected = workload.desired if workload else wanted
    if not holds(expected, len(alive)):
        return f"Ray's node table has {len(alive)} living workers ({names}), not {shown(expected)}"
    return ""


@check(
    "INF-06",
    MUST,
    "Ray: desired workers = running replicas = alive nodes",
    remedy=about(
        About.RAY,
        do("See why a worker is not there or not ready. The cluster's events name a quota that it meets:", KUBERNETES),
        WORKERS,
        kubectl(f"-n {{ray_namespace}} describe pods {RAY_PODS},ray.io/node-type=worker"),
        kubectl("-n {ray_namespace} describe raycluster {ray_cluster}"),
        kubectl("-n {ray_namespace} get resourcequotas"),
        do(
            "Where the specification asks for another number than the profile: change replicas of the worker group, or "
            "ray.groups of the profile.",
            KUBERNETES,
        ),
        do("Start the workers that are missing, or correct ray.groups of the profile.", ENDPOINTS),
        do("Where one runs and Ray does not list it, it has lost its raylet.", ENDPOINTS, EMBEDDED),
        do(
            "Where one runs and Ray does not list it, it has lost its raylet. Set POD to its name and read why, before "
            "the pod and its logs are gone:",
            KUBERNETES,
        ),
        kubectl(
            '-n {ray_namespace} exec "${POD:?}" -- '
            "sh -c 'tail -n 50 /tmp/ray/session_latest/logs/raylet.err /tmp/ray/session_latest/logs/raylet.out'"
        ),
        do("Then have KubeRay replace it:", KUBERNETES),
        kubectl('-n {ray_namespace} delete pod "${POD:?}"'),
        do("Read /tmp/ray/session_latest/logs/raylet.err there, then start the worker again.", ENDPOINTS),
        EVIDENCE,
    ),
    concerns=(Component.RAY_HEAD, Component.RAY_WORKER),
    cuts=(Link.JOB,),
    impact="Agent jobs wait for workers that are not there.",
    follows=("INF-05",),
    supports=("reconciled",),
    gate=Gate.ALWAYS,
)
async def test_workers_agree(
    components: Components, cluster: Cluster, ray: Ray, profile: Profile, note: Callable[[str], None]
) -> None:
    """The specification, the running replicas and Ray's own node table agree on the number of workers, which is the
    profile's, in each group and together. What the specification asks for is its replicas within minReplicas and
    maxReplicas, times numOfHosts, and none while a group is suspended.

    A pod can be Running while the raylet in it is dead: then Ray does not count it, and Kubernetes does not notice.
    One that Ray counts runs, ready or not: where Ray Serve is used, a worker without a replica of Serve is not ready on
    purpose. Source: https://docs.ray.io/en/latest/cluster/kubernetes/user-guides/rayservice-high-availability.html

    Where the profile leaves the number open (`{ min, max }`), as for an autoscaler, it cannot be told while a worker
    starts or ends and as many run as may be. One whose pod has ended is in Ray's table until Ray has found that it does
    not answer: that is waited for.

    Where the profile names other groups than there are, their sum is judged. A group for other work (`runs_agents =
    false`) must be there: else nobody knows where agents are not placed.
    """
    wanted = profile.ray.wanted
    workload, alive = await living_workers(components, cluster, ray, wanted)
    more = f" ({workload.scaling})" if workload and workload.scaling else ""
    if workload:
        assert holds(wanted, workload.desired), (
            f"the specification asks for {workload.desired} workers, the profile for {shown(wanted)}{more}"
        )
        uneven = uneven_groups(workload, profile)
        others = "the specification asks for other numbers than the profile"
        require_none(uneven, others, text=f"{others}: {'; '.join(uneven)}{more}")
    odd = disagreement(workload, alive, wanted)
    if odd and workload and (moves := what_moves(workload, alive, profile)):
        raise Inconclusive(f"{odd}: {moves}{more}")
    assert not odd, f"{odd}{more}"
    if workload:
        for name in workload.suspended:
            note(f"group {name} is suspended")
        require_groups([group.name for group in profile.ray.groups if not group.runs_agents], list(workload.by_group))


def shortfall(total: Mapping[str, float], need: Mapping[str, float]) -> list[str]:
    """What there is less of than must be, in words: "GPU: 1 of 2"."""
    return [f"{key}: {total[key]:g} of {need[key]:g}" for key in need if total[key] < need[key]]


@check(
    "INF-07",
    MUST,
    "Ray: resources cover the profile's",
    remedy=about(
        About.RAY,
        "Compare the resources and rayStartParams of head and worker groups with the profile's ray.resources.",
        kubectl("-n {ray_namespace} get raycluster {ray_cluster} -o yaml"),
        do("Where ray.resources.counted is requests, what the pods ask for is summed up in its status:", KUBERNETES),
        kubectl("-n {ray_namespace} get raycluster {ray_cluster}"),
        shell("curl -sS {dashboard}/api/cluster_status", ENDPOINTS),
        EVIDENCE,
    ),
    concerns=(Component.RAY_HEAD, Component.RAY_WORKER),
    cuts=(Link.JOB,),
    impact="Agent jobs wait for resources that the cluster does not have.",
    follows=("INF-05", "INF-06"),
    supports=("works",),
)
async def test_ray_resources(ray: Ray, cluster: Cluster, profile: Profile) -> None:
    """GPUs, CPUs and memory of all workers together are at least what the profile names; else agents queue forever.

    What the head offers does not count: no agent of a deliberation may run there. Where the profile counts requests
    (ray.resources.counted), it is what all pods of the RayCluster ask for, the head's among them, by its own status:
    what Ray offers may be any number that somebody gave it.
    """
    wanted = profile.ray.resources
    need = {"GPU": wanted.gpus, "CPU": wanted.cpus, "memory": bytes_of(wanted.memory)}
    if wanted.counted == "requests":
        short, counted = shortfall(await cluster.requested_resources(), need), " (its status; memory in bytes)"
        little = "the pods of the RayCluster ask for too little of"
        require_none(short, little, text=f"{little} {', '.join(short)}{counted}")
        return
    nodes = [node for node in await ray.nodes() if node.alive]
    names = shown_names(nodes)
    total = {key: sum(node.resources.get(key, 0.0) for node in nodes if not node.head) for key in need}
    each = "; ".join(
        f"{names[node.id]}: GPU {node.resources.get('GPU', 0):g}, CPU {node.resources.get('CPU', 0):g}, "
        f"memory {node.resources.get('memory', 0) / 2**30:.1f}Gi{' (the head)' if node.head else ''}"
        for node in nodes
    )
    short = shortfall(total, need)
    text = f"Ray's workers have too little of {', '.join(short)} (memory in bytes). By node: {each}"
    require_none(short, "Ray's workers have too little of", text=text)


@check(
    "INF-08",
    MUST,
    "Ray: one version of Ray and Python everywhere",
    remedy=steps(
        correct_the_profile("nodes have one other version"),
        roll_out("Head and worker groups must run one version of Ray and of Python."),
    ),
    concerns=(Component.RAY_HEAD, Component.RAY_WORKER),
    cuts=(Link.JOB,),
    impact="Agents die or cannot be started where versions differ: Ray needs one version throughout.",
    follows=("INF-05", "INF-06", "IMG-01", "IMG-02"),
    supports=("works",),
)
async def test_one_ray_version(census: Census, profile: Profile) -> None:
    """Head and workers run the profile's Ray and one Python minor; Ray refuses or corrupts tasks between others."""
    seen = {node.name: (node.distributions.get("ray", "none"), node.python) for node in census.everyone}
    odd = {
        name: f"Ray {ray}, Python {python}"
        for name, (ray, python) in seen.items()
        if not is_version(ray, profile.ray.version) or ".".join(python.split(".")[:2]) != profile.ray.python_minor
    }
    expected = f"expected Ray {profile.ray.version} and Python {profile.ray.python_minor} on every node"
    require_none(by_place(odd), expected, text=f"{expected}; seen: {odd}")
