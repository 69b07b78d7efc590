"""Real containers, entered as the fleet's replicas are, whatever their entrypoint does and their image has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fixtures.clusters.base import Component, Replica, Unsupported
from fixtures.clusters.kubernetes import workloads
from fixtures.clusters.kubernetes.client.api import NODES, PODS, Api
from fixtures.clusters.kubernetes.containers import Containers
from fixtures.core.programs import read_from_stdin
from fixtures.probes.packaging import document_in, probe_source
from tests.integration.kubernetes import pods

WAIT = "import time; time.sleep(600)"
SHOW = "import json, os, sys; print(json.dumps({'python': sys.executable, 'data': sys.stdin.read(), **os.environ}))"


@pytest.fixture
def containers(api: Api) -> Containers:
    return Containers(api)


async def replica(api: Api, namespace: str, name: str) -> Replica:
    return workloads.replica(await api.get(PODS, name, namespace), Component.ORCHESTRATOR, "main")


async def shown(containers: Containers, of: Replica, namespace: str) -> dict[str, str]:
    argv, stdin = read_from_stdin(SHOW, "grüße")
    ran = await containers.execute(of, namespace, argv, stdin=stdin, timeout=60)
    assert not ran.returncode, ran.stderr
    return dict(json.loads(ran.stdout))


async def python_of(api: Api, namespace: str, image: str) -> str:
    name = await pods.start(api, namespace, image, ["python", "-c", WAIT])
    show = ["python", "-c", "import sys; print(sys.executable)"]
    return (await api.execute(name, namespace, show, timeout=60)).stdout.strip()


@pytest.mark.parametrize("shared", [False, True], ids=["its own processes", "processes shared with pause"])
@pytest.mark.parametrize("waits", [False, True], ids=["exec", "a shell that waits"])
async def test_what_an_entrypoint_exports_is_seen(
    api: Api, namespace: str, image: str, containers: Containers, shared: bool, waits: bool
) -> None:
    script = (
        f"export SET=inside CHANGED=inside; {'' if waits else 'exec '}python -c '{WAIT}'{'; true' if waits else ''}"
    )
    environment = [{"name": "CHANGED", "value": "outside"}, {"name": "KEPT", "value": "outside"}]
    name = await pods.start(
        api, namespace, image, ["sh", "-c", script], env=environment, pod={"shareProcessNamespace": shared}
    )
    entered = await replica(api, namespace, name)
    main = await containers.main_process(entered, namespace)
    wanted = {"SET": "inside", "CHANGED": "inside", "KEPT": "outside"}
    assert wanted.items() <= main.environment.items()
    assert not (main.caveat or main.foreign or main.without_python)
    assert {**wanted, "data": "grüße"}.items() <= (await shown(containers, entered, namespace)).items()


async def test_no_program_on_the_path_is_needed(api: Api, namespace: str, image: str, containers: Containers) -> None:
    python = await python_of(api, namespace, image)
    environment = [{"name": "PATH", "value": "/none"}, {"name": "MINE", "value": "yes"}]
    name = await pods.start(api, namespace, image, [python, "-c", WAIT], env=environment)
    seen = await shown(containers, await replica(api, namespace, name), namespace)
    assert (seen["MINE"], seen["PATH"], seen["data"]) == ("yes", "/none", "grüße")


async def test_an_image_of_one_program_says_that_it_has_no_python(
    api: Api, namespace: str, containers: Containers
) -> None:
    nodes: list[Any] = [node.raw for node in await api.list(NODES)]
    names = [name for node in nodes for image in node["status"]["images"] for name in image.get("names", ())]
    pause = next((name for name in names if "/pause:" in name), None)
    if pause is None:
        pytest.skip("no node has an image of pause")
    entered = await replica(api, namespace, await pods.start(api, namespace, pause, []))
    with pytest.raises(Unsupported, match="no Python in its image"):
        await containers.main_process(entered, namespace)


async def test_what_is_left_of_a_limit_of_memory_is_seen(
    api: Api, namespace: str, image: str, containers: Containers
) -> None:
    resources = {"limits": {"memory": "200Mi"}, "requests": {"memory": "1Mi", "cpu": "1m"}}
    name = await pods.start(api, namespace, image, ["python", "-c", WAIT], resources=resources)
    source = probe_source().partition('\nif __name__ == "__main__":')[0] + "\nemit({'free': free_memory()})"
    argv, stdin = read_from_stdin(source)
    ran = await containers.execute(await replica(api, namespace, name), namespace, argv, stdin=stdin, timeout=60)
    free = document_in(ran.stdout, "the probe")["free"]
    assert 100 << 20 < free < 200 << 20
