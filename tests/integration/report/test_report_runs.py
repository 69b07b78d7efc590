"""The recorder in a real pytest: what was selected, what ended the run, and where the reports go."""

import json
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from fixtures.report import output_paths
from tests.support.metrics import listening
from tests.support.suite_project import ALL, CONFTEST, GREEN, HEAD, SETTINGS, Project
from tests.support.waiting import wait_for

BEGUN_S = 30.0  # until an inner pytest runs its check


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_green_run_is_conformant(project: Project) -> None:
    done = project.write(green=GREEN).run()
    assert (done.returncode, project.conformance["verdict"], project.conformance["conformant"]) == (
        0,
        "conformant",
        True,
    )
    lines = (project.reports / "status.md").read_text().splitlines()
    assert lines[2] == "**conformant: every MUST check that ran passed (2)**"
    assert lines[4].startswith("Every MUST check that applies")


@pytest.mark.parametrize(
    ("body", "verdict", "status"),
    [
        ("def test_three(): assert False, 'slow'", "conformant", 0),
        ("def test_three(): raise ValueError", "conformant", 0),
    ],
)
def test_a_failed_should_changes_nothing(project: Project, body: str, verdict: str, status: int) -> None:
    should = f"\n@check('NET-02', SHOULD, 'fast', remedy='x')\n{body}\n"
    done = project.write(green=GREEN + should).run("-m", "e2e")
    assert (project.conformance["verdict"], done.returncode) == (verdict, status), done.stdout


@pytest.mark.parametrize(
    ("body", "verdict", "status"),
    [
        ("def test_three(): skip_disabled('not allowed')", "partial", 0),
        ("def test_three(): skip_unsupported('cannot')", "partial", 0),
        ("def test_three(): skip_not_applicable('it has none')", "conformant", 0),
        ("def test_three(): raise Inconclusive('x')", "inconclusive", 1),
        ("def test_three(): assert False, 'x'", "nonconformant", 1),
    ],
)
def test_verdict_and_exit_status(project: Project, body: str, verdict: str, status: int) -> None:
    must = f"\n@check('NET-01', MUST, 'third', remedy='x')\n{body}\n"
    done = project.write(green=GREEN + must).run("-m", "e2e")
    assert (project.conformance["verdict"], done.returncode) == (verdict, status), done.stdout


def test_evidence_that_cannot_be_written_has_an_exit_status_of_its_own(project: Project) -> None:
    must = "\n@check('NET-01', MUST, 'third', remedy='x')\ndef test_three(evidence): evidence.attach('s', 'x')\n"
    project.write(all=GREEN + must)
    project.reports.mkdir()
    (project.reports / "evidence").write_text("a file in the way")
    done = project.run("-m", "e2e")
    assert (project.conformance["verdict"], done.returncode) == ("conformant", 3), done.stdout
    assert "could not be written: evidence of NET-01: " in done.stdout


RED = "\n@check('NET-01', MUST, 'third', remedy='x')\ndef test_three(): assert False, 'the finding'\n"
FULL = """
@check("NET-01", MUST, "third", remedy="x")
def test_three():
    import resource
    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # whatever is written from now on: "File too large"

@check("NET-02", MUST, "fourth", remedy="x")
def test_four(evidence): evidence.attach("s", "x")

@check("NET-03", MUST, "fifth", remedy="x")
def test_five(): assert False, "the finding"
"""


def test_a_disk_that_is_full_in_the_middle_of_a_run_ends_no_check(project: Project) -> None:
    done = project.write(all=GREEN + FULL).run("-m", "e2e")
    assert done.returncode == 1, "a failed check counts before a report that is missing"
    assert "the finding" in done.stdout and "INTERNALERROR" not in done.stdout
    assert "1 failed, 4 passed" in done.stdout, done.stdout
    assert "could not be written: " in done.stdout and "File too large" in done.stdout
    green = FULL.replace("assert False", "assert True")
    done = project.write(all=GREEN + green).run("-m", "e2e")
    assert done.returncode == 3, done.stdout


