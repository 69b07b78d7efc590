"""INF: NATS has room, stream and consumers for the results, and every orchestrator serves that collects them."""

from collections.abc import Callable
from contextlib import suppress

from fixtures.checks.declaration import MUST, Gate, Link, check
from fixtures.checks.remedy import EMBEDDED, ENDPOINTS, KUBERNETES, about, do, kubectl, steps
from fixtures.checks.requirement import by_place, require_none
from fixtures.clusters.base import Component, Replica, Workload, front_of, services_of
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.image_reference import runs_image
from fixtures.core.versions import is_other_release
from fixtures.harness.outcome import skip_unsupported
from fixtures.probes.components import Components
from fixtures.profile.amounts import Span, holds, least, shown
from fixtures.profile.collection import collected
from fixtures.profile.fleet_services import FleetService
from fixtures.profile.model import Profile
from fixtures.profile.parts import Part
from fixtures.profile.remedy_values import About
from fixtures.services.nats import Nats, NotThere
from fixtures.services.result_stream import origins_of, room_problems, stream_problems
from tests.e2e.repairs import EVIDENCE, LOGS, nats_cli, nats_reached
from tests.e2e.scaling import what_starts


@check(
    "INF-09",
    MUST,
    "NATS answers, JetStream is on and has room",
    remedy=steps(
        "Start nats-server with -js (Helm: config.jetstream.enabled=true) and enough storage.",
        nats_reached(),
        nats_cli("See what the account has and may use:", "account info"),
        EVIDENCE,
    ),
    concerns=(Component.NATS,),
    cuts=(Link.PUBLISH, Link.COLLECT),
    impact="No result can be published or received.",
    never_excused=True,
    gate=Gate.ALWAYS,
)
async def test_jetstream(components: Components, nats: Nats, profile: Profile, note: Callable[[str], None]) -> None:
    """NATS answers, JetStream is enabled for this account, and the account's limits leave room for results. Of several
    servers (nats.url) one that answers is enough; each that does not is noted.

    It may be that of other servers: a server without one of its own, in the same cluster or behind a gateway, leads
    there. Limits may come in tiers, by the replicas of a stream: those of the profile's stream count, one where it is
    missing.
    """
    info, replicas = components.nats.get(), 1
    for why_not in await nats.unusable_servers():
        note(why_not)
    try:
        account = await nats.account()
    except NonConformance as error:
        if info.jetstream:
            raise
        what = f"NATS {info.version} at {nats.url} runs without JetStream, and reaches none"
        raise NonConformance(f"{what}: {error}") from error
    if account.tiers:
        with suppress(NotThere):
            replicas = (await nats.stream(profile.nats.stream)).config.num_replicas
    problems = room_problems(account, replicas)
    require_none(problems, "JetStream has no room for results", separator=", ")


