"""A project of its own with made-up checks, and a real pytest that runs in it:
what the tests of the reports are made with.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from fixtures.core.paths import ROOT
from tests.support import suite_process
from tests.support.suite_process import Report, SuiteRun

SETTINGS = """
[pytest]
addopts = --strict-markers -ra -p no:cacheprovider
asyncio_mode = auto
asyncio_default_fixture_loop_scope = session
asyncio_default_test_loop_scope = session
testpaths = tests
markers =
    e2e: a check
    disruptive: a check that disturbs
    conformance(check): its declaration
"""

CONFTEST = """
from datetime import date
from pathlib import Path
import pytest
from fixtures.checks.declaration import CATALOGUE
from fixtures.profile.remedy_values import RemedyValues
from fixtures.report import known_failures
from fixtures.report.metrics.destinations import destination_of
from fixtures.report.model import ClusterInfo, Run
from fixtures.harness.recorder import Recorder, check_of

def pytest_addoption(parser):
    parser.addoption("--report-dir", default="reports")
    parser.addoption("--lang", default="en")
    parser.addoption("--known")
    parser.addoption("--metrics", action="append", default=[])

@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    cluster = ClusterInfo("embedded", "embedded", "stub", {"ray": "2.49.2"})
    run = Run("2026-01-01T00:00:00Z", "0.1.0", "abcdef", "run-1", cluster)
    report_dir = config.rootpath / config.getoption("--report-dir")
    config.recorder = Recorder.install(config, run, report_dir, config.getoption("--lang"))
    values = RemedyValues(names={"image": "fleet/ray-custom:2.49.2"})
    config.recorder.values = lambda: values
    config.recorder.writer.destinations = [destination_of(named, config.rootpath) for named in config.option.metrics]

def pytest_collection_modifyitems(config):
    if file := config.getoption("--known"):
        config.recorder.known = known_failures.read(Path(file), CATALOGUE, date(2026, 1, 1))

@pytest.fixture
def recorder(request):
    return request.config.recorder

@pytest.fixture
def evidence(request, recorder):
    return recorder.evidence(check_of(request.node).id)

@pytest.fixture
def broken_setup():
    raise ConnectionError("no kubeconfig")

@pytest.fixture
def failing_setup():
    assert False, "the worker never answered"

@pytest.fixture
def broken_teardown():
    yield
    raise RuntimeError("cannot clean up")
"""

HEAD = """
from functools import partial
import pytest
from fixtures.checks.declaration import MUST, SHOULD, check
from fixtures.core.errors import Inconclusive
from fixtures.harness.outcome import skip_disabled, skip_not_applicable, skip_unsupported
check = partial(check, concerns=(), cuts=(), impact="x")
"""

#: one check for every way to end
ALL = """
from types import SimpleNamespace
from fixtures.harness.client_fixtures import note

@pytest.fixture
def suite(recorder):
    return SimpleNamespace(recorder=recorder)

@check("INF-01", MUST, "passes", remedy="x")
def test_passes(evidence, note):
    '''All is well.'''
    evidence.attach("seen", {"max_tokens": 32})
    note("seen with 32 tokens")

@check("INF-02", MUST, "fails", remedy="Use {image}")
def test_fails():
    seen = 1
    assert seen == 2, "expected two replicas, seen one"

@check("INF-03", MUST, "fails in its setup", remedy="x")
def test_fails_in_setup(failing_setup): ...

@check("INF-04", MUST, "raises", remedy="x")
def test_raises(): raise KeyError("x")

@check("INF-05", MUST, "is broken in its setup", remedy="x")
def test_broken_setup(broken_setup): ...

@check("INF-06", MUST, "is broken in its teardown", remedy="x")
def test_broken_teardown(broken_teardown): ...

@check("INF-07", MUST, "takes too long", remedy="x")
@pytest.mark.timeout(0.2)
def test_timeout():
    import time; time.sleep(5)

