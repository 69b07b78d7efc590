"""Fixtures of the checks themselves."""

from __future__ import annotations

from contextlib import suppress

import pytest

from fixtures.clusters.base import Cluster, Component, Feature, Workload, front_of, services_of
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.harness.outcome import skip_not_applicable, skip_unsupported
from fixtures.probes.components import Components
from fixtures.profile.amounts import least, most, shown
from fixtures.profile.model import Profile
from fixtures.services.orchestrator import Orchestrator
from fixtures.services.vllm import Model, ModelNames, Vllm, names_of


@pytest.fixture(autouse=True)
def _with_every_check(components: Components, collect_diagnostics: None) -> None:
    """The reports show in every run what answers and what does not, and why a check did not pass."""
    del components, collect_diagnostics


@pytest.fixture(scope="session")
async def model_names(vllm: Vllm, profile: Profile) -> ModelNames:
    """All names under which vLLM serves the profile's model, its aliases among them; where it cannot be asked, those of
    the profile."""
    models: dict[str, Model] = {}
    with suppress(NonConformance, Inconclusive):  # a check of its own says so
        models = await vllm.models()
    return names_of(models, profile.vllm.model, profile.vllm.aliases)


async def require_several_replicas(cluster: Cluster, profile: Profile, *services: Component) -> None:
    """Ends the check as not applicable where the profile allows a single replica of each of these services, and that is
    what is asked for and there: an autoscaler has nothing to do at night. Where it cannot be looked up, other checks
    say so.
    """
    for service in services:
        if not await _is_single(cluster, profile, service):
            return
    keys = ", ".join(f"{service}.replicas" for service in services)
    skip_not_applicable(f"one replica is there now, which the profile allows ({keys})")


async def _is_single(cluster: Cluster, profile: Profile, service: Component) -> bool:
    workload: Workload | None = None
    if least(getattr(profile, service.value).replicas) == 1 and Feature.REPLICAS not in cluster.unsupported:
        with suppress(NonConformance, Inconclusive):
            workload = await cluster.workload(service)
    return bool(workload and workload.desired == len(workload.replicas) == len(workload.ready) == 1)


@pytest.fixture
async def several_replicas(cluster: Cluster, profile: Profile) -> None:
    """For what needs another replica of who has the deliberations, which goes on, or answers, too."""
    await require_several_replicas(cluster, profile, front_of(profile))


@pytest.fixture
async def comparable_replicas(cluster: Cluster, profile: Profile) -> None:
    """For what compares the replicas of each service."""
    several = [service for service in services_of(profile) if most(profile.services[service].replicas) > 1]
    await require_several_replicas(cluster, profile, *several)


def require_several_addresses(cluster: Cluster, orchestrator: Orchestrator, profile: Profile) -> None:
    """Ends the check where all replicas share one address: nobody knows which of them answers."""
    if len(orchestrator.replicas) > 1:
        return
    wanted = f"{len(orchestrator.replicas)} of {shown(profile.front.replicas)} replicas can be asked"
    if profile.front.url or Feature.REPLICAS in cluster.unsupported:
        skip_unsupported(f"all replicas are behind one address: {wanted} on its own ({profile.front_name}.url)")
    raise Inconclusive(f"{wanted}: there is none whose answer could differ")


@pytest.fixture
def several_addresses(several_replicas: None, cluster: Cluster, orchestrator: Orchestrator, profile: Profile) -> None:
    """For what asks each replica on its own."""
    del several_replicas
    require_several_addresses(cluster, orchestrator, profile)
