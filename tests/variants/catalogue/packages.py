"""Images of Ray whose packages or interpreters differ, and the environments that its processes get."""

from __future__ import annotations

from pathlib import Path

from fixtures.clusters.base import Component
from fixtures.profile.dependencies import Dependency
from fixtures.profile.model import load
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Added, Edit, packages_in
from tests.targets.ray_injectors import Relaunch, images_of_ray_have, ray_started, with_environment
from tests.variants.model import Presence, Variant

#: The checks of what the workers' interpreter has, and of what is asked from inside it.
IMPORTS = ("DEP-01", "DEP-02", "DEP-03", "DEP-04", "DEP-05", "DEP-06", "DEP-07", "DEP-08", "INF-08")
JOBS = ("JOB-01", "JOB-02", "JOB-03", "JOB-04", "JOB-05", "JOB-08", "JOB-09", "JOB-10", "JOB-13", "JOB-14")
ASKED = ("NET-03", "NET-04", *JOBS)

VERSIONS = {"ray-2.49.2": "cu121", "nats_py-2.10.0": "fleet.1", "requests-2.32.3": "corp", "aiohttp-3.11.16": "corp"}
NEIGHBOURS = {"nats-python": "0.9.0", "requests-mock": "1.12.1", "aiohttp-retry": "2.9.1", "ray-extras": "2.48.0"}
FURTHER = Dependency(module="httpx", distribution="httpx", version="0.28.1")

#: What an image prints when its interpreter starts: banners, warnings, half a line, what looks like a document.
CHATTER = """\
import os
import sys
import warnings

warnings.warn("this image is built nightly", stacklevel=1)
for stream in (sys.stdout, sys.stderr):
    print("=== corporate image, built nightly ===", file=stream)
    print('{"nodes": [], "error": "none"}', file=stream)
    print("Traceback (most recent call last): none", file=stream, flush=True)
"""


