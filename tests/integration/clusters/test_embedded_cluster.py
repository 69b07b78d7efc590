"""The embedded cluster as a whole: it boots, can be disturbed and mended, and leaves nothing behind."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.base import Component, Feature, Replica, Timeline
from fixtures.clusters.embedded import EmbeddedCluster, EmbeddedOptions, probes
from fixtures.clusters.embedded.ports import SIZE, PortBlock, is_free
from fixtures.clusters.embedded.reaper import marked
from fixtures.core.errors import Inconclusive, StartupError, UsageError
from fixtures.core.paths import ROOT
from fixtures.core.polling import wait_until
from fixtures.profile import model as profiles

EXEC_S = 30.0
OWNER = """
import asyncio
from fixtures.profile import model as profiles
from fixtures.clusters.base import Timeline
from fixtures.clusters.embedded import EmbeddedCluster, EmbeddedOptions

cluster = EmbeddedCluster(EmbeddedOptions(profiles.load("embedded"), vllm="stub"))
async def main():
    boot = asyncio.ensure_future(cluster.start(Timeline()))
    while cluster.run_directory is None:
        await asyncio.sleep(0.01)
    print(cluster.run_directory.path, flush=True)
    await boot
asyncio.run(main())
"""


def options(**values: Any) -> EmbeddedOptions:
    return EmbeddedOptions(**{"profile": profiles.load("embedded"), "vllm": "stub", "run_id": "fc-test", **values})


def shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm"))


async def nothing_left(folder: str) -> None:
    async def seen() -> bool:
        return not marked(folder) and not os.path.exists(folder)

    await wait_until(seen, f"the end of all that ran in {folder}", 20)


@pytest.fixture(scope="module")
async def cluster() -> AsyncIterator[EmbeddedCluster]:
    """A cluster that runs for all tests of this file, and the proof that it leaves nothing."""
    before = shared_memory()
    cluster = EmbeddedCluster(options())
    await cluster.start(Timeline())
    assert cluster.run_directory
    folder, base = cluster.run_directory.path, int(cluster.endpoints.dashboard.rpartition(":")[2]) // SIZE * SIZE
    yield cluster
    await cluster.stop()
    await cluster.stop()  # safe to call twice
    assert not marked(str(folder)), "a process of the run is left"
    assert not folder.exists(), "the run directory is left"
    assert [port for port in range(base, base + SIZE) if not is_free(port)] == [], "a port is still taken"
    assert shared_memory() <= before, "a file in shared memory is left"
    PortBlock.claim(base).close()


async def one(cluster: EmbeddedCluster, component: Component) -> Replica:
    return (await cluster.workload(component)).replicas[0]


async def test_every_workload_is_complete_and_runs_what_is_asked(cluster: EmbeddedCluster) -> None:
    for component in set(Component) - {Component.EXECUTOR}:  # of which an embedded fleet has none
        workload = await cluster.workload(component)
        assert len(workload.ready) == workload.desired, workload
        assert {replica.image_id for replica in workload.replicas} == {workload.image_id}
    assert cluster.versions["ray"] == cluster.profile.ray.version
    assert Feature.KUBERNETES in cluster.unsupported


async def test_ray_has_the_resources_of_the_profile(cluster: EmbeddedCluster) -> None:
    answer = await probes.get_json(f"{cluster.endpoints.dashboard}/api/v0/nodes?detail=true")
    nodes = [row["resources_total"] for row in answer["data"]["result"]["result"] if row["state"] == "ALIVE"]
    assert sum(node.get("CPU", 0) for node in nodes) == cluster.profile.ray.resources.cpus
    assert sum(node.get("GPU", 0) for node in nodes) == cluster.profile.ray.resources.gpus


async def test_a_command_runs_in_the_replicas_own_interpreter(cluster: EmbeddedCluster) -> None:
    worker = await one(cluster, Component.RAY_WORKER)
    code = "import sys, nats; print(sys.prefix, input())"
    done = await cluster.exec(worker, ["python", "-c", code], stdin="grüße", timeout=EXEC_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"/{worker.name} grüße\n")
    done = await cluster.exec(worker, ["sh", "-c", "echo oops >&2; exit 3"], timeout=EXEC_S)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "oops\n")
    with pytest.raises(Inconclusive, match="did not end within"):
        await cluster.exec(worker, ["sleep", "60"], timeout=0.2)


async def test_a_replicas_environment_is_the_one_it_was_started_with(cluster: EmbeddedCluster) -> None:
    environment = await cluster.environment(await one(cluster, Component.ORCHESTRATOR))
    assert environment["VLLM_URL"] == cluster.endpoints.fault_proxy
    assert environment["RAY_ADDRESS"] == cluster.endpoints.ray_client
    assert "FLEET_CACHE" not in environment, "the suite's own environment does not leak"


async def test_a_fresh_instance_of_the_stock_image_lacks_nats(cluster: EmbeddedCluster) -> None:
    done = await cluster.run_image("stock", ["python", "-c", "import ray, aiohttp, requests, nats"], timeout=EXEC_S)
    assert done.returncode == 1
    assert "No module named 'nats'" in done.stderr


async def test_a_killed_replica_stays_down_and_says_so_until_it_is_revived(cluster: EmbeddedCluster) -> None:
    worker, nats = await one(cluster, Component.RAY_WORKER), await one(cluster, Component.NATS)
    await cluster.kill(worker, nats)
    down = await one(cluster, Component.RAY_WORKER)
    assert (down.ready, down.reason) == (False, "has ended with status 137")
    with pytest.raises(Inconclusive, match="has ended with status 137"):
        await cluster.exec(down, ["true"], timeout=EXEC_S)
    with pytest.raises(Inconclusive, match="cannot be read"):
        await cluster.environment(down)
    text = await cluster.logs(down, 50)
    assert "Ray runtime started" in text
    raylets = re.findall(r"^--- (raylet\S*)\.(?:out|err) ---$", text, re.MULTILINE)
    assert len(set(raylets)) == 1, (
        "of all raylets only its own, which may have noticed the end of its agent: then in .err"
    )
    await cluster.revive(worker, nats)
    assert (await one(cluster, Component.RAY_WORKER)).ready
    assert (await one(cluster, Component.NATS)).ready


async def test_a_replaced_worker_has_a_new_name_and_nothing_installed_by_hand(cluster: EmbeddedCluster) -> None:
    worker = await one(cluster, Component.RAY_WORKER)
    made = "import sysconfig; open(sysconfig.get_path('purelib') + '/by_hand.py', 'w').close()"
    assert (await cluster.exec(worker, ["python", "-c", made], timeout=EXEC_S)).returncode == 0
    assert (await cluster.exec(worker, ["python", "-c", "import by_hand"], timeout=EXEC_S)).returncode == 0
    successor = await cluster.replace(worker)
    assert successor.ready
    replicas = (await cluster.workload(Component.RAY_WORKER)).replicas
    assert worker.name not in {replica.name for replica in replicas}
    assert len(replicas) == cluster.profile.ray.workers
    assert (await cluster.exec(successor, ["python", "-c", "import by_hand"], timeout=EXEC_S)).returncode == 1


async def test_a_new_image_reaches_replicas_only_with_a_restart(cluster: EmbeddedCluster) -> None:
    session = (await probes.get_json(f"{cluster.endpoints.dashboard}/api/version"))["session_name"]
    cluster.set_image("stock")
    for component in (Component.RAY_HEAD, Component.RAY_WORKER):
        workload = await cluster.workload(component)
        assert workload.image_id not in {replica.image_id for replica in workload.replicas}
    await cluster.restart_ray()
    for component in (Component.RAY_HEAD, Component.RAY_WORKER):
        workload = await cluster.workload(component)
        assert {replica.image_id for replica in workload.ready} == {workload.image_id}
    assert (await probes.get_json(f"{cluster.endpoints.dashboard}/api/version"))["session_name"] != session


async def test_an_unknown_replica_cannot_be_told(cluster: EmbeddedCluster) -> None:
    worker = await one(cluster, Component.RAY_WORKER)
    gone = type(worker)(**{**worker.__dict__, "name": "ray-worker-99"})
    with pytest.raises(Inconclusive, match="no such replica"):
        await cluster.environment(gone)


async def test_a_part_that_dies_while_booting_ends_the_boot_with_its_last_log_lines(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "bin").mkdir(parents=True)
    (broken / "lib" / "python3.11" / "site-packages" / "ray-2.49.2.dist-info").mkdir(parents=True)
    (broken / "bin" / "python").write_text("#!/bin/sh\necho 'this image is broken'; exit 9\n")
    (broken / "bin" / "python").chmod(0o755)
    cluster = EmbeddedCluster(options(ray_image=str(broken)))
    with pytest.raises(StartupError) as failure:
        await cluster.start(Timeline())
    assert failure.value.part == "ray-head"
    assert "status 9" in failure.value.reason
    assert "this image is broken" in failure.value.log
    assert "ray-head: has ended with status 9; its log ends with: this image is broken" in str(failure.value)
    assert cluster.run_directory is None


async def test_a_taken_port_is_named_before_anything_starts() -> None:
    block = PortBlock.claim()
    try:
        with pytest.raises(UsageError, match="another run"):
            await EmbeddedCluster(options(port_base=block.base)).start(Timeline())
    finally:
        block.close()


async def test_a_boot_that_is_interrupted_leaves_nothing() -> None:
    before = shared_memory()
    cluster = EmbeddedCluster(options())
    boot = asyncio.ensure_future(cluster.start(Timeline()))

    async def under_way() -> Path | None:
        run = cluster.run_directory
        return run.path if run and (run.path / "ray" / "ray-head" / "session_latest").exists() else None

    folder = await wait_until(under_way, "the head's session", 30)
    boot.cancel()
    with pytest.raises(asyncio.CancelledError):
        await boot
    assert not marked(str(folder))
    assert not folder.exists()
    assert shared_memory() <= before


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    """Another process that boots a cluster; it prints the run directory."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process
        process.kill()


async def test_sigkill_in_the_middle_of_the_boot_leaves_nothing(owner: subprocess.Popen[str]) -> None:
    before = shared_memory()
    assert owner.stdout
    folder = owner.stdout.readline().strip()

    async def under_way() -> bool:
        return len(marked(folder)) > 25

    await wait_until(under_way, "Ray's dashboard and its many processes", 60)
    owner.send_signal(signal.SIGKILL)
    await nothing_left(folder)
    assert shared_memory() <= before
