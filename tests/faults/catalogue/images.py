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
from fixtures.clusters.embedded.replica import Launch
from tests.faults.embedded_target import Lab
from tests.faults.injectors import RAY, packages_in, restarted
from tests.faults.model import Fault, Injection

CUSTOM, STOCK = named("ray-custom"), named("ray-stock")

#: What fails on an image without nats-py, as in tests/incident/__main__.py.
FOUNDING = (
    *("DEP-04", "DEP-05", "JOB-01", "JOB-03", "JOB-04", "JOB-05", "JOB-06", "JOB-07", "JOB-08", "JOB-09", "JOB-10"),
    *("ORC-04", "E2E-01"),
)


async def workers_again(lab: Lab) -> None:
    """The workers leave the cluster and start anew, from the image that is specified; the head stays."""
    workers = lab.members(Component.RAY_WORKER)
    await lab.fleet.launcher.end(*workers, at_once=False)
    await lab.fleet.start_again(*workers)


@asynccontextmanager
async def built_without(lab: Lab, pattern: str) -> AsyncIterator[None]:
    """The custom image was built without these packages: every worker lacks them, and whatever starts from it later."""
    store = lab.fleet.launcher.store
    sound = store.instance

    async def lacking(image: Image, name: str) -> Path:
        folder = await sound(image, name)
        if image.name == CUSTOM.name:
            for found in folder.glob(f"lib/python3.*/site-packages/{pattern}"):
                shutil.rmtree(found)
        return folder

    store.instance = lacking  # type: ignore[method-assign]
    try:
        await workers_again(lab)
        yield
    finally:
        store.instance = sound  # type: ignore[method-assign]
        await workers_again(lab)


def install_by_hand(pattern: str, packages: Path) -> None:
    """What `pip install` would put there, from the custom image: modules, and the record of the distribution."""
    (source,) = folder_of(CUSTOM).glob("lib/python3.*/site-packages")
    for found in source.glob(pattern):
        shutil.copytree(found, packages / found.name)


# -- injections ---------------------------------------------------------------------------------------------------


def one_worker_runs(image: Image) -> Injection:
    return lambda lab: restarted(lab, [lab.workers[-1]], image=image)


@asynccontextmanager
async def founding_failure(lab: Lab) -> AsyncIterator[None]:
    """The whole fleet is meant to run, and runs, the stock image; the agents' code comes with the jobs."""
    meant = lab.cluster.profile.replaced("ray", image=STOCK.reference).replaced("agent", delivery="job")
    try:
        await lab.cluster.roll_out(STOCK.reference)
        with lab.told(profile=meant):
            yield
    finally:
        await lab.cluster.roll_out(CUSTOM.reference)


@asynccontextmanager
async def specified(lab: Lab, image: Image) -> AsyncIterator[None]:
    """The specification names another image now, and nothing was restarted."""
    lab.cluster.set_image(image.reference)
    try:
        yield
    finally:
        lab.cluster.set_image(CUSTOM.reference)


@asynccontextmanager
async def patched_only(lab: Lab) -> AsyncIterator[None]:
    """The image that the fleet is meant to run is specified, and runs nowhere."""
    async with specified(lab, STOCK):
        with lab.told(profile=lab.cluster.profile.replaced("ray", image=STOCK.reference)):
            yield


@asynccontextmanager
async def floating(lab: Lab) -> AsyncIterator[None]:
    """The same image under a tag that floats."""
    loose = replace(CUSTOM, reference=CUSTOM.reference.rpartition(":")[0] + ":latest")
    members = [member for component in RAY for member in lab.members(component)]
    for member in members:
        member.image = loose
    lab.cluster.plan.ray = loose
    try:
        with lab.told(profile=lab.cluster.profile.replaced("ray", image=loose.reference)):
            yield
    finally:
        lab.cluster.plan.ray = CUSTOM
        for member in members:
            member.image = CUSTOM


@asynccontextmanager
async def nats_by_hand(lab: Lab) -> AsyncIterator[None]:
    """An image without nats-py, which somebody installed on every worker: all works, until a worker is replaced."""
    async with built_without(lab, "nats*"):
        for member in lab.members(Component.RAY_WORKER):
            install_by_hand("nats*", packages_in(member.folder))
        yield


