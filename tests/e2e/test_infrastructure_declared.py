"""INF: what the profile declares absent is absent: otherwise checks do not apply to what is there."""

from collections.abc import Callable

from fixtures.checks.declaration import SHOULD, check
from fixtures.checks.remedy import ENDPOINTS, KUBERNETES, do, kubectl, steps
from fixtures.checks.requirement import require_none
from fixtures.clusters.base import Cluster, Component
from fixtures.harness.outcome import skip_unsupported
from fixtures.probes.declared_parts import Sources, look_for_declared
from fixtures.profile.parts import Part
from fixtures.services.nats import Nats
from fixtures.services.orchestrator import Orchestrator
from tests.e2e.repairs import nats_cli, nats_reached


@check(
    "INF-16",
    SHOULD,
    "nothing is seen that the profile declares absent",
    remedy=steps(
        "Where it belongs to the fleet: correct the profile's key that the finding names, so that the checks about it "
        "apply.",
        do("Where it is left of earlier software, see what there is before you remove it.", KUBERNETES, ENDPOINTS),
        nats_reached(),
        nats_cli("Consumers, and buckets:", "consumer ls {stream}", "kv ls"),
        do("{other_service}", KUBERNETES),
        do("Variables of the {section}:", KUBERNETES, about="section"),
        kubectl("-n {orchestrator_namespace} set env {orchestrator_workload} --list", about="section"),
    ),
    concerns=(Component.ORCHESTRATOR, Component.NATS),
    cuts=(),
    impact="Checks do not apply by the profile, though the fleet has what they are about: nobody has looked at it.",
    needs=(Part.DECLARED_ABSENT,),
    run_last=True,
)
async def test_nothing_is_hidden(
    cluster: Cluster, orchestrator: Orchestrator, nats: Nats, run_start_sequence: int, note: Callable[[str], None]
) -> None:
    """The fleet does not show what its profile declares absent: councils that a replica lists, consumers that read what
    agents publish, a bucket with results of this run, answers with diversity, variables of the orchestrator, or of an
    executor, that lead to vLLM, NATS or Ray.

    A part that is declared absent narrows the scope: checks about it do not apply, and the verdict does not suffer.
    What a fleet does not show by itself (deadlines, tools) is not looked at, which is noted.
    """
    found = await look_for_declared(Sources(cluster, orchestrator, nats, run_start_sequence))
    if found.unknown:
        note(f"not looked at: {found.blind_spots}")
    require_none(found.seen, "there is what the profile declares absent")
    if not found.looked_at:
        skip_unsupported(f"of what the profile declares absent nothing can be looked at: {found.blind_spots}")
