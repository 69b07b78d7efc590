"""A pytest plugin: others use the fleet while its checks run.

Named with `-p`, it is imported before the suite's own plugin names its modules to pytest, which rewrites none that is
imported already: so it imports the loads when the fleet is asked for.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from fixtures.clusters.base import Cluster


@pytest.hookimpl(wrapper=True)
def pytest_fleet_cluster() -> Generator[None, Cluster, Cluster]:
    from tests.soak.loads import LOADS, with_loads

    return with_loads((yield), LOADS)
