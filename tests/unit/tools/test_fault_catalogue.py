"""The catalogue of faults as data: no check without a fault that flips it, no fault that names what does not exist."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import CATALOGUE
from tests.faults.catalogue import FAULTS, SUBSET
from tests.faults.experiment import quick
from tests.faults.model import Fault


@pytest.fixture(scope="module", autouse=True)
def _checks() -> None:
    load_catalogue()


def test_every_check_is_flipped_by_a_fault() -> None:
    unproven = set(CATALOGUE) - {check for fault in FAULTS for check in fault.expected_failures}
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
    assert not quick() & {"CFG-02", "JOB-02", "JOB-11", "ORC-02", "ORC-09", "E2E-01", "E2E-04", "IMG-04", "LOAD-01"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_says_what_it_does_and_what_must_come_of_it(fault: Fault) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", fault.name)
    assert fault.description
    assert fault.expected_failures
    assert fault.expected_terms
    named = {*fault.expected_failures, *fault.tolerated_failures, *fault.must_pass}
    assert not named - set(CATALOGUE), "no such check"
    assert not set(fault.expected_failures) & set(fault.tolerated_failures), "a check either must fail or may"
