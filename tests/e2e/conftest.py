"""Fixtures of the checks themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fixtures import diagnostics, plugin
from fixtures.report.evidence import Evidence


@pytest.fixture(autouse=True)
async def last_words(request: pytest.FixtureRequest, suite: plugin.Suite, evidence: Evidence) -> AsyncIterator[None]:
    """Beside every check that fails: the logs of the replicas that are down."""
    yield
    outcome = request.node.stash.get(plugin.CALL, None)
    if outcome is not None and outcome.failed and suite.cluster.endpoints.vllm:
        await diagnostics.gather(suite.cluster, evidence)
