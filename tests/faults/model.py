"""A fault as data, and what was seen under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.targets.session import Session
from tests.targets.target import Change

#: What a row of an earlier time must have to be kept or tried again.
COLUMNS = frozenset(
    {"name", "description", "expected", "undecided", "allowed", "ran", "failed", "broken", "words"}
    | {"complaints", "seconds"}
)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong in a fleet, and what the suite must say about it."""

    name: str  # in kebab case: what is wrong
    description: str  # one sentence: what is done to which part
    inject: Change  # done when entered, healed when left
    expected_failures: tuple[str, ...]  # the checks that must fail
    expected_terms: tuple[str, ...]  # what the first line of a cause must name, in any case of letters
    tolerated_failures: tuple[str, ...] = ()  # the checks that may fail, or may not be told, because of it
    must_pass: tuple[str, ...] = ()  # further checks that are run under it and must pass
    forbidden_terms: tuple[str, ...] = ()  # secrets of the fleet: no file of the reports may have them
    inconclusive: Mapping[str, str] = field(default_factory=dict)  # check -> words: must be broken, and must say them
    profile: Mapping[str, object] = field(default_factory=dict)  # what a user of such a fleet writes, by dotted key
    applies_here: tuple[str, ...] = ()  # of those that must fail, the checks that do not apply to the fleet without it
    where: str = "embedded"  # a key of TARGETS in tests/targets/program.py

    @property
    def checks(self) -> tuple[str, ...]:
        return (*self.expected_failures, *self.inconclusive)

    @property
    def touches(self) -> frozenset[str]:
        return frozenset({*self.checks, *self.tolerated_failures})


@dataclass
class Outcome:
    """A fault, and what was seen under it and after it."""

    fault: Fault
    seen: Session
    healed: Session
    seconds: float
    problems: list[str] = field(default_factory=list)
    whole: bool = False  # more was run than the fault could declare
    leaks: list[str] = field(default_factory=list)  # the files of the reports that have a forbidden term

    @property
    def failed(self) -> list[str]:
        return self.seen.ended("failed")

    @property
    def broken(self) -> list[str]:
        return self.seen.ended("broken")

    @property
    def allowed(self) -> frozenset[str]:
        """What may be red: as declared, and where more was run, what is reported as a consequence of that."""
        touches = self.fault.touches
        return touches | {check for check, cause in self.seen.because.items() if self.whole and cause in touches}

    @property
    def undecided(self) -> list[str]:
        """The checks that are broken as they must be, with the words that they must say."""
        return [
            check
            for check, words in self.fault.inconclusive.items()
            if check in self.broken and words.lower() in self.seen.details.get(check, "").lower()
        ]

    @property
    def detected(self) -> bool:
        """At least one of the checks that must fail did, or is broken where it must be that."""
        return bool(self.undecided) or not set(self.fault.expected_failures).isdisjoint(self.failed)

    @property
    def exact(self) -> bool:
        """Each check ended as it must, and nothing failed or could not be told that has nothing to do with it."""
        decided = set(self.fault.expected_failures) <= set(self.failed)
        return decided and len(self.undecided) == len(self.fault.inconclusive) and self._red <= self.allowed

    @property
    def _red(self) -> set[str]:
        return {*self.failed, *self.broken}

    @property
    def missing_terms(self) -> list[str]:
        """The words that no cause's first line has."""
        said = " ".join(self.seen.causes.values()).lower()
        return [word for word in self.fault.expected_terms if word.lower() not in said]

    @property
    def diagnosed(self) -> bool:
        """What is reported as the cause is what was broken, and is called by its name."""
        named = bool(self.seen.causes) or not self.fault.expected_failures
        return not self.missing_terms and set(self.seen.causes) <= set(self.fault.touches) and named

    @property
    def recovered(self) -> bool:
        """Without the fault the same checks pass, or do not apply: it was the fault, and nothing is left of it."""
        return not self._left

    @property
    def _left(self) -> dict[str, str]:
        """The checks that are not as they are without the fault, with what became of them."""
        here = self.fault.applies_here
        others = self.healed.not_passed(set(self.fault.checks) - set(here))
        gone = {check for check in here if self.healed.statuses.get(check) == "not_applicable"}
        return others | {check: self.healed.statuses.get(check, "not run") for check in here if check not in gone}

    @property
    def judged(self) -> dict[str, bool]:
        return {"detected": self.detected, "exact": self.exact, "diagnosed": self.diagnosed, "healed": self.recovered}

    @property
    def good(self) -> bool:
        return all(self.judged.values()) and not self.leaks

    def complaints(self, *, inside: bool = False) -> list[str]:
        """One line for each thing that is not as it should be. `inside` a variant, which is undone as a whole."""
        failed, broken, fault = set(self.failed), set(self.broken), self.fault
        lines = [*self.problems, *(f"{file} has what no report may show" for file in self.leaks)]
        details = self.seen.details
        lines += [
            f"{check} did not fail: {self.seen.statuses.get(check)}"
            for check in sorted(set(fault.expected_failures) - failed)
        ]
        lines += [
            f"{check} is not broken with the words {fault.inconclusive[check]!r}, but "
            f"{self.seen.statuses.get(check, 'not run')}: {details.get(check, '')}"
            for check in sorted(set(fault.inconclusive) - set(self.undecided))
        ]
        lines += [f"{check} failed, too: {details[check]}" for check in sorted(failed - self.allowed)]
        lines += [f"{check} is broken: {details[check]}" for check in sorted(broken - self.allowed)]
        if self.missing_terms:
            lines.append(f"no cause names {', '.join(self.missing_terms)}: {self.seen.causes}")
        if strangers := set(self.seen.causes) - fault.touches:
            lines.append(f"named as the cause: {', '.join(sorted(strangers))}")
        after = {} if inside or self.problems else self._left
        lines += [f"after it, {check} is {why}" for check, why in after.items()]
        return lines

    def row(self) -> dict[str, Any]:
        """One entry of faults.json."""
        return {
            "name": self.fault.name,
            "description": self.fault.description,
            "expected": sorted(self.fault.expected_failures),
            "undecided": sorted(self.fault.inconclusive),
            "allowed": sorted(self.allowed - set(self.fault.checks)),
            "ran": sorted(self.seen.statuses),
            "failed": self.failed,
            "broken": self.broken,
            **self.judged,
            "words": self.seen.causes,
            "complaints": self.complaints(),
            "seconds": round(self.seconds, 1),
        }
