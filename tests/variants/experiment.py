"""One variant: make the fleet differ, check, put faults into it, make it as it was, check again."""

from __future__ import annotations

import time
from collections.abc import Collection

from fixtures.checks.declaration import CATALOGUE
from tests.faults.experiment import under
from tests.faults.model import Outcome as FaultOutcome
from tests.targets.selection import quick, quiet
from tests.targets.session import Session, first_line
from tests.targets.target import Target
from tests.variants.known_red import KNOWN_RED
from tests.variants.model import Outcome, Variant

NOTHING = Session({}, {}, {}, 0.0)


def applicable(target: Target, checks: Collection[str]) -> set[str]:
    """Those of the checks that sessions can decide with what they see of the fleet."""
    lacking = set(target.unsupported())
    return {check for check in checks if lacking.isdisjoint(CATALOGUE[check].features)}


def tried(target: Target, variant: Variant, whole: bool) -> Outcome:
    """What comes of a variant."""
    outcome = Outcome(variant, NOTHING, NOTHING, 0.0, known_red=KNOWN_RED.get(variant.name, ""))
    began = time.monotonic()
    try:
        target.do(target.at_rest())
        with target.profiled(variant.profile), target.changed_by(variant.apply):
            before = target.do(variant.is_present(target))
            further = applicable(target, quick() | (quiet() if whole else set()))
            outcome.seen = target.session(variant.name, {*variant.stretches, *outcome.declared, *further})
            outcome.present = before and target.do(variant.is_present(target))
            for fault in variant.detects:
                with target.profiled(fault.profile), target.changed_by(fault.inject):
                    seen = target.session(f"{variant.name}/{fault.name}", under(fault, False))
                outcome.detected.append(FaultOutcome(fault, seen, NOTHING, seen.seconds))
        target.do(target.at_rest())
        outcome.undone = not target.do(variant.is_present(target))
        outcome.restored = target.session(f"{variant.name}/restored", variant.lasting)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told, and the next variant is tried)
        outcome.problems.append(f"{type(error).__name__}: {first_line(str(error))[:500]}")
    outcome.seconds = time.monotonic() - began
    return outcome
