"""The wheel as a build makes it, and an environment of its own that it is installed into, without the checkout."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fixtures.clusters.embedded.supervised_process import suite_program
from fixtures.core.paths import ROOT
from tests.support.suite_process import SuiteRun

LOCK = ROOT / "ci" / "locks" / "suite.lock"
TIME_S = 120.0  # a command of the installed suite has hung; a run of the quiet checks took 45 s


def build(folder: Path) -> Path:
    """The wheel of this checkout."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def requirements(wheel: Path) -> list[str]:
    """What the wheel says that it needs, without its extras."""
    (about,) = metadata.distributions(path=[str(wheel)])
    return [text for text in about.requires or [] if "extra ==" not in text]


def locked(names: list[str]) -> str:
    """The entries of the suite's lock, with their hashes, of these requirements and all that they need."""
    entries: dict[str, list[str]] = {}
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([\w.-]+)==", line):
            name = canonicalize_name(match[1])
        entries.setdefault(name, []).append(line)
    pending, wanted = [Requirement(text) for text in names], set[str]()
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        here = not requirement.marker or any(
            requirement.marker.evaluate({"extra": extra}) for extra in (*requirement.extras, "")
        )
        if name not in wanted and here:
            wanted.add(name)
            pending += [Requirement(text) for text in metadata.requires(name) or [] if "extra ==" not in text]
    return "\n".join("\n".join(entries[name]) for name in sorted(wanted)) + "\n"


@dataclass(frozen=True)
class Installation:
    """An environment with the suite and what it needs, and nothing else."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def suite(self) -> Path:
        """The folder that the suite's own sources are in."""
        (found,) = self.folder.glob("lib/python3*/site-packages/fleet_conformance/_suite")
        return found

    def distributions(self) -> set[str]:
        names = self.ask("from importlib.metadata import distributions\nprint(*(d.name for d in distributions()))")
        return {canonicalize_name(name) for name in names.split()}

    def ask(self, program: str) -> str:
        """What a program prints that its Python runs, in the folder /."""
        command = [str(self.python), "-c", program]
        return subprocess.run(command, cwd="/", check=True, capture_output=True, text=True, timeout=TIME_S).stdout

    def run(self, *arguments: str, cwd: Path, program: str = "fleet-conformance", **variables: str) -> SuiteRun:
        """A program of it, in an environment without any variable of ours: with a home in `cwd`."""
        done = subprocess.run(
            [str(self.folder / "bin" / program), *arguments],
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIME_S,
            check=False,
        )
        return SuiteRun(done.returncode, done.stdout, done.stderr, cwd / "reports")


def install(wheel: Path, folder: Path) -> Installation:
    """Install the wheel, and what it needs as the lock has it, hashes and all."""
    venv.create(folder, with_pip=False)
    lock = folder / "requirements.txt"
    lock.write_text(locked(requirements(wheel)), encoding="utf-8")
    installation = Installation(folder)
    uv = [str(suite_program("uv")), "pip", "install", "--quiet", "--python", str(installation.python)]
    for what in (["--require-hashes", "-r", str(lock)], ["--no-deps", str(wheel)]):
        subprocess.run([*uv, *what], check=True, capture_output=True, text=True)
    return installation