@asynccontextmanager
async def head_is_forgotten(lab: Lab) -> AsyncIterator[None]:
    """Rolling out restarts the workers alone."""
    cluster = lab.cluster

    async def roll_out(reference: str) -> None:
        if reference == CUSTOM.reference:
            cluster.set_image(reference)
            await workers_again(lab)
        else:
            await cluster.roll_out(reference)

    try:
        with lab.told(roll_out=roll_out):
            yield
    finally:
        await cluster.roll_out(CUSTOM.reference)


@asynccontextmanager
async def without_index(lab: Lab) -> AsyncIterator[None]:
    """Whatever node of Ray starts from now on has a package index that nobody answers for."""
    members = [member for component in RAY for member in lab.members(component)]
    before = [member.launch for member in members]
    index = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}

    def told(launch: Launch) -> Launch:
        return replace(launch, environment={**launch.environment, **index})

    for member, launch in zip(members, before, strict=True):
        member.launch = lambda launch=launch: told(launch())  # type: ignore[misc]
    try:
        yield
    finally:
        for member, launch in zip(members, before, strict=True):
            member.launch = launch
        await lab.cluster.roll_out(CUSTOM.reference)


FAULTS = (
    Fault(
        name="specification-is-patched-and-nothing-restarted",
        says="the RayCluster's image was patched, and neither head nor workers were restarted",
        inject=patched_only,
        breaks=("IMG-02",),
        words=("ray-head", "ray-worker", CUSTOM.reference, "specified is " + STOCK.reference),
    ),
    Fault(
        name="stock-image-is-specified",
        says="somebody put the stock image back into the RayCluster: the next restart brings the founding failure",
        inject=lambda lab: specified(lab, STOCK),
        breaks=("IMG-01", "IMG-02"),
        words=(CUSTOM.reference, "head", STOCK.reference),
    ),
    Fault(
        name="image-tag-floats",
        says="the specified image is tagged :latest",
        inject=floating,
        breaks=("IMG-03",),
        words=("not pinned", ":latest"),
    ),
    Fault(
        name="stock-image-on-one-worker",
        says="one worker runs the stock image: the founding failure, by chance of placement",
        inject=one_worker_runs(STOCK),
        breaks=("IMG-02", "DEP-04", "DEP-05", "DEP-07", "DEP-08", "DEP-09", "JOB-01", "JOB-02"),
        may_break=("JOB-03", "JOB-04", "JOB-05", "JOB-08", "JOB-09", "JOB-10"),
        words=("ray-worker", "runs " + STOCK.reference, CUSTOM.reference),
    ),
    Fault(
        name="founding-failure",
        says="a fleet that is meant to run the stock image: every pod is up, every port open, no result arrives",
        inject=founding_failure,
        breaks=FOUNDING,
        may_break=("ORC-05", "E2E-03"),
        words=("nats-py", "No module named 'nats'"),
    ),
    Fault(
        name="image-was-built-without-the-tools",
        says="the image that the workers run, and are replaced from, lacks the tools",
        inject=lambda lab: built_without(lab, "swe_ai_fleet/tools"),
        breaks=("DEP-08", "IMG-04", "IMG-05"),
        words=("swe_ai_fleet.tools",),
    ),
    Fault(
        name="nats-was-installed-by-hand",
        says="an image without nats-py, which somebody installed on every worker: it works until one is replaced",
        inject=nats_by_hand,
        breaks=("DEP-10", "IMG-04", "IMG-05"),
        words=("nats-py", "lacks"),
    ),
    Fault(
        name="roll-out-forgets-the-head",
        says="a roll-out restarts the workers and leaves the head on the old image",
        inject=head_is_forgotten,
        breaks=("IMG-06",),
        words=("ray-head", CUSTOM.reference),
    ),
    Fault(
        name="package-index-is-unreachable",
        says="Ray's nodes reach no package index",
        inject=without_index,
        breaks=("IMG-07",),
        words=("runtime_env", "nats-py"),
    ),
)
