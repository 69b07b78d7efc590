"""The recorder in a real pytest, in a project of its own with made-up checks: outcomes, reports, secrets."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]

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
import pytest
from fixtures.report.model import ClusterInfo, Run
from fixtures.report.recorder import Recorder, check_of

def pytest_addoption(parser):
    parser.addoption("--report-dir", default="reports")
    parser.addoption("--lang", default="en")

@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    cluster = ClusterInfo("embedded", "embedded", "stub", {"ray": "2.49.2"})
    run = Run("2026-01-01T00:00:00Z", "0.1.0", "abcdef", "run-1", cluster)
    report_dir = config.rootpath / config.getoption("--report-dir")
    config.recorder = Recorder.install(config, run, report_dir, config.getoption("--lang"))
    config.recorder.names["image"] = "fleet/ray-custom:2.49.2"

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
import pytest
from fixtures.checks import MUST, SHOULD, check
from fixtures.errors import CannotTell
from fixtures.report.outcome import skip_disabled, skip_unsupported
"""

#: one check for every way to end
ALL = """
@check("INF-01", MUST, "passes", remedy="x")
def test_passes(evidence):
    '''All is well.'''
    evidence.attach("seen", {"max_tokens": 32})

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
def test_unsupported(): skip_unsupported("no Kubernetes here")

@check("INF-10", MUST, "is disabled", remedy="x")
def test_disabled(): skip_disabled("not allowed")

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
        return [sys.executable, "-m", "pytest", *options]

    @property
    def environment(self) -> dict[str, str]:
        hidden = ("PYTEST_ADDOPTS", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL")
        return {key: value for key, value in os.environ.items() if key not in hidden} | {"PYTHONPATH": str(ROOT)}

    def run(self, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        env = self.environment | environment
        return subprocess.run(
            self.command(*options), cwd=self.path, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    @property
    def reports(self) -> Path:
        return self.path / "reports"

    @property
    def conformance(self) -> dict:
        return json.loads((self.reports / "conformance.json").read_text())

    @property
    def statuses(self) -> dict[str, str]:
        return {check["id"]: check["status"] for check in self.conformance["checks"]}

    def detail(self, check_id: str) -> str:
        return next(check["detail"] for check in self.conformance["checks"] if check["id"] == check_id)

    @property
    def html_rows(self) -> list[dict]:
        """The rows that report.html shows, from the data in the page."""
        from html.parser import HTMLParser

        found: dict[str, str] = {}

        class Blob(HTMLParser):
            def handle_starttag(self, _tag, attrs):
                found.update({key: value for key, value in attrs if key == "data-jsonblob"})

        Blob().feed((self.reports / "report.html").read_text())
        return [row for rows in json.loads(found["data-jsonblob"])["tests"].values() for row in rows]

    @property
    def allure(self) -> dict[str, dict]:
        documents = [json.loads(path.read_text()) for path in (self.reports / "allure-results").glob("*-result.json")]
        return {document["fullName"]: document for document in documents}

    @property
    def junit(self) -> ET.Element:
        suite = ET.parse(self.reports / "junit.xml").getroot().find("testsuite")
        assert suite is not None
        return suite


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, "subprocess.CompletedProcess[str]"]:
    project = Project(tmp_path_factory.mktemp("everything")).write(all=ALL)
    return project, project.run("-m", "e2e")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_every_outcome_becomes_its_status(everything):
    project, done = everything
    assert project.statuses == {
        "INF-01": "passed",
        "INF-02": "failed",
        "INF-03": "failed",
        "INF-04": "broken",
        "INF-05": "broken",
        "INF-06": "broken",
        "INF-07": "broken",
        "INF-08": "broken",
        "INF-09": "unsupported",
        "INF-10": "disabled",
        "INF-11": "failed",
        "INF-12": "failed",
        "CFG-01": "failed",
        "CFG-02": "failed",
    }, done.stdout
    assert done.returncode == 1


def test_details_speak_to_the_operator(everything):
    project, _ = everything
    assert project.detail("INF-02") == "expected two replicas, seen one"
    assert project.detail("INF-05") == "ConnectionError: no kubeconfig"
    assert project.detail("INF-06") == "in its teardown: RuntimeError: cannot clean up"
    assert "Timeout" in project.detail("INF-07")
    assert project.detail("INF-08") == "skipped by itself: no idea"
    assert project.detail("INF-12") == "the real finding"
    assert project.detail("CFG-02") == "QA has no council"


def test_the_remedy_is_filled_and_the_cause_named(everything):
    project, _ = everything
    checks = {check["id"]: check for check in project.conformance["checks"]}
    assert checks["INF-02"]["remedy"] == "Use fleet/ray-custom:2.49.2"
    assert checks["INF-11"]["cause"] == "INF-02"
    assert checks["INF-02"]["nodeid"] == "tests/e2e/test_all.py::test_fails"
    assert checks["INF-02"]["evidence"] == ["evidence/INF-02/traceback.txt"]
    assert (project.reports / "evidence/INF-01/seen.json").is_file()


def test_all_reports_agree_in_every_number(everything):
    project, _ = everything
    summary = project.conformance["summary"]
    skipped = summary["unsupported"] + summary["disabled"]

    junit = project.junit
    assert junit.get("name") == "fleet-conformance"
    assert {key: int(junit.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": 14,
        "failures": summary["failed"],
        "errors": summary["broken"],
        "skipped": skipped,
    }
    assert len(junit.findall("testcase/properties/property[@name='id']")) == 14

    allure = Counter(document["status"] for document in project.allure.values())
    assert allure == {"passed": 1, "failed": summary["failed"], "broken": summary["broken"], "skipped": skipped}

    rows = Counter(row["result"] for row in project.html_rows)
    assert rows == {
        "Passed": 1,
        "Failed": summary["failed"],
        "Error": summary["broken"],
        "Skipped": summary["unsupported"],
        "XFailed": summary["disabled"],
    }

    page = (project.reports / "status.md").read_text()
    assert "1 passed, 6 failed, 5 broken, 1 unsupported, 1 disabled" in page
    assert page.count("\n| ❌ |") + page.count("\n| ⚠️ |") == summary["failed"]
    assert page.count("\n| ❓ |") == summary["broken"]
    assert page.count("\n| ➖ |") == skipped


def test_allure_knows_area_severity_and_category(everything):
    project, _ = everything
    document = project.allure["INF-11"]
    labels = {label["name"]: label["value"] for label in document["labels"]}
    assert labels["severity"] == "normal"
    assert labels["epic"] == "Fleet conformance"
    assert labels["feature"] == "Infrastructure"
    assert document["statusDetails"]["message"].startswith("follows from INF-02\n")
    assert project.allure["INF-09"]["statusDetails"]["message"] == "unsupported: no Kubernetes here"
    assert "All is well." in project.allure["INF-01"]["description"]
    assert project.allure["INF-01"]["attachments"][0]["name"] == "seen.json"
    results = project.reports / "allure-results"
    assert [category["name"] for category in json.loads((results / "categories.json").read_text())]
    assert "vLLM=stub" in (results / "environment.properties").read_text()
    assert not (results / "executor.json").exists()


def test_the_html_page_says_verdict_cause_and_cluster(everything):
    project, _ = everything
    page = (project.reports / "report.html").read_text()
    head = page[: page.index("data-jsonblob")]
    for words in ("not conformant", "14 checks", "expected two replicas, seen one", "fleet/ray-custom:2.49.2", "stub"):
        assert words in head.replace("13 of 14 checks", "14 checks"), words
    row = next(row for row in project.html_rows if row["check"] == "INF-02")
    assert (row["level"], row["area"]) == ("MUST", "Infrastructure")
    assert "traceback.txt" in row["extras"][0]["content"]


def test_the_terminal_fits_80_columns_without_colour(everything):
    _, done = everything
    summary = done.stdout[done.stdout.index("= fleet conformance =") :]
    summary = summary[: summary.index("/reports/")]
    assert "\x1b[" not in done.stdout
    assert all(len(line) <= 80 for line in summary.splitlines() if "reports" not in line and "/" not in line)
    assert "NOT CONFORMANT: 13 of 14 checks apply to embedded; vLLM stub" in summary
    assert "FAILED INF-02 (MUST) fails" in summary
    assert "-> Use fleet/ray-custom:2.49.2" in summary


def test_a_green_run_is_conformant(project: Project):
    done = project.write(green=GREEN).run()
    assert (done.returncode, project.conformance["verdict"], project.conformance["conformant"]) == (
        0,
        "conformant",
        True,
    )
    assert "**Every MUST check that applies" in (project.reports / "status.md").read_text()


@pytest.mark.parametrize(
    ("body", "verdict", "status"),
    [
        ("def test_three(): assert False, 'slow'", "conformant", 0),
        ("def test_three(): raise ValueError", "conformant", 0),
    ],
)
def test_a_failed_should_changes_nothing(project: Project, body: str, verdict: str, status: int):
    should = f"\n@check('NET-02', SHOULD, 'fast', remedy='x')\n{body}\n"
    done = project.write(green=GREEN + should).run("-m", "e2e")
    assert (project.conformance["verdict"], done.returncode) == (verdict, status), done.stdout


@pytest.mark.parametrize(
    ("body", "verdict", "status"),
    [
        ("def test_three(): skip_disabled('not allowed')", "partial", 0),
        ("def test_three(): skip_unsupported('cannot')", "conformant", 0),
        ("def test_three(): raise CannotTell('x')", "inconclusive", 1),
        ("def test_three(): assert False, 'x'", "nonconformant", 1),
    ],
)
def test_verdict_and_exit_status(project: Project, body: str, verdict: str, status: int):
    must = f"\n@check('NET-01', MUST, 'third', remedy='x')\n{body}\n"
    done = project.write(green=GREEN + must).run("-m", "e2e")
    assert (project.conformance["verdict"], done.returncode) == (verdict, status), done.stdout


def test_deselected_checks_and_files_that_were_not_collected_are_disabled(project: Project):
    other = "\n@check('ORC-01', MUST, 'other', remedy='x')\ndef test_other(): ...\n"
    done = project.write(green=GREEN, other=other).run("tests/e2e/test_green.py", "-k", "test_one")
    assert project.statuses == {"INF-01": "passed", "INF-02": "disabled", "ORC-01": "disabled"}
    assert project.detail("ORC-01") == "not selected"
    assert (project.conformance["verdict"], done.returncode) == ("partial", 0)
    assert project.junit.get("tests") == "3"
    assert len(project.allure) == len(project.html_rows) == 3


def test_after_x_the_rest_is_not_selected(project: Project):
    bodies = "\n@check('CFG-01', MUST, 'fails', remedy='x')\ndef test_zero(): assert False, 'no'\n" + GREEN
    done = project.write(green=bodies).run("-x")
    assert project.statuses == {"INF-01": "disabled", "INF-02": "disabled", "CFG-01": "failed"}
    assert project.detail("INF-01") == "not selected: stopped after the first failure"
    assert done.returncode == 1


def test_last_failed_runs_only_what_failed(project: Project):
    bodies = GREEN + "\n@check('CFG-01', MUST, 'fails', remedy='x')\ndef test_zero(): assert False, 'no'\n"
    project.write(green=bodies)
    (project.path / "pytest.ini").write_text(SETTINGS.replace(" -p no:cacheprovider", ""))
    project.run()
    assert project.run("--lf").returncode == 1
    assert project.statuses == {"INF-01": "disabled", "INF-02": "disabled", "CFG-01": "failed"}


def test_a_harness_that_aborts_leaves_the_rest_broken(project: Project):
    bodies = """
