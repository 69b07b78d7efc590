"""What is sent into the system arrives whole, runs there, and its answer is found in whatever it printed."""

from __future__ import annotations

import ast
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.kubernetes.containers import LOOK
from fixtures.core.errors import Inconclusive
from fixtures.core.programs import read_from_stdin
from fixtures.probes import packaging


def test_the_probe_runs_on_nothing_but_an_interpreter() -> None:
    request = {"modules": ["json", "no_such_module"], "symbols": ["json:loads", "json:nope"], "distributions": True}
    (_, *arguments), stdin = read_from_stdin(packaging.probe_source(), json.dumps(request))
    command = [sys.executable, "-S", *arguments]
    ran = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
    document = packaging.document_in("noise\n" + ran.stdout + "more noise", "the probe")
    assert document["modules"]["json"]["ok"]
    assert document["modules"]["no_such_module"]["missing"] == "no_such_module"
    assert "Traceback" in document["modules"]["no_such_module"]["traceback"]
    assert document["symbols"]["json:loads"]["ok"]
    assert "has no attribute nope" in document["symbols"]["json:nope"]["error"]


@pytest.mark.parametrize("name", ["python", "python3"])
def test_the_probe_runs_where_an_image_has_either_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(sys.executable)
    (sh, *arguments) = packaging.probe_command()
    command, asked = [shutil.which(sh) or sh, *arguments], json.dumps({"modules": ["json"]})
    ran = subprocess.run(command, input=asked, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert packaging.document_in(ran.stdout, "the probe")["modules"]["json"]["ok"]


def test_a_program_on_stdin_finds_its_data_behind_itself() -> None:
    program, data = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()); # grüße", "ä\nöü\n"
    (_, *arguments), stdin = read_from_stdin(program, data)
    ran = subprocess.run([sys.executable, *arguments], input=stdin.encode(), capture_output=True, check=True)
    assert ran.stdout.decode() == data


@pytest.mark.parametrize("module", [LOOK, *packaging.SHARED.values(), *sorted(packaging.REMOTE.glob("*.py"))])
def test_remote_code_is_python_3_9(module: Path) -> None:
    ast.parse(module.read_text(encoding="utf-8"), feature_version=(3, 9))


@pytest.mark.parametrize(
    ("module", "name"), [("census", "REQUEST"), ("agents", "SCENARIOS"), ("load", "LOAD"), ("on_demand", "ON_DEMAND")]
)
def test_an_entrypoint_is_one_shell_command_that_carries_its_values(module: str, name: str) -> None:
    value: Any = {"text": "quotes ' \" and \\ and ünïcode\n"}
    words = shlex.split(packaging.RemoteProgram(module, {name: value}).command())
    assert words[0].startswith("$(command -v python ") and words[1] == "-c"
    assert len(words) == 3
    shown = subprocess.run(
        [sys.executable, "-c", words[2].replace("exec(", "print(", 1).replace("b64decode(", "b64decode(", 1)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    namespace: dict[str, object] = {}
    program = ast.parse(ast.literal_eval(shown))
    wanted: list[ast.stmt] = [
        node
        for node in program.body
        if (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name)
        or (isinstance(node, ast.Import) and node.names[0].asname == "_json")
    ]
    exec(compile(ast.Module(wanted, []), "entrypoint", "exec"), namespace)
    assert namespace[name] == value
    assert "fixtures" not in {
        part
        for node in ast.walk(program)
        if isinstance(node, ast.ImportFrom)
        for part in (node.module or "").split(".")
    }


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("Traceback: boom", "without its document: Traceback: boom"),
        ("Traceback …\nValueError: boom\n(pid=7) bye", "without its document: ValueError: boom;"),
        (f"{packaging.BEGIN}{{broken{packaging.END}", "damaged"),
        (f"{packaging.BEGIN}[1]{packaging.END}", "an array, not a JSON object"),
        ("", "(none)"),
    ],
)
def test_an_unusable_answer_is_said_to_be_one(output: str, words: str) -> None:
    with pytest.raises(Inconclusive, match=words):
        packaging.document_in(output, "the census")


COMMAND = packaging.RemoteProgram("census", {"REQUEST": {}}).command()
TRACEBACK = f"""Traceback (most recent call last):
  File "<string>", line 1, in <module>
    {COMMAND.partition(' -c "')[2].removesuffix('"')}
  File "<string>", line 7, in <module>
ModuleNotFoundError: No module named 'ray'
"""


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ((TRACEBACK,), "ModuleNotFoundError: No module named 'ray'"),
        ((TRACEBACK + "(raylet) bye\n",), "ModuleNotFoundError: No module named 'ray'"),
        (("/bin/sh: 1: python: not found\n", "exit code 127"), "/bin/sh: 1: python: not found"),
        (
            ("started\n", "…\nray.exceptions.RuntimeEnvSetupError: no index"),
            "ray.exceptions.RuntimeEnvSetupError: no index",
        ),
        (("", "Job supervisor actor died"), "Job supervisor actor died"),
        ((f"{COMMAND}\n", ""), ""),
    ],
)
def test_the_reason_is_the_last_line_of_a_traceback_and_never_the_program(texts: tuple[str, ...], reason: str) -> None:
    assert packaging.reason_in(*texts) == reason


def test_the_program_is_not_shown() -> None:
    shown = packaging.without_program(TRACEBACK)
    assert "zlib" not in shown and len(shown) < 200
    assert packaging.without_program("a\nb\n") == "a\nb\n"