@check(
    "INF-10",
    MUST,
    "a stream captures the agents' answers, and keeps them as the profile says",
    remedy=steps(
        do(
            "What the finding names decides: a missing stream is added, one that is there is edited.",
            KUBERNETES,
            ENDPOINTS,
        ),
        nats_reached(),
        nats_cli("See what is there:", "stream info {stream}"),
        nats_cli("It is missing:", "stream add {stream} --subjects '{subjects}' {stream_keeps} --defaults"),
        nats_cli(
            "It captures other subjects (this replaces all of them: name those that others need, too):",
            "stream edit {stream} --subjects '{subjects}'",
        ),
        nats_cli(
            "It is full, or keeps too few bytes: let it hold more (-1: no limit but the account's):",
            "stream edit {stream} --max-bytes=-1 --max-msgs=-1",
        ),
        nats_cli(
            "Where it may hold no more than it does: let the oldest go, so that it takes the newest:",
            "stream edit {stream} --discard old",
        ),
        nats_cli(
            "It keeps too few messages, or not long enough:",
            "stream edit {stream} --max-msgs=-1 --max-msgs-per-subject=-1 --max-age=7d",
        ),
        nats_cli(
            "It has too few replicas (as many servers with JetStream must be there):",
            "stream edit {stream} --replicas {stream_replicas}",
        ),
        nats_cli("It acknowledges nothing:", "stream edit {stream} --ack"),
        nats_cli("It rewrites subjects: take subject_transform out:", "stream edit {stream} --no-transform"),
        nats_cli(
            "Its storage or its retention differs, it is sealed, or it mirrors another stream. None of it can be "
            "edited. Keep a copy of its messages first:",
            "stream backup {stream} {stream}.backup",
        ),
        nats_cli(
            "Then make it again. Its consumers go with it and are added again, too:",
            "stream rm {stream}",
            "stream add {stream} --subjects '{subjects}' {stream_keeps} --defaults",
        ),
        do(
            "The servers of nats.url are not one NATS: join them by routes (Helm: config.cluster.enabled=true), or "
            "name only those that the agents and the orchestrator use."
        ),
        do(
            "Where the stream is right as it is: correct nats.storage, nats.retention or nats.stream_replicas of the "
            "profile."
        ),
        EVIDENCE,
    ),
    concerns=(Component.NATS,),
    cuts=(Link.PUBLISH, Link.COLLECT),
    impact="Published results are not kept: no stream captures them.",
    follows=("INF-09",),
    gate=Gate.ALWAYS,
)
async def test_stream(nats: Nats, profile: Profile) -> None:
    """The stream exists, captures the agents' subjects, and has the profile's storage and retention and at least as
    many replicas: on disk, by limits and one of each, unless the profile says otherwise.

    Without it a publication is lost (core NATS) or refused (JetStream); in memory it is lost at the next restart. It
    takes further messages, says so to their publishers, and keeps them for longer than a restart takes. A mirror of a
    stream that captures the subjects is as good. Several servers (nats.url) lead to the same stream, whichever a client
    meets.
    """
    stream = await nats.stream(profile.nats.stream)
    apart = await nats.servers_apart(stream)
    require_none(apart, "the servers of nats.url are not one NATS")
    subjects = profile.contract.messages.subjects
    wrong = stream_problems(stream, profile.nats, subjects, await origins_of(nats, stream, subjects))
    require_none(wrong, f"stream {profile.nats.stream}")


@check(
    "INF-11",
    MUST,
    "orchestrator: every replica serves, in the profile's version",
    remedy=about(
        About.ORCHESTRATOR,
        do("{other_service}", KUBERNETES),
        do("See how far the roll-out is, and what events and the replicas say:", KUBERNETES),
        kubectl("-n {orchestrator_namespace} rollout status {orchestrator_workload} --watch=false"),
        kubectl("-n {orchestrator_namespace} describe {orchestrator_pods}"),
        LOGS,
        do("Where a container ends again and again: add --previous to logs.", KUBERNETES),
        do(
            "Where the version differs: roll out the image of the profile's {section}.version, or correct that.",
            KUBERNETES,
            EMBEDDED,
        ),
        do("Where the number differs: see who has scaled it, a person or an autoscaler:", KUBERNETES),
        kubectl("-n {orchestrator_namespace} get {orchestrator_workload} -o yaml"),
        do("Then scale it to what the profile names, or correct {section}.replicas of the profile:", KUBERNETES),
        kubectl("-n {orchestrator_namespace} scale {orchestrator_workload} --replicas={orchestrator_replicas}"),
        do("Where the service leads to what is no replica: see whose labels its selector fits, too:", KUBERNETES),
        kubectl("-n {orchestrator_namespace} get services,endpointslices -o wide"),
    ),
    concerns=(Component.ORCHESTRATOR,),
    cuts=(Link.ORCHESTRATOR,),
    impact="Requests that land on the missing replica fail.",
    needs=(Part.ORCHESTRATOR,),
    follows=("INF-05", "INF-09", "INF-10"),
    gate=Gate.ALWAYS,
)
def test_orchestrator_replicas(components: Components, profile: Profile) -> None:
    """As many replicas as specified are ready, gRPC answers on each of them, they are of the profile's version, and the
    service leads to nothing else. Where one address is all that is known of them, it answers; where no method of gRPC
    says how a replica is, its pods are looked at alone. So are those of an executor beside an orchestrator, or of an
    orchestrator beside an executor that serves gRPC (grpc.at). Behind addresses of the profile (`orchestrator.url`)
    next to a workload, it is the workload that says how many there are.

    The version, where the profile names one, is that of the image's tag. A tag that names none (a commit, a digest
    alone) proves nothing. The image, where the profile names one, is compared by digest, else as a reference. During a
    roll-out there may be more replicas, of which some start. While a replica starts, or has just ended, because another
    number is asked for than before, and the profile allows both, it cannot be told.
    """
    unseen: list[str] = []
    unsure: list[Inconclusive] = []
    for component in services_of(profile):
        try:
            unseen += replicas_serve(components, profile, component)
        except Inconclusive as error:  # a failure of the other one is a failure
            unsure.append(error)
    if unsure:
        raise unsure[0]
    if unseen:
        skip_unsupported("; ".join(unseen))