@check("CFG-01", MUST, "boots", remedy="x")
def test_boot(recorder, request):
    recorder.abort(request.session, "nats: did not come up within 20 s\\nlast line")
    raise CannotTell("nats: did not come up")
"""
    done = project.write(green=bodies + GREEN).run()
    assert project.statuses == {"INF-01": "broken", "INF-02": "broken", "CFG-01": "broken"}
    assert project.detail("INF-01").startswith("nats: did not come up within 20 s")
    assert (project.conformance["verdict"], done.returncode) == ("inconclusive", 1)
    assert "ended early: nats: did not come up" in (project.reports / "status.md").read_text()


def test_ctrl_c_still_writes_every_report(project: Project):
    bodies = "\n@check('CFG-01', MUST, 'hangs', remedy='x')\ndef test_hang():\n    import time; time.sleep(50)\n"
    order = "\n@check('INF-03', MUST, 'first', remedy='x')\ndef test_first(): open('begun', 'w').close()\n"
    project.write(green=order + bodies + GREEN)
    running = subprocess.Popen(
        project.command("-m", "e2e"), cwd=project.path, env=project.environment, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not (project.path / "begun").exists():
        assert time.monotonic() < deadline, "the inner pytest did not begin"
        time.sleep(0.05)
    time.sleep(0.3)  # into the sleep of the check that hangs
    running.send_signal(signal.SIGINT)
    stdout, _ = running.communicate(timeout=30)
    assert running.returncode == 2
    assert project.statuses == {"INF-01": "broken", "INF-02": "broken", "INF-03": "passed", "CFG-01": "broken"}
    assert project.detail("CFG-01") == "interrupted (Ctrl-C)"
    assert "INCONCLUSIVE" in stdout
    assert project.junit.get("errors") == "3"
    assert Counter(each["status"] for each in project.allure.values()) == {"broken": 3, "passed": 1}
    assert len(project.html_rows) == 4


def test_a_check_that_does_not_import_makes_the_run_inconclusive(project: Project):
    done = project.write(green=GREEN, other="import no_such_module\n").run()
    assert done.returncode == 2
    assert set(project.statuses.values()) == {"broken"}
    assert "error" in project.detail("INF-01")


def test_other_tests_write_no_reports(project: Project):
    project.write(green=GREEN)
    unit = project.path / "tests" / "unit"
    unit.mkdir()
    (unit / "test_unit.py").write_text("def test_unit(): ...\n")
    for options in (("tests/unit",), ("-m", "not e2e"), ("--collect-only",), ("-k", "test_unit")):
        assert project.run(*options).returncode == 0
        assert not [path for path in project.reports.rglob("*") if path.is_file()], options


def test_a_failed_other_test_keeps_its_exit_status(project: Project):
    project.write(green=GREEN)
    (project.path / "tests" / "test_unit.py").write_text("def test_unit(): assert False\n")
    assert project.run().returncode == 1
    assert project.conformance["verdict"] == "conformant"


def test_paths_of_the_user_stay(project: Project):
    project.write(green=GREEN).run("--junitxml=mine.xml", "--html=mine.html", "--alluredir=mine", "--report-dir=out")
    assert (project.path / "mine.xml").is_file()
    assert (project.path / "mine.html").is_file()
    assert list((project.path / "mine").glob("*-result.json"))
    assert sorted(path.name for path in (project.path / "out").iterdir()) == ["conformance.json", "status.md"]


def test_a_second_run_does_not_mix_with_the_first(project: Project):
    project.write(all=ALL).run()
    (project.reports / "notes.txt").write_text("mine")
    (project.path / "tests" / "e2e" / "test_all.py").write_text(HEAD + GREEN)
    project.run()
    assert len(project.allure) == 2
    assert not (project.reports / "evidence" / "INF-04").exists()
    assert (project.reports / "notes.txt").read_text() == "mine"


def test_the_page_speaks_spanish(project: Project):
    project.write(all=ALL).run("--lang", "es")
    page = (project.reports / "status.md").read_text()
    assert page.startswith("# ❌ Conformidad de la flota: no conforme")
    assert "## Qué está roto" in page
    assert "13 de 14 comprobaciones se aplican a embedded" in page


def test_a_ci_job_is_named_in_allure(project: Project):
    jenkins = {"JENKINS_URL": "x", "JOB_NAME": "nightly", "BUILD_NUMBER": "7", "BUILD_URL": "https://u:pw1234@ci/7"}
    project.write(green=GREEN).run(**jenkins)
    executor = json.loads((project.reports / "allure-results" / "executor.json").read_text())
    assert (executor["buildOrder"], executor["buildUrl"]) == (7, "https://[redacted]@ci/7")


SECRET = "hunter2secret"

LEAKY = f"""
import logging, allure

