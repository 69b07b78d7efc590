"""CFG: the orchestrator is configured for the very parts that were checked, on every replica alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from fixtures.checks.declaration import MUST, Link, check
from fixtures.checks.remedy import EMBEDDED, ENDPOINTS, KUBERNETES, about, do, kubectl, steps
from fixtures.checks.requirement import require_none
from fixtures.clusters.base import Cluster, Component, Feature, services_of
from fixtures.core.errors import Inconclusive
from fixtures.core.versions import is_version
from fixtures.probes import replicas
from fixtures.probes.own_variables import comparable, drifted
from fixtures.probes.replicas import ReplicaReport, Reports, naming, of_service
from fixtures.probes.vllm_report import VllmReport
from fixtures.profile.amounts import most
from fixtures.profile.model import Profile
from fixtures.profile.parts import AGENT_TYPE, Part, literal_settings
from fixtures.profile.remedy_values import About
from fixtures.redaction.environments import difference, shown
from fixtures.services.jetstream import ServerInfo, Stream, same_instant
from fixtures.services.nats import Nats
from fixtures.services.ray import Ray
from fixtures.services.vllm import Model, Server, Vllm, parse_models
from tests.e2e.repairs import in_service, restart_orchestrator, set_variable

REPLICAS = (Feature.REPLICAS,)

LOOKS = 4  # at most, for the servers behind vLLM's address, of CONNECTIONS each


def one_line(error: str) -> str:
    """The end of what Ray says, which reports versions in many lines."""
    return " ".join(error.split())[-400:]


def raise_if_unsure(reports: Iterable[ReplicaReport], finding: str) -> None:
    """Raises Inconclusive where a replica's environment is not that of its main process, which may have another."""
    unsure = [f"{report.name}: that is {report.main.caveat}" for report in reports if report.main.caveat]
    if unsure:
        raise Inconclusive(f"{finding}, but {'; '.join(unsure)}")


@check(
    "CFG-01",
    MUST,
    "AGENT_TYPE is vllm on every replica",
    remedy=set_variable("AGENT_TYPE"),
    concerns=(Component.ORCHESTRATOR,),
    cuts=(Link.JOB,),
    impact="Answers are made up by mock agents: nothing runs on Ray or vLLM.",
    needs=(Part.ORCHESTRATOR, Part.AGENT_TYPE, *REPLICAS),
)
async def test_agent_type(replica_reports: Reports, profile: Profile) -> None:
    """With AGENT_TYPE=mock everything looks green and no agent ever runs. Orchestrators read it in any case."""
    asked: list[ReplicaReport] = []
    wrong: dict[str, dict[str, str]] = {}  # what it must be → by replica, what it is
    for component in services_of(profile):
        if not (wanted := profile.services[component].environment.get(AGENT_TYPE)):
            continue
        for one in of_service(replica_reports, component):
            asked.append(one)
            if one.shown(AGENT_TYPE).strip().casefold() != wanted.casefold():
                wrong.setdefault(wanted, {})[one.name] = one.shown(AGENT_TYPE)
    words = "; ".join(f"{AGENT_TYPE} must be {wanted}; it is {other}" for wanted, other in wrong.items())
    if wrong:
        raise_if_unsure(asked, words)
    each = [
        f"{AGENT_TYPE} must be {wanted}: {name} has {other}"
        for wanted, replicas in wrong.items()
        for name, other in replicas.items()
    ]
    require_none(each, text=words.replace("; it is", "; in the environment of the main process it is"))