def test_metrics_that_are_not_taken_are_a_report_that_is_missing(project: Project) -> None:
    done = project.write(all=GREEN).run("-m", "e2e", "--metrics", "fleet.prom")
    assert done.returncode == 0 and "fleet.prom" in done.stdout, done.stdout
    with listening() as gateway:
        gateway.status = 400
        url = f"http://u:s3cr3t-of-it@{gateway.address}"
        done = project.run("-m", "e2e", "--metrics", url)
        assert (project.conformance["verdict"], done.returncode) == ("conformant", 3), done.stdout
        shown = f"could not be written: --metrics: the Pushgateway at {gateway.address} refused the metrics"
        assert shown in " ".join(done.stdout.split())
        assert project.write(all=GREEN + RED).run("-m", "e2e", "--metrics", url).returncode == 1
    assert "s3cr3t" not in done.stdout + (project.reports / "report.html").read_text()


def test_two_runs_do_not_share_a_folder(project: Project) -> None:
    project.write(green=GREEN).run()
    before = (project.reports / "conformance.json").read_bytes()
    release = output_paths.claim(project.reports)
    done = project.run("-m", "e2e")
    assert done.returncode == 4
    assert f"another run is writing its reports to {project.reports}; --report-dir names another" in done.stderr
    assert (project.reports / "conformance.json").read_bytes() == before
    release()
    assert project.run("-m", "e2e").returncode == 0


def test_a_folder_that_takes_no_reports_is_told_before_anything_starts(project: Project) -> None:
    project.reports.write_text("a file in the way")
    done = project.write(green=GREEN).run("-m", "e2e")
    assert done.returncode == 4
    assert f"reports cannot be written to {project.reports}: file exists; --report-dir names another" in done.stderr


def test_deselected_checks_and_files_that_were_not_collected_are_disabled(project: Project) -> None:
    other = "\n@check('ORC-01', MUST, 'other', remedy='x')\ndef test_other(): ...\n"
    done = project.write(green=GREEN, other=other).run("tests/e2e/test_green.py", "-k", "test_one")
    assert project.statuses == {"INF-01": "passed", "INF-02": "disabled", "ORC-01": "disabled"}
    assert project.detail("ORC-01") == "not selected"
    assert (project.conformance["verdict"], done.returncode) == ("partial", 0)
    assert project.junit.get("tests") == "3"
    assert len(project.allure) == len(project.html_rows) == 3


NARROW = """
from fixtures.profile.parts import Absence

@check("CFG-01", MUST, "narrows", remedy="x")
def test_zero(recorder, request):
    recorder.applicability = lambda check: Absence("tools", "no tools here") if check.id > "INF-01" else None
    {ending}
"""


@pytest.mark.parametrize(
    ("ending", "statuses", "verdict"),
    [
        ("...", ("passed", "disabled"), "partial"),
        (
            "recorder.abort(request.session, 'nats died'); raise Inconclusive('x')",
            ("broken", "disabled"),
            "inconclusive",
        ),
    ],
)
def test_what_does_not_apply_is_so_without_being_selected(
    project: Project, ending: str, statuses: tuple[str, str], verdict: str
) -> None:
    """And in a run that ended early."""
    project.write(green=NARROW.replace("{ending}", ending) + GREEN).run("-k", "test_zero")
    assert project.statuses == {"CFG-01": statuses[0], "INF-01": statuses[1], "INF-02": "not_applicable"}
    document = project.conformance
    assert document["verdict"] == verdict
    assert document["scope"]["not_applicable"] == [{"id": "INF-02", "because": "no tools here"}]
    assert {row["id"]: row["absent"] for row in document["checks"]} == {"CFG-01": "", "INF-01": "", "INF-02": "tools"}
    assert "absent by profile or kind of fleet: tools" in (project.reports / "status.md").read_text()


