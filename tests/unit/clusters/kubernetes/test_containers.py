"""How the suite gets into containers: by which Python, beside which process, and what it says where it cannot."""

from __future__ import annotations

import os
import sys
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from fixtures.clusters.base import Component, Unsupported
from fixtures.clusters.kubernetes import main_process
from fixtures.clusters.kubernetes.client.errors import ApiError
from fixtures.clusters.kubernetes.containers import STARTS, Containers
from fixtures.clusters.kubernetes.main_process import Process, interpreter, main_of
from fixtures.core.errors import Inconclusive
from fixtures.core.programs import read_from_stdin
from tests.support.kubernetes_pods import Pods, pod, serving

PYTHON = str(Path(sys.executable).parent)
ENVIRONMENT = {"PATH": f"{PYTHON}:/usr/bin:/bin", "MINE": "yes"}
ECHO = "import sys; print(sys.stdin.read()); sys.stdout.flush()"


async def echoed(pods: Pods) -> str:
    argv, stdin = read_from_stdin(ECHO, "grüße")
    async with serving(pods) as api:
        ran = await Containers(api).execute(pod("o-1"), "ns", argv, stdin=stdin, timeout=20)
    assert not ran.returncode, ran.stderr
    return ran.stdout.strip()


@pytest.mark.parametrize("newest", [True, False], ids=["v5", "v4"])
async def test_a_program_needs_no_shell_and_no_end_of_its_input(newest: bool) -> None:
    pods = Pods(ENVIRONMENT, has=lambda program: "python" in program, newest_protocol=newest)
    assert await echoed(pods) == "grüße"
    assert not any("sh" in command or "head" in command for command in pods.commands)


async def test_the_first_python_that_there_is_is_taken_and_remembered() -> None:
    pods = Pods(ENVIRONMENT, has=lambda program: program != "python3")
    async with serving(pods) as api:
        containers = Containers(api)
        for name in ("o-1", "o-2"):
            await containers.main_process(pod(name), "ns")
    assert [command[0] for command in pods.commands] == ["python3", "python", "python"]


async def test_the_python_that_the_profile_names_is_taken_and_no_other() -> None:
    named = {Component.ORCHESTRATOR: sys.executable}
    pods = Pods(ENVIRONMENT, has=lambda program: program == sys.executable)
    async with serving(pods) as api:
        ran = await Containers(api, named).execute(pod("o-1"), "ns", ["python", "-c", "print(1)"], timeout=20)
        assert ran.stdout.strip() == "1"
        wrong = {Component.ORCHESTRATOR: "/opt/none/python"}
        with pytest.raises(Inconclusive, match=r"^o-1: no /opt/none/python starts in its container \(orchestrator\.py"):
            await Containers(api, wrong).main_process(pod("o-1"), "ns")
    assert {command[0] for command in pods.commands} == {sys.executable, "/opt/none/python"}


async def test_a_shell_finds_the_python_of_a_process_where_none_is_on_the_path() -> None:
    pods = Pods({"PATH": "/none"}, has=lambda program: program.startswith("/"))
    assert await echoed(pods) == "grüße"
    assert pods.commands[2][0] == "/bin/sh"


async def test_without_python_there_is_the_environment_that_cat_shows() -> None:
    async with serving(Pods(ENVIRONMENT, has=lambda program: program == "cat")) as api:
        containers = Containers(api)
        main = await containers.main_process(pod("o-1"), "ns")
        with pytest.raises(Unsupported, match=r"^o-1: no Python in its image"):
            await containers.execute(pod("o-1"), "ns", ["python", "-c", "pass"], timeout=20)
    assert "no Python in its image (fleet/orchestrator:1)" in main.without_python
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        assert main.environment["MINE"] == "yes" and "without what its entrypoint sets" in main.caveat


async def test_an_image_of_one_program_cannot_be_entered() -> None:
    pods = Pods(ENVIRONMENT, has=lambda _program: False)
    async with serving(pods) as api:
        with pytest.raises(Unsupported, match=r"^o-1: no Python in its image"):
            await Containers(api).main_process(pod("o-1"), "ns")
    assert [command[0] for command in pods.commands] == [*(start[0] for start in STARTS), "cat"]


@pytest.mark.parametrize(
    "words",
    [
        'unable to upgrade connection: container not found ("orchestrator")',
        "failed to exec in container: failed to load task: no running task found: task 5d8f not found: not found",
    ],
)
async def test_a_container_that_has_just_ended_says_nothing_of_its_image(words: str) -> None:
    pods = Pods(ENVIRONMENT, has=lambda _program: False, without=words)
    async with serving(pods) as api:
        with pytest.raises(Inconclusive, match="not found") as undecided:
            await Containers(api).main_process(pod("o-1"), "ns")
    assert not isinstance(undecided.value, Unsupported) and len(pods.commands) == 1


def test_a_title_that_was_written_over_the_environment_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setattr(main_process, "of_this_container", lambda: [running(1, 0, "python", program=PYTHON_3)])
    monkeypatch.setattr(main_process, "content", lambda *_: b"orchestrator: worker\0\0\0")
    seen = main_process.look()
    assert isinstance(seen["environment"], dict) and "KUBERNETES_SERVICE_HOST" in seen["environment"]
    assert seen["problem"] == "process 1 has written its title over it"


async def test_who_may_not_enter_pods_is_told_which_right_to_grant() -> None:
    async with serving(Pods(ENVIRONMENT, may_enter=False)) as api:
        with pytest.raises(Unsupported, match=r"may not run commands in pods: .* grant it with a Role in ns"):
            await Containers(api).main_process(pod("o-1"), "ns")


