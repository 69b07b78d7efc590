"""NET: who must reach whom does, from where it matters: inside the workers and inside the replicas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from fixtures.checks.declaration import MUST, SHOULD, Link, check
from fixtures.checks.remedy import EMBEDDED, ENDPOINTS, KUBERNETES, about, do, kubectl, shell, steps
from fixtures.checks.requirement import require_none
from fixtures.clusters.base import Cluster, Component, Feature
from fixtures.core.errors import Inconclusive
from fixtures.probes.census import Census
from fixtures.probes.executor_link import leads_elsewhere
from fixtures.probes.name_resolution import unresolved
from fixtures.probes.replicas import Reports, naming
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.profile.remedy_values import About
from fixtures.report.model import Facts
from fixtures.services.vllm import parse_models
from tests.e2e.repairs import EVIDENCE, MESH, in_service, in_worker, policies

GREETED = "import socket; print(socket.create_connection(('{nats_host}', {nats_port}), 5){nats_reads})"

REPLICAS = (Feature.REPLICAS,)


def broken_links(links: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Of links (where each begins, and the probe's answer from there) those that failed, with the reason.

    A link to NATS has stages: how far it came is part of the reason.
    """
    broken = []
    for start, answer in links:
        if not answer["ok"]:
            stage = f" fails at {answer['stage'] or 'its address'}" if "stage" in answer else ""
            broken.append(f"{start}{stage}: {answer.get('error') or answer.get('status')}")
    return broken


def assert_reached(census: Census, answers: Mapping[str, Mapping[str, Any]], finding: str) -> None:
    """Every worker that runs agents has its answer; they are by the worker's name."""
    broken = broken_links(answers.items())
    failed = [name for name, answer in answers.items() if not answer["ok"]]
    census.raise_if_elsewhere(failed, f"{finding}: {'; '.join(broken)}")
    require_none(broken, finding)


@check(
    "NET-01",
    MUST,
    "orchestrator → vLLM, from every replica",
    remedy=steps(
        policies(About.WITH_VLLM_URL, About.VLLM),
        MESH,
        in_service(
            "VLLM_URL",
            "import os, urllib.request as u; url = os.environ['{name_of_VLLM_URL}'].rstrip('/').removesuffix('/v1'); "
            "print(u.urlopen(url + '/v1/models').read())",
        ),
        about(About.VLLM, do("Look for a firewall or a wrong name in {name_of_VLLM_URL}.", ENDPOINTS, EMBEDDED)),
    ),
    concerns=(Component.ORCHESTRATOR, Component.VLLM),
    cuts=(Link.VLLM,),
    impact="Agents are started with a VLLM_URL that does not answer from the orchestrator: "
    "deliberations fail or wait until they time out.",
    needs=(Part.ORCHESTRATOR, Part.VLLM_URL, *REPLICAS),
    follows=("INF-01", "INF-02", "INF-03", "NET-07"),
)
async def test_orchestrator_reaches_vllm(replica_reports: Reports, profile: Profile) -> None:
    """Every replica gets the list of models from VLLM_URL, with the profile's model in it.

    The variable's value may be a server's address, or the base URL of its API, which ends in /v1.
    """
    reports = naming(replica_reports, "vllm_url")
    asked = [(f"{one.name}: {one.assigned(one.variables.vllm_url)}", one.http("models")) for one in reports]
    wrong = broken_links(asked)
    for where, models in asked:
        if models["ok"] and profile.vllm.model not in (served := parse_models(models["body"], where)):
            wrong.append(f"{where} serves {', '.join(served) or 'nothing'}, not {profile.vllm.model}")
    require_none(wrong, "vLLM is not reached from the orchestrator")


@check(
    "NET-02",
    SHOULD,
    "orchestrator → vLLM is fast enough",
    remedy=steps(
        "The time includes opening the connection: with TLS or a service mesh the handshake is part of it. Look for a "
        "proxy in between and for distance, or raise limits.vllm_latency_ms ({vllm_latency_ms}) where the path needs "
        "it.",
        do("See in which zones the nodes are, and where the pods run:", KUBERNETES),
        kubectl("get nodes -L topology.kubernetes.io/zone"),
        about(About.WITH_VLLM_URL, kubectl("-n {namespace_of_VLLM_URL} get {pods_of_VLLM_URL} -o wide")),
        about(About.VLLM, kubectl("-n {vllm_namespace} get {vllm_pods} -o wide")),
    ),
    concerns=(Component.ORCHESTRATOR, Component.VLLM),
    cuts=(),
    impact="Deliberations take longer; none is lost.",
    needs=(Part.ORCHESTRATOR, Part.VLLM_URL, *REPLICAS),
    follows=("NET-01",),
)
async def test_orchestrator_vllm_latency(replica_reports: Reports, profile: Profile, facts: Facts) -> None:
    """The median time of a small request from each replica is under the profile's limit (milliseconds).

    Single requests may take longer: the slowest is named beside a median that is too long. Where the profile has no
    limit, the time is measured and not judged.
    """
    answers = {report.name: report.http("models")["ms"] for report in naming(replica_reports, "vllm_url")}
    medians = {name: median(times) for name, times in answers.items() if times}
    assert medians, "no replica got an answer from vLLM"
    facts.measurements["orchestrator → vLLM, median ms"] = round(median(medians.values()), 2)
    limit = profile.limits.vllm_latency_ms
    slow = {
        name: f"{value:.1f} ms, the slowest of {len(answers[name])} {max(answers[name]):.1f} ms"
        for name, value in medians.items()
        if limit is not None and value >= limit
    }
    must = f"the median latency must be under {limit or 0:g} ms"
    require_none([f"{name}: {value}" for name, value in slow.items()], must, text=f"{must}; it is {slow}")


