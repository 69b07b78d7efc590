"""One fault: break, check, heal, check again."""

from __future__ import annotations

import time
from collections.abc import Collection

from fixtures.checks.declaration import CATALOGUE, MUST
from tests.faults.model import Fault, Outcome, Session
from tests.faults.target import Place, first_line

#: Run under every fault, because they are quick and look everywhere: what is there, and what the workers hold.
CENSUS = frozenset(
    {
        *("INF-02", "INF-03", "INF-06", "INF-09", "INF-10", "INF-11", "INF-12"),
        *("DEP-01", "DEP-02", "DEP-03", "DEP-04", "DEP-05", "DEP-06", "DEP-07", "DEP-08", "DEP-09", "DEP-10"),
        *("NET-03", "NET-04", "IMG-01", "IMG-02", "IMG-03", "ORC-01"),
    }
)


def quiet() -> frozenset[str]:
    """All MUST checks that disturb nothing, and are run without being asked for."""
    checks = CATALOGUE.values()
    return frozenset(one.id for one in checks if one.level is MUST and not (one.disrupts or one.on_request))


def under(fault: Fault, whole: bool) -> Collection[str]:
    """The checks that are run under a fault."""
    return fault.touches | frozenset(fault.also) | CENSUS | (quiet() if whole else frozenset())


class Held:
    """A fault, held in the place's loop while the main thread runs checks."""

    def __init__(self, place: Place, fault: Fault) -> None:
        self._place, self._fault = place, fault.inject(place)

    def __enter__(self) -> None:
        self._place.do(self._fault.__aenter__())

    def __exit__(self, *_: object) -> None:
        self._place.do(self._fault.__aexit__(None, None, None))


def tried(place: Place, fault: Fault, whole: bool) -> Outcome:
    """What comes of a fault. One that cannot be put in or healed costs the fleet: the next one gets a sound one."""
    began, nothing = time.monotonic(), Session({}, {}, {}, 0.0)
    seen = healed = nothing
    problems = []
    try:
        with Held(place, fault):
            seen = place.session(fault.name, under(fault, whole))
        healed = place.session(f"{fault.name}/healed", fault.breaks)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told, and the next fault is tried)
        problems.append(f"{type(error).__name__}: {first_line(str(error))[:500]}")
    outcome = Outcome(fault, seen, healed, time.monotonic() - began, problems, whole)
    if not outcome.mended:
        place.again()
    return outcome
