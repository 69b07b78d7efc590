"""What --checks reads, and each mistake in it as one line that names the file."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from fixtures.checks.declaration import AREAS, CATALOGUE, MUST, Disruption, Gate
from fixtures.core.errors import UsageError
from fixtures.own_checks.loading import load
from fixtures.own_checks.registry import REGISTRY
from fixtures.profile.parts import Part

HEAD = """
from fleet_conformance import MUST, SHOULD, Asked, area, case, check

area("ACME", "Rules of Acme")
"""
CHECK = """
@check("ACME-01", MUST, "the licence server answers", remedy="Start it."{more})
def test_licence():
    '''Solvers stop without it.'''
"""
TABLE = """
[area]
ACME = "Rules of Acme"
[[check]]
id = "ACME-11"
level = "SHOULD"
title = "there is room"
meaning = "Solvers write there."
remedy = "Make room."
run = ["./room.sh", "50"]
"""


def write(folder: Path, text: str, name: str = "test_acme.py") -> Path:
    (folder / name).write_text(dedent(text), encoding="utf-8")
    return folder


def executable(folder: Path, name: str = "room.sh", mode: int = 0o755) -> Path:
    (folder / name).write_text("#!/bin/sh\n", encoding="utf-8")
    (folder / name).chmod(mode)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "acme"
    folder.mkdir()
    return folder


def test_a_folder_of_both_kinds(folder: Path, tmp_path: Path) -> None:
    more = ', follows=("INF-06", "DEP-11"), disrupts="replica", needs=["orchestrator"], impact="They stop.", gate=True'
    write(folder, HEAD + CHECK.format(more=more))
    write(executable(folder), TABLE + 'follows = ["ACME-01"]\ngate = true\nwhere = "orchestrator"\n', "checks.toml")
    load(["acme"], tmp_path)
    python, table = CATALOGUE["ACME-01"], CATALOGUE["ACME-11"]
    assert (python.level, python.meaning, python.impact) == (MUST, "Solvers stop without it.", "They stop.")
    assert (python.source, python.disrupts, python.parts) == ("acme", Disruption.REPLICA, [Part.ORCHESTRATOR])
    assert (table.impact, table.follows, table.area) == (table.meaning, ("ACME-01",), "Rules of Acme")
    assert (python.gate, table.gate) == (Gate.ALWAYS, Gate.ALWAYS)
    assert list(AREAS)[-1] == "ACME"
    (item,) = REGISTRY.executables
    assert (item.command, item.where, item.timeout, list(item.files)) == (
        ("room.sh", "50"),
        "orchestrator",
        20.0,
        ["room.sh"],
    )
    assert REGISTRY.files == [folder / "test_acme.py"]


def test_a_folder_that_is_named_twice_is_read_once(folder: Path, tmp_path: Path) -> None:
    write(folder, HEAD + CHECK.format(more=""))
    load(["acme", "./acme"], tmp_path)
    load(["acme"], tmp_path)
    assert [source.label for source in REGISTRY.sources] == ["acme"]


def test_what_lies_beside_hides_no_module(folder: Path, tmp_path: Path) -> None:
    """Its helpers can be imported; one called like a package of the suite's is not in its place."""
    write(folder, "VALUE = 7\n", "acme_helper.py")
    write(folder, "raise SystemExit('taken for the library')\n", "yaml.py")
    write(
        folder,
        HEAD + "import yaml, acme_helper\nassert acme_helper.VALUE == 7 and yaml.safe_load\n" + CHECK.format(more=""),
    )
    load(["acme"], tmp_path)
    assert sys.path[-1] == str(folder)


def test_one_cause_or_need_may_be_a_text_and_helpers_may_be_called_as_tests_are(folder: Path, tmp_path: Path) -> None:
    write(folder, "def test_tool(): ...\n", "acme_helper.py")
    write(folder, HEAD + "from acme_helper import test_tool\n" + CHECK.format(more=', follows="INF-06", needs="tools"'))
    load(["acme"], tmp_path)
    assert (CATALOGUE["ACME-01"].follows, CATALOGUE["ACME-01"].parts) == (("INF-06",), [Part.TOOLS])


def test_cases_are_checks_of_their_own(folder: Path, tmp_path: Path) -> None:
    rows = """
    import pytest
    CASES = [case(port, id=f"ACME-0{port}", level=MUST, title=f"port {port}", meaning="It must.", remedy="Open it.",
                  asks=Asked(tcp={f"port {port}": f"gate:{port}"})) for port in (1, 2)]
    @pytest.mark.parametrize("port", CASES)
    def test_port(port): ...
    """
    write(folder, HEAD + dedent(rows))
    load(["acme"], tmp_path)
    assert {"ACME-01", "ACME-02"} <= set(CATALOGUE)
    questions = REGISTRY.of_workers({})
    assert questions.rows == ({"name": "port 1", "tcp": "gate:1"}, {"name": "port 2", "tcp": "gate:2"})
    assert questions.seconds == 15.0


