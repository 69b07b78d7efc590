"""One fault: break, check, heal, check again."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

from tests.faults.model import Fault, Outcome
from tests.targets.selection import quick, quiet
from tests.targets.session import Session, first_line
from tests.targets.target import Target


def under(fault: Fault, whole: bool) -> Collection[str]:
    """The checks that are run under a fault."""
    return fault.touches | frozenset(fault.must_pass) | quick() | (quiet() if whole else frozenset())


def leaking(folder: Path, terms: Collection[str]) -> list[str]:
    """The files of a report folder that have one of the terms."""
    files = [file for file in sorted(folder.rglob("*")) if terms and file.is_file()]
    return [
        str(file.relative_to(folder)) for file in files if any(term.encode() in file.read_bytes() for term in terms)
    ]


def tried(target: Target, fault: Fault, whole: bool) -> Outcome:
    """What comes of a fault."""
    began, nothing = time.monotonic(), Session({}, {}, {}, 0.0)
    seen = healed = nothing
    problems: list[str] = []
    leaks: list[str] = []
    try:
        target.do(target.at_rest())
        with target.profiled(fault.profile):
            with target.changed_by(fault.inject):
                seen = target.session(fault.name, under(fault, whole))
            target.do(target.at_rest())
            leaks = leaking(target.reports / fault.name, fault.forbidden_terms)
            healed = target.session(f"{fault.name}/healed", fault.checks)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told, and the next fault is tried)
        problems.append(f"{type(error).__name__}: {first_line(str(error))[:500]}")
    return Outcome(fault, seen, healed, time.monotonic() - began, problems, whole, leaks)
