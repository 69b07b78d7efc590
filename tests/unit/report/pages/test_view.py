"""What the pages show of a run, whatever they look like."""

from __future__ import annotations

import pytest

from fixtures.checks.declaration import MUST, SHOULD, Check, Level
from fixtures.checks.remedy import shell, steps
from fixtures.report.diagnosis import diagnose
from fixtures.report.model import ClusterInfo, DependencyFact, Result, Run, Status
from fixtures.report.pages.status import html_page, markdown_page
from fixtures.report.pages.view import Phases, context, ids, inconclusive, next_steps, phases
from fixtures.report.texts import LANGUAGES, Texts


def result(check_id: str, status: Status, detail: str = "", level: Level = MUST) -> Result:
    check = Check(check_id, level, f"claim {check_id}", steps("Mend it:", shell("kubectl get pods")))
    return Result(check, status, detail=detail, remedy=check.remedy)


def run_of(*results: Result, aborted: str = "") -> Run:
    run = Run("2026-01-01T00:00:00+00:00", "0", "", "fc-1", ClusterInfo("embedded", "embedded"), results=list(results))
    run.aborted = aborted
    return run


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ([], ""),
        (["INF-01"], "INF-01"),
        (["INF-01", "INF-02", "INF-03"], "INF-01–03"),
        (["INF-01", "INF-03", "INF-04", "CFG-05"], "INF-01, INF-03–04, CFG-05"),
        (["INF-12", "CFG-13"], "INF-12, CFG-13"),
        (["DEP-09", "DEP-10", "DEP-11.httpx", "DEP-12"], "DEP-09–10, DEP-11.httpx, DEP-12"),
    ],
)
def test_neighbouring_ids_are_drawn_together(checks: list[str], said: str) -> None:
    assert ids(result(check, Status.BROKEN) for check in checks) == said


def test_what_could_not_be_told_is_grouped_by_its_reason() -> None:
    run = run_of(
        *(result(each, Status.BROKEN, why) for each, why in (("INF-01", "a"), ("INF-02", "b"), ("INF-03", "a")))
    )
    assert [(why, [one.check.id for one in found]) for why, found in inconclusive(run)] == [
        ("a", ["INF-01", "INF-03"]),
        ("b", ["INF-02"]),
    ]


def test_why_a_run_ended_early_is_said_once() -> None:
    reason = "the cluster did not come up: no route"
    run = run_of(
        result("INF-01", Status.BROKEN, "no route\nand what the machine printed"),
        result("INF-02", Status.BROKEN, reason),
        result("INF-03", Status.BROKEN, "its teardown failed"),
        result("INF-04", Status.DISABLED, "not selected"),
        aborted=f"{reason}\nand what else was printed",
    )
    assert [why for why, _ in inconclusive(run)] == ["its teardown failed"]
    steps = next_steps(run, [], Texts("en"))
    assert steps[0].startswith("Fix what ended the run") and len(steps) == 2
    assert "--explain" in steps[1]


def test_legs_are_in_the_order_in_which_they_happen() -> None:
    run = run_of()
    assert phases(run) == []
    run.facts.measurements = {
        "leg: submit, p50 s": 0.1,
        "leg: collection, p50 s": 0.2,
        "leg: agents' work, p50 s": 0.3,
        "round trip p50 s": 0.65,
        "leg: submit, p95 s": 0.4,
    }
    median, most = phases(run)
    assert median == Phases("p50", 0.65, {"submit": 0.1, "agents' work": 0.3, "collection": 0.2})
    assert list(median.seconds) == ["submit", "agents' work", "collection"] and median.sum_s == pytest.approx(0.6)
    assert most == Phases("p95", None, {"submit": 0.4})


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_pages_say_the_same(language: str) -> None:
    run = run_of(
        result("INF-01", Status.FAILED, "one < two"),
        result("INF-02", Status.FAILED, "slow", SHOULD),
        result("NET-07", Status.UNSUPPORTED, "no cluster DNS"),
        result("NET-01", Status.PASSED),
    )
    texts, causes = Texts(language), diagnose(run)
    for page in (markdown_page(run, causes, language), html_page(run, causes, language)):
        for words in (
            texts("verdict.nonconformant"),
            texts("verdict_meaning.nonconformant", failed=1, broken=0, disabled=0),
            "claim INF-01",
            texts("cause.should"),
            "kubectl get pods",
            "no cluster DNS",
            *(texts(f"section.{name}") for name in ("components", "connectivity", "dependencies", "checklist", "next")),
        ):
            assert words in page


def test_nothing_of_a_system_is_taken_for_markup() -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    run = run_of(result("INF-01", Status.FAILED, f"{hostile}\nsecond line"))
    run.cluster.notes = [hostile]
    run.aborted = hostile
    run.facts.measurements = {hostile: 1.0}
    page = html_page(run, diagnose(run), "en")
    assert "alert(1)</script>" not in page and "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_of_a_package_with_several_modules_the_one_that_does_not_import_is_shown() -> None:
    good, bad = (DependencyFact("w-1", "protobuf", ">=5", version, bool(version)) for version in ("6.1", ""))
    for rows in ((good, bad), (bad, good), (bad, bad, good)):
        run = run_of(result("DEP-11.google.rpc", Status.FAILED, "protobuf >=5 is not usable"))
        run.facts.dependencies = list(rows)
        assert context(run, diagnose(run), "en")["workers"] == {"w-1": {"protobuf": bad}}