def record(name: str, version: str) -> Added:
    """What an installer leaves of a distribution."""
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    return Added(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def wheel(name: str, version: str, *files: str) -> list[Added]:
    """What an installer leaves of a distribution that lists these files."""
    metadata = record(name, version)
    listed = Added(f"{Path(metadata.path).parent}/RECORD", "".join(f"{file},sha256=x,0\n" for file in files))
    return [metadata, listed]


def versions_are_local() -> list[Edit | Added]:
    """Distributions of the profile carry a local version and another spelling, and have neighbours of like names."""
    edits = []
    for distribution, local in VERSIONS.items():
        name, _, version = distribution.rpartition("-")
        spelt = name.replace("_", "-")
        old, new = f"\nName: {spelt}\nVersion: {version}\n", f"\nName: {spelt.upper()}\nVersion: {version}+{local}\n"
        edits.append(Edit(f"{distribution}.dist-info/METADATA", old, new.replace("NATS-PY", "NATS_Py")))
    return [*edits, *(record(name, version) for name, version in NEIGHBOURS.items())]


def workers_hold(file: str) -> Presence:
    """Whether the packages of every node have this file."""

    async def present(target: EmbeddedTarget) -> bool:
        nodes = [*target.members(Component.RAY_HEAD), *target.members(Component.RAY_WORKER)]
        packages: list[Path] = [packages_in(node.folder) for node in nodes]
        return all((folder / file).exists() for folder in packages)

    return present


def nodes_have(environment: dict[str, str]) -> Presence:
    """Whether every node of Ray was started with these variables."""

    async def present(target: EmbeddedTarget) -> bool:
        nodes = [*target.members(Component.RAY_HEAD), *target.members(Component.RAY_WORKER)]
        return all(environment.items() <= node.part.environment().items() for node in nodes)

    return present


#: Installed for development (its folder is elsewhere on the path), a part of a namespace, and a package of which Ray
#: puts a copy of its own before the image's.
INSTALLED_OTHERWISE = (
    Added("acme_votes_source/acme_votes.py", ""),
    Added("acme_votes.pth", "acme_votes_source\n"),
    *wheel("acme-votes", "3.1.4", "acme_votes.pth"),
    Added("acme/ballots.py", ""),
    *wheel("acme-ballots", "1.0", "acme/ballots.py"),
    Added("psutil/__init__.py", ""),
    *wheel("psutil", "5.9.8", "psutil/__init__.py"),
)

ENVIRONMENT = {
    "TZ": "Pacific/Auckland",
    "LANG": "C",
    "LC_ALL": "POSIX",
    "PYTHONWARNINGS": "always",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": "/opt/corporate/lib:/nowhere",
    "PYTHONHASHSEED": "7",
    "COLUMNS": "20",
}


def everywhere(relaunch: Relaunch) -> dict[str, Relaunch]:
    return dict.fromkeys(("ray_head", "ray_worker_1", "ray_worker_2"), relaunch)


VARIANTS = (
    Variant(
        name="distributions-are-spelt-otherwise",
        description="packages have local versions (2.49.2+cu121), other spellings, and neighbours of like names",
        apply=images_of_ray_have(*versions_are_local()),
        is_present=workers_hold("nats_python-0.9.0.dist-info/METADATA"),
        stretches=(*IMPORTS, "JOB-01", "IMG-04"),
    ),
    Variant(
        name="images-python-talks",
        description="every interpreter of the image prints banners and warnings when it starts, on both streams",
        apply=images_of_ray_have(
            Added("sitecustomize.py", CHATTER), Added("_banner.pth", "import sys; print('.pth')\n")
        ),
        is_present=workers_hold("_banner.pth"),
        stretches=(*IMPORTS, *ASKED, "JOB-11", "IMG-04", "IMG-06", "LOAD-01"),
    ),
    Variant(
        name="workers-environment-is-another",
        description="Ray's nodes have another time zone, locale and path of modules, and Python shows all warnings",
        apply=ray_started(**everywhere(with_environment(**ENVIRONMENT))),
        is_present=nodes_have(ENVIRONMENT),
        stretches=(*IMPORTS, *ASKED, "INF-07", "E2E-01"),
    ),
    Variant(
        name="agents-need-other-packages",
        description="agents need httpx, and no requests",
        apply=images_of_ray_have(Added("httpx.py", ""), record(FURTHER.distribution, FURTHER.version)),
        is_present=workers_hold("httpx.py"),
        profile={
            "agent.dependencies": (
                *(needed for needed in load("embedded").agent.dependencies if needed.module != "requests"),
                FURTHER,
            )
        },
        stretches=("DEP-01", "DEP-03", "DEP-04", "DEP-05", "DEP-11.httpx", "JOB-01", "IMG-04"),
        exempt={"DEP-02": ("not_applicable", "names no requests")},
    ),
    Variant(
        name="agents-need-packages-in-ranges",
        description="agents need further packages: in a range, in any version, and one of another name than its module",
        apply=images_of_ray_have(Added("acme_votes.py", ""), record("Acme.Votes", "3.1.4rc1+corp")),
        is_present=workers_hold("acme_votes.py"),
        profile={
            "agent.dependencies": tuple(
                Dependency.model_validate(needed)
                for needed in (
                    *("ray>=2.49,<3", "requests~=2.32", "aiohttp", {"module": "nats", "requirement": "nats-py>=2.10"}),
                    *("pydantic>=2.5,<3", "jsonschema", {"module": "yaml", "requirement": "PyYAML!=5.4"}),
                    {"module": "acme_votes", "requirement": "acme_votes~=3.1.3"},
                )
            )
        },
        stretches=(
            *("DEP-01", "DEP-02", "DEP-03", "DEP-04", "DEP-05", "JOB-01", "IMG-04"),
            *("DEP-11.pydantic", "DEP-11.jsonschema", "DEP-11.yaml", "DEP-11.acme_votes"),
        ),
    ),
    Variant(
        name="packages-are-installed-otherwise",
        description="packages of the agents are installed for development, share a namespace, or are Ray's own copies",
        apply=images_of_ray_have(*INSTALLED_OTHERWISE),
        is_present=workers_hold("acme_votes.pth"),
        profile={
            "agent.dependencies": (
                *load("embedded").agent.dependencies,
                *(
                    Dependency.model_validate(needed)
                    for needed in (
                        {"module": "acme_votes", "requirement": "acme-votes~=3.1"},
                        {"module": "acme.ballots", "requirement": "acme-ballots"},
                        "psutil>=5",
                    )
                ),
            )
        },
        stretches=(
            *("DEP-01", "DEP-02", "DEP-03", "DEP-04", "IMG-04"),
            *("DEP-11.acme_votes", "DEP-11.acme.ballots", "DEP-11.psutil"),
        ),
    ),
)
