"""A variant as data, and what was seen of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from fixtures.checks.families import family_id
from tests.faults.model import Fault
from tests.faults.model import Outcome as FaultOutcome
from tests.targets.session import Session
from tests.targets.target import Change

#: Statuses with which a check may end, where a variant declares it.
EXEMPT = ("not_applicable", "unsupported", "disabled")

#: What a row of an earlier time must have to be kept or tried again.
COLUMNS = frozenset(
    {"name", "description", "stretches", "ran", "passed", "failed", "broken", "exempt", "words", "complaints"}
)

Presence = Callable[[Any], Coroutine[Any, Any, bool]]
"""Whether the difference is there, asked of the target."""


@dataclass(frozen=True)
class Variant:
    """A healthy fleet that differs from the reference stack, and what the suite must make of it."""

    name: str  # in kebab case: what differs
    description: str  # one sentence: in which fleets that is so
    apply: Change  # done when entered, undone when left
    is_present: Presence  # must hold before and after the checks: the difference is really there
    stretches: tuple[str, ...]  # the checks that one plausible line of theirs would turn red here; they must pass
    profile: Mapping[str, object] = field(default_factory=dict)  # what a user writes for it, by dotted key
    applies_here: tuple[str, ...] = ()  # of those it stretches, the checks that do not apply to the fleet without it
    exempt: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # check -> (one of EXEMPT, words of the reason)
    inconclusive: Mapping[str, str] = field(default_factory=dict)  # check -> words: broken while this lasts, not after
    detects: tuple[Fault, ...] = ()  # that must be found inside the variant, too
    where: str = "embedded"  # or "kubernetes"

    @property
    def checks(self) -> tuple[str, ...]:
        return self.stretches

    @property
    def lasting(self) -> frozenset[str]:
        """What must pass on the fleet as it was: not the rows of a family, nor what applies by this profile alone."""
        whole = {check for check in (*self.stretches, *self.inconclusive) if family_id(check) == check}
        return frozenset(whole - set(self.applies_here))


@dataclass(frozen=True)
class Document:
    """A healthy fleet's answer that differs, fed to the very parser or comparison that a check uses: no fleet."""

    name: str  # in kebab case: what differs
    description: str  # one sentence: in which fleets that is so
    holds: Callable[[], None]  # raises AssertionError where it is not understood
    stretches: tuple[str, ...]


@dataclass
class Outcome:
    """A variant, and what was seen in it and after it."""

    variant: Variant
    seen: Session
    restored: Session
    seconds: float
    present: bool = False  # before and after the checks
    undone: bool = False  # it was not there any more when it was left
    detected: list[FaultOutcome] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    known_red: str = ""  # why it is wrongly red today; that it is not any more is a complaint

    @property
    def declared(self) -> dict[str, tuple[str, str]]:
        """The checks that must not pass: how they end, with which words in their reason."""
        return {
            **self.variant.exempt,
            **{check: ("broken", words) for check, words in self.variant.inconclusive.items()},
        }

    @property
    def exempt(self) -> list[str]:
        """The checks that ended as declared."""
        return sorted(
            check
            for check, (status, words) in self.declared.items()
            if self.seen.statuses.get(check) == status and words.lower() in self.seen.details.get(check, "").lower()
        )

    @property
    def red(self) -> list[str]:
        return sorted({*self.seen.ended("failed"), *self.seen.ended("broken")} - set(self.exempt))

    @property
    def blind(self) -> list[str]:
        """The checks that neither passed nor failed without the variant saying so, or did not end as it says. One that
        does not apply by the profile alone says nothing where the variant is not about it."""
        stretched = {*self.variant.stretches}
        quiet = {
            check
            for check, status in self.seen.statuses.items()
            if status not in ("passed", "failed", "broken") and (check in stretched or status != "not_applicable")
        }
        missing = stretched - set(self.seen.statuses)
        return sorted((quiet | missing | (set(self.declared) - set(self.red))) - set(self.exempt))

    @property
    def left(self) -> dict[str, str]:
        """The checks that do not pass on the fleet as it was, with what became of them."""
        return self.restored.not_passed(self.variant.lasting)

    @property
    def judged(self) -> dict[str, bool]:
        return {
            "present": self.present,
            "green": bool(self.seen.statuses) and not self.red,
            "covered": not self.blind,
            "sharp": len(self.detected) == len(self.variant.detects)
            and all(outcome.detected and outcome.exact and outcome.diagnosed for outcome in self.detected),
            "restored": self.undone and not self.left,
        }

    @property
    def recovered(self) -> bool:
        return self.judged["restored"]

    @property
    def good(self) -> bool:
        judged = {**self.judged, "green": self.judged["green"] != bool(self.known_red)}
        if self.known_red:  # what it makes red may be anything that it stretches
            judged = {word: judged[word] for word in ("present", "green", "restored")}
        return all(judged.values()) and not self.problems

    def complaints(self) -> list[str]:
        """One line for each thing that is not as it should be."""
        lines = list(self.problems)
        if self.problems or (self.known_red and self.good):
            return lines
        if not self.present:
            lines.append("the difference was not there before the checks, or not after them")
        if not self.undone:
            lines.append("the difference is still there after it was undone, or would be called there whatever is so")
        if self.known_red and self.judged["green"]:
            lines.append("is green: take it from the list of what is known to be red")
        lines += [f"{check} is {self.seen.statuses[check]}: {self.seen.details[check]}" for check in self.red]
        lines += [f"{check} says nothing: {why}" for check, why in self.seen.not_passed(self.blind).items()]
        lines += [
            f"{check} passed: take it from what need not"
            for check in self.blind
            if self.seen.statuses.get(check) == "passed"
        ]
        lines += [
            f"inside it, {outcome.fault.name}: {complaint}"
            for outcome in self.detected
            for complaint in outcome.complaints(inside=True)
        ]
        if missing := len(self.variant.detects) - len(self.detected):
            lines.append(f"{missing} of {len(self.variant.detects)} faults were not tried inside it")
        return lines + [f"after it, {check} is {why}" for check, why in self.left.items()]

    def row(self) -> dict[str, Any]:
        """One entry of variants.json."""
        return {
            "name": self.variant.name,
            "description": self.variant.description,
            "profile": {key: str(value) for key, value in self.variant.profile.items()},
            "stretches": sorted(self.variant.stretches),
            "ran": sorted(self.seen.statuses),
            "passed": self.seen.ended("passed"),
            "failed": self.seen.ended("failed"),
            "broken": self.seen.ended("broken"),
            "exempt": self.exempt,
            **self.judged,
            "known_red": self.known_red,
            "words": {check: self.seen.details[check] for check in [*self.red, *self.exempt]},
            "complaints": self.complaints(),
            "seconds": round(self.seconds, 1),
        }
