"""A family of checks and its rows: what a run has in its place, by the modules of its profile."""

from __future__ import annotations

from fixtures.checks import families
from fixtures.checks.applicability import everything_applies
from fixtures.checks.catalogue import explain, find, list_checks, load_catalogue
from fixtures.checks.declaration import MUST, Check
from fixtures.checks.remedy import steps
from fixtures.profile.remedy_values import RemedyValues

FAMILY = Check(
    *("DEP-11", MUST, "MODULE imports", steps("build it")), meaning="`import MODULE` succeeds.", is_family=True
)
NATS = Check("DEP-04", MUST, "nats imports", steps("build it"), package="nats")
CATALOGUE = {check.id: check for check in (NATS, FAMILY)}


def test_each_module_that_no_check_is_about_has_a_row() -> None:
    checks = families.in_run(CATALOGUE, ("nats", "pydantic", "google.protobuf"))
    assert list(checks) == ["DEP-04", "DEP-11.pydantic", "DEP-11.google.protobuf"]
    row = checks["DEP-11.pydantic"]
    assert (row.title, row.meaning, row.package) == ("pydantic imports", "`import pydantic` succeeds.", "pydantic")
    assert not row.is_family and row.area == "Dependencies of the workers"
    assert row.display_key < Check("DEP-12", MUST, "later", steps("x")).display_key


def test_without_further_modules_a_run_has_none() -> None:
    assert list(families.in_run(CATALOGUE, ("nats",))) == ["DEP-04"]


def test_a_row_is_found_by_its_id_and_nothing_else_is() -> None:
    assert families.lookup(CATALOGUE, "DEP-04") is NATS
    assert families.lookup(CATALOGUE, "DEP-11") is FAMILY
    assert families.lookup(CATALOGUE, "DEP-11.google.protobuf") == families.row(FAMILY, "google.protobuf")
    assert families.lookup(CATALOGUE, "DEP-04.nats") is families.lookup(CATALOGUE, "DEP-12.x") is None
    assert [families.family_id(id) for id in ("DEP-11.a.b", "DEP-11")] == ["DEP-11", "DEP-11"]


def test_rows_are_listed_and_explained() -> None:
    checks = families.in_run(CATALOGUE, ("nats", "pydantic"))
    assert "  DEP-11.pydantic  MUST    --  pydantic imports" in list_checks(checks, everything_applies, "votes")
    text = explain(find("dep-11.Pydantic", CATALOGUE | checks, "list"), CATALOGUE, RemedyValues())
    assert text.startswith("DEP-11.pydantic (MUST) pydantic imports")
    assert "pydantic among the profile's agent.dependencies" in text
    text = explain(CATALOGUE["DEP-11"], CATALOGUE, RemedyValues())
    assert "a check for each" in text and "MODULE imports" in text


def test_the_declared_family_says_where_the_module_comes() -> None:
    declared = [check for check in load_catalogue().values() if check.is_family]
    assert [check.id for check in declared] == ["DEP-11"]
    for check in declared:
        row = families.row(check, "x" * 20)
        assert "x" * 20 in row.title and "x" * 20 in row.meaning
        assert len(row.title) <= 100
