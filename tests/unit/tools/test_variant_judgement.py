"""What is made of what was seen in a variant: present, green, covered, sharp, restored; and the page that shows it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from fixtures.checks.catalogue import load_catalogue
from tests.faults.model import Fault
from tests.faults.model import Outcome as FaultOutcome
from tests.targets.matrix import columns
from tests.targets.program import is_about
from tests.targets.session import Session, read
from tests.variants.command import kind_of, page
from tests.variants.model import COLUMNS, Outcome, Variant

FAULT = Fault("a-fault", "a part is broken", nullcontext, ("INF-10",), ("stream",))


async def present(_target: object) -> bool:
    return True


VARIANT = Variant(
    name="a-variant",
    description="something <differs>",
    apply=nullcontext,
    is_present=present,
    stretches=("INF-10",),
    exempt={"INF-04": ("not_applicable", "no length")},
    inconclusive={"JOB-02": "busy"},
    detects=(FAULT,),
)


def row(check: str, status: str, detail: str = "", cause: str = "") -> dict[str, Any]:
    return {"id": check, "status": status, "detail": detail, "cause": cause, "duration_s": 0.1}


SOUND = (
    row("INF-10", "passed"),
    row("INF-04", "not_applicable", "it has no length"),
    row("INF-01", "passed"),
    row("JOB-02", "broken", "ray-worker-2 is busy"),
)
RED = (row("INF-10", "failed", "the stream is full"),)


def outcome(*rows: dict[str, Any], inside: tuple[dict[str, Any], ...] = RED, **changes: Any) -> Outcome:
    seen, nothing = read(rows or SOUND, 1.0), Session({}, {}, {}, 0.0)
    after = {"INF-10": changes.pop("after", "passed"), "JOB-02": "passed"}
    restored = Session({check: status for check, status in after.items() if status}, {}, {"INF-10": "still"}, 1.0)
    detected = [FaultOutcome(FAULT, read(inside, 1.0), nothing, 1.0)]
    return Outcome(VARIANT, seen, restored, 3.0, **{"present": True, "undone": True, "detected": detected, **changes})


def test_what_is_as_it_should_be() -> None:
    judged = outcome()
    assert judged.good and not judged.complaints()
    assert set(judged.judged.values()) == {True}
    assert judged.row()["exempt"] == ["INF-04", "JOB-02"]
    assert judged.row().keys() >= COLUMNS


def test_a_check_that_no_such_fleet_has_says_nothing_of_the_variant() -> None:
    elsewhere = row("NET-08", "not_applicable", "no executor sits between an orchestrator and Ray")
    assert outcome(*SOUND, elsewhere).good
    assert not outcome(*SOUND, {**elsewhere, "status": "unsupported"}).good


def test_what_applies_by_the_variants_profile_alone_need_not_pass_after_it() -> None:
    variant = replace(VARIANT, stretches=("INF-10", "INF-16"), applies_here=("INF-16",))
    assert variant.lasting == {"INF-10", "JOB-02"}


@pytest.mark.parametrize(
    ("judged", "word", "complaint"),
    [
        (outcome(present=False), "present", "the difference was not there"),
        (outcome(*SOUND[1:], *RED), "green", "INF-10 is failed: the stream is full"),
        (outcome(*SOUND[:2], SOUND[3], row("INF-01", "broken", "who knows")), "green", "INF-01 is broken: who knows"),
        (outcome(*SOUND[:3], row("JOB-02", "broken", "no idea")), "green", "JOB-02 is broken: no idea"),
        (outcome(*SOUND[:3]), "covered", "JOB-02 says nothing: not run"),
        (outcome(*SOUND[:3], row("JOB-02", "passed")), "covered", "JOB-02 passed: take it from what need not"),
        (outcome(undone=False), "restored", "the difference is still there"),
        (outcome(after=""), "restored", "after it, INF-10 is not run"),
        (outcome(*SOUND[1:]), "covered", "INF-10 says nothing: not run"),
        (
            outcome(SOUND[0], SOUND[3], row("INF-04", "unsupported", "no length")),
            "covered",
            "INF-04 says nothing: unsupp",
        ),
        (
            outcome(SOUND[0], SOUND[3], row("INF-04", "not_applicable", "why")),
            "covered",
            "INF-04 says nothing: not_app",
        ),
        (outcome(inside=(row("INF-10", "passed"),)), "sharp", "inside it, a-fault: INF-10 did not fail"),
        (outcome(detected=[]), "sharp", "1 of 1 faults were not tried inside it"),
        (outcome(after="failed"), "restored", "after it, INF-10 is failed: still"),
    ],
)
def test_what_is_not(judged: Outcome, word: str, complaint: str) -> None:
    assert [name for name, good in judged.judged.items() if not good] == [word]
    assert not judged.good
    assert any(complaint in line for line in judged.complaints()), judged.complaints()


def test_what_is_known_to_be_red_may_be_red_and_not_green() -> None:
    assert outcome(*SOUND[1:], *RED, known_red="why").good
    assert not outcome(*SOUND[1:], *RED, known_red="why").complaints()
    sound = outcome(known_red="why")
    assert not sound.good
    assert sound.complaints() == ["is green: take it from the list of what is known to be red"]
    absent = outcome(*SOUND[1:], *RED, known_red="why", present=False)
    assert not absent.good and absent.complaints()


def test_a_variant_that_could_not_be_made_is_not_good() -> None:
    nothing = Session({}, {}, {}, 0.0)
    judged = Outcome(VARIANT, nothing, nothing, 1.0, problems=["AssertionError: no such file"], known_red="why")
    assert not judged.good
    assert judged.complaints() == ["AssertionError: no such file"]


def test_the_page_shows_each_cell_what_bounds_each_check_and_escapes() -> None:
    load_catalogue()
    rows = [outcome().row(), outcome(*SOUND[1:], *RED).row()]
    assert [kind_of("INF-10", row) for row in rows] == ["hit", "false"]
    kinds = [kind_of(check, rows[0]) for check in ("INF-04", "JOB-02", "INF-01", "INF-02")]
    assert kinds == ["followed", "followed", "passed", ""]
    text = page(rows)
    assert "1 of 2" in text and "Bounds" in text
    assert "something &lt;differs&gt;" in text
    assert "fails: the second worker&#39;s packages lack aiohttp" in text


def test_the_rows_that_a_variants_profile_makes_are_not_asked_of_the_fleet_as_it_was() -> None:
    variant = replace(VARIANT, stretches=("INF-10", "DEP-11.pydantic"))
    assert variant.lasting == {"INF-10", "JOB-02"}
    restored = Session({"INF-10": "passed", "JOB-02": "passed"}, {}, {}, 1.0)
    assert not replace(outcome(), variant=variant, restored=restored).left


def test_a_page_has_the_rows_that_ran_in_place_of_their_family() -> None:
    catalogue = load_catalogue()
    assert [check.id for check in columns([], catalogue)] == sorted(catalogue)
    shown = [check.id for check in columns([{"ran": ["INF-01", "DEP-11.yaml", "DEP-11.httpx"]}], catalogue)]
    assert [id for id in shown if id.startswith("DEP-1")] == ["DEP-10", "DEP-11.httpx", "DEP-11.yaml", "DEP-12"]


def test_an_experiment_is_chosen_by_the_family_of_a_row_too() -> None:
    variant = replace(VARIANT, stretches=("DEP-11.pydantic",))
    assert all(is_about(variant, word) for word in ("DEP-11", "DEP-11.pydantic", "a-var"))
    assert not any(is_about(variant, word) for word in ("DEP-1", "DEP-11.py", "DEP-04"))
