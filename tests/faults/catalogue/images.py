"""Images: what is specified, what runs, and what they hold on their own. Most of these replace Ray's nodes."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from fixtures.clusters.base import Component
from fixtures.clusters.embedded.image_table import Image, named
from fixtures.clusters.embedded.images import folder_of
from fixtures.clusters.embedded.replica import LaunchSpec
from tests.faults.model import Fault
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import RAY, packages_in, restarted
from tests.targets.target import Change

CUSTOM, STOCK = named("ray-custom"), named("ray-stock")

#: What fails on an image without nats-py, as in tests/incident/__main__.py.
INCIDENT = (
    *("DEP-04", "DEP-05", "JOB-01", "JOB-03", "JOB-04", "JOB-05", "JOB-06", "JOB-07", "JOB-08", "JOB-09", "JOB-10"),
    *("JOB-14", "ORC-04", "E2E-01"),
)


async def workers_again(target: EmbeddedTarget) -> None:
    """The workers leave the cluster and start anew, from the image that is specified; the head stays."""
    workers = target.members(Component.RAY_WORKER)
    await target.fleet.launcher.end(*workers, immediately=False)
    await target.fleet.start_again(*workers)


@asynccontextmanager
async def built_without(target: EmbeddedTarget, pattern: str) -> AsyncIterator[None]:
    """The custom image was built without these packages: every worker lacks them, and whatever starts from it later."""
    store = target.fleet.launcher.store
    sound = store.instance

    async def lacking(image: Image, name: str) -> Path:
        folder = await sound(image, name)
        if image.name == CUSTOM.name:
            for found in folder.glob(f"lib/python3.*/site-packages/{pattern}"):
                shutil.rmtree(found)
        return folder

    store.instance = lacking  # type: ignore[method-assign]
    try:
        await workers_again(target)
        yield
    finally:
        store.instance = sound  # type: ignore[method-assign]
        await workers_again(target)


def install_by_hand(pattern: str, packages: Path) -> None:
    """What `pip install` or a copy would put there, from the custom image: modules, and a distribution's record."""
    (source,) = folder_of(CUSTOM).glob("lib/python3.*/site-packages")
    for folder in source.glob(pattern):
        shutil.copytree(folder, packages / folder.relative_to(source))


# -- injections ---------------------------------------------------------------------------------------------------


def one_worker_runs(image: Image) -> Change:
    return lambda target: restarted(target, [target.workers[-1]], image=image)


@asynccontextmanager
async def missing_nats_incident(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The whole fleet is meant to run, and runs, the stock image; the agents' code comes with the jobs."""
    meant = target.cluster.profile.with_ray_image(STOCK.reference).replaced("agent", delivery="job")
    try:
        await target.cluster.roll_out(STOCK.reference)
        with target.overridden(profile=meant):
            yield
    finally:
        await target.cluster.roll_out(CUSTOM.reference)


@asynccontextmanager
async def specified(target: EmbeddedTarget, image: Image) -> AsyncIterator[None]:
    """The specification names another image now, and nothing was restarted."""
    target.cluster.set_image(image.reference)
    try:
        yield
    finally:
        target.cluster.set_image(CUSTOM.reference)


@asynccontextmanager
async def patched_only(target: EmbeddedTarget) -> AsyncIterator[None]:
    """The image that the fleet is meant to run is specified, and runs nowhere."""
    async with specified(target, STOCK):
        with target.overridden(profile=target.cluster.profile.with_ray_image(STOCK.reference)):
            yield


@asynccontextmanager
async def tagged(target: EmbeddedTarget, tag: str) -> AsyncIterator[None]:
    """The same image under another tag."""
    loose = replace(CUSTOM, reference=f"{CUSTOM.reference.rpartition(':')[0]}:{tag}")
    members = [member for component in RAY for member in target.members(component)]
    for member in members:
        member.image = loose
    target.cluster.plan.ray = loose
    try:
        with target.overridden(profile=target.cluster.profile.with_ray_image(loose.reference)):
            yield
    finally:
        target.cluster.plan.ray = CUSTOM
        for member in members:
            member.image = CUSTOM


@asynccontextmanager
async def by_hand(target: EmbeddedTarget, pattern: str) -> AsyncIterator[None]:
    """An image without a package, which somebody put onto every worker: all works, until a worker is replaced."""
    async with built_without(target, pattern):
        for member in target.members(Component.RAY_WORKER):
            install_by_hand(pattern, packages_in(member.folder))
        yield


@asynccontextmanager
async def head_is_forgotten(target: EmbeddedTarget) -> AsyncIterator[None]:
    """Rolling out restarts the workers alone."""
    cluster = target.cluster

    async def roll_out(reference: str) -> None:
        if reference == CUSTOM.reference:
            cluster.set_image(reference)
            await workers_again(target)
        else:
            await cluster.roll_out(reference)

    try:
        with target.overridden(roll_out=roll_out):
            yield
    finally:
        await cluster.roll_out(CUSTOM.reference)


@asynccontextmanager
async def without_index(target: EmbeddedTarget) -> AsyncIterator[None]:
    """Whatever node of Ray starts from now on has a package index that nobody answers for."""
    members = [member for component in RAY for member in target.members(component)]
    before = [member.launch for member in members]
    index = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}

    def told(launch: LaunchSpec) -> LaunchSpec:
        return replace(launch, environment={**launch.environment, **index})

    for member, launch in zip(members, before, strict=True):
        member.launch = lambda launch=launch: told(launch())  # type: ignore[misc]
    try:
        yield
    finally:
        for member, launch in zip(members, before, strict=True):
            member.launch = launch
        await target.cluster.roll_out(CUSTOM.reference)


