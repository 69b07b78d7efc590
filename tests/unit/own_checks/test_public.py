"""The names that own checks import: as the type checker has them, and as they are."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fixtures.core.paths import ROOT
from fixtures.own_checks import public

if TYPE_CHECKING:
    import fleet_conformance as typed

    from fixtures.diagnostics.evidence import Evidence
    from fixtures.probes.census import Census
    from fixtures.profile.model import Profile
    from fixtures.services.nats import Nats
    from fixtures.services.orchestrator import Orchestrator
    from fixtures.services.ray import Ray
    from fixtures.services.vllm import Vllm

    # What fixtures give is what is promised of it.
    def _census(fixture: Census) -> typed.Census:
        return fixture

    def _evidence(fixture: Evidence) -> typed.Evidence:
        return fixture

    def _nats(fixture: Nats) -> typed.Nats:
        return fixture

    def _orchestrator(fixture: Orchestrator) -> typed.Orchestrator:
        return fixture

    def _profile(fixture: Profile) -> typed.Profile:
        return fixture

    def _ray(fixture: Ray) -> typed.Ray:
        return fixture

    def _vllm(fixture: Vllm) -> typed.Vllm:
        return fixture


STUB = ast.parse((ROOT / "ci/wheel/fleet_conformance/__init__.pyi").read_text(encoding="utf-8"))
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}


def test_every_name_is_there_and_no_other() -> None:
    names = {node.name for node in STUB.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    names |= {
        node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    assert names == set(public.__all__)
    assert all(hasattr(public, name) for name in names)


@pytest.mark.parametrize("name", ["area", "by_place", "require_none"])
def test_functions_take_what_the_stub_says(name: str) -> None:
    taken, promised = inspect.signature(getattr(public, name)).parameters, FUNCTIONS[name].args
    assert list(taken) == [item.arg for item in (*promised.posonlyargs, *promised.args, *promised.kwonlyargs)]


@pytest.mark.parametrize("name", ["check", "case"])
def test_declarations_take_what_the_stub_says(name: str) -> None:
    """`**about` of the one is written out in the other."""
    taken = [key for key in inspect.signature(getattr(public, name)).parameters if key not in ("about", "values")]
    promised = FUNCTIONS[name].args
    assert {item.arg for item in (*promised.args, *promised.kwonlyargs)} == {*taken, *public._About.__annotations__}


def test_a_file_of_checks_that_is_run_as_a_program_is_told_how_it_is_read() -> None:
    code = "from fleet_conformance import check"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "ci" / "wheel", capture_output=True, text=True, check=False
    )
    assert "ImportError: " in done.stderr and "--checks" in done.stderr


def test_the_modules_of_the_wheel_are_found_as_those_of_any_package() -> None:
    code = "from fleet_conformance import start; assert start.main"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "ci" / "wheel", check=True)
