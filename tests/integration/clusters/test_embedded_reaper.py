"""Nothing of a run is left, whatever becomes of the process that started it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fixtures.clusters.embedded.reaper import descendants, marked
from fixtures.clusters.embedded.rundir import RunDirectory, supervisor
from fixtures.clusters.embedded.supervised_process import SupervisedProcess
from fixtures.core.paths import ROOT
from fixtures.core.polling import wait_until

ENVIRONMENT = {"PATH": os.environ["PATH"]}
# A process that ignores SIGTERM, with a daemon in a session of its own that has lost its parent.
STUBBORN = ["bash", "-c", "trap '' TERM; (setsid sleep 600 & setsid sleep 600 &); echo up; while :; do sleep 600; done"]
OWNER = """
import asyncio, sys, time
from pathlib import Path
from fixtures.clusters.embedded.supervised_process import SupervisedProcess
from fixtures.clusters.embedded.rundir import RunDirectory

run = RunDirectory(Path(sys.argv[1]))
parts = [SupervisedProcess(f"part-{n}", run, grace=0.2) for n in range(2)]
for part in parts:
    part.start(sys.argv[2:], {"PATH": "/usr/bin:/bin"})
while not all(part.log.exists() and "up" in part.log.read_text() for part in parts):
    time.sleep(0.01)
print(run.path, flush=True)
time.sleep(600)
"""


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[RunDirectory]:
    run = RunDirectory(tmp_path / "cache")
    yield run
    await run.close(10)
    assert not run.path.exists()


async def said(part: SupervisedProcess, text: str) -> None:
    async def seen() -> bool:
        return part.log.exists() and text in part.log.read_text()

    await wait_until(seen, f"{text!r} in the log", 10, every=0.01)


async def test_daemons_with_sessions_of_their_own_end_with_their_part(run: RunDirectory) -> None:
    part = SupervisedProcess("stubborn", run, grace=0.2)
    part.start(STUBBORN, ENVIRONMENT)
    await said(part, "up")
    assert len(marked(str(run.path))) >= 4, "reaper, shell and two daemons"
    part.terminate()
    assert await part.ended(10) == 128 + signal.SIGKILL, "it ignores SIGTERM"
    assert not marked(str(run.path))


async def test_kill_does_not_wait_for_the_grace_time(run: RunDirectory) -> None:
    part = SupervisedProcess("stubborn", run, grace=60)
    part.start(STUBBORN, ENVIRONMENT)
    await said(part, "up")
    part.kill()
    await part.ended(5)
    assert not marked(str(run.path))


async def test_sigterm_comes_first(run: RunDirectory) -> None:
    part = SupervisedProcess("polite", run, grace=10)
    part.start(["bash", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done"], ENVIRONMENT)
    await said(part, "up")
    part.terminate()
    assert await part.ended(5) == 3
    assert "bye" in part.log.read_text()


async def test_the_end_of_the_main_process_ends_the_part_with_its_status(run: RunDirectory) -> None:
    part = SupervisedProcess("short", run)
    part.start(["bash", "-c", "(setsid sleep 600 &); exit 7"], ENVIRONMENT)
    assert await part.ended(5) == 7
    assert part.pid is None
    assert not marked(str(run.path))


async def test_a_command_that_is_not_there_is_said_in_the_log(run: RunDirectory) -> None:
    part = SupervisedProcess("missing", run)
    part.start(["/does/not/exist"], ENVIRONMENT)
    assert await part.ended(5) == 127
    assert "cannot start /does/not/exist" in part.log.read_text()


async def test_the_main_process_and_its_environment_are_known(run: RunDirectory) -> None:
    part = SupervisedProcess("known", run)
    part.start(["bash", "-c", "echo up; while :; do sleep 600; done"], {**ENVIRONMENT, "WHO": "me"})
    await said(part, "up")
    assert part.environment()["WHO"] == "me"
    assert part.pid and os.getsid(part.pid) == part.pid, "it has a session of its own"
    part.kill()
    await part.ended(5)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_process_that_started_it(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path / "cache"), *STUBBORN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as owner:
        assert owner.stdout
        folder = owner.stdout.readline().strip()
        assert len(marked(folder)) >= 8
        owner.send_signal(number)
    asyncio.run(gone(folder))


def test_an_owner_that_is_killed_before_it_has_made_a_folder(tmp_path: Path) -> None:
    """The janitor is there first: it removes a folder however early the run ends, and none that was never made."""
    janitor = supervisor("janitor", "--lock", str(tmp_path / "run" / "lock"), str(tmp_path / "run"))
    assert janitor.stdin
    janitor.stdin.close()
    assert janitor.wait(10) == 0
    janitor = supervisor("janitor", "--lock", str(tmp_path / "run" / "lock"), str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    assert janitor.stdin
    janitor.stdin.close()
    assert janitor.wait(10) == 0
    assert not (tmp_path / "run").exists()


async def test_processes_of_a_killed_reaper_are_found_by_the_janitor(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "cache")
    part = SupervisedProcess("orphaned", run)
    part.start(STUBBORN, ENVIRONMENT)
    await said(part, "up")
    assert part._reaper
    daemons = descendants(part._reaper.pid) - {part.pid}
    os.kill(part._reaper.pid, signal.SIGKILL)
    await part.ended(5)
    assert daemons & marked(str(run.path)), "the daemons live on"
    await run.close(10)
    assert not marked(str(run.path))
    assert not run.path.exists()


async def test_a_run_directory_can_be_kept(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "cache", keep=True)
    await run.close(10)
    assert run.path.is_dir()
    shutil.rmtree(run.path)


async def gone(folder: str) -> None:
    async def seen() -> bool:
        return not marked(folder) and not os.path.exists(folder)

    await wait_until(seen, f"the end of all that ran in {folder}", 15, every=0.02)
