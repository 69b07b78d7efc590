"""A real cluster for these tests: FLEET_TEST_KUBECONFIG names its kubeconfig; ci/test's Kubernetes stage makes one.

All that they make is in a namespace of their own, which is removed at the end. Their pods run the orchestrator's image
(Python with grpcio): FLEET_TEST_IMAGE, or that of a deployment named "orchestrator" in the cluster.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, NAMESPACES, Api, connect
from tests.integration.kubernetes import pods

HERE = Path(__file__).parent
MISSING = "FLEET_TEST_KUBECONFIG does not name the kubeconfig of a cluster to test with"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("FLEET_TEST_KUBECONFIG"):
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    return os.environ["FLEET_TEST_KUBECONFIG"]


@pytest.fixture(scope="session")
async def api(kubeconfig: str) -> AsyncIterator[Api]:
    """The API server, with all rights."""
    api = connect(kubeconfig, None)
    yield api
    await api.close()


@pytest.fixture(scope="session")
async def namespace(api: Api) -> AsyncIterator[str]:
    """A namespace for these tests alone."""
    name = f"fleet-test-{secrets.token_hex(3)}"
    await api.create(NAMESPACES, {"metadata": {"name": name}})
    yield name
    await api.delete(NAMESPACES, name)


@pytest.fixture(scope="session")
async def image(api: Api) -> str:
    """An image that every node has, with Python and grpcio."""
    if named := os.environ.get("FLEET_TEST_IMAGE"):
        return named
    found = [one for one in await api.list(DEPLOYMENTS) if one.metadata.name == "orchestrator"]
    assert found, "no deployment named orchestrator in the cluster to take the image from; set FLEET_TEST_IMAGE"
    return found[0].spec.pod_spec.containers[0].image


@pytest.fixture(scope="session")
async def server(api: Api, namespace: str, image: str) -> str:
    """The name of a pod that serves what pod_server.py says."""
    return await pods.start_server(api, namespace, image)
