"""Where the metrics of a run go besides the report folder, and what is said of a place that does not take them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.redaction.redact import Redactor
from fixtures.report import output_paths
from fixtures.report.history.baseline import Document, Unread
from fixtures.report.metrics.destinations import destination_of
from fixtures.report.model import Run, Verdict
from fixtures.report.writing import Writer
from tests.support.metrics import full_run, listening, parsed
from tests.unit.report.history.test_outcome_diff import document, night

RED, GREEN, ABORTED = "ppfff", "ppppp", "bbbbb"


def writer(run: Run, folder: Path) -> Writer:
    return Writer(run, output_paths.Paths(folder, None, None, None, frozenset()), Redactor(), "en")


def test_every_run_has_its_metrics(tmp_path: Path) -> None:
    it = writer(full_run(), tmp_path)
    it.conclude()
    it.write()
    assert it.problems == [] and tmp_path / "metrics.prom" in it.written
    metrics = parsed((tmp_path / "metrics.prom").read_text())
    (cause,) = metrics["fleet_conformance_cause"]
    assert dict(cause)["check"] == "DEP-04"


def test_a_second_run_removes_those_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "metrics.prom").write_text("")
    output_paths.clear(output_paths.Paths(tmp_path, None, None, None, frozenset()))
    assert list(tmp_path.iterdir()) == []


def test_each_destination_gets_the_same_and_one_that_does_not_take_them_is_a_problem(tmp_path: Path) -> None:
    it = writer(full_run(), tmp_path)
    with listening() as accepting, listening() as refusing:
        refusing.status = 400
        named = (f"http://u:hunter2-pass@{refusing.address}", "fleet.prom", f"http://{accepting.address}")
        it.destinations = [destination_of(name, tmp_path) for name in named]
        it.write()
    (problem,) = it.problems
    assert problem == f"--metrics: the Pushgateway at {refusing.address} refused the metrics: it answers HTTP 400"
    text = (tmp_path / "metrics.prom").read_text()
    assert (tmp_path / "fleet.prom").read_text() == accepting.requests[0][3] == text
    assert {"fleet.prom", "metrics.prom"} <= {path.name for path in it.written}


@pytest.mark.parametrize(
    ("outcomes", "green"),
    [([GREEN, RED], "2026-01-01"), ([GREEN, GREEN, ABORTED, RED], "2026-01-02"), ([RED, RED], "")],
)
def test_the_newest_good_run_is_handed_on(tmp_path: Path, outcomes: list[str], green: str) -> None:
    """Also when that run is no longer kept: each is compared with the one before it alone."""
    before: list[Document | Unread] = []
    for day, letters in enumerate(outcomes, 1):
        run = night(day, letters)
        it = writer(run, tmp_path)
        it.compare(before)
        before = [document(run), Unread("damaged.json", "is neither")]
    assert run.verdict is Verdict.NONCONFORMANT
    assert run.green_before.partition("T")[0] == green


def test_the_good_run_of_another_fleet_says_nothing(tmp_path: Path) -> None:
    run = night(2, RED)
    writer(run, tmp_path).compare([document(night(1, GREEN, profile="another"))])
    assert run.green_before == ""