@check(
    "CFG-02",
    MUST,
    "VLLM_URL leads to the vLLM that was checked",
    remedy=set_variable("VLLM_URL"),
    concerns=(Component.ORCHESTRATOR, Component.VLLM),
    cuts=(Link.VLLM,),
    impact="Agents ask another vLLM than the one that was checked, or none.",
    needs=(Part.ORCHESTRATOR, Part.VLLM_URL, *REPLICAS),
    follows=("INF-01", "INF-02", "NET-01"),
)
async def test_vllm_url(replica_reports: Reports, vllm: Vllm, cluster: Cluster) -> None:
    """From every replica, VLLM_URL reaches a running server that the suite reached, too, with the same models.

    Servers are told apart by the start of their process. Several may share one address: the suite makes connections
    until it has met those that the replicas met. Servers that do not say when they started (behind a router, or vLLM
    with several API servers) are the same where their address is, or where their list of models is as old. One that
    the suite does not meet at the very address that the replica has may be right: that cannot be decided.
    """
    reports = {replica.name: VllmReport.of(replica) for replica in naming(replica_reports, "vllm_url")}
    servers: list[Server[dict[str, Model]]] = []
    for _ in range(LOOKS):
        servers += await vllm.of_each_server(Vllm.models)
        if {report.identity for report in reports.values()} <= {server.identity for server in servers}:
            break
    seen = (cluster.inside, cluster.endpoints)
    addresses = {vllm.url, *(view.vllm for view in seen), *(view.fault_proxy for view in seen)} - {""}
    differences = {name: report.difference(servers, vllm.url, addresses) for name, report in reports.items()}
    wrong = [f"{name}: {reason}" for name, reason in differences.items() if reason]
    require_none(wrong)
    if unmet := [f"{name}: {why}" for name, report in reports.items() if (why := report.unmet(servers, addresses))]:
        raise Inconclusive("; ".join(unmet))
    unknown = [name for name, report in reports.items() if not report.is_known(servers, addresses)]
    if unknown:
        raise Inconclusive(
            f"{reports[unknown[0]].variable}={reports[unknown[0]].url} of {', '.join(unknown)}: /metrics there, or at "
            f"{vllm.url}, does not say when its process started: servers cannot be distinguished"
        )


@check(
    "CFG-03",
    MUST,
    "VLLM_MODEL is served at VLLM_URL",
    remedy=set_variable("VLLM_MODEL"),
    concerns=(Component.ORCHESTRATOR, Component.VLLM),
    cuts=(Link.VLLM,),
    impact="Every agent that the orchestrator starts gets a 404 from vLLM: no deliberation gets a proposal.",
    needs=(Part.ORCHESTRATOR, Part.VLLM_MODEL, *REPLICAS),
    follows=("INF-03", "CFG-02"),
)
async def test_vllm_model(replica_reports: Reports, profile: Profile) -> None:
    """The model that each replica hands to its agents is one that its vLLM serves; else every agent gets a 404."""
    wrong = []
    for one in naming(replica_reports, "vllm_model"):
        variables, listed = one.variables, one.http("models")
        model = one.environment.get(variables.vllm_model, "")
        served = parse_models(listed["body"], one.shown(variables.vllm_url)) if listed["ok"] else {}
        if model not in served:
            what = ", ".join(served) or (f"nothing ({listed['error']})" if listed.get("error") else "nothing")
            wrong.append(f"{one.name}: {variables.vllm_model}={model or '(not set)'}, served: {what}")
    require_none(wrong, text=f"{'; '.join(wrong)} (profile: {profile.vllm.model})")


@check(
    "CFG-04",
    MUST,
    "RAY_ADDRESS leads to the Ray cluster that was checked",
    remedy=set_variable("RAY_ADDRESS"),
    concerns=(Component.ORCHESTRATOR, Component.RAY_HEAD),
    cuts=(Link.JOB,),
    impact="Agent jobs run in another Ray cluster than the one that was checked, or nowhere.",
    needs=(Part.ORCHESTRATOR, Part.RAY_CLIENT, Part.RAY_ADDRESS, *REPLICAS),
    follows=("INF-05", "NET-06", "CFG-06"),
)
async def test_ray_address(replica_reports: Reports, ray: Ray) -> None:
    """From every replica, RAY_ADDRESS reaches the cluster with the node ids that the dashboard shows."""
    ours = {node.id for node in await ray.nodes()}
    wrong = []
    for one in naming(replica_reports, "ray_address"):
        shaken, address = one.ray_client, f"{one.name}: {one.assigned(one.variables.ray_address)}"
        if not shaken["ok"]:
            why = one.refused_token or one_line(shaken["error"])
            wrong.append(f"{address} gives no handshake: {why}")
        elif not set(shaken["nodes"]) <= ours:
            wrong.append(f"{address} is another Ray cluster than {ray.url}")
    require_none(wrong)