@check("INF-08", MUST, "skips itself", remedy="x")
def test_skips(): pytest.skip("no idea")

@check("INF-09", MUST, "is unsupported", remedy="x")
def test_unsupported(): skip_unsupported("no rights to look at pods")

@check("INF-10", MUST, "is disabled", remedy="x")
def test_disabled(): skip_disabled("not allowed")

@check("CFG-03", MUST, "does not apply", remedy="x")
def test_not_applicable(): skip_not_applicable("no Kubernetes here")

@check("INF-11", SHOULD, "fails, a SHOULD", remedy="x", follows=("INF-02",))
def test_should(): assert 1 == 2

@check("INF-12", MUST, "fails in body and teardown", remedy="x")
def test_fails_twice(broken_teardown): assert False, "the real finding"

@check("CFG-01", MUST, "is marked xfail", remedy="x")
@pytest.mark.xfail
def test_xfail(): assert False, "hidden"

@check("CFG-02", MUST, "runs as two tests", remedy="x")
@pytest.mark.parametrize("role", ["DEV", "QA"])
def test_two(role): assert role == "DEV", f"{role} has no council"
"""

GREEN = """
@check("INF-01", MUST, "passes", remedy="x")
def test_one(): ...

@check("INF-02", MUST, "passes too", remedy="x")
def test_two(): ...
"""


COMMAND = (sys.executable, "-m", "pytest", "-p", "no:hypothesispytest")
#: Variables of the inner pytest: where the suite is, and none of a CI system that this one may run on.
ENVIRONMENT: dict[str, str | None] = {
    **dict.fromkeys(("PYTEST_ADDOPTS", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL")),
    "PYTHONPATH": str(ROOT),
}


@dataclass
class Project:
    """A folder with checks, and pytest run in it."""

    path: Path

    def write(self, **modules: str) -> "Project":
        folder = self.path / "tests" / "e2e"
        folder.mkdir(parents=True, exist_ok=True)
        for package in (folder, folder.parent):
            (package / "__init__.py").touch()
        (self.path / "pytest.ini").write_text(SETTINGS)
        (self.path / "conftest.py").write_text(CONFTEST)
        for name, body in modules.items():
            (folder / f"test_{name}.py").write_text(HEAD + body)
        return self

    def command(self, *options: str) -> list[str]:
        return [*COMMAND, *options]

    @property
    def environment(self) -> dict[str, str]:
        return suite_process.environment_with(ENVIRONMENT)

    def run(self, *options: str, **environment: str) -> SuiteRun:
        return suite_process.run(*options, command=COMMAND, cwd=self.path, environment=ENVIRONMENT | environment)

    @property
    def reports(self) -> Path:
        return self.path / "reports"

    @property
    def conformance(self) -> dict[str, Any]:
        return dict(json.loads((self.reports / "conformance.json").read_text()))

    @property
    def statuses(self) -> dict[str, str]:
        return Report.read(self.reports).statuses

    def detail(self, check_id: str) -> str:
        return str(next(check["detail"] for check in self.conformance["checks"] if check["id"] == check_id))

    @property
    def html_rows(self) -> list[dict[str, Any]]:
        """The rows that report.html shows, from the data in the page."""
        from html.parser import HTMLParser

        found: dict[str, str] = {}

        class Blob(HTMLParser):
            def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
                found.update({key: value for key, value in attrs if key == "data-jsonblob" and value})

        Blob().feed((self.reports / "report.html").read_text())
        return [row for rows in json.loads(found["data-jsonblob"])["tests"].values() for row in rows]

    @property
    def allure(self) -> dict[str, dict[str, Any]]:
        documents = [json.loads(path.read_text()) for path in (self.reports / "allure-results").glob("*-result.json")]
        return {document["fullName"]: document for document in documents}

    @property
    def junit(self) -> ET.Element:
        return ET.parse(self.reports / "junit.xml").getroot()
