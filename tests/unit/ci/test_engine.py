"""ci/offline/up and down: the private engine leaves the machine's firewall and forwarding as they were."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.core.paths import ROOT

BEFORE = {
    "iptables-filter": [
        "-P INPUT ACCEPT",
        "-P FORWARD DROP",
        "-P OUTPUT ACCEPT",
        "-N DOCKER-MIRROR",
        "-A FORWARD -i br-0123456789ab -j ACCEPT",
        '-A FORWARD -o docker0 -m comment --comment "of the machine" -j DOCKER-MIRROR',
    ],
    "iptables-nat": ["-P PREROUTING ACCEPT", "-P POSTROUTING ACCEPT", "-A POSTROUTING -s 10.8.0.0/24 -j MASQUERADE"],
    "ip6tables-filter": ["-P INPUT ACCEPT", "-P FORWARD ACCEPT", "-P OUTPUT ACCEPT"],
    "ip6tables-nat": ["-P PREROUTING ACCEPT", "-P POSTROUTING ACCEPT"],
}
#: What dockerd adds, and leaves when it ends.
ENGINE = {
    "iptables-filter": [
        "-N DOCKER",
        "-N DOCKER-ISOLATION-STAGE-1",
        "-N DOCKER-ISOLATION-STAGE-2",
        "-N DOCKER-USER",
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
        "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A FORWARD -i br-feedfeedfeed ! -o br-feedfeedfeed -j ACCEPT",
        "-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
        '-A DOCKER-USER -m comment --comment "a rule of two words" -j RETURN',
    ],
    "iptables-nat": [
        "-N DOCKER",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A POSTROUTING -s 172.30.0.0/16 ! -o docker0 -j MASQUERADE",
        "-A POSTROUTING -s 172.18.0.0/16 ! -o br-feedfeedfeed -j MASQUERADE",
    ],
}
#: Another program's, added while the engine runs.
MEANWHILE = '-A INPUT -p tcp -m comment --comment "ssh to the DOCKER host, not on docker0" -j ACCEPT'

IPTABLES = """
import os, shlex, sys
state, tool, arguments = os.environ["STATE"], os.path.basename(sys.argv[0]), sys.argv[1:]
assert arguments.pop(0) == "-w"
table = "filter"
if arguments[0] == "-t":
    table, arguments = arguments[1], arguments[2:]
rules = open(f"{state}/{tool}-{table}").read().splitlines()
match arguments:
    case ["-S"]:
        print(*rules, sep="\\n")
    case ["-D", *rule]:
        rules.remove(next(line for line in rules if shlex.split(line) == ["-A", *rule]))
    case ["-F", chain]:
        rules = [line for line in rules if not line.startswith(f"-A {chain} ")]
    case ["-X", chain]:
        assert not [line for line in rules if line.startswith(f"-A {chain} ") or line.endswith(f" -j {chain}")]
        rules.remove(f"-N {chain}")
    case ["-P", chain, policy]:
        rules = [f"-P {chain} {policy}" if line.startswith(f"-P {chain} ") else line for line in rules]
    case _:
        sys.exit(f"iptables: {arguments}")
print(*rules, sep="\\n", file=open(f"{state}/{tool}-{table}", "w"))
"""
#: Stands for `unshare … dockerd …`: changes the firewall as dockerd does, answers, and ends on SIGTERM.
DOCKERD = """
import os, signal, socket, sys
state, pidfile = os.environ["STATE"], sys.argv[sys.argv.index("--pidfile") + 1]
for table in ("iptables-filter", "iptables-nat"):
    rules = open(f"{state}/{table}").read().splitlines()
    rules += [line for line in open(f"{state}/engine/{table}").read().splitlines() if line not in rules]
    rules = ["-P FORWARD DROP" if line.startswith("-P FORWARD ") else line for line in rules]
    print(*rules, sep="\\n", file=open(f"{state}/{table}", "w"))
