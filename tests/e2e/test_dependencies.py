"""DEP: what the agents import is there, on every worker, in the interpreter that runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from fixtures.checks.declaration import MUST, SHOULD, Gate, Link, case, check
from fixtures.checks.remedy import ENDPOINTS, KUBERNETES, about, do, kubectl, steps
from fixtures.checks.requirement import by_place, require_none
from fixtures.clusters.base import Cluster, Component
from fixtures.core.errors import Inconclusive
from fixtures.diagnostics.evidence import Evidence
from fixtures.harness.outcome import skip_unsupported
from fixtures.probes.agent_nodes import listed_groups
from fixtures.probes.census import Census, Signatures, WorkerReport
from fixtures.profile.contract import AgentCall
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.profile.remedy_values import About
from tests.e2e.repairs import EVIDENCE, WORKERS, image
from tests.e2e.runs import DEPENDENCIES

RAY = (Component.RAY_HEAD, Component.RAY_WORKER)
#: On a node that runs another image whatever that image lacks is a consequence.
IMAGE_RUNS = ("INF-06", "IMG-01", "IMG-02")
ELSEWHERE = (
    "Where it is installed, and imported from elsewhere: remove the file that is named, or what brings it (a volume, "
    "PYTHONPATH, a runtime environment)."
)
#: Module → why agents need it, the links that are cut without it, and what that means for the fleet.
PACKAGES = {
    "ray": (
        "Ray's own package: another version than the head's cannot take part in the cluster.",
        (Link.JOB, Link.IMPORTS, Link.PUBLISH, Link.COLLECT),
        "No agent job can start on these workers: they cannot run Ray's own code.",
    ),
    "requests": (
        "Used by agents for plain HTTP.",
        (Link.IMPORTS,),
        "Agents that use plain HTTP fail on these workers; the call to vLLM itself does not need the package.",
    ),
    "aiohttp": (
        "Used by the agent job to ask vLLM for a completion.",
        (Link.IMPORTS, Link.VLLM),
        "Agent jobs cannot call vLLM from these workers: no proposal is generated.",
    ),
    "nats": (
        "The agent job publishes its result with it. Without it the job dies on `import nats`, and since "
        "the failure event needs NATS too, nobody gets it.",
        (Link.IMPORTS, Link.PUBLISH, Link.COLLECT),
        "No result ever reaches the orchestrator: every agent job dies on `import nats` on these workers. And because "
        "its failure event needs NATS too, nobody gets it: pods stay Running, vLLM stays healthy, and deliberations "
        "wait until they time out.",
    ),
}


@pytest.mark.parametrize(
    "module",
    [
        case(
            module,
            id=f"DEP-0{number}",
            level=MUST,
            title=f"{module} imports on every worker, in the profile's version",
            meaning=f"`import {module}` succeeds in every worker's interpreter and gives what is installed, in the "
            f"profile's version: no stray file of that name comes before it. {why}",
            remedy=steps(image("The image lacks it."), ELSEWHERE),
            concerns=RAY,
            cuts=cuts,
            impact=impact,
            follows=(*IMAGE_RUNS, "INF-08") if module == "ray" else IMAGE_RUNS,
            package=module,
            gate=Gate.FOR_CAUSE,
        )
        for number, (module, (why, cuts, impact)) in enumerate(PACKAGES.items(), start=1)
    ],
)
async def test_package(module: str, census: Census, profile: Profile, evidence: Evidence) -> None:
    """A package that the agents need imports on every worker, in the profile's version."""
    assert_usable(module, census, profile, evidence)


@check(
    "DEP-11",
    MUST,
    "MODULE imports on every worker, in a version that the profile allows",
    remedy=steps(
        image("The image lacks it, or has another version. Add it to {image_sources}."),
        ELSEWHERE,
        "Where the workers have the package, and its module has another name: say both in agent.dependencies, as in "
        '{ module = "yaml", requirement = "PyYAML>=6" }.',
    ),
    concerns=RAY,
    cuts=(Link.IMPORTS,),
    impact="Agents that import the package die on these workers; those that land elsewhere do not.",
    follows=IMAGE_RUNS,
    is_family=True,
    gate=Gate.FOR_CAUSE,
)
async def test_further_package(module: str, census: Census, profile: Profile, evidence: Evidence) -> None:
    """`import MODULE` succeeds in every worker's interpreter, and what is installed is as agent.dependencies asks.

    The import gives what is installed: no stray file of that name comes before it.
    """
    assert_usable(module, census, profile, evidence)