def test_what_python_checks_ask_is_asked_once(folder: Path, tmp_path: Path) -> None:
    executable(folder)
    asks = 'Asked(run={"room": ["room.sh"]}, http={"page": "http://gate/"}, timeout="40s")'
    second = CHECK.format(more=f", asks={asks}").replace("ACME-01", "ACME-02")
    write(folder, HEAD + CHECK.format(more=f", asks={asks}") + second)
    load(["acme"], tmp_path)
    questions = REGISTRY.of_workers({"run_id": "r1"})
    assert [row["name"] for row in questions.rows] == ["page", "room"]
    assert questions.rows[1]["executable"]["question"]["run_id"] == "r1"
    assert questions.seconds == 40.0 and questions.carry_files


#: What is written, and what the line says after the file's name.
MISTAKES = {
    "no import": ("import no_such_module\n", r", line 1: ModuleNotFoundError: No module named 'no_such_module'"),
    "no syntax": ("def broken(:\n", r", line 1: SyntaxError: invalid syntax"),
    "ends": ("raise SystemExit(3)\n", r", line 1: SystemExit: 3"),
    "nothing declared": ("def test_nothing(): ...\n", r"declares no check; @check"),
    "a test besides": (HEAD + CHECK + "def test_other(): ...\n", "test_other is no check; @check"),
    "no area": ("from fleet_conformance import *\n" + CHECK, r"ACME-01: its area is not declared: area\(\"ACME\", "),
    "taken area": ('from fleet_conformance import area\narea("DEP", "x")\n', "area DEP is one of the suite's own"),
    "long name": (
        'from fleet_conformance import area\narea("ACME", "' + "x" * 28 + '")\n',
        "its name has 1 to 27 characters",
    ),
    "no key": ('from fleet_conformance import area\narea("acme", "x")\n', "three to eight capital letters"),
    "taken id": (HEAD + CHECK.replace("ACME-01", "DEP-99"), "DEP-99: the area DEP is the suite's own"),
    "no id": (HEAD + CHECK.replace("ACME-01", "ACME-1"), "'ACME-1' is no id of a check"),
    "two names": (HEAD + 'area("ACME", "Others")\n', "area ACME is declared twice: 'Rules of Acme' and 'Others'"),
    "twice": (HEAD + CHECK + CHECK, "ACME-01 is declared twice"),
    "no docstring": (HEAD + CHECK.replace("'''Solvers stop without it.'''", "..."), "ACME-01 has no docstring"),
    "remedy left out": (HEAD + CHECK.replace(', remedy="Start it."', ""), "ACME-01 has no remedy"),
    "no such word": (
        HEAD + CHECK.replace("{more}", ", retries=3"),
        "ACME-01: retries is nothing that a check has: rem",
    ),
    "a test in a class": (HEAD + CHECK + "class TestMore:\n    def test_more(self): ...\n", "test_more is no check"),
    "no remedy": (HEAD + CHECK.replace("Start it.", " "), "ACME-01 has no remedy"),
    "level": (HEAD + CHECK.replace("MUST,", '"MAY",'), "ACME-01: level is 'MAY', and must be one of MUST, SHOULD"),
    "disrupts": (HEAD + CHECK.replace("{more}", ', disrupts="image"'), "ACME-01: disrupts is 'image'"),
    "needs": (HEAD + CHECK.replace("{more}", ', needs=["gpu"]'), "ACME-01: needs is 'gpu', and must be one of kube"),
    "file of a question": (
        HEAD + CHECK.replace("{more}", ', asks=Asked(run={"room": ["none.sh"]})'),
        r"ACME-01: \S+/none.sh cannot be read: No such file",
    ),
    "duration": (
        HEAD + CHECK.replace("{more}", ', asks=Asked(run={"room": ["room.sh"]}, timeout="2m")'),
        'must be a number of seconds, from "1s" to "60s", not \'2m\'',
    ),
    "name of a question": (
        HEAD
        + CHECK.replace("{more}", ', asks=Asked(tcp={"gate": "a:1"})')
        + CHECK.replace("{more}", ', asks=Asked(tcp={"gate": "b:1"})').replace("ACME-01", "ACME-02"),
        "ACME-02 and ACME-01 ask different questions by the name 'gate'",
    ),
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_module_is_one_line(text: str, words: str, folder: Path, tmp_path: Path) -> None:
    write(folder, text.replace("{more}", ""))
    with pytest.raises(UsageError, match=words) as raised:
        load(["acme"], tmp_path)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(str(folder / "test_acme.py"))


TABLE_MISTAKES = {
    "no TOML": ("[[check", "is not TOML"),
    "unknown key": (TABLE + "retries = 3\n", r"check\.0\.retries: unknown key; allowed here: id, level,"),
    "no remedy": (TABLE.replace('remedy = "Make room."\n', ""), r"check\.0\.remedy: is missing"),
    "where": (TABLE + 'where = "head"\n', r"check\.0\.where: "),
    "timeout": (TABLE + 'timeout = "90s"\n', r'check\.0\.timeout: must be a number of seconds, from "1s" to "60s"'),
    "no file": (TABLE.replace("room.sh", "none.sh"), "ACME-11: .*none.sh cannot be read: No such file"),
    "outside": (TABLE.replace("./room.sh", "../room.sh"), "ACME-11: '../room.sh' is not below"),
    "absolute": (TABLE.replace("./room.sh", "/bin/true"), "ACME-11: '/bin/true' is not below"),
    "pass on workers": (TABLE + 'where = "workers"\npass = ["TOKEN"]\n', "ACME-11: pass hands variables to what runs"),
    "no area": (
        TABLE.replace("[area]\nACME", "[area]\nOTHER"),
        r"ACME-11: its area is not declared: .* or \[area\] in checks.toml",
    ),
    "unknown cause": (TABLE + 'follows = ["DEP-99"]\n', "ACME-11: follows names DEP-99, and no check has this id"),
}


@pytest.mark.parametrize(("text", "words"), TABLE_MISTAKES.values(), ids=TABLE_MISTAKES)
def test_a_mistake_in_the_table_is_one_line(text: str, words: str, folder: Path, tmp_path: Path) -> None:
    write(executable(folder), text, "checks.toml")
    with pytest.raises(UsageError, match=words) as raised:
        load(["acme"], tmp_path)
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_executed_is_named_with_what_mends_it(folder: Path, tmp_path: Path) -> None:
    write(executable(folder, mode=0o644), TABLE, "checks.toml")
    with pytest.raises(UsageError, match=rf"cannot be executed: chmod \+x {folder}/room.sh"):
        load(["acme"], tmp_path)


def test_files_that_are_too_large_do_not_travel(folder: Path, tmp_path: Path) -> None:
    write(executable(folder), TABLE + 'files = ["model.bin"]\n', "checks.toml")
    (folder / "model.bin").write_bytes(bytes(300 << 10))
    with pytest.raises(UsageError, match=r"model\.bin is larger than 262144 bytes"):
        load(["acme"], tmp_path)


@pytest.mark.parametrize("name", ["fixtures.py", "tests"])
def test_a_module_with_a_name_of_the_suite_is_refused(name: str, folder: Path, tmp_path: Path) -> None:
    write(folder, HEAD + CHECK.format(more=""))
    (folder / name).mkdir()
    with pytest.raises(UsageError, match=f"{name}: a module called '(fixtures|tests)' is the suite's own; rename it"):
        load(["acme"], tmp_path)


def test_two_folders_with_a_module_of_one_name(folder: Path, tmp_path: Path) -> None:
    write(folder, HEAD + CHECK.format(more=""))
    other = tmp_path / "other"
    other.mkdir()
    write(other, HEAD + CHECK.format(more="").replace("ACME-01", "ACME-02"))
    with pytest.raises(UsageError, match=r"other/test_acme.py: there is a module 'test_acme' already, .*; rename it"):
        load(["acme", "other"], tmp_path)


@pytest.mark.parametrize(("given", "words"), [("none", "is no folder"), ("empty", "has neither a test_")])
def test_a_folder_without_checks(given: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=words):
        load([given], tmp_path)


def test_a_package_is_named_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, about = tmp_path / "acme_checks", tmp_path / "acme_checks-1.2.dist-info"
    for made in (package, about):
        made.mkdir()
    (package / "__init__.py").touch()
    write(package, HEAD + CHECK.format(more=""))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-checks\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text(
        "[fleet_conformance.checks]\nacme = acme_checks\nlost = not_there\nbad = acme_broken.checks\n"
    )
    (tmp_path / "acme_broken.py").write_text("import of_acme_that_is_not_there\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    load(["pkg:acme"], Path("/"))
    assert CATALOGUE["ACME-01"].source == "acme-checks 1.2"
    with pytest.raises(
        UsageError, match=r"no entry point 'other' in the group fleet_conformance\.checks; there: acme, bad, lost"
    ):
        load(["pkg:other"], Path("/"))
    with pytest.raises(UsageError, match="not_there is no package with a folder of its own"):
        load(["pkg:lost"], Path("/"))
    missing = r"--checks pkg:bad: acme_broken\.checks: ModuleNotFoundError: No module named 'of_acme_that_is_not_there'"
    with pytest.raises(UsageError, match=missing):
        load(["pkg:bad"], Path("/"))
