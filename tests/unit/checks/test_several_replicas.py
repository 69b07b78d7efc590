"""What compares replicas, or needs another one, where the profile allows one, or names an address for all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.clusters.base import Component, Feature, Replica, Unsupported, Workload
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.profile.amounts import Span
from fixtures.profile.model import Profile, load
from tests.e2e.conftest import require_several_addresses, require_several_replicas
from tests.e2e.test_orchestrator_survival import test_replica_killed as replica_killed
from tests.support.profiles import with_executor

AT_NIGHT = "^not applicable: one replica is there now, which the profile allows"
LB = ("lb.example:443",)


def profile(least: int = 1, **values: Any) -> Profile:
    return load("swe-ai-fleet").replaced("orchestrator", replicas=Span(min=least, max=4), **values)


def fleet(desired: int, ready: int, late: int = 0, blind: bool = False, error: Exception | None = None) -> Any:
    """A cluster whose orchestrator has so many replicas; `blind`: they cannot be listed."""
    replicas = tuple(
        Replica(f"o-{number}", Component.ORCHESTRATOR, "o", "o:1", "", number < ready) for number in range(ready + late)
    )

    async def workload(component: Component) -> Workload:
        if error:
            raise error
        return Workload("o", component, desired, "o:1", "", replicas)

    return SimpleNamespace(workload=workload, unsupported={Feature.REPLICAS: "by URLs"} if blind else {})


def asked(count: int) -> Any:
    return SimpleNamespace(replicas=[SimpleNamespace(name=f"o-{number}") for number in range(count)])


async def test_one_replica_that_the_profile_allows_is_nothing_to_compare() -> None:
    with pytest.raises(pytest.skip.Exception, match=AT_NIGHT):
        await require_several_replicas(fleet(1, 1), profile(), Component.ORCHESTRATOR)


@pytest.mark.parametrize(
    ("cluster", "least"),
    [
        (fleet(1, 1), 2),  # too few, which INF-11 says
        (fleet(2, 1, late=1), 1),  # one more starts
        (fleet(2, 1), 1),
        (fleet(1, 2), 1),  # one is about to go
        (fleet(1, 0, late=1), 1),
        (fleet(1, 1, blind=True), 1),
        (fleet(1, 1, error=Unsupported("orchestrator.url alone")), 1),
        (fleet(1, 1, error=NonConformance("there is none")), 1),
    ],
)
async def test_elsewhere_the_check_itself_decides(cluster: Any, least: int) -> None:
    await require_several_replicas(cluster, profile(least), Component.ORCHESTRATOR)


async def test_of_two_services_one_with_several_replicas_is_enough_to_compare() -> None:
    both, services = with_executor(profile(), replicas=Span(min=1, max=2)), (Component.ORCHESTRATOR, Component.EXECUTOR)
    with pytest.raises(pytest.skip.Exception, match=r"\(orchestrator\.replicas, executor\.replicas\)"):
        await require_several_replicas(fleet(1, 1), both, *services)
    await require_several_replicas(fleet(1, 1), both.replaced("executor", replicas=2), *services)


def test_one_address_of_the_profile_shows_no_replica_on_its_own() -> None:
    """Also next to a workload, whose pods are known and not asked."""
    for cluster, named in ((fleet(2, 2), profile(url=LB)), (fleet(2, 2, blind=True), profile())):
        with pytest.raises(pytest.skip.Exception, match=r"^unsupported: all replicas are behind one address"):
            require_several_addresses(cluster, asked(1), named)
    with pytest.raises(Inconclusive, match="1 of 1 to 4 replicas can be asked"):
        require_several_addresses(fleet(2, 2), asked(1), profile())
    require_several_addresses(fleet(2, 2), asked(2), profile())


async def killed(cluster: Any, orchestrator: Any, profile: Profile) -> None:
    """Runs ORC-15 as far as it comes without a fleet."""

    def new(replica: Any) -> Any:
        return SimpleNamespace(asked=replica, replica=replica.name)

    deliberations: Any = SimpleNamespace(orchestrator=orchestrator, new=new)
    await replica_killed(cluster, deliberations, cast(Any, None), cast(Any, None), profile)


async def test_no_replica_is_killed_that_nobody_knows() -> None:
    for count in (1, 2):
        with pytest.raises(pytest.skip.Exception, match=r"^unsupported: which replica is behind an address"):
            await killed(fleet(2, 2), asked(count), profile(url=LB * count))
    with pytest.raises(Inconclusive, match="of 2 replicas o-0 alone can be asked"):
        await killed(fleet(2, 2), asked(1), profile())
    with pytest.raises(AssertionError, match="o-0 is the orchestrator's only replica"):
        await killed(fleet(1, 1), asked(1), profile(2))