@check(
    "CFG-05",
    MUST,
    "NATS_URL leads to the NATS that was checked",
    remedy=set_variable("NATS_URL"),
    concerns=(Component.ORCHESTRATOR, Component.NATS),
    cuts=(Link.PUBLISH, Link.COLLECT),
    impact="The orchestrator listens at another NATS: results are published where nobody reads them.",
    needs=(Part.ORCHESTRATOR, Part.NATS_URL, *REPLICAS),
    follows=("INF-09", "NET-05"),
)
async def test_nats_url(replica_reports: Reports, nats: Nats, profile: Profile) -> None:
    """From every replica, NATS_URL reaches the same server, or the same cluster, and there the same stream.

    Accounts of one server have streams of their own: it is the same stream that was created at the same time. Of a
    list of servers each that answers is compared.
    """
    info, stream = await nats.info(), await nats.stream(profile.nats.stream)
    wrong = []
    for replica in naming(replica_reports, "nats_url"):
        seen, url = replica.nats, f"{replica.name}: {replica.assigned(replica.variables.nats_url)}"
        if not seen["ok"]:
            wrong.append(f"{url}: {seen['stage']}: {seen['error']}")
            continue
        servers = seen.get("servers") or [seen]
        usable = [server for server in servers if server["ok"]] or [seen]
        others = [f"{label(server)}is {other}" for server in usable if (other := other_nats(server, info, stream))]
        if others:
            count = f" ({len(usable)} of {len(servers)} servers can be used)" if len(usable) < len(servers) else ""
            wrong.append(f"{url} {', '.join(others)}{count}")
    require_none(wrong)


def label(server: Mapping[str, Any]) -> str:
    return f"{server['server']} " if server.get("server") else ""


def other_nats(seen: Mapping[str, Any], info: ServerInfo, stream: Stream) -> str:
    """What a server is that does not lead to this stream; "" for one that does."""
    created = seen.get("stream_created", "")
    if seen["server_id"] == info.server_id:
        if not created or not stream.created or same_instant(created, stream.created):
            return ""
        name = stream.config.name or "the stream"
        return f"another account of the same server ({name} was created at {created} there, not {stream.created})"
    same_cluster = bool(info.cluster) and seen.get("cluster") == info.cluster
    if same_instant(created, stream.created, exactly=not same_cluster):
        return ""
    return f"another NATS (server {seen['server_id']})"


@check(
    "CFG-06",
    MUST,
    "the orchestrator's Ray and Python fit the cluster's",
    remedy=steps(
        "Build the {section_of_RAY_ADDRESS}'s image with ray[client]=={ray_version} on Python {python}: Ray Client "
        "needs the same Ray and the same Python minor on both sides.",
        about(About.WITH_RAY_ADDRESS, do("See what a replica has:", KUBERNETES)),
        in_service("RAY_ADDRESS", "import sys, ray; print(sys.version, ray.__version__)"),
    ),
    concerns=(Component.ORCHESTRATOR, Component.RAY_HEAD),
    cuts=(Link.JOB,),
    impact="The orchestrator cannot hand jobs to Ray: the client's and the cluster's versions do not fit.",
    needs=(Part.ORCHESTRATOR, Part.RAY_CLIENT, Part.RAY_ADDRESS, *REPLICAS),
    follows=("INF-05", "INF-08", "NET-06"),
)
async def test_ray_client_handshake(replica_reports: Reports, profile: Profile) -> None:
    """A ray:// handshake from every replica succeeds, with the profile's Ray and Python minor on both sides.

    Where Ray refuses a replica's token there is no handshake: then what the replica has is compared.
    """
    wrong = []
    for one in naming(replica_reports, "ray_address"):
        shaken = one.ray_client
        if one.refused_token:
            shaken = {**shaken, "ok": True, "ray": shaken["installed"]}
        if not shaken["ok"]:
            wrong.append(f"{one.name}: {one_line(shaken['error'])}")
        elif not is_version(shaken["ray"], profile.ray.version):
            wrong.append(f"{one.name}: Ray Client is served by Ray {shaken['ray']}, not {profile.ray.version}")
        elif one.document["python"].split(".")[:2] != profile.ray.python_minor.split("."):
            wrong.append(f"{one.name}: Python {one.document['python']}, Ray's is {profile.ray.python_minor}")
    require_none(wrong, "the ray:// handshake fails")