FAULTS = (
    Fault(
        name="specification-is-patched-and-nothing-restarted",
        description="the RayCluster's image was patched, and neither head nor workers were restarted",
        inject=patched_only,
        expected_failures=("IMG-02",),
        expected_terms=("ray-head", "ray-worker", CUSTOM.reference, "specified is " + STOCK.reference),
    ),
    Fault(
        name="stock-image-is-specified",
        description="somebody put the stock image back into the RayCluster: the next restart brings the "
        "missing-nats-py incident",
        inject=lambda target: specified(target, STOCK),
        expected_failures=("IMG-01", "IMG-02"),
        expected_terms=(CUSTOM.reference, "head", STOCK.reference),
    ),
    Fault(
        name="image-tag-floats",
        description="the specified image is tagged :latest",
        inject=lambda target: tagged(target, "latest"),
        expected_failures=("IMG-03",),
        expected_terms=("not pinned", ":latest"),
    ),
    Fault(
        name="image-tag-floats-in-disguise",
        description="the specified image is tagged :2-latest, which means another one after the next release",
        inject=lambda target: tagged(target, "2-latest"),
        expected_failures=("IMG-03",),
        expected_terms=("not pinned", ":2-latest"),
    ),
    Fault(
        name="stock-image-on-one-worker",
        description="one worker runs the stock image: the missing-nats-py incident, by chance of placement",
        inject=one_worker_runs(STOCK),
        expected_failures=("IMG-02", "DEP-04", "DEP-05", "DEP-07", "DEP-08", "DEP-09", "JOB-01", "JOB-02"),
        tolerated_failures=("DEP-12", "JOB-03", "JOB-04", "JOB-05", "JOB-08", "JOB-09", "JOB-10"),
        expected_terms=("ray-worker", "runs " + STOCK.reference, CUSTOM.reference),
    ),
    Fault(
        name="missing-nats-py-incident",
        description="a fleet that is meant to run the stock image: every pod is up, every port open, no result arrives",
        inject=missing_nats_incident,
        expected_failures=INCIDENT,
        tolerated_failures=("ORC-05", "E2E-03"),
        expected_terms=("nats-py", "No module named 'nats'"),
    ),
    Fault(
        name="image-was-built-without-the-tools",
        description="the image that the workers run, and are replaced from, lacks the tools",
        inject=lambda target: built_without(target, "swe_ai_fleet/tools"),
        expected_failures=("DEP-08", "IMG-04", "IMG-05"),
        expected_terms=("swe_ai_fleet.tools",),
    ),
    Fault(
        name="nats-was-installed-by-hand",
        description="an image without nats-py, which somebody installed on every worker: "
        "it works until one is replaced",
        inject=lambda target: by_hand(target, "nats*"),
        expected_failures=("DEP-10", "IMG-04", "IMG-05"),
        expected_terms=("nats-py", "lacks"),
    ),
    Fault(
        name="agents-code-was-copied-onto-the-workers",
        description="an image without the agent's class, which somebody copied onto every worker: "
        "it works until one is replaced",
        inject=lambda target: by_hand(target, "swe_ai_fleet/orchestrator"),
        expected_failures=("IMG-04", "IMG-05"),
        expected_terms=("swe_ai_fleet.orchestrator", "lacks"),
    ),
    Fault(
        name="roll-out-forgets-the-head",
        description="a roll-out restarts the workers and leaves the head on the old image",
        inject=head_is_forgotten,
        expected_failures=("IMG-06",),
        expected_terms=("ray-head", CUSTOM.reference),
    ),
    Fault(
        name="package-index-is-unreachable",
        description="Ray's nodes reach no package index",
        inject=without_index,
        expected_failures=("IMG-07",),
        expected_terms=("runtime_env", "nats-py"),
    ),
)
