"""`pytest -m e2e` imports the checks and none of the suite's own tests; whatever names a path is as it was."""

from __future__ import annotations

import sys

import pytest

from fixtures.harness.collection import selects_checks_only
from tests.support import suite_process


@pytest.mark.parametrize(
    ("expression", "only"),
    [
        ("e2e", True),
        ("e2e and not disruptive", True),
        ("load or e2e", True),
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
