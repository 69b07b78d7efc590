"""Dated runs, as ci/nightly and the runner image make them: exit status, link, clean-up, signals, upload, alerts, webhook."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from fixtures.core.paths import ROOT
from fixtures.core.polling import wait_until

#: Stands for the suite: writes a report, tells how SIGINT is handled, and ends with $STATUS, or when told to after $WAIT.
SUITE = """#!/usr/bin/env python3
import os, signal, sys, time
folder = sys.argv[sys.argv.index("--report-dir") + 1]
if os.environ.get("STATUS") != "4":
    os.makedirs(folder)
    open(folder + "/status.md", "w").write(" ".join(sys.argv[1:]))
    if os.environ.get("DOCUMENT"): open(folder + "/conformance.json", "w").write("{}")
assert "FLEET_WEBHOOK" not in os.environ, "the suite could tell it"
def end(number, frame):
    open(folder + "/ended", "w").write("cleaned up")
    sys.exit(2)
signal.signal(signal.SIGTERM, end)
open(os.path.dirname(folder) + "/sigint", "w").write(str(signal.getsignal(signal.SIGINT) is signal.default_int_handler))
time.sleep(float(os.environ.get("WAIT", "0")))
sys.exit(int(os.environ.get("STATUS", "0")))
"""
#: Stands for ./ci/report: notes how it is called, and ends with the status in $RED, $NEW or $HOOK.
REPORT = """#!/bin/bash
printf '%s; %s %s\\n' "$*" "$FLEET_WEBHOOK" "$FLEET_LINK" >>"$HOME/told"
case $* in *" --alert always") exit ${RED:-1} ;; *" --alert new") exit ${NEW:-1} ;; *" --webhook") exit ${HOOK:-0} ;; esac
exit 9
"""
DATED = re.compile(r"^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$")


@pytest.fixture
def nightly(tmp_path: Path) -> list[str]:
    """The command, with a stand-in for ./ci/e2e and for the container engine."""
    ci = tmp_path / "suite" / "ci"
    ci.mkdir(parents=True)
    for name in ("nightly", "dated.sh"):
        (ci / name).write_bytes((ROOT / "ci" / name).read_bytes())
    for path, text in (
        (ci / "e2e", SUITE),
        (ci / "report", REPORT),
        (tmp_path / "bin" / "docker", "#!/bin/sh\nexit ${NO_ENGINE:-0}\n"),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return ["bash", str(ci / "nightly"), "--keep-reports", str(tmp_path / "reports")]


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path), **more}


def run(command: list[str], tmp_path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment(tmp_path, **more), capture_output=True, text=True, timeout=30, check=False
    )


def started(command: list[str], tmp_path: Path) -> subprocess.Popen[bytes]:
    """One that runs for a minute unless it is told to end, in a session of its own."""
    return subprocess.Popen(command, env=environment(tmp_path, WAIT="60"), start_new_session=True)


def dated(reports: Path) -> list[str]:
    return sorted(entry.name for entry in reports.iterdir() if DATED.match(entry.name))


@pytest.mark.parametrize("status", ["0", "1", "2"])
def test_the_suites_status_and_report(nightly: list[str], tmp_path: Path, status: str) -> None:
    ran = run([*nightly, "--", "-k", "INF"], tmp_path, STATUS=status)
    assert ran.returncode == int(status), ran.stderr
    reports = tmp_path / "reports"
    assert os.readlink(reports / "latest") == dated(reports)[0]
    assert (reports / "latest" / "status.md").read_text().startswith("--cluster kind -k INF --report-dir ")
    assert (reports / "sigint").read_text() == "True", "Ctrl-C would be ignored"


def test_a_run_that_did_not_start_leaves_the_latest_report_alone(nightly: list[str], tmp_path: Path) -> None:
    run(nightly, tmp_path)
    latest = os.readlink(tmp_path / "reports" / "latest")
    assert run(nightly, tmp_path, STATUS="4").returncode == 4
    assert os.readlink(tmp_path / "reports" / "latest") == latest


@pytest.mark.parametrize("kept", [True, False])
def test_a_night_is_compared_with_the_kept_ones(nightly: list[str], tmp_path: Path, kept: bool) -> None:
    reports = tmp_path / "reports"
    before = reports / "2026-01-01T00-00-00Z" / ("conformance.json" if kept else "did-not-get-that-far")
    before.parent.mkdir(parents=True)
    before.write_text("{}")
    assert run(nightly, tmp_path).returncode == 0
    assert (f" --baseline {reports} " in (reports / "latest" / "status.md").read_text()) is kept


def test_old_reports_go_and_nothing_else(nightly: list[str], tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    for name in ("2026-01-01T00-00-00Z", "2026-01-03T00-00-00Z", "2026-01-02T00-00-00Z", "2026-by-hand", "notes"):
        (reports / name).mkdir(parents=True)
    assert run([*nightly, "--keep", "2"], tmp_path).returncode == 0
    assert dated(reports)[0] == "2026-01-03T00-00-00Z"
    assert len(dated(reports)) == 2
    assert (reports / "2026-by-hand").is_dir() and (reports / "notes").is_dir()


@pytest.mark.parametrize(
    ("options", "suite", "red", "new", "status"),
    [
        (["--alert", "new"], "1", "1", "0", 0),  # red, and known to be
        (["--alert", "new"], "1", "1", "1", 1),  # red, and something is new
        (["--alert", "new"], "1", "1", "4", 1),  # it cannot be told
        (["--alert", "new"], "1", "0", "0", 1),  # not the verdict: a report could not be written
        (["--alert", "new"], "2", "1", "0", 2),  # interrupted
        (["--alert", "new"], "0", "0", "0", 0),
        (["--alert", "always"], "1", "1", "0", 1),
        ([], "1", "1", "0", 1),
    ],
)
def test_the_status_for_alerts(
    nightly: list[str], tmp_path: Path, options: list[str], suite: str, red: str, new: str, status: int
) -> None:
    ran = run([*nightly, *options], tmp_path, STATUS=suite, DOCUMENT="1", RED=red, NEW=new)
    assert ran.returncode == status, ran.stderr
    assert ("nothing is new" in ran.stderr) is (suite == "1" and status == 0)


def test_when_to_alert_by_the_environment(nightly: list[str], tmp_path: Path) -> None:
    assert run(nightly, tmp_path, STATUS="1", DOCUMENT="1", NEW="0", FLEET_ALERT="new").returncode == 0


@pytest.mark.parametrize("hook", ["0", "1", "4"])
def test_the_webhook_is_told_and_changes_no_status(nightly: list[str], tmp_path: Path, hook: str) -> None:
    options = ["--webhook", "https://hooks.example/s3cr3t", "--link", "https://reports.example/{}/report.html"]
    ran = run([*nightly, *options, "--", "--lang", "es"], tmp_path, STATUS="1", DOCUMENT="1", HOOK=hook)
    assert ran.returncode == 1
    (night,) = dated(tmp_path / "reports")
    assert (tmp_path / "told").read_text().splitlines() == [
        f"--reports {tmp_path / 'reports' / night} --lang es --webhook; "
        f"https://hooks.example/s3cr3t https://reports.example/{night}/report.html"
    ]
    assert "s3cr3t" not in ran.stderr + ran.stdout


def test_a_run_without_a_document_tells_no_webhook(nightly: list[str], tmp_path: Path) -> None:
    assert (
        run([*nightly, "--webhook", "https://hooks.example/x", "--alert", "new"], tmp_path, STATUS="1").returncode == 1
    )
    assert not (tmp_path / "told").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_suite_is_told_to_end_and_waited_for(
    nightly: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    with started(nightly, tmp_path) as process:

        async def runs() -> bool:
            return (tmp_path / "reports" / "sigint").exists()

        await wait_until(runs, "the start of the suite", 20)
        process.send_signal(number)
        assert process.wait(timeout=20) == 2
    assert (tmp_path / "reports" / "latest" / "ended").read_text() == "cleaned up"


@pytest.mark.parametrize(
    "bad",
    [
        ["--keep", "0"],
        ["--keep", "many"],
        ["--frobnicate"],
        ["-k", "INF"],
        ["--alert", "never"],
        ["--webhook", "hooks.example/x"],
        ["--webhook-format", "irc"],
        ["--link"],
    ],
)
def test_bad_options_are_one_line(nightly: list[str], tmp_path: Path, bad: list[str]) -> None:
    ran = run([*nightly, *bad], tmp_path)
    assert ran.returncode == 4
    assert len(ran.stderr.splitlines()) == 1


def test_without_an_engine_it_says_so_or_brings_one(nightly: list[str], tmp_path: Path) -> None:
    for name in ("podman", "docker"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)
    ran = run(nightly, tmp_path)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (4, 1)
    assert "no container engine answers" in ran.stderr
    offline = tmp_path / "suite" / "ci" / "offline" / "run"
    offline.parent.mkdir()
    offline.write_text('#!/bin/sh\nexec "$@"\n')
    offline.chmod(0o755)
    assert run(nightly, tmp_path).returncode == 0
    assert run(nightly, tmp_path, FLEET_OFFLINE="0").returncode == 4


@pytest.fixture
def runner(tmp_path: Path) -> list[str]:
    """The runner image's command, with a stand-in for Python."""
    home = tmp_path / "fleet"
    (home / "ci").mkdir(parents=True)
    (home / "run").write_bytes((ROOT / "images" / "runner" / "run").read_bytes())
    (home / "ci" / "dated.sh").write_bytes((ROOT / "ci" / "dated.sh").read_bytes())
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(
        f'#!/bin/bash\ncase "$2" in fixtures.report.export) exec {home}/report "$@" ;; *) exec {home}/suite "$@" ;; esac\n'
    )
    for name, text in (("report", REPORT), ("suite", SUITE)):
        (home / name).write_text(text)
        (home / name).chmod(0o755)
    python.chmod(0o755)
    return ["bash", str(home / "run"), "--profile", "/profile/profile.toml"]