@check(
    "NET-03",
    MUST,
    "every Ray worker → vLLM",
    remedy=steps(
        policies(About.RAY, About.VLLM),
        MESH,
        in_worker("import urllib.request as u; print(u.urlopen('{vllm_url}/v1/models', timeout=5).read())"),
        about(
            About.RAY,
            do("On a worker that the finding names, look for a firewall or a wrong name:", ENDPOINTS),
            shell("curl -sS {vllm_url}/v1/models", ENDPOINTS),
        ),
        EVIDENCE,
    ),
    concerns=(Component.RAY_WORKER, Component.VLLM),
    cuts=(Link.VLLM,),
    impact="Agents on these workers get no completion from vLLM.",
    follows=("INF-01", "INF-02", "NET-07"),
)
async def test_workers_reach_vllm(census: Census) -> None:
    """Agents run on the workers: each of them gets 200 from vLLM, across namespaces."""
    answers = {worker.name: worker.http["vllm"] for worker in census.workers}
    assert_reached(census, answers, "vLLM is not reached from every worker")


@check(
    "NET-04",
    MUST,
    "every Ray worker → NATS: TCP, protocol, JetStream",
    remedy=steps(
        policies(About.RAY, About.NATS),
        in_worker(GREETED),
        about(
            About.RAY,
            do("On a worker that the finding names, look for a firewall or a wrong name:", ENDPOINTS),
            shell(f'python3 -c "{GREETED}"', ENDPOINTS),
        ),
        do(
            "NATS greets with INFO, but over WebSocket (ws://, wss://), where it waits to be asked. Where the stage is "
            "authentication, compare user and password in nats_url."
        ),
        EVIDENCE,
    ),
    concerns=(Component.RAY_WORKER, Component.NATS),
    cuts=(Link.PUBLISH,),
    impact="No result of an agent on these workers reaches the orchestrator, and no failure event either.",
    follows=("INF-09", "INF-10", "NET-07"),
)
async def test_workers_reach_nats(census: Census) -> None:
    """Each worker opens a connection to NATS, is greeted and let in, and JetStream answers it and has the stream.

    Asked over a plain socket, so that it says something about the network even where nats-py is missing. Of several
    servers (nats.url, nats.url_inside) one is enough.
    """
    answers = {worker.name: worker.nats["nats"] for worker in census.workers}
    assert_reached(census, answers, "NATS is not usable from every worker")


@check(
    "NET-05",
    MUST,
    "orchestrator → NATS, from every replica",
    remedy=steps(
        policies(About.WITH_NATS_URL, About.NATS),
        in_service(
            "NATS_URL",
            "import os, socket, urllib.parse as p; u = p.urlsplit(os.environ['{name_of_NATS_URL}'].split(',')[0]); "
            "s = socket.create_connection((u.hostname, u.port or dict(ws=80, wss=443).get(u.scheme, 4222)), 5); "
            "print(s if u.scheme in ('ws', 'wss') else s.recv(200))",
        ),
        "NATS greets with INFO, and over WebSocket (ws://, wss://) takes the connection; where it does not, look for a "
        "firewall or a wrong name in {name_of_NATS_URL}.",
    ),
    concerns=(Component.ORCHESTRATOR, Component.NATS),
    cuts=(Link.COLLECT,),
    impact="The orchestrator receives no results.",
    needs=(Part.ORCHESTRATOR, Part.NATS_URL, *REPLICAS),
    follows=("INF-09", "INF-10", "NET-07"),
)
async def test_orchestrator_reaches_nats(replica_reports: Reports) -> None:
    """Each replica is let into the NATS of its NATS_URL, and JetStream answers it and has the stream.

    Of a list of servers one is enough, as it is for a client.
    """
    wrong = broken_links((replica.name, replica.nats) for replica in naming(replica_reports, "nats_url"))
    require_none(wrong, "NATS is not usable from every replica")