print(1, file=open(f"{state}/ip_forward", "w"))
print(os.getpid(), file=open(pidfile, "w"))
print(os.getpid(), file=open(f"{state}/engines", "a"))
os.chdir(os.path.dirname(pidfile))  # a socket's path may have 107 bytes
socket.socket(socket.AF_UNIX).bind("docker.sock")
signal.sigwait([signal.SIGTERM])
"""
SHELL = {
    "docker": '[ "$1" != info ] || [ -n "$DOCKER_HOST" ]',  # only the private engine answers
    "id": "echo 0",
    "pgrep": '[ "$1" = -x ] && [ -n "$OTHER_DOCKERD" ]',
    "find": "",  # not the machine's cgroups
    **dict.fromkeys(("jq", "mmdebstrap", "curl", "dockerd", "containerd", "runc", "ip"), ""),
}


class Machine:
    """A copy of ci/offline with a firewall, forwarding and a container engine that are stand-ins."""

    def __init__(self, folder: Path, policy: str) -> None:
        self.folder, self.state, self.offline = folder, folder / "state", folder / "ci" / "offline"
        self.offline.mkdir(parents=True)
        shutil.copy(ROOT / "ci" / "cache.sh", self.offline.parent)
        versions = ("versions.sh", "ray.sh", "kuberay.sh")
        for name in ("up", "down", "lib.sh", "packages.sh", "firewall.sh", *versions):
            shutil.copy(ROOT / "ci" / "offline" / name, self.offline)
        (self.offline / "engine").mkdir()
        (self.offline / "engine" / "nsinit").touch()
        self._replace("lib.sh", "RUN=/run/", f"RUN={folder}/run/")
        self._replace("firewall.sh", "FORWARDING=/proc/sys/net/ipv4/ip_forward", f"FORWARDING={self.state}/ip_forward")
        for name, text in SHELL.items():
            self._program(name, f"#!/bin/sh\n{text}\n")
        for name, text in {"iptables": IPTABLES, "ip6tables": IPTABLES, "unshare": DOCKERD}.items():
            self._program(name, f"#!{sys.executable} -IS\n{text}")
        (self.state / "engine").mkdir(parents=True)
        for name, rules in ENGINE.items():
            (self.state / "engine" / name).write_text("\n".join(rules))
        for name, rules in BEFORE.items():
            (self.state / name).write_text("\n".join(rules).replace("FORWARD DROP", f"FORWARD {policy}") + "\n")
        (self.state / "ip_forward").write_text("0\n")
        self.before = self.rules()

    def _replace(self, name: str, old: str, new: str) -> None:
        text = (self.offline / name).read_text()
        assert text.count(old) == 1
        (self.offline / name).write_text(text.replace(old, new))

    def _program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    @property
    def run(self) -> Path:
        (path,) = (self.folder / "run").iterdir()
        return path

    def rules(self) -> dict[str, list[str]]:
        return {name: sorted((self.state / name).read_text().splitlines()) for name in BEFORE}

    def forwarding(self) -> str:
        return (self.state / "ip_forward").read_text().strip()

    def call(self, *command: str, **more: str) -> None:
        environment = {
            "PATH": f"{self.folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
            "FLEET_CACHE": str(self.folder / "cache"),
            "STATE": str(self.state),
        }
        ran = subprocess.run(
            ["bash", str(self.offline / command[0]), *command[1:]],
            env=environment | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr

    def up(self) -> None:
        self.call("up", "--engine-only")
        assert self.forwarding() == "1"
        assert "-P FORWARD DROP" in self.rules()["iptables-filter"]
        assert "-N DOCKER-USER" in self.rules()["iptables-filter"]

    def kill_engines(self) -> None:
        """Those that a failed test left."""
        for pid in (self.state / "engines").read_text().split():
            command = Path(f"/proc/{pid}/cmdline")
            if command.exists() and str(self.folder) in command.read_text():
                os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def machine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine that drops forwarded packets, or has the policy that the test's parameter says."""
    machine = Machine(tmp_path, getattr(request, "param", "DROP"))
    yield machine
    machine.kill_engines()


@pytest.mark.parametrize("machine", ["DROP", "ACCEPT"], indirect=True)
def test_the_engine_leaves_the_firewall_as_it_was(machine: Machine) -> None:
    machine.up()
    machine.call("down")
    assert machine.rules() == machine.before
    assert machine.forwarding() == "0"


def test_rules_that_came_meanwhile_stay(machine: Machine) -> None:
    machine.up()
    with (machine.state / "iptables-filter").open("a") as file:
        file.write(MEANWHILE + "\n")
    machine.call("down")
    assert machine.rules()["iptables-filter"] == sorted([*machine.before["iptables-filter"], MEANWHILE])


def test_what_was_before_an_engine_that_was_killed_is_put_back(machine: Machine) -> None:
    machine.up()
    (machine.run / "docker.sock").unlink()
    first = int((machine.run / "docker.pid").read_text())
    machine.call("up", "--engine-only")
    subprocess.run(["kill", str(first)], check=True)
    machine.call("down")
    assert machine.rules() == machine.before
    assert machine.forwarding() == "0"


def test_a_firewall_that_nobody_remembers_is_not_touched(machine: Machine) -> None:
    machine.up()
    for remembered in machine.run.glob("ip*tables-*"):
        remembered.unlink()
    changed = machine.rules()
    machine.call("down")
    assert machine.rules() == changed


def test_another_dockerd_keeps_its_rules(machine: Machine) -> None:
    machine.up()
    changed = machine.rules()
    machine.call("down", OTHER_DOCKERD="1")
    assert machine.rules() == changed