@check(
    "CFG-07",
    MUST,
    "all replicas have the same environment and command line",
    remedy=steps(
        do("{other_service}", KUBERNETES),
        restart_orchestrator("One replica was not restarted after a change."),
        "Where each replica is given a value of its own, as from a vault: name the variable in "
        "own_variables of {own_sections} in the profile.",
    ),
    concerns=(Component.ORCHESTRATOR,),
    cuts=(Link.ORCHESTRATOR,),
    impact="The same task behaves differently from call to call: it depends on which replica takes it.",
    needs=(Part.ORCHESTRATOR, Part.COMPARABLE_REPLICAS, *REPLICAS),
)
@pytest.mark.usefixtures("comparable_replicas")
async def test_same_configuration(replica_reports: Reports, cluster: Cluster, profile: Profile) -> None:
    """Replicas of one workload differ in nothing but what is theirs by nature; else answers depend on who is asked.

    Theirs by nature are names, addresses and places, under the exact names in which platforms hand them out, what the
    specification takes from where a replica runs, and what the profile calls their own (own_variables). In Kubernetes
    command and arguments are compared, too. Files that are mounted are not read. While a roll-out brings another
    configuration, replicas differ until its end.
    """
    unsure: list[Inconclusive] = []
    for component in services_of(profile):
        if most(profile.services[component].replicas) < 2:
            continue
        try:
            await raise_if_replicas_differ(of_service(replica_reports, component), cluster, profile, component)
        except Inconclusive as error:  # that the other one's differ is a failure
            unsure.append(error)
    if unsure:
        raise unsure[0]


async def raise_if_replicas_differ(
    reports: Sequence[ReplicaReport], cluster: Cluster, profile: Profile, component: Component
) -> None:
    """Judges the replicas of a service of the fleet's own."""
    workload = await cluster.workload(component)
    there = {replicas.label(profile, component, replica.name): replica for replica in workload.replicas}
    commands: dict[str, Mapping[str, str]] = {}
    shared: dict[str, dict[str, str]] = {}
    for report in reports:
        replica = there.get(report.name)
        name, address = (replica.name, replica.address) if replica else (report.name, "")
        declared = await cluster.placement_variables(replica) if replica else ()
        if replica:
            commands[report.name] = await cluster.command_line(replica)
        own = {*declared, *profile.services[component].own_variables}
        shared[report.name] = comparable(report.environment, name, address, own)
    differing = drifted({report.name: report.environment for report in reports}, shared)
    differing |= drifted(commands, commands)
    lines = [difference(key, values) for key, values in differing.items()]
    if lines and workload.rollout:
        raise Inconclusive(f"{workload.rollout}; replicas differ: {'. '.join(lines)}")
    if lines:
        raise_if_unsure(reports, f"replicas differ: {'. '.join(lines)}")
    require_none(lines, "replicas differ", separator=". ")


@check(
    "CFG-08",
    MUST,
    "the environment has the profile's values",
    remedy=about(
        About.ORCHESTRATOR,
        do("{other_service}", KUBERNETES),
        do("See what is set, and compare it with environment of {own_sections} in the profile:", KUBERNETES),
        kubectl("-n {orchestrator_namespace} set env {orchestrator_workload} --list"),
        do("Where the profile is right: set NAME to its VALUE, which restarts the replicas:", KUBERNETES),
        kubectl('-n {orchestrator_namespace} set env {orchestrator_workload} "${NAME:?}=${VALUE:?}"'),
        do("Correct the one that is wrong: environment of {own_sections} in the profile.", ENDPOINTS, EMBEDDED),
    ),
    concerns=(Component.ORCHESTRATOR,),
    cuts=(Link.ORCHESTRATOR,),
    impact="The orchestrator works with other settings than those that were agreed on.",
    needs=(Part.ORCHESTRATOR, Part.SETTINGS, *REPLICAS),
    follows=("CFG-03", "CFG-07"),
)
async def test_environment(replica_reports: Reports, profile: Profile) -> None:
    """The main process of every replica has each variable that the profile names, with the very value.

    Left to other checks are AGENT_TYPE and the addresses, which can be spelt in several ways: where they lead decides,
    and whether the replica is reached.
    Variables that the profile does not name are the replicas' own affair.
    """
    wanted = {component: literal_settings(profile.services[component]) for component in services_of(profile)}
    reports = [report for component in wanted if wanted[component] for report in of_service(replica_reports, component)]
    wrong = [
        f"{report.name}: {name} is {report.shown(name)}, the profile has {shown(name, value)}"
        for report in reports
        for name, value in wanted[report.service].items()
        if report.environment.get(name) != value
    ]
    if wrong:
        raise_if_unsure(reports, "; ".join(wrong))
    require_none(wrong, "the environment is not the profile's")
