"""The catalogue of faults as data: no check without a fault that flips it, no fault that names what does not exist."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FunctionType

import pytest

from fixtures.checks import families
from fixtures.checks.applicability import applicability
from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import CATALOGUE
from fixtures.checks.families import family_id, lookup
from fixtures.core.paths import ROOT
from fixtures.profile.model import load
from tests.faults.catalogue import FAULTS, SUBSET
from tests.faults.model import Fault
from tests.targets.injectors import Edit
from tests.targets.selection import quick
from tests.targets.target import with_value


@pytest.fixture(scope="module", autouse=True)
def _checks() -> None:
    load_catalogue()


def test_every_check_is_flipped_by_a_fault() -> None:
    unproven = set(CATALOGUE) - {family_id(check) for fault in FAULTS for check in fault.expected_failures}
    assert not unproven, f"add a fault to tests/faults/catalogue/ under which these fail: {', '.join(sorted(unproven))}"


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len(FAULTS) >= 80
    assert not [name for name, count in Counter(fault.name for fault in FAULTS).items() if count > 1]


def test_the_subset_exists() -> None:
    assert SUBSET
    assert not SUBSET - {fault.name for fault in FAULTS}


def test_what_runs_under_every_fault_is_quick_and_looks_everywhere() -> None:
    assert {"INF-01", "INF-09", "DEP-01", "DEP-04", "NET-03", "IMG-01", "ORC-01"} <= quick()
    assert {check.partition("-")[0] for check in quick()} == {"DEP", "IMG", "INF", "NET", "ORC"}
    assert not quick() & {"CFG-02", "JOB-02", "JOB-11", "ORC-02", "E2E-01", "E2E-04", "IMG-04", "LOAD-01"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_says_what_it_does_and_what_must_come_of_it(fault: Fault) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", fault.name)
    assert fault.description
    assert fault.expected_failures or fault.inconclusive
    assert bool(fault.expected_terms) is bool(fault.expected_failures)
    assert all(fault.inconclusive.values())
    named = {*fault.checks, *fault.tolerated_failures, *fault.must_pass}
    assert all(lookup(CATALOGUE, check) for check in named), "no such check"
    rows = {check for check in fault.expected_failures if family_id(check) != check}
    profile = load("embedded")
    for key, value in fault.profile.items():
        profile = with_value(profile, key.split("."), value)
    assert rows <= families.in_run(CATALOGUE, profile.agent.modules).keys(), "its profile must have these rows"
    assert not set(fault.expected_failures) & set(fault.inconclusive), "a check is either failed or broken"
    assert not set(fault.expected_failures) & set(fault.tolerated_failures), "a check either must fail or may"
    absent = {check for check in fault.expected_failures if fault.where == "embedded" and is_absent(check)}
    assert set(fault.applies_here) == absent, "what does not apply without it cannot pass in the end"


def is_absent(check: str) -> bool:
    """Whether it does not apply to the embedded fleet."""
    declared = CATALOGUE.get(check)  # none of a family's rows
    return declared is not None and applicability(load("embedded"), "embedded")(declared) is not None


def edits_in(held: object) -> Iterator[Edit]:
    """The edits that an injection was made with: functions hold them in their closures."""
    match held:
        case Edit():
            yield held
        case tuple() | list():
            for part in held:
                yield from edits_in(part)
        case partial():
            yield from edits_in((held.func, *held.args, *held.keywords.values()))
        case FunctionType():
            for cell in held.__closure__ or ():
                yield from edits_in(cell.cell_contents)


EDITS = [
    pytest.param(file, edit, id=f"{fault.name}-{number}")
    for fault in FAULTS
    for number, edit in enumerate(edits_in(fault.inject))
    for file in (ROOT / "images" / "ray" / edit.path, ROOT / "images" / "orchestrator" / edit.path)
    if file.exists()
]


def test_the_code_of_the_images_is_edited_often() -> None:
    assert len(EDITS) > 60


@pytest.mark.parametrize(("file", "edit"), EDITS)
def test_an_edit_has_its_place_in_the_code(file: Path, edit: Edit) -> None:
    """Else the fault breaks nothing, and only a run of it would show that."""
    text = file.read_text(encoding="utf-8")
    assert text.count(edit.old) == 1
    ast.parse(text.replace(edit.old, edit.new))
