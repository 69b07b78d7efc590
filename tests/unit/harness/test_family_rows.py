"""What pytest collects of a family: a check for each row, and nothing where there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import CATALOGUE
from fixtures.harness import family_rows
from fixtures.harness.suite import SUITE
from fixtures.profile.dependencies import Dependency
from fixtures.profile.model import load

PROFILE = load("embedded")


class Collecting:
    """Stands in for pytest where it asks for the parameters of the family's test."""

    def __init__(self, profile: Any, mark: pytest.Mark | None) -> None:
        self.rows: list[Any] | None = None
        self.definition = SimpleNamespace(get_closest_marker=lambda name: mark if name == "check_family" else None)
        self.config = SimpleNamespace(stash={SUITE: SimpleNamespace(cluster=SimpleNamespace(profile=profile))})

    def parametrize(self, name: str, rows: list[Any]) -> None:
        assert name == "module"
        self.rows = rows


def collected(profile: Any, mark: pytest.Mark | None) -> list[Any] | None:
    collecting: Any = Collecting(profile, mark)
    family_rows.pytest_generate_tests(collecting)
    rows: list[Any] | None = collecting.rows
    return rows


@pytest.fixture
def mark() -> pytest.Mark:
    load_catalogue()
    return pytest.Mark("check_family", (CATALOGUE["DEP-11"],), {}, _ispytest=True)


def test_each_row_is_a_parameter_with_the_marks_of_a_check(mark: pytest.Mark) -> None:
    further = (*PROFILE.agent.dependencies, *map(Dependency.model_validate, ("pydantic>=2", "httpx")))
    rows = collected(PROFILE.replaced("agent", dependencies=further), mark)
    assert rows is not None
    assert [(row.values, row.id) for row in rows] == [(("pydantic",), "DEP-11.pydantic"), (("httpx",), "DEP-11.httpx")]
    marks = {applied.name: applied for applied in rows[0].marks}
    assert set(marks) == {"e2e", "gate", "conformance"}
    assert marks["conformance"].args[0].id == "DEP-11.pydantic"


def test_a_profile_without_further_modules_has_no_row(mark: pytest.Mark) -> None:
    assert collected(PROFILE, mark) == []


def test_other_tests_are_let_alone() -> None:
    assert collected(PROFILE, None) is None


def test_what_pytest_makes_of_no_row_is_left_out(mark: pytest.Mark) -> None:
    conformance = pytest.Mark("conformance", (CATALOGUE["DEP-04"],), {}, _ispytest=True)

    def item(*marks: pytest.Mark) -> Any:
        known = {applied.name: applied for applied in marks}
        return SimpleNamespace(get_closest_marker=known.get)

    row, empty, other = item(mark, conformance), item(mark), item()
    items = [row, empty, other]
    family_rows.pytest_collection_modifyitems(items)
    assert items == [row, other]
