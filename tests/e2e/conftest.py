"""Fixtures of the checks themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fixtures.checks.declaration import CATALOGUE
from fixtures.clusters.base import Cluster
from fixtures.diagnostics.collector import Diagnostics
from fixtures.diagnostics.evidence import Evidence
from fixtures.harness.recorder import CALL
from fixtures.probes.components import Components
from fixtures.services.nats import Nats
from fixtures.services.ray import Ray


@pytest.fixture(scope="session")
def diagnostics(cluster: Cluster, ray: Ray, nats: Nats, run_id: str) -> Diagnostics:
    return Diagnostics(cluster, ray, nats, run_id)


@pytest.fixture(scope="session", autouse=True)
def _table_of_components(components: Components) -> None:
    """Asked whichever checks run: the reports show in every run what answers and what does not."""


@pytest.fixture(autouse=True)
async def collect_diagnostics(
    request: pytest.FixtureRequest, evidence: Evidence, diagnostics: Diagnostics
) -> AsyncIterator[None]:
    """Keep what shows why a check does not pass."""
    yield
    outcome = request.node.stash.get(CALL, None)
    if outcome is not None and outcome.failed:
        await diagnostics.gather(evidence, CATALOGUE[evidence.check_id].concerns)
