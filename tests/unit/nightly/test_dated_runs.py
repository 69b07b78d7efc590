"""Dated runs, as ci/nightly and the runner image make them: exit status, comparison, signals, upload, alerts,
webhook.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.core.paths import ROOT
from fixtures.core.polling import wait_until
from fixtures.nightly import command, runner, upload
from fixtures.nightly.dated_run import language_options, run_to_end
from fixtures.report.output_paths import DATED

#: Stands for the suite: writes a report, records how SIGINT is handled, and ends with $STATUS, or on a
#: signal within $WAIT.
SUITE = f"""#!{sys.executable} -E
import os, signal, sys, time
folder = sys.argv[sys.argv.index("--report-dir") + 1]
if os.environ.get("STATUS") != "4":
    open(folder + "/status.md", "w").write(" ".join(sys.argv[1:]))
    if os.environ.get("DOCUMENT"): open(folder + "/conformance.json", "w").write("{{}}")
assert "FLEET_WEBHOOK" not in os.environ and "PYTHONPATH" not in os.environ
def end(number, frame):
    open(folder + "/ended", "w").write("cleaned up")
    sys.exit(2)
signal.signal(signal.SIGTERM, end)
open(os.path.dirname(folder) + "/sigint", "w").write(str(signal.getsignal(signal.SIGINT) is signal.default_int_handler))
time.sleep(float(os.environ.get("WAIT", "0")))
sys.exit(int(os.environ.get("STATUS", "0")))
"""
#: Stands for ./ci/report: records how it is called, and ends with the status in $RED, $NEW or $HOOK.
REPORT = """#!/bin/bash
printf '%s; %s %s\\n' "$*" "$FLEET_WEBHOOK" "$FLEET_LINK" >>"$HOME/calls"
case $* in *" --alert always") exit ${RED:-1} ;; *" --alert new") exit ${NEW:-1} ;; esac
case $* in *" --webhook") exit ${HOOK:-0} ;; esac
exit 9
"""

Run = Callable[..., int]


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with stand-ins for the commands of ci/; the environment has one for the container engine,
    and no settings.
    """
    for name in [name for name in os.environ if name.startswith("FLEET_")]:
        monkeypatch.delenv(name)
    script(tmp_path / "bin" / "docker", "#!/bin/sh\nexit 0\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    script(tmp_path / "ci" / "e2e", SUITE)
    script(tmp_path / "ci" / "report", REPORT)
    return tmp_path / "ci"


@pytest.fixture
def nightly(stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """ci/nightly with the stand-ins: options, and the environment by keyword; its exit status."""

    def run(*options: str, **environment: str) -> int:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            return command.main(["--keep-reports", str(tmp_path / "reports"), *options], stand_ins)

    return run


@pytest.fixture
def in_cluster(stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The runner image's command with the stand-ins."""

    def run(**environment: str) -> int:
        with monkeypatch.context() as patch:
            for name, value in {"FLEET_REPORTS": str(tmp_path / "reports"), **environment}.items():
                patch.setenv(name, value)
            return runner.main(["--profile", "/profile/x"], [str(stand_ins / "e2e")], [str(stand_ins / "report")])

    return run


def dated(reports: Path) -> list[str]:
    return sorted(entry.name for entry in reports.iterdir() if DATED.fullmatch(entry.name))


@pytest.mark.parametrize("status", ["0", "1", "2"])
def test_the_suites_status_and_report(nightly: Run, tmp_path: Path, status: str) -> None:
    assert nightly("--", "-k", "INF", STATUS=status) == int(status)
    reports = tmp_path / "reports"
    assert os.readlink(reports / "latest") == dated(reports)[0]
    assert (reports / "latest" / "status.md").read_text().startswith("--cluster kind -k INF --report-dir ")
    assert (reports / "sigint").read_text() == "True", "Ctrl-C would be ignored"


def test_a_run_that_did_not_start_leaves_the_latest_report_alone(nightly: Run, tmp_path: Path) -> None:
    nightly()
    before = dated(tmp_path / "reports")
    assert nightly(STATUS="4") == 4
    assert [os.readlink(tmp_path / "reports" / "latest")] == dated(tmp_path / "reports") == before


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_is_compared_with_the_kept_ones(nightly: Run, tmp_path: Path, kept: bool) -> None:
    reports = tmp_path / "reports"
    before = reports / "2026-01-01T00-00-00Z" / ("conformance.json" if kept else "did-not-get-that-far")
    before.parent.mkdir(parents=True)
    before.write_text("{}")
    assert nightly() == 0
    assert (f" --baseline {reports} " in (reports / "latest" / "status.md").read_text()) is kept


def test_old_reports_are_removed_and_nothing_else(nightly: Run, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    for name in ("2026-01-01T00-00-00Z", "2026-01-03T00-00-00Z", "2026-01-02T00-00-00Z", "2026-by-hand", "notes"):
        (reports / name).mkdir(parents=True)
    assert nightly("--keep", "2") == 0
    assert dated(reports)[0] == "2026-01-03T00-00-00Z"
    assert len(dated(reports)) == 2
    assert (reports / "2026-by-hand").is_dir() and (reports / "notes").is_dir()


@pytest.mark.parametrize(
    ("options", "suite", "red", "new", "status"),
    [
        (["--alert", "new"], "1", "1", "0", 0),  # red, as in the run before
        (["--alert", "new"], "1", "1", "1", 1),  # red, and something is new
        (["--alert", "new"], "1", "1", "4", 1),  # the report cannot be read
        (["--alert", "new"], "1", "0", "0", 1),  # not the verdict: a report could not be written
        (["--alert", "new"], "2", "1", "0", 2),  # interrupted
        (["--alert", "new"], "0", "0", "0", 0),
        (["--alert", "always"], "1", "1", "0", 1),
        ([], "1", "1", "0", 1),
    ],
)
def test_the_status_for_alerts(
    nightly: Run, capfd: pytest.CaptureFixture[str], options: list[str], suite: str, red: str, new: str, status: int
) -> None:
    assert nightly(*options, STATUS=suite, DOCUMENT="1", RED=red, NEW=new) == status
    assert ("nothing is new" in capfd.readouterr().err) is (suite == "1" and status == 0)


def test_when_to_alert_by_the_environment(nightly: Run) -> None:
    assert nightly(STATUS="1", DOCUMENT="1", NEW="0", FLEET_ALERT="new") == 0


@pytest.mark.parametrize("by_option", [True, False])
@pytest.mark.parametrize("hook", ["0", "1", "4"])
def test_the_webhook_gets_the_run_and_changes_no_status(
    nightly: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], hook: str, by_option: bool
) -> None:
    url, link = "https://hooks.example/s3cr3t", "https://reports.example/{}/report.html"
    if by_option:
        status = nightly("--webhook", url, "--link", link, "--", "--lang", "es", STATUS="1", DOCUMENT="1", HOOK=hook)
    else:
        status = nightly("--", "--lang", "es", STATUS="1", DOCUMENT="1", HOOK=hook, FLEET_WEBHOOK=url, FLEET_LINK=link)
    assert status == 1
    (name,) = dated(tmp_path / "reports")
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"--reports {tmp_path / 'reports' / name} --lang es --webhook; {url} https://reports.example/{name}/report.html"
    ]
    assert "s3cr3t" not in "".join(capfd.readouterr())


def test_a_run_without_a_document_posts_to_no_webhook(nightly: Run, tmp_path: Path) -> None:
    assert nightly("--webhook", "https://hooks.example/x", "--alert", "new", STATUS="1") == 1
    assert not (tmp_path / "calls").exists()


def started(stand_ins: Path, reports: Path) -> subprocess.Popen[bytes]:
    """ci/nightly with the stand-ins as a program, which runs for a minute unless a signal ends it."""
    program = "import sys; from pathlib import Path; from fixtures.nightly.command import main\n"
    program += "sys.exit(main(sys.argv[2:], Path(sys.argv[1])))"
    command = [sys.executable, "-c", program, str(stand_ins), "--keep-reports", str(reports)]
    return subprocess.Popen(command, env={**os.environ, "WAIT": "60"}, start_new_session=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_suite_is_ended_by_a_signal_and_waited_for(
    stand_ins: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with started(stand_ins, tmp_path / "reports") as process:

        async def runs() -> bool:
            return (tmp_path / "reports" / "sigint").exists()

        await wait_until(runs, "the start of the suite", 20)
        process.send_signal(number)
        assert process.wait(timeout=20) == 2
    assert (tmp_path / "reports" / "latest" / "ended").read_text() == "cleaned up"


def test_a_signal_that_is_ignored_on_purpose_ends_nothing() -> None:
    """As under nohup, after which a closed terminal must not end the night."""
    command = ["bash", "-c", "trap 'exit 7' TERM; kill -HUP $PPID; sleep 1; exit 3"]
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where this test itself runs under nohup
    try:
        assert run_to_end(command, {**os.environ}) == 7
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert run_to_end(command, {**os.environ}) == 3
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    "bad",
    [
        ["--keep", "0"],
        ["--keep", "many"],
        ["--frobnicate"],
        ["-k", "INF"],
        ["INF"],
        ["--alert", "never"],
        ["--webhook", "hooks.example/x"],
        ["--webhook-format", "irc"],
        ["--link"],
    ],
)
def test_bad_options_are_one_line(
    nightly: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], bad: list[str]
) -> None:
    assert nightly(*bad) == 4
    assert len(capfd.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "reports").exists()


def test_a_folder_that_cannot_be_made_is_one_line(nightly: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert nightly("--keep-reports", "/proc/nowhere") == 4
    assert "cannot create the folder for reports /proc/nowhere" in capfd.readouterr().err


def test_without_an_engine_it_says_so_and_brings_none_unasked(
    nightly: Run, stand_ins: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("podman", "docker"):
        script(tmp_path / "bin" / name, "#!/bin/sh\nexit 1\n")
    assert nightly() == 4
    (line,) = capfd.readouterr().err.splitlines()
    assert "no container engine answers" in line and "FLEET_OFFLINE=1" in line
    script(stand_ins / "offline" / "run", '#!/bin/sh\ntouch "$HOME/brought"\nexec "$@"\n')
    assert nightly() == nightly(FLEET_OFFLINE="0") == 4
    assert not (tmp_path / "brought").exists()
    assert nightly(FLEET_OFFLINE="1") == 0
    assert (tmp_path / "brought").exists()


def test_the_registry_free_build_can_be_asked_for(nightly: Run, stand_ins: Path, tmp_path: Path) -> None:
    script(stand_ins / "offline" / "run", '#!/bin/sh\ntouch "$HOME/brought"\nexec "$@"\n')
    assert nightly() == 0
    assert not (tmp_path / "brought").exists()
    assert nightly(FLEET_OFFLINE="1") == 0
    assert (tmp_path / "brought").exists()


@pytest.mark.parametrize(("status", "upload"), [("0", "true"), ("1", "true"), ("1", "false"), ("0", "exit 9")])
def test_what_is_uploaded_changes_no_status(
    in_cluster: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], status: str, upload: str
) -> None:
    copy = tmp_path / "copy"
    assert in_cluster(STATUS=status, FLEET_UPLOAD=f"cp -r {{}} {copy}; {upload}") == int(status)
    assert "--cluster attach" in (copy / "status.md").read_text()
    assert ("the upload ended with status" in capfd.readouterr().err) is (upload != "true")


def test_the_runner_posts_to_the_webhook_and_alerts(in_cluster: Run, tmp_path: Path) -> None:
    more = {"FLEET_WEBHOOK": "https://hooks.example/x", "DOCUMENT": "1", "STATUS": "1", "FLEET_UPLOAD": "touch {}/sent"}
    assert in_cluster(NEW="0", FLEET_ALERT="new", **more) == 0
    assert "--webhook; https://hooks.example/x" in (tmp_path / "calls").read_text().splitlines()[0]
    assert (tmp_path / "reports" / "latest" / "sent").exists()
    assert in_cluster(FLEET_ALERT="often", **more) == 4


def test_the_runner_keeps_as_many_as_the_environment_says(in_cluster: Run, tmp_path: Path) -> None:
    for _ in range(3):
        assert in_cluster(FLEET_KEEP="2") == 0
    assert len(dated(tmp_path / "reports")) == 2
    assert in_cluster(FLEET_KEEP="none") == 4


def test_the_runners_lock_is_a_part_of_the_suites() -> None:
    def pins(path: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==[^ ]+", (ROOT / path).read_text(), re.MULTILINE))

    runner = pins("images/runner/requirements.lock")
    assert runner and runner <= pins("ci/locks/suite.lock"), "see images/runner/requirements.in"


#: Imports the suite and its checks where nothing is installed but what sys.argv names.
IMPORTED = """
import importlib, sys
from importlib.metadata import packages_distributions
from packaging.utils import canonicalize_name
there = set(sys.argv[1:])
known = packages_distributions().items()
absent = {module for module, names in known if there.isdisjoint(map(canonicalize_name, names))}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent: raise ModuleNotFoundError(f"no {name} in the image", name=name)
sys.meta_path.insert(0, Absent())
import conftest
from fixtures import plugin
from fixtures.checks.catalogue import load_catalogue
for name in (*conftest.pytest_plugins, *getattr(plugin, "pytest_plugins", ())): importlib.import_module(name)
print(len(load_catalogue()))
"""


def test_the_runners_lock_has_all_that_an_attached_run_imports() -> None:
    lock = (ROOT / "images/runner/requirements.lock").read_text()
    there = re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTED, *there], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 80


@pytest.mark.parametrize(
    ("suite", "language"),
    [
        ([], []),
        (["-x", "--lang", "es"], ["--lang", "es"]),
        (["--lang=en", "--lang", "es"], ["--lang", "es"]),
        (["--lang", "es", "--lang=en"], ["--lang", "en"]),
        (["--lang"], []),
    ],
)
def test_the_last_language_counts(suite: list[str], language: list[str]) -> None:
    assert language_options(suite) == language


@pytest.fixture
def uploaded(stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The upload in a container of its own, which has waited; its exit status. `begun_s`: how long for a beginning."""
    (tmp_path / "handover").mkdir(exist_ok=True)

    def run(begun_s: float = 5.0, **environment: str) -> int:
        with monkeypatch.context() as patch:
            for name, value in {"FLEET_HANDOVER": str(tmp_path / "handover"), **environment}.items():
                patch.setenv(name, value)
            return upload.main(begun_s)

    return run


@pytest.mark.parametrize(("status", "then"), [("0", "true"), ("1", "true"), ("1", "exit 9")])
def test_a_container_beside_the_run_uploads_what_it_left(
    in_cluster: Run, uploaded: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], status: str, then: str
) -> None:
    assert in_cluster(STATUS=status, FLEET_HANDOVER=str(tmp_path / "handover")) == int(status)
    assert uploaded(FLEET_UPLOAD=f"cp -r {{}} {tmp_path}/copy; {then}") == 0
    assert "--cluster attach" in (tmp_path / "copy" / "status.md").read_text()
    assert ("the upload ended with status 9" in capfd.readouterr().err) is (then == "exit 9")


def test_the_upload_waits_until_the_run_has_ended_in_any_way(uploaded: Run, tmp_path: Path) -> None:
    program = "import sys, pathlib, time; from fixtures.nightly import handover\n"
    program += "with handover.running(pathlib.Path(sys.argv[1])): print('running', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", program, str(tmp_path / "handover")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stdout.readline() == "running\n"
        threading.Timer(0.3, run.kill).start()
        assert uploaded(FLEET_UPLOAD=f"touch {tmp_path}/sent") == 0
        assert run.wait() == -signal.SIGKILL, "the upload did not wait"
    assert not (tmp_path / "sent").exists(), "a run that was killed at once has left no reports"


@pytest.mark.parametrize("command", ["", "touch sent"])
def test_without_a_run_or_a_command_nothing_is_uploaded(
    uploaded: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    assert uploaded(0.1, FLEET_UPLOAD=command) == 0
    assert ("the beginning of the run" in capfd.readouterr().err) is bool(command)