def assert_usable(module: str, census: Census, profile: Profile, evidence: Evidence) -> None:
    """The module imports on every worker, from its distribution, which has a version that the profile allows."""
    wanted = profile.dependency(module)
    if wanted is None:  # then the check does not apply, and is not run
        raise Inconclusive(f"the profile names no {module} (agent.dependencies)")
    wrong = {}
    for worker in census.workers:
        seen = worker.modules[module]
        found = wanted.version_in(worker.distributions) if seen["ok"] else ""
        if not seen["ok"]:
            wrong[worker.name] = seen["error"]
            evidence.attach(f"{worker.name}.txt", seen["traceback"])
        elif not wanted.is_met_by(found):
            wrong[worker.name] = f"{found or 'no version'} at {seen['file']}"
        elif shadow := wanted.shadow(seen, found):
            wrong[worker.name] = shadow
    assert_none(wrong, census, f"{wanted.name} is not usable on every worker")


def assert_none(wrong: Mapping[str, str], census: Census, finding: str) -> None:
    """Nothing is wrong on a node that runs agents; `wrong`: what is wrong, by the node's name."""
    lines = [f"{name}: {why}" for name, why in wrong.items()]
    census.raise_if_elsewhere(wrong, f"{finding}: {'; '.join(lines)}")
    require_none(lines, finding)


@check(
    "DEP-05",
    MUST,
    "nats.js imports and has JetStreamContext",
    remedy=image("`nats` is half installed or shadowed by another module (see the file that is named)."),
    concerns=RAY,
    cuts=(Link.IMPORTS, Link.PUBLISH, Link.COLLECT),
    impact="No result ever reaches the orchestrator: the agent job cannot open JetStream on these workers, neither for "
    "its result nor for its failure event.",
    follows=("DEP-04",),
    package="nats",
    gate=Gate.FOR_CAUSE,
)
async def test_jetstream_client(census: Census) -> None:
    """A stray `nats.py` on the path, or a broken installation, lets `import nats` pass and the publication fail."""
    wrong = {
        worker.name: f"{seen['error']} (nats is {worker.modules['nats'].get('file') or 'not there'})"
        for worker in census.workers
        if not (seen := worker.symbols["nats.js:JetStreamContext"])["ok"]
    }
    assert_none(wrong, census, "nats.js:JetStreamContext is not there on every worker")


@check(
    "DEP-06",
    MUST,
    "Python as in the profile on every worker",
    remedy=image("The image needs the profile's Python ({python})."),
    concerns=RAY,
    cuts=(Link.IMPORTS,),
    impact="Agents die or cannot be started on these workers: pickles and Ray Client do not cross Python versions.",
    follows=(*IMAGE_RUNS, "INF-08"),
    gate=Gate.FOR_CAUSE,
)
async def test_python(census: Census, profile: Profile) -> None:
    """All workers run the profile's Python; another minor breaks pickles and Ray Client."""
    depth = len(profile.ray.python.split("."))
    wrong = {
        worker.name: worker.python
        for worker in census.workers
        if worker.python.split(".")[:depth] != profile.ray.python.split(".")
    }
    expected = f"Python {profile.ray.python} is expected on every worker"
    census.raise_if_elsewhere(wrong, f"{expected}; seen: {wrong}")
    require_none(by_place(wrong), expected, text=f"{expected}; seen: {wrong}")


@check(
    "DEP-07",
    MUST,
    "the agent job's class imports on every worker and on the head",
    remedy=image('The package that holds {agent_job} is not in the image (agent.delivery = "{delivery}").'),
    concerns=RAY,
    cuts=(Link.IMPORTS,),
    impact="No agent job can start there: its class cannot be loaded.",
    follows=(*IMAGE_RUNS, DEPENDENCIES),
    gate=Gate.FOR_CAUSE,
)
async def test_agent_class(census: Census, profile: Profile) -> None:
    """The class imports as it is delivered, on the workers, which run it, and on the head, which unpickles it too.

    Workers of a group for other work (`runs_agents = false`) never load it.
    """
    wrong = {
        node.name: seen["error"] for node in census.agent_hosts if not (seen := node.symbols[profile.agent_code])["ok"]
    }
    assert_none(wrong, census, f"{profile.agent_code} does not import everywhere")


