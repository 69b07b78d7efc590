"""Nights one after another through ci/nightly, the recorder in a real pytest and ./ci/report: what is new, and
who is told.

The fleet is made up: checks of the catalogue that fail where $FAULTS names them, with what follows from them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.core.paths import ROOT

#: NET-04 is no part of the fault; the others follow from DEP-04, one after the other.
CHECKS = ("INF-09", "NET-04", "DEP-04", "DEP-05", "JOB-01", "ORC-04")

CONFTEST = """
from datetime import datetime, timezone
import os
import pytest
from fixtures.report.history import baseline
from fixtures.report.model import ClusterInfo, Run
from fixtures.harness.recorder import Recorder

def pytest_addoption(parser):
    parser.addoption("--report-dir")
    parser.addoption("--cluster")
    parser.addoption("--baseline", action="append", default=[])
    parser.addoption("--lang", default="en")

@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    started = os.environ["STARTED"]
    run = Run(started, "0.1.0", "", "fc-" + started, ClusterInfo("kind", "kind", "stub"))
    recorder = Recorder.install(config, run, config.rootpath / config.option.report_dir, config.option.lang)
    recorder.earlier = baseline.read(config.option.baseline, config.rootpath)
"""
MODULE = """
import os
from fixtures.checks.declaration import MUST, check

FAULTS = os.environ["FAULTS"].split()
"""
CHECK = """
@check({id!r}, MUST, {title!r}, remedy="mend it", concerns=(), cuts=(), impact="x", follows={follows!r})
def test_{name}():
    assert not {{{id!r}, *{follows!r}}} & set(FAULTS), "seen to fail"
"""


#: ci/nightly with the commands of another folder: the first argument.
NIGHTLY = """
import sys
from pathlib import Path
from fixtures.nightly.command import main
sys.exit(main(sys.argv[2:], Path(sys.argv[1])))
"""


class Nights:
    """ci/nightly with a made-up fleet behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        ci, project = folder / "suite" / "ci", folder / "project"
        for path in (ci, project / "tests" / "e2e", folder / "bin"):
            path.mkdir(parents=True)
        pytest_ = (
            f"exec {sys.executable} -m pytest -q -p no:cacheprovider -m e2e -c {project}/pytest.ini --rootdir {project}"
        )
        self._script(ci / "e2e", f'export PYTHONPATH={ROOT}; {pytest_} {project}/tests/e2e "$@"')
        self._script(ci / "report", f'exec {sys.executable} -m fixtures.report.export "$@"')
        self._script(folder / "bin" / "docker", "exit 0")
        (project / "pytest.ini").write_text(
            "[pytest]\nmarkers =\n    e2e: a check\n    conformance(check): its declaration\n"
        )
        (project / "conftest.py").write_text(CONFTEST)
        known = load_catalogue()
        body = [
            CHECK.format(id=id, name=id.lower().replace("-", "_"), title=known[id].title, follows=known[id].follows)
            for id in CHECKS
        ]
        for package in (project / "tests", project / "tests" / "e2e"):
            (package / "__init__.py").touch()
        (project / "tests" / "e2e" / "test_fleet.py").write_text(MODULE + "".join(body))

    @staticmethod
    def _script(path: Path, text: str) -> None:
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    @property
    def latest(self) -> Path:
        return self.folder / "nights" / "latest"

    @property
    def changes(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.latest / "conformance.json").read_text())["changes"]
        return found

    def night(self, faults: str, *options: str) -> subprocess.CompletedProcess[str]:
        """The next one; folders are named by the second in which they begin, so each is made to be of another day."""
        self.count += 1
        started = f"2026-01-{self.count:02}T03:15:00+00:00"
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("FLEET_", "PYTEST_"))}
        environment |= {"PATH": f"{self.folder / 'bin'}:{environment['PATH']}", "PYTHONPATH": str(ROOT)}
        environment |= {"FAULTS": faults, "STARTED": started, "PYTHONDONTWRITEBYTECODE": "1"}
        arguments = [str(self.folder / "suite" / "ci"), "--keep-reports", str(self.folder / "nights"), *options]
        command = [sys.executable, "-c", NIGHTLY, *arguments]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        written = self.latest.resolve()
        written.rename(written.with_name(f"2026-01-{self.count:02}T03-15-00Z"))
        self.latest.unlink()
        self.latest.symlink_to(f"2026-01-{self.count:02}T03-15-00Z")
        return ran


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def test_the_second_night_names_the_one_new_fault(nights: Nights) -> None:
    first = nights.night("")
    assert first.returncode == 0, first.stdout + first.stderr
    assert not (nights.latest / "status.md").read_text().count("What is new")

    second = nights.night("DEP-04")
    assert second.returncode == 1
    (new,) = nights.changes["new"]
    assert (new["id"], len(new["consequences"])) == ("DEP-04", 3)
    assert [row["id"] for row in nights.changes["rows"]] == ["DEP-04", "DEP-05", "JOB-01", "ORC-04"]
    page = (nights.latest / "status.md").read_text()
    assert "- **NEW: DEP-04 (MUST): nats imports on every worker" in page
    assert "The last run of this fleet: 2026-01-01 03:15 UTC, conformant" in page
    assert "  NEW: DEP-04 (MUST):" in second.stdout

    third = nights.night("DEP-04", "--alert", "new")
    assert third.returncode == 0, third.stderr
    assert "Nothing is new." in third.stdout and "no alert" in third.stderr
    assert "still failing: DEP-04" in (nights.latest / "status.md").read_text()

    fourth = nights.night("DEP-04 NET-04", "--alert", "new")
    assert fourth.returncode == 1
    assert [each["id"] for each in nights.changes["new"]] == ["NET-04"]
    assert "NEW: NET-04" in fourth.stderr and "NEW: DEP-04" not in fourth.stderr


def test_the_command_itself_complains_in_one_line() -> None:
    ran = subprocess.run(
        [ROOT / "ci" / "nightly", "--frobnicate"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, len(ran.stderr.splitlines())) == (4, 1), ran.stderr
    assert "--frobnicate" in ran.stderr


def test_the_runner_images_command_complains_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(ROOT / "images" / "runner" / "run")
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    environment = {**os.environ, "FLEET_ALERT": "often", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ran = subprocess.run([tmp_path / "run"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (4, 1), ran.stderr
    assert "always or new" in ran.stderr
