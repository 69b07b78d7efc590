"""What a node of Ray is started with otherwise than `ray start` does: the dashboard's modules, Ray Client's ports."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.embedded import client_proxy, start_node

PACKAGES = "/env/lib/python3.11/site-packages/ray"
DASHBOARD = ["/env/bin/python", "-u", f"{PACKAGES}/dashboard/dashboard.py", "--host=127.94.36.1", "--port=24101"]
CLIENT = [
    "/env/bin/python",
    f"{PACKAGES}/_private/workers/setup_worker.py",
    *("-m", "ray.util.client.server", "--address=127.94.36.1:24100", "--mode=proxy", "--language=PYTHON"),
]
PORTS = "24200-24300"


def started(command: list[str], process_type: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What Ray's own function is called with."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    start_node.adapting(lambda *words, **options: calls.append((words, options)), PORTS)(
        command, process_type, fate_share=True
    )
    (call,) = calls
    return call


def test_the_dashboard_loads_the_modules_that_are_needed() -> None:
    (command, process_type), options = started(DASHBOARD, "dashboard")
    assert command == [*DASHBOARD, "--modules-to-load=JobHead,NodeHead,ReportHead,StateHead,UsageStatsHead"]
    assert (process_type, options) == ("dashboard", {"fate_share": True})


def test_the_proxy_of_ray_client_is_started_with_ports_of_this_run() -> None:
    (command, _), _ = started(CLIENT, "ray_client_server")
    assert command == [*CLIENT[:2], start_node.CLIENT_PROXY, PORTS, *CLIENT[4:]]
    assert Path(start_node.CLIENT_PROXY).samefile(client_proxy.__file__)


@pytest.mark.parametrize(
    ("command", "process_type"),
    [
        (["/env/bin/python", f"{PACKAGES}/dashboard/head.py"], "dashboard"),
        ([*DASHBOARD, "--modules-to-load=UsageStatsHead"], "dashboard"),
        (["/env/bin/python", "-m", "ray.client.proxy", "--mode=proxy"], "ray_client_server"),
        ([word for word in CLIENT if word != "--mode=proxy"], "ray_client_server"),
    ],
)
def test_a_command_that_looks_otherwise_is_left_alone_and_the_log_says_so(
    command: list[str], process_type: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert started(command, process_type)[0] == (command, process_type)
    assert f"the command of {process_type} is not as expected" in capsys.readouterr().out


def test_other_processes_are_started_as_ray_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert started(["raylet"], "raylet") == ((["raylet"], "raylet"), {"fate_share": True})
    assert capsys.readouterr().out == ""


def test_sockets_of_an_earlier_life_are_removed_and_its_logs_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "n"
    start_node.without_sockets(str(folder))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "raylet"))
    (folder / "session").mkdir()
    (folder / "log").write_text("why")
    start_node.without_sockets(str(folder))
    assert sorted(path.name for path in folder.iterdir()) == ["log", "session"]


def test_the_proxys_constants_are_those_that_are_given(tmp_path: Path) -> None:
    """With stand-ins for Ray's modules: what is run as the program sees the range and its own options alone."""
    server = tmp_path / "ray" / "util" / "client" / "server"
    server.mkdir(parents=True)
    for folder in (server, *list(server.parents)[:3]):
        (folder / "__init__.py").touch()
    (server / "proxier.py").write_text("MIN_SPECIFIC_SERVER_PORT, MAX_SPECIFIC_SERVER_PORT = 23000, 24000\n")
    (server / "__main__.py").write_text(
        "import sys\nfrom ray.util.client.server import proxier as p\n"
        "print(p.MIN_SPECIFIC_SERVER_PORT, p.MAX_SPECIFIC_SERVER_PORT, sys.argv[1:], __name__)\n"
    )
    command = [sys.executable, client_proxy.__file__, PORTS, "--mode=proxy"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "24200 24300 ['--mode=proxy'] __main__\n"
