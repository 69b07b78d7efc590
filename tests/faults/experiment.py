"""One fault: break, check, heal, check again."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Collection, Iterator
from functools import cache
from typing import Any

from fixtures.checks.declaration import CATALOGUE, MUST, Check
from tests.faults.model import Fault, Outcome, Session
from tests.faults.target import Target, first_line

#: Fixtures that take long or change the fleet: agent jobs, deliberations, councils, and probes in replicas.
SLOW = frozenset(
    {"agent_runs", "hanging_runs", "run_without_nats", "deliberations", "round_trips", "burst", "councils"}
    | {"replica_reports", "load"}
)


def _declared(test: Callable[..., Any]) -> Iterator[Check]:
    """The checks that a test decides: its own, or those of its cases."""
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "conformance":
            yield from mark.args
        for case in mark.args[1] if mark.name == "parametrize" else ():
            yield from (check for inner in case.marks if inner.name == "conformance" for check in inner.args)


@cache
def quick() -> frozenset[str]:
    """The checks that disturb nothing and ask for nothing slow.

    They are run under every fault: they look everywhere.
    """
    modules = [module for name, module in sys.modules.items() if name.startswith("tests.e2e.test_")]
    tests = [test for module in modules for _, test in inspect.getmembers(module, inspect.isfunction)]
    return frozenset(
        check.id
        for test in tests
        if SLOW.isdisjoint(inspect.signature(test).parameters)
        for check in _declared(test)
        if not (check.disrupts or check.opt_in)
    )


def quiet() -> frozenset[str]:
    """All MUST checks that disturb nothing, and are run without being asked for."""
    checks = CATALOGUE.values()
    return frozenset(one.id for one in checks if one.level is MUST and not (one.disrupts or one.opt_in))


def under(fault: Fault, whole: bool) -> Collection[str]:
    """The checks that are run under a fault."""
    return fault.touches | frozenset(fault.must_pass) | quick() | (quiet() if whole else frozenset())


class Held:
    """A fault, held in the place's loop while the main thread runs checks."""

    def __init__(self, target: Target, fault: Fault) -> None:
        self._place, self._fault = target, fault.inject(target)

    def __enter__(self) -> None:
        self._place.do(self._fault.__aenter__())

    def __exit__(self, *_: object) -> None:
        self._place.do(self._fault.__aexit__(None, None, None))


def tried(target: Target, fault: Fault, whole: bool) -> Outcome:
    """What comes of a fault. One that cannot be put in or healed costs the fleet: the next one gets a sound one."""
    began, nothing = time.monotonic(), Session({}, {}, {}, 0.0)
    seen = healed = nothing
    problems = []
    try:
        with Held(target, fault):
            seen = target.session(fault.name, under(fault, whole))
        healed = target.session(f"{fault.name}/healed", fault.expected_failures)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told, and the next fault is tried)
        problems.append(f"{type(error).__name__}: {first_line(str(error))[:500]}")
    outcome = Outcome(fault, seen, healed, time.monotonic() - began, problems, whole)
    if not outcome.recovered:
        target.again()
    return outcome
