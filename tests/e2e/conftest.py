"""Fixtures of the checks themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from fixtures.checks.declaration import CATALOGUE
from fixtures.checks.families import lookup
from fixtures.clusters.base import Cluster, Component, Feature, Workload
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.diagnostics.collector import Diagnostics
from fixtures.diagnostics.evidence import Evidence
from fixtures.harness.outcome import skip_not_applicable, skip_unsupported
from fixtures.harness.recorder import CALL
from fixtures.probes.components import Components
from fixtures.profile.amounts import least, shown
from fixtures.profile.model import Profile
from fixtures.services.nats import Nats
from fixtures.services.orchestrator import Orchestrator
from fixtures.services.ray import Ray
from fixtures.services.vllm import Model, ModelNames, Vllm, names_of


@pytest.fixture(scope="session")
def diagnostics(cluster: Cluster, ray: Ray, nats: Nats, run_id: str) -> Diagnostics:
    return Diagnostics(cluster, ray, nats, run_id)


@pytest.fixture(scope="session", autouse=True)
def _table_of_components(components: Components) -> None:
    """Asked whichever checks run: the reports show in every run what answers and what does not."""


@pytest.fixture(scope="session")
async def model_names(vllm: Vllm, profile: Profile) -> ModelNames:
    """All names under which vLLM serves the profile's model, its aliases among them; where it cannot be asked, those of
    the profile."""
    models: dict[str, Model] = {}
    with suppress(NonConformance, Inconclusive):  # a check of its own says so
        models = await vllm.models()
    return names_of(models, profile.vllm.model, profile.vllm.aliases)


async def require_several_replicas(cluster: Cluster, profile: Profile) -> None:
    """Ends the check as not applicable where the profile allows a single replica of the orchestrator, and that is what
    is asked for and there: an autoscaler has nothing to do at night. Where it cannot be looked up, other checks say so.
    """
    workload: Workload | None = None
    if least(profile.orchestrator.replicas) == 1 and Feature.REPLICAS not in cluster.unsupported:
        with suppress(NonConformance, Inconclusive):
            workload = await cluster.workload(Component.ORCHESTRATOR)
    if workload and workload.desired == len(workload.replicas) == len(workload.ready) == 1:
        skip_not_applicable("one replica is there now, which the profile allows (orchestrator.replicas)")


@pytest.fixture
async def several_replicas(cluster: Cluster, profile: Profile) -> None:
    """For what compares replicas, or needs another one that goes on."""
    await require_several_replicas(cluster, profile)


def require_several_addresses(cluster: Cluster, orchestrator: Orchestrator, profile: Profile) -> None:
    """Ends the check where all replicas share one address: nobody knows which of them answers."""
    if len(orchestrator.replicas) > 1:
        return
    wanted = f"{len(orchestrator.replicas)} of {shown(profile.orchestrator.replicas)} replicas can be asked"
    if profile.orchestrator.url or Feature.REPLICAS in cluster.unsupported:
        skip_unsupported(f"all replicas are behind one address: {wanted} on its own (orchestrator.url)")
    raise Inconclusive(f"{wanted}: there is none whose answer could differ")


@pytest.fixture
def several_addresses(several_replicas: None, cluster: Cluster, orchestrator: Orchestrator, profile: Profile) -> None:
    """For what asks each replica on its own."""
    del several_replicas
    require_several_addresses(cluster, orchestrator, profile)


@pytest.fixture(autouse=True)
async def collect_diagnostics(
    request: pytest.FixtureRequest, evidence: Evidence, diagnostics: Diagnostics
) -> AsyncIterator[None]:
    """Keep what shows why a check does not pass."""
    yield
    outcome = request.node.stash.get(CALL, None)
    if outcome is not None and outcome.failed:
        check = lookup(CATALOGUE, evidence.check_id)
        await diagnostics.gather(evidence, check.concerns if check else ())