def replicas_serve(components: Components, profile: Profile, component: Component) -> list[str]:
    """Judges the replicas of a service of the fleet's own. Returns why nothing of them can be seen; nothing where they
    are as they must be."""
    workload, service = components.workload(component), profile.services[component]
    is_asked = component is front_of(profile) and profile.contract.tells_status
    what = f"{component}: " if len(profile.services) > 1 else ""
    silent, asked = dict[str, str](), components.orchestrator if is_asked else {}
    for name, status in asked.items():
        try:
            status.get()
        except NonConformance as error:
            silent[name] = str(error)
    wanted, each_is_asked = service.replicas, is_asked and not service.url
    starting = what_may_start(workload, wanted) if workload else ""
    unanswered = "gRPC does not answer on every replica"
    mute = f"{unanswered}: {'; '.join(silent.values())}"
    if silent and workload and workload.rollout:
        raise Inconclusive(f"{workload.rollout}; {mute}")
    if silent and workload and each_is_asked and silent.keys().isdisjoint(one.name for one in workload.ready):
        gone = isinstance(wanted, Span) and silent.keys().isdisjoint(one.name for one in workload.replicas)
        if starting or (gone and holds(wanted, workload.desired)):
            raise Inconclusive(f"{starting or f'{workload.name} was scaled to {workload.desired}'}; {mute}")
    require_none(silent.values(), unanswered, text=mute)
    if workload is None and not is_asked:
        return [f"{what}neither its replicas nor its gRPC can be asked from here (grpc.status)"]
    if workload is None:
        if len(asked) != 1 and not holds(wanted, len(asked)):
            raise Inconclusive(
                f"the profile names {len(asked)} addresses ({component}.url) of {shown(wanted)} replicas "
                f"({component}.replicas): name all of them, or the one of a load balancer"
            )
        return []
    if starting:
        raise Inconclusive(starting)
    there = len(asked) if each_is_asked else workload.desired
    count = min(there, workload.desired) if workload.rollout else there
    assert holds(wanted, count), f"{what}{count} replicas were found, the profile asks for {shown(wanted)}"
    assert len(workload.ready) >= workload.desired, (
        f"{what}{len(workload.ready)} of {workload.desired} replicas are ready ({workload.not_ready})"
    )
    strangers = components.strangers_behind(component)
    require_none(strangers, f"{service.service} leads to what is no replica of {workload.name}, too", separator=", ")
    for wanted_image, runs in ((f"version {service.version}", of_version), (service.image, of_image)):
        judged = {replica: runs(service, replica) for replica in workload.ready}
        other = {replica.name: replica.image for replica, fits in judged.items() if fits is False}
        if other and workload.rollout:
            raise Inconclusive(f"{workload.rollout}; not of {wanted_image}: {other}")
        expected = f"{what}expected {wanted_image}"
        require_none(by_place(other), expected, text=f"{expected}; these run another image: {other}")
        if unknown := [replica.name for replica, fits in judged.items() if fits is None]:
            raise Inconclusive(f"{what}neither a digest nor a tag says whether they run {wanted_image}: {unknown}")
    return []


