"""Dated runs, as ci/nightly and the runner image make them: exit status, link, clean-up, signals, upload."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from fixtures.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent
#: Stands for the suite: writes a report, tells how SIGINT is handled, and ends with $STATUS, or when told to after $WAIT.
SUITE = """#!/usr/bin/env python3
import os, signal, sys, time
folder = sys.argv[sys.argv.index("--report-dir") + 1]
if os.environ.get("STATUS") != "4":
    os.makedirs(folder)
    open(folder + "/status.md", "w").write(" ".join(sys.argv[1:]))
def end(number, frame):
    open(folder + "/ended", "w").write("cleaned up")
    sys.exit(2)
signal.signal(signal.SIGTERM, end)
open(os.path.dirname(folder) + "/sigint", "w").write(str(signal.getsignal(signal.SIGINT) is signal.default_int_handler))
time.sleep(float(os.environ.get("WAIT", "0")))
sys.exit(int(os.environ.get("STATUS", "0")))
"""
DATED = re.compile(r"^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$")


@pytest.fixture
def nightly(tmp_path: Path) -> list[str]:
    """The command, with a stand-in for ./ci/e2e and for the container engine."""
    ci = tmp_path / "suite" / "ci"
    ci.mkdir(parents=True)
    for name in ("nightly", "dated.sh"):
        (ci / name).write_bytes((ROOT / "ci" / name).read_bytes())
    for path, text in ((ci / "e2e", SUITE), (tmp_path / "bin" / "docker", "#!/bin/sh\nexit ${NO_ENGINE:-0}\n")):
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
def test_the_suites_status_and_report(nightly: list[str], tmp_path: Path, status: str):
    ran = run([*nightly, "--", "-k", "INF"], tmp_path, STATUS=status)
    assert ran.returncode == int(status), ran.stderr
    reports = tmp_path / "reports"
    assert os.readlink(reports / "latest") == dated(reports)[0]
    assert (reports / "latest" / "status.md").read_text().startswith("--cluster kind -k INF --report-dir ")
    assert (reports / "sigint").read_text() == "True", "Ctrl-C would be ignored"


def test_a_run_that_did_not_start_leaves_the_latest_report_alone(nightly: list[str], tmp_path: Path):
    run(nightly, tmp_path)
    latest = os.readlink(tmp_path / "reports" / "latest")
    assert run(nightly, tmp_path, STATUS="4").returncode == 4
    assert os.readlink(tmp_path / "reports" / "latest") == latest


@pytest.mark.parametrize("kept", [True, False])
def test_a_night_is_compared_with_the_kept_ones(nightly: list[str], tmp_path: Path, kept: bool):
    reports = tmp_path / "reports"
    before = reports / "2026-01-01T00-00-00Z" / ("conformance.json" if kept else "did-not-get-that-far")
    before.parent.mkdir(parents=True)
    before.write_text("{}")
    assert run(nightly, tmp_path).returncode == 0
    assert (f" --baseline {reports} " in (reports / "latest" / "status.md").read_text()) is kept


def test_old_reports_go_and_nothing_else(nightly: list[str], tmp_path: Path):
    reports = tmp_path / "reports"
    for name in ("2026-01-01T00-00-00Z", "2026-01-03T00-00-00Z", "2026-01-02T00-00-00Z", "2026-by-hand", "notes"):
        (reports / name).mkdir(parents=True)
    assert run([*nightly, "--keep", "2"], tmp_path).returncode == 0
    assert dated(reports)[0] == "2026-01-03T00-00-00Z"
    assert len(dated(reports)) == 2
    assert (reports / "2026-by-hand").is_dir() and (reports / "notes").is_dir()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_suite_is_told_to_end_and_waited_for(nightly: list[str], tmp_path: Path, number: signal.Signals):
    with started(nightly, tmp_path) as process:

        async def runs() -> bool:
            return (tmp_path / "reports" / "sigint").exists()

        await wait_until(runs, "the start of the suite", 20)
        process.send_signal(number)
        assert process.wait(timeout=20) == 2
    assert (tmp_path / "reports" / "latest" / "ended").read_text() == "cleaned up"


@pytest.mark.parametrize("bad", [["--keep", "0"], ["--keep", "many"], ["--frobnicate"], ["-k", "INF"]])
def test_bad_options_are_one_line(nightly: list[str], tmp_path: Path, bad: list[str]):
    ran = run([*nightly, *bad], tmp_path)
    assert ran.returncode == 4
    assert len(ran.stderr.splitlines()) == 1


def test_without_an_engine_it_says_so_or_brings_one(nightly: list[str], tmp_path: Path):
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
    python.write_text(SUITE)
    python.chmod(0o755)
    return ["bash", str(home / "run"), "--profile", "/profile/profile.toml"]


@pytest.mark.parametrize(("status", "upload"), [("0", "true"), ("1", "true"), ("1", "false"), ("0", "exit 9")])
def test_what_is_uploaded_changes_no_status(runner: list[str], tmp_path: Path, status: str, upload: str):
    copy = tmp_path / "copy"
    more = {"FLEET_REPORTS": str(tmp_path / "reports"), "FLEET_UPLOAD": f"cp -r {{}} {copy}; {upload}"}
    ran = run(runner, tmp_path, STATUS=status, **more)
    assert ran.returncode == int(status), ran.stderr
    assert "--cluster attach" in (copy / "status.md").read_text()
    assert ("the upload ended with status" in ran.stderr) is (upload != "true")


def test_the_runners_lock_is_a_part_of_the_suites():
    def pins(path: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==[^ ]+", (ROOT / path).read_text(), re.MULTILINE))

    runner = pins("images/runner/requirements.lock")
    assert runner and runner <= pins("ci/locks/suite.lock"), "see images/runner/requirements.in"
