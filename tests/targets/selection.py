"""Which checks run whatever an experiment changed."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from fixtures.checks.declaration import CATALOGUE, MUST, Check
from fixtures.profile.parts import Part

#: Fixtures that take long or change the fleet: agent jobs, deliberations, councils, and probes in replicas.
SLOW = frozenset(
    {"agent_runs", "hanging_runs", "run_without_nats", "deliberations", "round_trips", "burst", "councils"}
    | {"replica_reports", "load"}
)


def _declared(test: Callable[..., Any]) -> Iterator[Check]:
    """The checks that a test decides: its own, or those of its cases."""
    for mark in getattr(test, "pytestmark", ()):
        if mark.name in ("conformance", "check_family"):
            yield from mark.args
        for case in mark.args[1] if mark.name == "parametrize" else ():
            yield from (check for inner in case.marks if inner.name == "conformance" for check in inner.args)


@cache
def quick() -> frozenset[str]:
    """The checks that disturb nothing, and ask for nothing slow, for no deliberation, and for nothing declared absent.

    They are run in every experiment: they look everywhere. The reference fleet declares nothing absent.
    """
    modules = [module for name, module in sys.modules.items() if name.startswith("tests.e2e.test_")]
    tests = [test for module in modules for _, test in inspect.getmembers(module, inspect.isfunction)]
    return frozenset(
        check.id
        for test in tests
        if SLOW.isdisjoint(inspect.signature(test).parameters)
        for check in _declared(test)
        if not (check.disrupts or check.opt_in or check.needs & {Part.CALLS, Part.DECLARED_ABSENT})
    )


def quiet() -> frozenset[str]:
    """All MUST checks that disturb nothing, and are run without being asked for."""
    return frozenset(
        check.id for check in CATALOGUE.values() if check.level is MUST and not (check.disrupts or check.opt_in)
    )