@pytest.mark.parametrize(("status", "upload"), [("0", "true"), ("1", "true"), ("1", "false"), ("0", "exit 9")])
def test_what_is_uploaded_changes_no_status(runner: list[str], tmp_path: Path, status: str, upload: str) -> None:
    copy = tmp_path / "copy"
    more = {"FLEET_REPORTS": str(tmp_path / "reports"), "FLEET_UPLOAD": f"cp -r {{}} {copy}; {upload}"}
    ran = run(runner, tmp_path, STATUS=status, **more)
    assert ran.returncode == int(status), ran.stderr
    assert "--cluster attach" in (copy / "status.md").read_text()
    assert ("the upload ended with status" in ran.stderr) is (upload != "true")


def test_the_runner_tells_the_webhook_and_alerts(runner: list[str], tmp_path: Path) -> None:
    more = {"FLEET_REPORTS": str(tmp_path / "reports"), "FLEET_WEBHOOK": "https://hooks.example/x", "DOCUMENT": "1"}
    ran = run(runner, tmp_path, STATUS="1", NEW="0", FLEET_ALERT="new", FLEET_UPLOAD="touch {}/sent", **more)
    assert ran.returncode == 0, ran.stderr
    assert "--webhook; https://hooks.example/x" in (tmp_path / "told").read_text().splitlines()[0]
    assert (tmp_path / "reports" / "latest" / "sent").exists()
    assert run(runner, tmp_path, STATUS="1", FLEET_ALERT="often", **more).returncode == 4


def test_the_runners_lock_is_a_part_of_the_suites() -> None:
    def pins(path: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==[^ ]+", (ROOT / path).read_text(), re.MULTILINE))

    runner = pins("images/runner/requirements.lock")
    assert runner and runner <= pins("ci/locks/suite.lock"), "see images/runner/requirements.in"