@check(
    "DEP-08",
    MUST,
    "the tools' modules import on every worker",
    remedy=image("The image was built without the tools."),
    concerns=RAY,
    cuts=(Link.IMPORTS,),
    impact="Agents with tools fail on these workers; agents without tools are not touched.",
    needs=(Part.TOOLS,),
    follows=(*IMAGE_RUNS, DEPENDENCIES),
    gate=Gate.FOR_CAUSE,
)
async def test_tools(census: Census, profile: Profile) -> None:
    """Where the profile enables tools, everything that an agent with enable_tools=True imports is there.

    To a fleet whose agents run without tools it does not apply: there is nothing to look at.
    """
    wrong = {
        worker.name: "; ".join(f"{module}: {worker.modules[module]['error']}" for module in missing)
        for worker in census.workers
        if (missing := [name for name in profile.agent.tools.imports if not worker.modules[name]["ok"]])
    }
    assert_none(wrong, census, "modules for tools are missing")


@check(
    "DEP-09",
    SHOULD,
    "all workers hold the same distributions",
    remedy=about(
        About.RAY,
        "One worker was changed by hand or runs an older image.",
        do("Set POD to its name and compare what it holds with the others:", KUBERNETES),
        WORKERS,
        kubectl('-n {ray_namespace} exec "${POD:?}" -- python -m pip list'),
        do("Then have KubeRay replace it from the image:", KUBERNETES),
        kubectl('-n {ray_namespace} delete pod "${POD:?}"'),
        do("Start that worker again, from the image of the others.", ENDPOINTS),
        EVIDENCE,
    ),
    concerns=RAY,
    cuts=(),
    impact="Which worker an agent lands on decides how it behaves: failures come and go.",
    follows=(*IMAGE_RUNS, "DEP-01", "DEP-02", "DEP-03", "DEP-04", "DEP-10", DEPENDENCIES),
    gate=Gate.FOR_CAUSE,
)
async def test_same_distributions(census: Census, cluster: Cluster, profile: Profile) -> None:
    """Installed distributions and their versions are equal on all workers of one image, and on a head that has it, too;
    drift makes failures depend on placement."""
    wrong = [
        f"nodes differ in {drifted}" for nodes in await nodes_by_image(census, cluster) if (drifted := drift(nodes))
    ]
    if wrong and census.unplaced.groups:
        raise Inconclusive(f"{'; '.join(wrong)}; {census.unplaced.why}")
    images = {group.image or profile.ray.head_image for group in profile.ray.groups if group.runs_agents}
    if wrong and len(images) > 1 and not await listed_groups(cluster):
        which = f"which of the {len(images)} images of ray.groups each worker has cannot be told from here"
        raise Inconclusive(f"{'; '.join(wrong)}; {which}: they may differ in it")
    require_none(wrong)


async def nodes_by_image(census: Census, cluster: Cluster) -> list[list[WorkerReport]]:
    """The nodes whose specifications name one image, for each image; all workers where that is not known of each."""
    workers = census.workers
    nodes: dict[str, list[WorkerReport]] = {}
    for group in await listed_groups(cluster):
        nodes.setdefault(group.image_id or group.image, []).extend(
            node
            for node in census.nodes
            if not node.error and any(replica.is_node(node.name, node.address) for replica in group.replicas)
        )
    placed = {node.node_id for members in nodes.values() for node in members}
    return list(nodes.values()) if placed >= {worker.node_id for worker in workers} else [list(workers)]


def drift(nodes: Sequence[WorkerReport]) -> dict[str, dict[str, str]]:
    """The versions by node of each distribution that differs."""
    names = sorted({name for node in nodes for name in node.distributions})
    return {
        name: {node.name: node.distributions.get(name, "absent") for node in nodes}
        for name in names
        if len({node.distributions.get(name) for node in nodes}) > 1
    }