@check(
    "NET-06",
    MUST,
    "orchestrator → Ray Client port, from every replica",
    remedy=about(
        About.RAY,
        do("Port {client_port} must be among the service's, and no NetworkPolicy in the way:", KUBERNETES),
        kubectl("-n {ray_namespace} get service {head_service}"),
        kubectl("-n {ray_namespace} get networkpolicies,endpointslices"),
        do(
            "Look for a firewall or a wrong {name_of_RAY_ADDRESS}; the head must listen on its Ray Client port.",
            ENDPOINTS,
            EMBEDDED,
        ),
    ),
    concerns=(Component.ORCHESTRATOR, Component.RAY_HEAD),
    cuts=(Link.JOB,),
    impact="The orchestrator cannot start agent jobs.",
    needs=(Part.ORCHESTRATOR, Part.RAY_CLIENT, Part.RAY_ADDRESS, *REPLICAS),
    follows=("INF-05", "NET-07"),
)
async def test_orchestrator_reaches_ray(replica_reports: Reports) -> None:
    """Each replica opens a connection to the Ray Client port of its RAY_ADDRESS."""
    wrong = broken_links(
        (f"{replica.name}: {replica.assigned(replica.variables.ray_address)}", replica.ray_port)
        for replica in naming(replica_reports, "ray_address")
    )
    require_none(wrong, "Ray's client port is not reached")


@check(
    "NET-07",
    MUST,
    "service names resolve in every worker and replica",
    remedy=steps(
        do("See whether the cluster's DNS runs, and ask it from a worker:", KUBERNETES),
        kubectl("-n kube-system get pods -l k8s-app=kube-dns"),
        about(About.RAY, kubectl("-n {ray_namespace} exec {worker_pod} -- getent hosts {hosts}")),
        do("The machines' own resolver decides: look at /etc/resolv.conf there.", ENDPOINTS, EMBEDDED),
    ),
    concerns=(Component.RAY_WORKER, Component.ORCHESTRATOR),
    cuts=(Link.VLLM, Link.PUBLISH, Link.COLLECT),
    impact="Agents and orchestrators cannot find vLLM, NATS or Ray by name: jobs fail wherever a name does not "
    "resolve.",
    needs=(Part.KUBERNETES, Feature.KUBERNETES, Feature.REPLICAS),
)
async def test_names_resolve(cluster: Cluster, census_result: Census | Inconclusive) -> None:
    """Cluster DNS answers for the services' names wherever agents and orchestrators run.

    Of a list of NATS servers one name is enough, as it is for a client. An orchestrator, or executor, that the profile
    knows by its address alone is not asked: it need not be in this Kubernetes.
    """
    wrong = await unresolved(cluster, census_result)
    require_none(wrong, "names do not resolve")


@check(
    "NET-08",
    MUST,
    "orchestrator → executor, from every replica",
    remedy=steps(
        policies(About.WITH_EXECUTOR, About.EXECUTOR),
        about(
            About.EXECUTOR,
            do("The service must have a ready pod behind its port {executor_port}:", KUBERNETES),
            kubectl("-n {executor_namespace} get service {executor_service}"),
            kubectl("-n {executor_namespace} get endpointslices -o wide"),
        ),
        in_service(
            "EXECUTOR",
            "import os, socket; t = os.environ['{name_of_EXECUTOR}'].split('//')[-1].split('/')[0].rpartition(':'); "
            "print(socket.create_connection((t[0], t[2]), 5))",
        ),
        about(About.EXECUTOR, do("Look for a firewall or a wrong name in {name_of_EXECUTOR}.", ENDPOINTS, EMBEDDED)),
        "Where it leads to another executor: correct {name_of_EXECUTOR}, or what the profile says under [executor].",
    ),
    concerns=(Component.ORCHESTRATOR, Component.EXECUTOR),
    cuts=(Link.JOB,),
    impact="The orchestrator cannot have the executor start agents: deliberations fail or wait until they time out.",
    needs=(Part.ORCHESTRATOR, Part.EXECUTOR, *REPLICAS),
    follows=("INF-11", "NET-07"),
)
async def test_orchestrator_reaches_executor(replica_reports: Reports, cluster: Cluster) -> None:
    """The address in the variable that leads each replica to the executor resolves there and accepts a connection, and
    it is that of the executor that was described.

    Nothing in gRPC says who a server is. It is the executor's where it resolves to what the profile's address does, or
    where, in Kubernetes, the same pods are behind it. At another address the executor may answer, too: that cannot be
    decided.
    """
    reports = naming(replica_reports, "to_executor")
    asked = {one.name: (one, f"{one.name}: {one.assigned(one.variables.to_executor)}") for one in reports}
    wrong = broken_links((where, one.executor_port) for one, where in asked.values())
    unsure: list[Inconclusive] = []
    for one, where in asked.values():
        if not one.executor_port["ok"]:
            continue
        value, resolved = one.environment[one.variables.to_executor], one.document["resolve"]
        try:
            wrong += filter(None, [await leads_elsewhere(cluster, where, value, resolved)])
        except Inconclusive as error:  # that another replica does not reach it is a failure
            unsure.append(error)
    require_none(wrong, "the executor is not reached from the orchestrator")
    if unsure:
        raise Inconclusive("; ".join(map(str, unsure)))
