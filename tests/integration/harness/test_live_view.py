"""The terminal during a run of checks: on a pseudo-terminal of 80 columns, in a pipe, and with pytest's own options."""

import os
import pty
import re
import struct
import subprocess
import termios
from fcntl import ioctl
from pathlib import Path

import pyte
import pytest

from tests.support.suite_project import Project

CHECKS = """
import sys, time

@check("DEP-01", MUST, "aiohttp imports on every worker", remedy="x")
def test_one(request):
    print("captured")
    screen = request.config.pluginmanager.get_plugin("fleet-screen")
    screen.say("  boot: ray-head   7.3 s")
    time.sleep(1.2)

@check("DEP-02", MUST, "nats imports on every worker, in the profile's version", remedy="Build it: docker build .")
def test_two(): assert False, "nats-py is not usable: ray-worker-1: ModuleNotFoundError" + " and so on" * 30

@check("JOB-01", MUST, "a job of the agent ends", remedy="x", follows=("DEP-02",))
def test_three(): time.sleep(1.2)
"""
UNIT = "import pytest\n@pytest.mark.parametrize('n', range(4))\ndef test_unit(n): ...\n"
ESCAPES = re.compile(r"\x1b|\r")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path).write(fleet=CHECKS)
    (tmp_path / "tests" / "a_unit").mkdir()
    (tmp_path / "tests" / "a_unit" / "test_unit.py").write_text(UNIT)
    return made


def on_a_terminal(project: Project, *options: str, **environment: str) -> tuple[list[str], bytes, int]:
    """Every line that is left on a terminal of 80 columns, and what was sent to it."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
    environment = project.environment | {"TERM": "xterm-256color"} | environment
    process = subprocess.Popen(
        project.command(*options), cwd=project.path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    sent = b""
    with open(ours, "rb", buffering=0) as screen:
        try:
            while more := screen.read(65536):
                sent += more
        except OSError:  # Linux: the other end is closed
            pass
    shown = pyte.HistoryScreen(80, 30, history=1000)
    pyte.ByteStream(shown).feed(sent)
    above = ["".join(line[column].data for column in range(80)).rstrip() for line in shown.history.top]
    assert not shown.cursor.hidden
    return [*above, *(line.rstrip() for line in shown.display)], sent, process.wait(timeout=60)


def test_a_terminal_has_a_live_view_that_leaves_nothing_behind(project: Project) -> None:
    lines, sent, status = on_a_terminal(project)
    text = "\n".join(lines)
    assert status == 1
    assert re.search(rb"> Dependencies of the workers +0/2 +1 s", sent)
    assert re.search(rb"JOB-01 a job of the agent ends 1 s", sent)
    assert sent.count(b"Agent job  ") > 2
    assert text.count("Dependencies of the workers") == text.count("Agent job ") == 1, "the summary's alone"
    assert "tests/a_unit/test_unit.py ...." in text
    assert text.count("boot: ray-head") == 1
    assert "captured" not in text
    begun = lines.index("FAILED DEP-02 nats imports on every worker, in the profile's version")
    assert lines[begun + 1].startswith("  nats-py is not usable")
    assert "def test_two" not in text
    assert "short test summary" not in text
    assert b"\x1b[31m" in sent
    rest = [line for line in lines if line]
    assert rest[-1].startswith("==")
    tail = "\n".join(rest[-25:])
    for words in ("NOT CONFORMANT", "FAILED DEP-02 (MUST)", "-> Build it: docker build ."):
        assert words in tail


@pytest.mark.parametrize(
    ("options", "environment"), [((), {"NO_COLOR": "1"}), (("--color=no",), {}), ((), {"TERM": "dumb"})]
)
def test_without_colour(project: Project, options: tuple[str, ...], environment: dict[str, str]) -> None:
    _, sent, _ = on_a_terminal(project, "-m", "e2e", *options, **environment)
    assert not re.search(rb"\x1b\[[0-9;]*m", sent.replace(b"\x1b[0m", b""))
    assert (b"\x1b[" in sent) == (environment.get("TERM") != "dumb"), "a dumb terminal cannot move its cursor"


def test_a_log_has_a_line_for_each_area_and_each_failure(project: Project) -> None:
    done = project.run()
    assert not ESCAPES.search(done.stdout)
    lines = done.stdout.splitlines()
    places = [
        lines.index("FAILED DEP-02 nats imports on every worker, in the profile's version"),
        next(
            number
            for number, line in enumerate(lines)
            if re.match(r"  Dependencies of the workers +2/2 1 passed 1", line)
        ),
        next(number for number, line in enumerate(lines) if re.match(r"  Agent job +1/1 1 passed", line)),
        next(number for number, line in enumerate(lines) if "= fleet conformance =" in line),
    ]
    assert places == sorted(places)
    assert "tests/a_unit/test_unit.py ...." in done.stdout
    assert "1 failed, 6 passed" in lines[-1]


def test_an_area_that_was_stopped_says_how_far_it_came(project: Project) -> None:
    done = project.run("-m", "e2e", "-s", "-x", "--deselect", "tests/e2e/test_fleet.py::test_one")
    assert re.search(r"(?m)^  Dependencies of the workers +1/1 1 failed", done.stdout)
    assert "Agent job  " in done.stdout[done.stdout.index("= fleet conformance =") :]
    assert "stopping after 1 failures" in done.stdout


def test_verbose_is_pytests_own_with_ids_and_titles(project: Project) -> None:
    done = project.run("-v")
    assert re.search(r"(?m)^DEP-01 aiohttp imports on every worker PASSED +\[ *\d+%\]$", done.stdout)
    assert re.search(
        r"(?m)^DEP-02 nats imports on every worker, in the profile's version FAILED +\[ *\d+%\]$", done.stdout
    )
    assert re.search(r"(?m)^tests/a_unit/test_unit.py::test_unit\[0\] PASSED", done.stdout)
    assert "def test_two" in done.stdout, "tracebacks"
    assert done.stdout.index("short test summary") < done.stdout.index("= fleet conformance =")


@pytest.mark.parametrize("option", ["--tb=long", "--tb=auto", "-l"])
def test_tracebacks_are_shown_where_they_are_asked_for(project: Project, option: str) -> None:
    assert "def test_two" in project.run("-m", "e2e", option, "-k", "test_two").stdout


def test_quiet_says_what_failed_and_what_to_do(project: Project) -> None:
    said = project.run("-q", "-m", "e2e").stdout
    assert said.index("FAILED DEP-02 nats") < said.index("NOT CONFORMANT") < said.index("FAILED DEP-02 (MUST)")
    assert "Agent job" not in said
    quieter = project.run("-qq", "-m", "e2e").stdout.splitlines()
    assert not any(line.startswith("FAILED DEP-02 nats") for line in quieter)
    assert any(line.startswith("NOT CONFORMANT") for line in quieter)


def test_no_terminal_at_all(project: Project) -> None:
    (project.path / "pytest.ini").write_text((project.path / "pytest.ini").read_text().replace(" -ra", ""))
    done = project.run("-p", "no:terminal", "-m", "e2e")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 1)
    assert project.conformance["summary"]["failed"] == 1
