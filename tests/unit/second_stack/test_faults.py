"""The second stack's faults fit its sources, and name checks and parts that there are."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import CATALOGUE
from fixtures.profile.model import load
from tests.faults.model import Fault
from tests.second_stack.cluster import FOLDER
from tests.second_stack.faults import FAULTS, WHERE
from tests.second_stack.target import SoftwareHas
from tests.targets.injectors import Edit

MUTANTS = [fault for fault in FAULTS if isinstance(fault.inject, SoftwareHas)]


def edits(fault: Fault) -> tuple[Edit, ...]:
    assert isinstance(fault.inject, SoftwareHas)
    return fault.inject.edits


@pytest.mark.parametrize("fault", MUTANTS, ids=lambda fault: fault.name)
def test_a_fault_fits_the_sources_and_they_stay_python(fault: Fault, tmp_path: Path) -> None:
    assert edits(fault) and fault.where == WHERE
    for edit in edits(fault):
        file = tmp_path / edit.path
        file.parent.mkdir(exist_ok=True)
        if not file.exists():
            file.write_text((FOLDER / edit.path).read_text(encoding="utf-8"), encoding="utf-8")
        edit.apply(tmp_path)
        compile(file.read_text(encoding="utf-8"), edit.path, "exec")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_names_checks_that_there_are(fault: Fault) -> None:
    load_catalogue()
    assert set(fault.touches) <= set(CATALOGUE) and fault.expected_failures and fault.expected_terms


def test_there_are_eight_and_one_alone_is_of_the_nodes() -> None:
    assert (len(FAULTS), len(MUTANTS)) == (8, 7)


def test_names_are_unique_and_in_kebab_case() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"[a-z]+(-[a-z]+)+", name) for name in names)


def test_the_profile_loads_and_its_class_takes_what_the_contract_gives() -> None:
    from tests.second_stack.acme_votes.voter import Voter

    profile = load(str(FOLDER / "votes.toml"))
    call, given = profile.contract.agent, profile.agent.runtime_env
    assert set(call.keywords) == set(inspect.signature(Voter).parameters)
    assert set(call.call) <= set(inspect.signature(Voter.cast).parameters)
    assert [Path(source).is_dir() for source in given.py_modules] == [True]