@check(
    "DEP-10",
    SHOULD,
    "nothing is installed on a worker that its image does not contain",
    remedy=image("A manual `pip install` is gone with the next restart. Put the package into {image_sources}."),
    concerns=RAY,
    cuts=(),
    impact="What was installed by hand is gone as soon as a worker is replaced.",
    follows=("INF-06",),
    gate=Gate.FOR_CAUSE,
)
async def test_nothing_installed_by_hand(census: Census, profile: Profile) -> None:
    """A distribution whose record is younger than the node's raylet did not come with the image: it was installed
    by hand, and it will not survive the next restart. On the head, neither."""
    if profile.agent.runtime_env.pip:
        skip_unsupported(
            "Ray installs packages for the agents (agent.runtime_env.pip): what was installed by hand cannot be told "
            "from them"
        )
    nodes = [*census.workers, *(node for node in census.nodes if node.head)]
    extra = {node.name: dict(node.installed_since_start) for node in nodes if node.installed_since_start}
    by_hand = "installed after the nodes had started, so not from the image"
    census.raise_if_elsewhere(extra, f"{by_hand}: {extra}")
    each = [f"{name}: {package} {what}" for name, packages in extra.items() for package, what in packages.items()]
    require_none(each, by_hand, text=f"{by_hand}: {extra}")


def mismatches(seen: Signatures, path: str, agent: AgentCall) -> list[str]:
    """In what way the agents' class and method do not take what the contract gives them, one line each."""
    lines = []
    for section, signature, template, what in (
        ("keywords", seen.keywords, agent.keywords, path),
        ("call", seen.call, agent.call, f"{path}, {agent.method}()"),
    ):
        if signature is None:
            continue
        takes = f"it takes: {', '.join(signature.takes) or 'none'}"
        unknown = [name for name in template if name not in signature.takes and not signature.any]
        lines += [f"{what} takes no keyword {name} (agent.{section}.{name}); {takes}" for name in unknown]
        missing = [name for name in signature.needs if name not in template]
        lines += [f"{what} needs {name}, which agent.{section} does not give" for name in missing]
    if seen.call and agent.is_async is not None and seen.call.coroutine != agent.is_async:
        kind = "a" if seen.call.coroutine else "no"
        lines.append(f"{path}, {agent.method}() is {kind} coroutine, and agent.async is {str(agent.is_async).lower()}")
    return lines


@check(
    "DEP-12",
    MUST,
    "the agents' class and method take what the contract gives them",
    remedy=steps(
        "Compare agent.keywords and agent.call of the profile, or of the contract that it names, with the constructor "
        "(or factory) and the method of {agent_job}, in the version that the workers have.",
        image("The image may hold another version of the agents' package."),
        EVIDENCE,
    ),
    concerns=RAY,
    cuts=(Link.JOB,),
    impact="No agent can be started there, or asked: each call ends with a TypeError before the agent has done "
    "anything.",
    follows=(*IMAGE_RUNS, "DEP-07"),
    gate=Gate.FOR_CAUSE,
)
async def test_agent_signatures(census: Census, profile: Profile, evidence: Evidence) -> None:
    """Constructor (or factory) and method are asked on every worker for the keywords that they take and need.

    Every keyword of the contract is taken, and every one without a default is given. What a factory returns is not
    looked at: it is not known before it is made.
    """
    evidence.attach("signatures.json", {worker.name: worker.signatures.model_dump() for worker in census.workers})
    wrong: dict[str, list[str]] = {}
    for worker in census.workers:
        seen, path = worker.signatures, profile.agent_code
        if not seen.error and seen.keywords is None:
            raise Inconclusive(f"{worker.name}: the census says nothing of what {path} takes")
        for line in [f"{path}: {seen.error}"] if seen.error else mismatches(seen, path, profile.contract.agent):
            wrong.setdefault(line, []).append(worker.name)
    lines = [f"{', '.join(workers)}: {line}" for line, workers in wrong.items()]
    census.raise_if_elsewhere([name for workers in wrong.values() for name in workers], "; ".join(lines))
    require_none(lines)
