"""A signal at any moment of a small run with all of the suite's plugins and reporters, but without a fleet.

One pytest collects four checks and then forks a child for each moment: hundreds of them are cheap. A moment is the n-th
call or return of a Python function, or a named place: before or after any hook of pytest, and the clean-up.
"""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures.core.paths import ROOT
from tests.support import suite_process
from tests.support.suite_process import Report

HOOKS = (
    "fixture_setup",
    "fixture_post_finalizer",
    "runtest_protocol",
    "runtest_logstart",
    "runtest_setup",
    "runtest_call",
    "runtest_teardown",
    "runtest_makereport",
    "runtest_logreport",
    "runtest_logfinish",
    "pyfunc_call",
    "sessionfinish",
)
BODIES = ("boot", "check", "clean-up")
PLACES = (*BODIES, *(f"{when} {hook}" for hook in HOOKS for when in ("before", "after")))
CHILD_S = 60.0  # one run, on average; 0.5 s seen, 5 s with all calls counted on a loaded machine

CONFTEST = """
import asyncio, json, os, signal, sys
from pathlib import Path
import pytest
from fixtures.profile import model as profiles
from fixtures.clusters.embedded import EmbeddedCluster, EmbeddedOptions

pytest_plugins = ["fixtures.plugin"]
REPORT = "reports/conformance.json"
CHOSEN = {}

def note(words):
    with (CHOSEN["folder"] / "steps").open("a") as file:
        file.write(words + "\\n")

def now(place):
    if CHOSEN.get("place") == place:
        del CHOSEN["place"]
        note("sent")
        os.kill(os.getpid(), NUMBER)

class Counting:
    calls = 0

    def __call__(self, frame, event, argument):
        self.calls += 1
        now(self.calls)

class NoFleet(EmbeddedCluster):
    def prepare(self): ...

    async def start(self, timeline):
        with timeline.step("boot"):
            note("started")
            try:
                now("boot")
                await asyncio.sleep(0.01)
            except BaseException:
                note("stopped")
                raise

    async def stop(self):
        now("clean-up")
        await asyncio.sleep(0.01)
        note("stopped")

def pytest_fleet_cluster(config):
    return NoFleet(EmbeddedOptions(profiles.load("embedded"), vllm="stub", run_id="fc-moment"))

class OldStyle:
    '''A reporter as others write them.'''

def wrapper(hook):
    @pytest.hookimpl(hookwrapper=True)
    def around():
        now("before " + hook)
        yield
        now("after " + hook)
    return around

for hook in HOOKS:
    setattr(OldStyle, "pytest_" + hook, staticmethod(wrapper(hook)))

def pytest_configure(config):
    config.pluginmanager.register(OldStyle())

@pytest.fixture
def here():
    return lambda: now("check")

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session):
    for number, place in enumerate(json.loads(Path("moments.json").read_text())):
        folder = Path(f"{number}").resolve()
        folder.mkdir()
        child = os.fork()
        if child == 0:
            plugins = session.config.pluginmanager
            plugins.get_plugin("fixtures.harness.interrupts").pytest_sessionstart(session)  # none of others
            CHOSEN.update(place=place, folder=folder)
            counting = Counting()
            sys.setprofile(counting if isinstance(place, int) else None)
            result = yield
            sys.setprofile(None)
            note(f"calls {counting.calls}")
            return result
        _, status = os.waitpid(child, 0)
        if os.path.exists(REPORT):
            os.rename(REPORT, folder / "conformance.json")
        (folder / "status").write_text(str(os.waitstatus_to_exitcode(status)))
    os._exit(0)
"""

CHECKS = """
import asyncio
from functools import partial
import pytest
from fixtures.checks.declaration import MUST, check
check = partial(check, concerns=(), cuts=(), impact="x")

@pytest.fixture(scope="session")
async def census(cluster, suite):
    with suite.timeline.step("census of the workers"):
        await asyncio.sleep(0.01)

@pytest.fixture
async def thing(census):
    await asyncio.sleep(0.001)
    yield
    await asyncio.sleep(0.001)

@check("INF-01", MUST, "one", remedy="x")
async def test_one(census, here, evidence):
    evidence.attach("seen.json", {"one": 1})
    here()
    await asyncio.sleep(0.005)

@check("INF-02", MUST, "two", remedy="x")
def test_two(census): ...

@check("INF-03", MUST, "three", remedy="x")
async def test_three(thing):
    await asyncio.sleep(0.005)

@check("INF-04", MUST, "four", remedy="x")
def test_four(thing): ...
"""


@dataclass(frozen=True)
class Ended:
    """One small run that got a signal, and how it ended."""

    place: str | int
    sent: bool
    status: int
    aborted: str
    statuses: tuple[str, ...]  # of the four checks
    steps: tuple[str, ...]
    calls: int = 0

    @property
    def wrong(self) -> str:
        """What is wrong with it; "" when it ended as it must: 2, or 0 when every check had its result before;
        cleaned up.
        """
        if not self.sent:
            return "the moment did not come"
        if self.steps.count("started") != self.steps.count("stopped"):
            return f"it did not clean up: {self.steps}"
        if not self.statuses:
            return f"status {self.status}, no report"
        whole = set(self.statuses) == {"passed"}
        right = (0, "") if whole else (2, "interrupted (Ctrl-C)")
        return "" if (self.status, self.aborted) == right else f"status {self.status}, {self.aborted or self.statuses}"


def ended_at(folder: Path, places: Sequence[str | int], number: signal.Signals) -> list[Ended]:
    """One run for each place, below `folder`, which is made."""
    checks = folder / "tests" / "e2e"
    checks.mkdir(parents=True)
    for package in (checks.parent, checks):
        (package / "__init__.py").touch()
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(settings, encoding="utf-8")
    (folder / "conftest.py").write_text(f"HOOKS = {HOOKS}\nNUMBER = {int(number)}\n{CONFTEST}", encoding="utf-8")
    (checks / "test_infrastructure.py").write_text(CHECKS, encoding="utf-8")
    (folder / "moments.json").write_text(json.dumps(places), encoding="utf-8")
    ran = suite_process.run(
        *("-p", "no:hypothesispytest"),  # its summary imports all of hypothesis, in every child
        reports=folder / "reports",
        cwd=folder,
        environment={"PYTHONPATH": str(ROOT)},
        timeout=CHILD_S * len(places),
    )
    (folder / "log").write_text(ran.output, encoding="utf-8")
    return [_ended(folder / str(index), place) for index, place in enumerate(places)]


def _ended(folder: Path, place: str | int) -> Ended:
    steps = (folder / "steps").read_text(encoding="utf-8").split("\n") if (folder / "steps").exists() else []
    report = Report.read(folder)
    calls = [int(step.split()[1]) for step in steps if step.startswith("calls ")]
    return Ended(
        place=place,
        sent="sent" in steps,
        status=int((folder / "status").read_text(encoding="utf-8")),
        aborted=str(report.document.get("aborted", "")),
        statuses=tuple(report.statuses.values()),
        steps=tuple(step for step in steps if step in ("started", "stopped")),
        calls=calls[0] if calls else 0,
    )


def at_random(folder: Path, runs: int, seed: int, number: signal.Signals) -> list[Ended]:
    """`runs` runs, each ended after a random number of calls of Python functions, of as many as a whole run makes."""
    beyond = 1 << 40
    (whole,) = ended_at(folder / "whole", [beyond], number)
    drawn = random.Random(seed)
    return ended_at(folder / "each", [drawn.randrange(whole.calls) for _ in range(runs)], number)
