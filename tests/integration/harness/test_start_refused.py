"""A cluster that may not be used now, as where another run is at work, ends the run before any check: exit status 4."""

from __future__ import annotations

import sys
from pathlib import Path

from fixtures.core.paths import ROOT
from tests.support import suite_process

CONFTEST = """
import pytest
from fixtures.clusters.base import Cluster
from fixtures.core.errors import UsageError
from fixtures.profile import model as profiles

class Taken(Cluster):
    kind, run_id, unsupported = "attach", "fc-0a1b2c", {}

    async def start(self, timeline):
        raise UsageError("another run is at work: fc-dddddd on ci-7 since 2026-01-01T10:00:00Z")

@pytest.hookimpl(tryfirst=True)
def pytest_fleet_cluster(config):
    Taken.profile = profiles.load("embedded")
    return Taken()
"""
CHECKS = """
from fixtures.checks.declaration import MUST, check

@check("CFG-01", MUST, "first", remedy="x")
def test_first(cluster):
    raise AssertionError("it began")

@check("CFG-02", MUST, "second", remedy="x")
def test_second(cluster):
    raise AssertionError("it went on")
"""


def test_a_run_that_may_not_begin_ends_with_4(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_checks.py").write_text(CHECKS, encoding="utf-8")
    command = (sys.executable, "-m", "pytest", "-p", "fixtures.plugin", "-p", "no:cacheprovider")
    loops = (
        "asyncio_mode=auto",
        "asyncio_default_fixture_loop_scope=session",
        "asyncio_default_test_loop_scope=session",
    )
    options = ["--rootdir", str(tmp_path), *(word for loop in loops for word in ("-o", loop))]
    ran = suite_process.run(
        *options,
        str(tmp_path / "test_checks.py"),
        command=command,
        reports=tmp_path / "reports",
        environment={"PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 4, ran.output
    assert "another run is at work: fc-dddddd on ci-7 since 2026-01-01T10:00:00Z" in ran.output
    assert "it began" not in ran.output
    assert "it went on" not in ran.output
    assert "Traceback" not in ran.output
    assert ran.report.document["verdict"] == "inconclusive"
    assert {row["status"] for row in ran.report.rows} == {"broken"}