@pytest.fixture
def leaky():
    raise ConnectionError("nats://user:{SECRET}@nats:4222 refused")

@check("INF-01", MUST, "leaks everywhere", remedy="nats://user:{SECRET}@nats", follows=())
def test_leaks(evidence, recorder, record_property):
    recorder.redactor.add("registered-{SECRET}")
    record_property("note", "NATS_TOKEN={SECRET}")
    print("password={SECRET}")
    logging.getLogger("x").warning("Authorization: Bearer {SECRET}")
    evidence.attach("request.json", {{"headers": {{"Authorization": "Bearer {SECRET}"}}, "url": "http://u:{SECRET}@h"}})
    evidence.attach("raw", b"api_key={SECRET}")
    allure.attach("registered-{SECRET}", name="direct", attachment_type=allure.attachment_type.TEXT)
    with allure.step("ask with token={SECRET}"):
        pass
    recorder.run.cluster.notes.append("nats://{SECRET}@nats")
    recorder.run.facts.measurements["p50"] = 1.0
    token = "registered-{SECRET}"
    key = '''-----BEGIN PRIVATE KEY-----
{SECRET}
-----END PRIVATE KEY-----'''
    assert not key, f"answer was {{key}} and {{token}}"

@check("INF-02", MUST, "leaks in its setup", remedy="x")
def test_setup(leaky): ...

@check("INF-03", MUST, "leaks in a skip", remedy="x")
def test_skip(): skip_disabled("no access with password={SECRET}")

@check("INF-04", MUST, "leaks its arguments", remedy="x")
@pytest.mark.parametrize("unused", [1])
def test_argument(unused):
    def connect(password):
        raise ConnectionError("refused")
    connect("-".join(["hunter2", "secret"]).replace("-", ""))
"""


def test_no_report_and_no_terminal_shows_a_secret(project: Project):
    done = project.write(leaky=LEAKY).run("-m", "e2e", "-l", "--tb=long")
    assert project.statuses == {"INF-01": "failed", "INF-02": "broken", "INF-03": "disabled", "INF-04": "broken"}
    files = [path for path in project.reports.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), f"{path.relative_to(project.path)} shows the secret"
    lines = [line for line in done.stdout.splitlines() if SECRET in line]
    assert not lines, f"the terminal shows the secret: {lines}"