def test_after_x_the_rest_is_not_selected(project: Project) -> None:
    bodies = "\n@check('CFG-01', MUST, 'fails', remedy='x')\ndef test_zero(): assert False, 'no'\n" + GREEN
    done = project.write(green=bodies).run("-x")
    assert project.statuses == {"INF-01": "disabled", "INF-02": "disabled", "CFG-01": "failed"}
    assert project.detail("INF-01") == "not selected: stopped after the first failure"
    assert done.returncode == 1


def test_last_failed_runs_only_what_failed(project: Project) -> None:
    bodies = GREEN + "\n@check('CFG-01', MUST, 'fails', remedy='x')\ndef test_zero(): assert False, 'no'\n"
    project.write(green=bodies)
    (project.path / "pytest.ini").write_text(SETTINGS.replace(" -p no:cacheprovider", ""))
    project.run()
    assert project.run("--lf").returncode == 1
    assert project.statuses == {"INF-01": "disabled", "INF-02": "disabled", "CFG-01": "failed"}


def test_a_harness_that_aborts_leaves_the_rest_broken(project: Project) -> None:
    bodies = """
@check("CFG-01", MUST, "boots", remedy="x")
def test_boot(recorder, request):
    recorder.abort(request.session, "nats: did not come up within 20 s\\nlast line")
    raise Inconclusive("nats: did not come up")
"""
    done = project.write(green=bodies + GREEN).run()
    assert project.statuses == {"INF-01": "broken", "INF-02": "broken", "CFG-01": "broken"}
    assert project.detail("INF-01").startswith("nats: did not come up within 20 s")
    assert (project.conformance["verdict"], done.returncode) == ("inconclusive", 1)
    assert "ended early: nats: did not come up" in (project.reports / "status.md").read_text()


def test_a_machine_that_does_not_allow_the_run_is_no_verdict(project: Project) -> None:
    bodies = """
@check("CFG-01", MUST, "boots", remedy="x")
def test_boot(recorder, request):
    recorder.abort(request.session, "no space left for /cache", unusable=True)
    raise Inconclusive("no space left")
"""
    done = project.write(green=bodies + GREEN).run()
    assert (project.conformance["verdict"], done.returncode) == ("inconclusive", 4)
    assert "ended early: no space left for /cache" in (project.reports / "status.md").read_text()


def test_a_warning_of_a_library_breaks_no_check(project: Project) -> None:
    """On another Python or OpenSSL than the suite is developed with, one may come at any time."""
    (project.path / "pytest.ini").write_text(f"{SETTINGS}\nfilterwarnings = error\n")
    bodies = """
import warnings

@check("CFG-01", MUST, "warns", remedy="x")
def test_warns():
    for category in (UserWarning, ResourceWarning, RuntimeWarning, DeprecationWarning):
        warnings.warn("of a library", category)
"""
    done = project.write(green=bodies + GREEN).run()
    assert project.statuses == {"CFG-01": "passed", "INF-01": "passed", "INF-02": "passed"}, done.stdout


def test_an_internal_error_of_pytest_is_no_missing_report(project: Project) -> None:
    """pytest ends with 3 then, which says here that nothing is wrong with the fleet."""
    project.write(green=GREEN)
    hook = "\ndef pytest_runtest_logfinish(nodeid): raise LookupError(f'a plugin fails after {nodeid}')\n"
    (project.path / "conftest.py").write_text(CONFTEST + hook)
    done = project.run("-m", "e2e")
    assert (project.conformance["verdict"], done.returncode) == ("inconclusive", 1), done.stdout
    assert project.statuses == {"INF-01": "passed", "INF-02": "broken"}
    assert project.detail("INF-02").startswith("internal error of pytest: ")