def what_may_start(workload: Workload, wanted: int | Span) -> str:
    """Which replicas start that the profile allows, where at least as many as it wants are asked for; else ""."""
    enough = workload.desired >= least(wanted) if workload.rollout else holds(wanted, workload.desired)
    return what_starts(workload, least(wanted)) if enough else ""


def of_version(service: FleetService, replica: Replica) -> bool:
    """Whether its image's tag is none of another release than the profile's, where that names one."""
    return not (service.version and is_other_release(replica.image, service.version))


def of_image(service: FleetService, replica: Replica) -> bool | None:
    """Whether it runs the profile's image, where that names one; None: it cannot be told."""
    pinned = service.image if "@" in service.image else ""
    return not service.image or runs_image(service.image, pinned, replica.image, replica.image_id)


@check(
    "INF-12",
    MUST,
    "durable pull consumers collect completed and failed",
    remedy=steps(
        do(
            "What the finding names decides. The reference orchestrator adds missing ones when it starts.",
            KUBERNETES,
            ENDPOINTS,
        ),
        nats_reached(),
        nats_cli(
            "See what is there:",
            "consumer info {stream} {completed_consumer}",
            "consumer info {stream} {failed_consumer}",
            "consumer info {stream} {deliberations_consumer}",
        ),
        nats_cli(
            "One is missing; add it:",
            *(
                f"consumer add {{stream}} {{{which}_consumer}} {{{which}_filters}} --pull --ack explicit --deliver all "
                "--defaults"
                for which in ("completed", "failed", "deliberations")
            ),
        ),
        nats_cli(
            "One is paused:",
            "consumer resume {stream} {completed_consumer}",
            "consumer resume {stream} {failed_consumer}",
            "consumer resume {stream} {deliberations_consumer}",
        ),
        nats_cli(
            "One filters another subject:",
            "consumer edit {stream} {completed_consumer} {completed_filters}",
            "consumer edit {stream} {failed_consumer} {failed_filters}",
            "consumer edit {stream} {deliberations_consumer} {deliberations_filters}",
        ),
        nats_cli(
            "One is a push consumer, not durable, or has another ack policy. None of it can be edited: remove that "
            "one, then add it as above. It starts again at the stream's first message:",
            "consumer rm {stream} {completed_consumer}",
            "consumer rm {stream} {failed_consumer}",
            "consumer rm {stream} {deliberations_consumer}",
        ),
        EVIDENCE,
    ),
    concerns=(Component.NATS, Component.ORCHESTRATOR),
    cuts=(Link.COLLECT,),
    impact="The orchestrator never reads the results, although they are published.",
    needs=(Part.CONSUMERS,),
    follows=("INF-10", "INF-11"),
    gate=Gate.ALWAYS,
)
async def test_consumers(nats: Nats, profile: Profile) -> None:
    """Both durable consumers exist, are pulled from, and want explicit acknowledgement; one may collect both. None is
    paused: answers would wait in the stream.

    A push consumer serves one replica only; without acknowledgement a result is lost with the replica that had it.
    """
    wrong = []
    for name, subject in collected(profile):
        try:
            consumer = await nats.consumer(profile.nats.stream, name)
        except NonConformance as error:
            wrong.append(str(error))
            continue
        config = consumer.config
        if consumer.paused:
            rest = f" for another {consumer.pause_remaining / 1e9:.0f} s" if consumer.pause_remaining else ""
            wrong.append(f"{name} is paused: nothing is delivered{rest}")
        if config.deliver_subject:
            wrong.append(f"{name} is a push consumer (to {config.deliver_subject})")
        if config.ack_policy != "explicit":
            wrong.append(f"{name} has ack policy {config.ack_policy}, not explicit")
        if config.durable_name != name:
            wrong.append(f"{name} is not durable")
        if not config.reads(subject):
            wrong.append(f"{name} filters {', '.join(config.filters)}, not {subject}")
    require_none(wrong)
