"""An embedded fleet of the newest Ray that has locks boots, runs a job and leaves nothing; ci/matrix has all."""

from pathlib import Path

from fixtures.clusters.base import Component, Timeline
from fixtures.clusters.embedded import EmbeddedCluster, EmbeddedOptions
from fixtures.clusters.embedded.reaper import marked
from fixtures.clusters.image_recipes import recipes
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile import model as profiles
from fixtures.services.ray import Ray

NEWEST = recipes().ray.versions[-1]
PROGRAM = """python -c '
import ray
ray.init(logging_level="ERROR")
nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
where = ray.remote(lambda: ray.get_runtime_context().get_node_id())
here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
seen = ray.get([where.options(num_cpus=0, scheduling_strategy=here(node, soft=False)).remote() for node in nodes])
assert seen == nodes, (seen, nodes)
print(ray.__version__, len(nodes))
'"""


async def test_a_fleet_of_the_newest_ray_boots_runs_a_job_and_leaves_nothing() -> None:
    options = EmbeddedOptions(profiles.load("embedded"), vllm="stub", run_id="fc-rays", ray_version=NEWEST)
    cluster = EmbeddedCluster(options)
    await cluster.start(Timeline())
    assert cluster.run_directory
    folder: Path = cluster.run_directory.path
    try:
        assert cluster.versions["ray"] == NEWEST
        for component in Component:
            workload = await cluster.workload(component)
            assert len(workload.ready) == workload.desired, workload
        head = (await cluster.workload(Component.RAY_HEAD)).replicas[0]
        assert "is not as expected" not in await cluster.logs(head), "its modules and ports are those of this run"
        ray = Ray(cluster.endpoints.dashboard)
        try:
            await ray.submit(PROGRAM, "fc-rays-job")
            job = await ray.job_ended("fc-rays-job", TIMEOUTS.job)
            assert job.status == "SUCCEEDED", job.message
            assert f"{NEWEST} {1 + cluster.profile.ray.workers}" in await ray.job_logs("fc-rays-job")
        finally:
            await ray.close()
    finally:
        await cluster.stop()
    assert not marked(str(folder))
    assert not folder.exists()