def test_ctrl_c_still_writes_every_report(project: Project) -> None:
    bodies = (
        "\n@check('CFG-01', MUST, 'hangs', remedy='x')\ndef test_hang():\n"
        "    open('begun', 'w').close()\n    import time; time.sleep(50)\n"
    )
    order = "\n@check('INF-03', MUST, 'first', remedy='x')\ndef test_first(): pass\n"
    project.write(green=order + bodies + GREEN)
    running = subprocess.Popen(
        project.command("-m", "e2e"), cwd=project.path, env=project.environment, stdout=subprocess.PIPE, text=True
    )
    wait_for((project.path / "begun").exists, "the check's begin in the inner pytest", BEGUN_S)
    running.send_signal(signal.SIGINT)
    stdout, _ = running.communicate(timeout=30)
    assert running.returncode == 2
    assert project.statuses == {"INF-01": "broken", "INF-02": "broken", "INF-03": "passed", "CFG-01": "broken"}
    assert project.detail("CFG-01") == "interrupted (Ctrl-C)"
    assert "INCONCLUSIVE" in stdout
    assert project.junit.get("errors") == "3"
    assert Counter(each["status"] for each in project.allure.values()) == {"broken": 3, "passed": 1}
    assert len(project.html_rows) == 4


def test_a_check_that_does_not_import_makes_the_run_inconclusive(project: Project) -> None:
    done = project.write(green=GREEN, other="import no_such_module\n").run()
    assert done.returncode == 2
    assert set(project.statuses.values()) == {"broken"}
    assert "error" in project.detail("INF-01")


def test_other_tests_write_no_reports(project: Project) -> None:
    project.write(green=GREEN)
    unit = project.path / "tests" / "unit"
    unit.mkdir()
    (unit / "test_unit.py").write_text("def test_unit(): ...\n")
    for options in (("tests/unit",), ("-m", "not e2e"), ("--collect-only",), ("-k", "test_unit")):
        assert project.run(*options).returncode == 0
        assert not [path for path in project.reports.rglob("*") if path.is_file()], options


def test_a_failed_other_test_keeps_its_exit_status(project: Project) -> None:
    project.write(green=GREEN)
    (project.path / "tests" / "test_unit.py").write_text("def test_unit(): assert False\n")
    assert project.run().returncode == 1
    assert project.conformance["verdict"] == "conformant"


def test_paths_of_the_user_stay(project: Project) -> None:
    project.write(green=GREEN).run("--junitxml=mine.xml", "--html=mine.html", "--alluredir=mine", "--report-dir=out")
    assert (project.path / "mine.xml").is_file()
    assert (project.path / "mine.html").is_file()
    assert list((project.path / "mine").glob("*-result.json"))
    assert sorted(path.name for path in (project.path / "out").iterdir()) == [
        "conformance.json",
        "ctrf.json",
        "metrics.prom",
        "status.html",
        "status.md",
    ]


def test_a_second_run_does_not_mix_with_the_first(project: Project) -> None:
    project.write(all=ALL).run()
    (project.reports / "notes.txt").write_text("mine")
    (project.path / "tests" / "e2e" / "test_all.py").write_text(HEAD + GREEN)
    project.run()
    assert len(project.allure) == 2
    assert not (project.reports / "evidence" / "INF-04").exists()
    assert (project.reports / "notes.txt").read_text() == "mine"


def test_the_page_speaks_spanish(project: Project) -> None:
    project.write(all=ALL).run("--lang", "es")
    page = (project.reports / "status.md").read_text()
    assert page.startswith("# ❌ Conformidad de la flota: no conforme")
    assert "## Qué está roto" in page
    assert "14 de 15 comprobaciones se aplican a embedded" in page


def test_allure_links_by_the_patterns_of_allure_pytest(project: Project) -> None:
    project.write(green=GREEN).run("--allure-link-pattern=tms:https://tests.example/{}")
    assert project.allure["INF-01"]["links"][0]["url"] == "https://tests.example/INF-01"


def test_a_ci_job_is_named_in_allure(project: Project) -> None:
    jenkins = {"JENKINS_URL": "x", "JOB_NAME": "nightly", "BUILD_NUMBER": "7", "BUILD_URL": "https://u:pw1234@ci/7"}
    project.write(green=GREEN).run(**jenkins)
    executor = json.loads((project.reports / "allure-results" / "executor.json").read_text())
    assert (executor["buildOrder"], executor["buildUrl"]) == (7, "https://[redacted]@ci/7")