async def test_a_busy_server_lets_a_command_in_when_it_says() -> None:
    class Busy(Pods):
        def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
            response = super().refuse(connection, request)
            if len(self.lines) == 1:
                response = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "busy")
                response.headers["Retry-After"] = "1"
            return response

    assert await echoed(Busy(ENVIRONMENT)) == "grüße"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (400, 'admission webhook "validate.kyverno.svc-fail" denied the request: no exec here'),
        (403, 'admission webhook "validation.gatekeeper.sh" denied the request: [no-exec] no'),
        (422, "pods \"o-1\" is forbidden: ValidatingAdmissionPolicy 'no-exec' with binding 'b' denied request: no"),
    ],
)
async def test_a_cluster_whose_policy_lets_nobody_enter_pods(code: int, message: str) -> None:
    async with serving(Pods(ENVIRONMENT, refusal=(code, message))) as api:
        with pytest.raises(Unsupported, match=r"may not run commands in pods: .* denied"):
            await Containers(api).main_process(pod("o-1"), "ns")


@pytest.mark.parametrize(
    ("code", "message"),
    [(500, 'failed calling webhook "validate.kyverno.svc-fail": denied the request: timeout'), (400, "bad request")],
)
async def test_a_policy_that_cannot_be_asked_has_decided_nothing(code: int, message: str) -> None:
    async with serving(Pods(ENVIRONMENT, refusal=(code, message))) as api:
        with pytest.raises(ApiError) as refused:
            await Containers(api).main_process(pod("o-1"), "ns")
    assert not isinstance(refused.value, Unsupported)


async def test_a_line_that_is_too_long_for_a_gateway_says_nothing_of_the_pods() -> None:
    async with serving(Pods(ENVIRONMENT, longest_line=100)) as api:
        with pytest.raises(ApiError, match="414") as refused:
            await Containers(api).main_process(pod("o-1"), "ns")
    assert not isinstance(refused.value, Unsupported) and isinstance(refused.value, Inconclusive)


def running(pid: int, parent: int, *words: str, program: str = "", start: int = 0) -> Process:
    return Process(pid, parent, start or pid, list(words), program or words[0])


INIT, PYTHON_3 = running(1, 0, "/sbin/tini", "--", "python"), "/usr/bin/python3.11"


@pytest.mark.parametrize(
    ("processes", "main"),
    [
        ([running(1, 0, "python", program=PYTHON_3)], 1),
        ([INIT, running(7, 1, "python", program=PYTHON_3)], 7),
        ([running(1, 0, "/bin/sh"), running(7, 1, "/bin/bash"), running(8, 7, "python", program=PYTHON_3)], 8),
        ([running(1, 0, "python", program=PYTHON_3), running(9, 1, "python", program=PYTHON_3)], 1),
        ([running(1, 0, "python", program=PYTHON_3), running(2, 0, "python", program=PYTHON_3)], 1),
        ([INIT, running(7, 1, "/orchestrator"), running(8, 7, "/helper")], 7),
        ([running(1, 0, "/orchestrator"), running(8, 1, "python", program=PYTHON_3)], 1),
        ([running(1, 0, "/bin/sh")], 1),
    ],
)
def test_the_main_process_is_what_inits_and_shells_started(processes: list[Process], main: int) -> None:
    assert main_of(processes).pid == main


@pytest.mark.parametrize(
    "words", ["uv run o", "doppler run -- o", "/usr/bin/op run -- o", "s6-svscan /run/s6", "timeout 9 o"]
)
def test_a_program_that_stays_to_start_another_is_not_the_main_one(words: str) -> None:
    assert main_of([running(1, 0, *words.split()), running(7, 1, "python", program=PYTHON_3)]).pid == 7
    assert main_of([running(1, 0, *words.split()), running(7, 1, "/orchestrator")]).pid == 7


@pytest.mark.parametrize(
    "words",
    [
        "/opt/conda/bin/python /opt/conda/bin/conda run -n fleet o",
        "/usr/bin/python3 /usr/bin/supervisord -n",
        "/usr/bin/python3 -u /sbin/my_init -- o",
        "python3 -m honcho start",
    ],
)
def test_nor_is_one_that_is_a_python_itself(words: str) -> None:
    starter = running(1, 0, *words.split(), program="/opt/conda/bin/python3.12")
    assert main_of([starter, running(5, 1, "bash"), running(7, 5, "python", program=PYTHON_3)]).pid == 7
    assert main_of([starter]).pid == 1, "before it has started any"
    service = running(1, 0, "python", "-m", "orchestrator", "conda", program=PYTHON_3)
    assert main_of([service, running(7, 1, "python", program=PYTHON_3)]).pid == 1


def test_an_interpreter_is_started_by_the_path_that_finds_its_packages(tmp_path: Path) -> None:
    real = os.path.realpath(sys.executable)
    venv = tmp_path / "bin" / "python"
    venv.parent.mkdir()
    venv.symlink_to(real)
    named, path = {"PATH": "/none"}, {"PATH": str(venv.parent)}
    assert interpreter(running(1, 0, str(venv), program=real), named) == str(venv)
    assert interpreter(running(1, 0, "python", program=real), path) == str(venv)
    assert interpreter(running(1, 0, "python: worker", program=real), {"VIRTUAL_ENV": str(tmp_path)}) == str(venv)
    assert interpreter(running(1, 0, "python", program=real), named) == real
    assert interpreter(running(1, 0, "/usr/bin/other", program="/usr/bin/other"), path) == ""
