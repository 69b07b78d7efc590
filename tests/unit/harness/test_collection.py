"""`pytest -m e2e` imports the checks and none of the suite's own tests; whatever names a path is as it was."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.harness import collection
from fixtures.harness.collection import selects_checks_only
from fixtures.own_checks.registry import Registry, Source
from tests.support import suite_process


@pytest.mark.parametrize(
    ("expression", "only"),
    [
        ("e2e", True),
        ("e2e and not disruptive", True),
        ("load or e2e", True),
        ("gate", True),
        ("(e2e or load) and not disruptive", True),
        ("", False),
        ("not disruptive", False),
        ("e2e or not load", False),
        ("asyncio", False),
        ("e2e or asyncio", False),
        ("e2e and", False),
        ('conformance(id="x")', False),
    ],
)
def test_an_expression_that_no_other_test_can_meet_is_about_checks_only(expression: str, only: bool) -> None:
    assert selects_checks_only(expression) is only


def test_of_a_folder_of_own_checks_its_checks_alone_are_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the suite itself is: an environment in that folder has it, too."""
    folder, suite = tmp_path / "rules", tmp_path / "rules" / ".venv" / "suite"
    own = folder / "test_acme.py"
    monkeypatch.setattr(collection, "REGISTRY", Registry(sources=[Source("rules", folder)], files=[own]))
    config: Any = SimpleNamespace(rootpath=suite, args_source=pytest.Config.ArgsSource.ARGS)

    def ignored(path: Path) -> bool:
        return bool(collection.pytest_ignore_collect(path, config))

    assert not any(map(ignored, (tmp_path, folder, own, suite, suite / "tests" / "e2e" / "test_image.py")))
    assert all(map(ignored, (folder / "test_late.py", folder / "below", folder / ".venv" / "test_other.py")))
    assert not ignored(tmp_path / "elsewhere")


IMPORTED = """
import sys, pytest
status = pytest.main([*sys.argv[1:], "--collect-only", "-q", "-p", "no:cacheprovider"])
print("imported:", sorted(name for name in sys.modules if name.startswith("tests.") and ".test_" in name))
sys.exit(status)
"""


def imported(*options: str) -> set[str]:
    """The folders below tests/ whose test modules a collection with these options imports."""
    ran = suite_process.run(*options, command=(sys.executable, "-c", IMPORTED), timeout=300)
    assert ran.returncode == 0, ran.output
    modules = ran.stdout.rpartition("imported: ")[2]
    return {name.split(".")[1] for name in modules.strip("[]\n'").split("', '")}


def test_a_run_of_checks_imports_nothing_but_checks() -> None:
    assert imported("-m", "e2e") == {"e2e"}


def test_a_path_is_collected_whatever_marks_are_selected() -> None:
    assert imported("-m", "e2e", "tests/unit/harness/test_collection.py", "tests/e2e/test_infrastructure_ray.py") == {
        "unit",
        "e2e",
    }
