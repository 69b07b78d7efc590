"""metrics.prom: what Prometheus' parser reads in it is what the run found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.checks.declaration import MUST, SHOULD
from fixtures.redaction.redact import Redactor
from fixtures.report.diagnosis import diagnose
from fixtures.report.metrics import series
from fixtures.report.model import ClusterInfo, Run, Status, Verdict
from fixtures.report.results import conformance
from tests.support.metrics import Series, full_run, parsed, result

#: The interface: it changes in a major version alone.
CONTRACT = {
    "fleet_conformance_verdict": {"fleet", "verdict"},
    "fleet_conformance_check_status": {"fleet", "check", "area", "level", "status"},
    "fleet_conformance_cause": {"fleet", "check", "level"},
    "fleet_conformance_checks": {"fleet", "status"},
    "fleet_conformance_known_until_timestamp_seconds": {"fleet", "check"},
    "fleet_conformance_build_info": {"fleet", "version", "commit"},
    "fleet_conformance_last_run_timestamp_seconds": {"fleet"},
    "fleet_conformance_last_green_timestamp_seconds": {"fleet"},
    "fleet_conformance_run_duration_seconds": {"fleet"},
    "fleet_conformance_round_trip_seconds": {"fleet", "quantile"},
    "fleet_conformance_round_trip_limit_seconds": {"fleet"},
    "fleet_conformance_leg_seconds": {"fleet", "leg", "quantile"},
    "fleet_conformance_api_requests": {"fleet"},
}


def read(run: Run, redactor: Redactor | None = None) -> dict[str, Series]:
    return parsed(series.text(run, diagnose(run), redactor or Redactor()))


def by(rows: Series, *labels: str) -> dict[object, float]:
    """Series by the values of these labels alone."""
    keyed = {tuple(dict(row)[label] for label in labels): value for row, value in rows.items()}
    return {key[0] if len(key) == 1 else key: value for key, value in keyed.items()}


def test_names_and_labels_are_those_that_were_promised() -> None:
    run = full_run()
    run.green_before = "2025-12-30T00:00:00+00:00"
    seen = {name: set().union(*(dict(row) for row in rows)) for name, rows in read(run).items()}
    assert seen == CONTRACT
    assert {metric.full_name: {"fleet", *metric.labels} for metric in series.METRICS} == CONTRACT


def test_every_series_names_the_fleet() -> None:
    assert {dict(row)["fleet"] for rows in read(full_run()).values() for row in rows} == {"votes"}


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ((Status.PASSED,), Verdict.CONFORMANT),
        ((Status.PASSED, Status.DISABLED), Verdict.PARTIAL),
        ((Status.PASSED, Status.KNOWN), Verdict.EXCEPTIONS),
        ((Status.PASSED, Status.FAILED), Verdict.NONCONFORMANT),
        ((Status.PASSED, Status.BROKEN), Verdict.INCONCLUSIVE),
    ],
)
def test_the_verdict_is_one_of_all(statuses: tuple[Status, ...], verdict: Verdict) -> None:
    run = full_run()
    run.results = [result(f"INF-{number:02}", status) for number, status in enumerate(statuses)]
    verdicts = by(read(run)["fleet_conformance_verdict"], "verdict")
    assert verdicts == {other.value: float(other is verdict) for other in Verdict}


def test_each_check_has_its_present_status_alone() -> None:
    run = full_run()
    rows = read(run)["fleet_conformance_check_status"]
    assert set(rows.values()) == {1.0}
    assert by(rows, "check", "area", "level", "status").keys() == {
        (row.check.id, row.check.id[:3], row.check.level.value, row.status.value) for row in run.results
    }


def test_the_counts_are_those_of_the_run() -> None:
    run = full_run()
    counts = by(read(run)["fleet_conformance_checks"], "status")
    assert counts == run.summary and counts["known"] == 2 and set(counts) == {status.value for status in Status}


def test_causes_have_a_series_and_consequences_have_none() -> None:
    run = full_run()
    run.results += [result("JOB-04", Status.FAILED), result("NET-05", Status.FAILED, SHOULD)]
    run.results[-2].check = replace(run.results[-2].check, follows=("DEP-04",))
    causes = by(read(run)["fleet_conformance_cause"], "check", "level")
    assert causes == {("DEP-04", "MUST"): 1.0, ("NET-05", "SHOULD"): 1.0}


def test_a_run_without_causes_or_measurements_has_no_such_metric() -> None:
    run = Run("2026-01-01T00:00:00Z", "1", "", "fc-1", ClusterInfo("attach", "votes"))
    run.results = [result("INF-01", Status.PASSED)]
    absent = set(CONTRACT) - set(read(run))
    assert {name.removeprefix("fleet_conformance_") for name in absent} == {
        "cause",
        "known_until_timestamp_seconds",
        "round_trip_seconds",
        "round_trip_limit_seconds",
        "leg_seconds",
        "api_requests",
    }


def test_a_known_failure_ends_when_its_last_day_is_over() -> None:
    rows = by(read(full_run())["fleet_conformance_known_until_timestamp_seconds"], "check")
    assert rows == {"DEP-11.acme.votes": datetime(2026, 1, 21, tzinfo=UTC).timestamp()}, "what it explains has none"


def test_times_and_measurements() -> None:
    metrics = read(full_run())
    (last,) = metrics["fleet_conformance_last_run_timestamp_seconds"].values()
    assert last == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert list(metrics["fleet_conformance_run_duration_seconds"].values()) == [12.5]
    assert by(metrics["fleet_conformance_round_trip_seconds"], "quantile") == {"0.5": 2.5, "0.95": 9.125}
    assert list(metrics["fleet_conformance_round_trip_limit_seconds"].values()) == [8.5]
    legs = by(metrics["fleet_conformance_leg_seconds"], "leg", "quantile")
    assert len(legs) == 8 and legs["agents' work", "0.95"] == 3.0
    assert list(metrics["fleet_conformance_api_requests"].values()) == [117.0]
    assert by(metrics["fleet_conformance_build_info"], "version", "commit") == {("1.2.3", "abc"): 1.0}


@pytest.mark.parametrize(
    ("status", "before", "green"),
    [
        (Status.PASSED, "2025-12-30T00:00:00+00:00", "2026-01-01T00:00:00+00:00"),
        (Status.FAILED, "2025-12-30T00:00:00+00:00", "2025-12-30T00:00:00+00:00"),
        (Status.FAILED, "", None),
    ],
)
def test_the_last_green_run_is_this_one_or_an_earlier_one(status: Status, before: str, green: str | None) -> None:
    run = full_run()
    run.results, run.green_before = [result("INF-01", status, MUST)], before
    rows = read(run).get("fleet_conformance_last_green_timestamp_seconds", {})
    assert list(rows.values()) == ([datetime.fromisoformat(green).timestamp()] if green else [])


def test_it_is_the_same_for_the_run_that_is_read_back() -> None:
    run = full_run()
    run.green_before = "2025-12-30T00:00:00+00:00"
    before = series.text(run, diagnose(run), Redactor())
    again = conformance.run_of(run.to_json(), {})
    assert series.text(again, diagnose(again), Redactor()) == before


HOSTILE = [
    'say "hi"',
    "back\\slash",
    "two\nlines",
    "\\n",
    'ends with \\"',
    "{a=1}",
    "# HELP",
    "ñ 鯨",
    "\r",
    "",
    "\udc80",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_of_a_fleet_is_read_as_it_is(name: str) -> None:
    run = full_run()
    run.cluster.profile = name
    expected = name.replace("\udc80", "?")
    assert {dict(row)["fleet"] for rows in read(run).values() for row in rows} == {expected}


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_read_as_it_is(name: str, commit: str) -> None:
    run = full_run()
    run.cluster.profile, run.suite_commit = name, commit
    (labels,) = (dict(row) for row in read(run)["fleet_conformance_build_info"])
    redactor = Redactor()
    assert (labels["fleet"], labels["commit"]) == (redactor.text(name), redactor.text(commit))


@pytest.mark.parametrize("value", [float("inf"), -0.25, 1e300, 1e-9, 3])
def test_any_number_is_read_as_it_is(value: float) -> None:
    run = full_run()
    run.facts.measurements["Kubernetes API requests"] = value
    assert list(read(run)["fleet_conformance_api_requests"].values()) == [value]


def test_no_secret_is_in_it_and_no_number_is_taken_for_one() -> None:
    run, redactor = full_run(), Redactor()
    run.cluster.profile = "prod-hunter2-of-the-suite"
    redactor.add("hunter2-of-the-suite", "1767")
    text = series.text(run, diagnose(run), redactor)
    assert "hunter2" not in text
    (last,) = parsed(text)["fleet_conformance_last_run_timestamp_seconds"].values()
    assert last == 1767225600


def test_there_are_no_timestamps() -> None:
    lines = series.text(full_run(), [], Redactor()).splitlines()
    assert all(line.rpartition("} ")[2].count(" ") == 0 for line in lines if not line.startswith("#"))
