"""The verdict follows from how the MUST checks ended, and every report can say of how much of the catalogue that is."""

from __future__ import annotations

from itertools import product

import pytest

from fixtures.checks.declaration import MUST, SHOULD, Check
from fixtures.report.history.outcome_diff import GREEN
from fixtures.report.model import ClusterInfo, Result, Run, Status, Verdict
from fixtures.report.pages.status import html_page
from fixtures.report.pages.view import scope, unchecked
from fixtures.report.texts import Texts

P, F, B = Status.PASSED, Status.FAILED, Status.BROKEN
N, U, D = Status.NOT_APPLICABLE, Status.UNSUPPORTED, Status.DISABLED


def result(check_id: str, status: Status, detail: str = "", absent: str = "") -> Result:
    return Result(Check(check_id, MUST, "title", ()), status, detail=detail, absent=absent)


def run_of(*results: Result) -> Run:
    return Run("2026-01-01T00:00:00Z", "0", "", "r", ClusterInfo("attach", "votes"), results=list(results))


def test_every_combination_of_outcomes() -> None:
    """Of three MUST checks and a SHOULD, which has no say."""
    for musts in product(Status, repeat=3):
        verdicts = set()
        for should in Status:
            run = run_of(*(result(f"INF-0{number}", status) for number, status in enumerate(musts, 1)))
            run.results.append(Result(Check("NET-02", SHOULD, "title", ()), should))
            verdicts.add(run.verdict)
            conformant = {*musts} <= {P, N} and P in musts  # which a known failure is not
            assert run.to_json()["conformant"] is (run.verdict is Verdict.CONFORMANT) is conformant, musts
        (verdict,) = verdicts
        if F in musts:
            expected = Verdict.NONCONFORMANT
        elif B in musts or P not in musts:  # a run in which nothing passed says nothing of the system
            expected = Verdict.INCONCLUSIVE
        elif Status.KNOWN in musts:
            expected = Verdict.EXCEPTIONS
        elif U in musts or D in musts:
            expected = Verdict.PARTIAL
        else:
            expected = Verdict.CONFORMANT
        assert verdict is expected, musts


def test_without_a_must_nothing_is_certified() -> None:
    assert run_of().verdict is Verdict.INCONCLUSIVE
    assert run_of(Result(Check("NET-02", SHOULD, "title", ()), P)).verdict is Verdict.INCONCLUSIVE


@pytest.fixture
def narrow() -> Run:
    return run_of(
        result("INF-01", P),
        result("NET-07", N, "embedded runs processes", "kubernetes"),
        result("DEP-02", N, "the profile names no requests", "requests"),
        result("ORC-08", N, "no message is that long"),
        result("DEP-08", N, "agents run without tools", "tools"),
        result("CFG-01", U, "no rights"),
        result("CFG-02", U, "no rights"),
        result("CFG-03", D, "not selected"),
        result("JOB-01", F),
    )


def test_the_scope_is_data(narrow: Run) -> None:
    document = narrow.to_json()
    assert document["schema"] == "fleet-conformance/v2"
    assert document["scope"] == {
        "applies": 5,
        "of": 9,
        "not_applicable": [
            {"id": "NET-07", "because": "embedded runs processes"},
            {"id": "DEP-02", "because": "the profile names no requests"},
            {"id": "ORC-08", "because": "no message is that long"},
            {"id": "DEP-08", "because": "agents run without tools"},
        ],
        "not_asked": [
            {"id": "CFG-01", "status": "unsupported", "because": "no rights"},
            {"id": "CFG-02", "status": "unsupported", "because": "no rights"},
            {"id": "CFG-03", "status": "disabled", "because": "not selected"},
        ],
    }


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        (
            "en",
            "5 of 9 checks apply to votes; absent by profile or kind of fleet: Kubernetes, requests, tools; "
            "3 were not asked: CFG-01–03",
        ),
        (
            "es",
            "5 de 9 comprobaciones se aplican a votes; ausentes por perfil o por tipo de flota: Kubernetes, requests, "
            "herramientas; 3 no se plantearon: CFG-01–03",
        ),
    ],
)
def test_the_scope_is_a_sentence(narrow: Run, language: str, sentence: str) -> None:
    assert scope(narrow, Texts(language)) == sentence


def test_a_whole_scope_is_a_short_sentence_and_a_narrow_one_is_not_endless() -> None:
    assert scope(run_of(result("INF-01", P)), Texts("en")) == "1 of 1 checks apply to votes"
    alone = run_of(result("INF-01", P), result("INF-03", D))
    assert scope(alone, Texts("en")) == "2 of 2 checks apply to votes; 1 was not asked: INF-03"
    many = run_of(result("INF-01", P), *(result(f"JOB-{number:02}", D) for number in range(1, 60, 2)))
    named = ", ".join(f"JOB-{number:02}" for number in range(1, 16, 2))
    assert scope(many, Texts("en")).endswith(f"30 were not asked: {named}, …")
    page = html_page(many, [], "en")
    assert f"{named}, …</p>" in page and "….</p>" not in page


def test_what_does_not_apply_is_apart_from_what_was_not_asked(narrow: Run) -> None:
    assert [(status, reason, [row.check.id for row in rows]) for status, reason, rows in unchecked(narrow)] == [
        (N, "embedded runs processes", ["NET-07"]),
        (N, "the profile names no requests", ["DEP-02"]),
        (N, "no message is that long", ["ORC-08"]),
        (N, "agents run without tools", ["DEP-08"]),
        (U, "no rights", ["CFG-01", "CFG-02"]),
        (D, "not selected", ["CFG-03"]),
    ]
    assert [row.check.id for row in narrow.left_out] == ["CFG-01", "CFG-02", "CFG-03"]
    assert narrow.must_counts["not_applicable"] == 4


def test_the_verdicts_of_earlier_runs_are_good_by_the_same_rule() -> None:
    assert set(GREEN) == {verdict.value for verdict in Verdict if verdict.is_good}
