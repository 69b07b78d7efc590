"""Orchestrators whose call lasts until the end of a deliberation, and answers with it."""

from __future__ import annotations

from tests.faults.model import Fault
from tests.targets.held_calls.calls import HeldCalls
from tests.variants.model import Variant

CALLS = HeldCalls()

NAMES_NO_WINNER = Fault(
    name="held-call-names-no-winner",
    description="the call that lasts until the end answers with all proposals and no winner",
    inject=CALLS.answer(lambda reply: {**reply, "preferred": ""}),
    expected_failures=("ORC-04",),
    expected_terms=("the winner '' is none of the authors",),
)
ANSWERS_BEFORE_THE_END = Fault(
    name="held-call-answers-before-the-end",
    description="the call comes back while the deliberation is still under way",
    inject=CALLS.answer(lambda reply: {"question_id": reply["question_id"], "end": "pending"}),
    expected_failures=("ORC-04",),
    expected_terms=("ends the call before the deliberation: status pending",),
)
NEVER_ANSWERS = Fault(
    name="held-call-never-answers",
    description="the deliberation ends, and the call that started it never comes back",
    inject=CALLS.answer(lambda _reply: None),
    expected_failures=("ORC-04",),
    expected_terms=("answers Ask with DEADLINE_EXCEEDED",),
)

VARIANTS = (
    Variant(
        name="call-lasts-until-the-end",
        description="the call that starts a deliberation answers with its outcome, by messages of another service",
        apply=CALLS.before_each_replica,
        is_present=CALLS.are_served,
        profile=CALLS.profile,
        stretches=(
            *("INF-11", "ORC-01", "ORC-02", "ORC-04", "ORC-05", "ORC-07", "ORC-08", "ORC-09", "ORC-10", "ORC-13"),
            *("ORC-16", "ORC-17", "E2E-01", "E2E-02", "E2E-03", "E2E-04", "E2E-05"),
        ),
        exempt={
            **dict.fromkeys(("ORC-03", "ORC-06", "ORC-11", "ORC-15"), ("not_applicable", "lasts until its end")),
            "ORC-12": ("unsupported", "only then its task id is known"),
            "ORC-14": ("not_applicable", "no method reports how the deliberation of a plan ends"),
        },
        detects=(NAMES_NO_WINNER, ANSWERS_BEFORE_THE_END, NEVER_ANSWERS),
    ),
)
