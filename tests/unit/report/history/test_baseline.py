"""Earlier runs: read from real documents, told to be comparable or not, and shown in every report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.checks.declaration import MUST, Check
from fixtures.checks.remedy import steps
from fixtures.clusters.base import Step
from fixtures.core.errors import UsageError
from fixtures.redaction.redact import Redactor
from fixtures.report.history import baseline, metric_text, trends
from fixtures.report.history.baseline import Document, document_of, judge, read
from fixtures.report.model import ClusterInfo, Result, Run, Status
from fixtures.report.pages import status, terminal
from fixtures.report.pages.html_report import HtmlReport
from fixtures.report.results import conformance
from fixtures.report.texts import Texts

BENCH = {
    "schema": "fleet-bench/v1",
    "started": "2026-01-01T00:00:00Z",
    "commit": "abc",
    "machine": {"cores": 2, "architecture": "x86_64", "load_before": 6.54},
    "vllm": "stub",
    "figures": [
        {"name": "boot", "title": "bare boot", "unit": "s", "better": "lower", "samples": [9.1, 9.2], "bound": None},
        {"name": "jobs", "title": "jobs", "unit": "1/s", "better": "higher", "samples": [2.5], "bound": 2.0},
        {"name": "not measured", "unit": "s", "samples": []},
    ],
}


def made(day: int = 1, trip: float = 6.0, **cluster: Any) -> Run:
    """A small run; its suite took 60 s without what it built."""
    info = ClusterInfo(**{"kind": "kind", "profile": "kind", "vllm": "stub", **cluster})
    run = Run(f"2026-01-{day:02}T03:15:00+00:00", "0.1.0", "", "fc-1", info, 60.0, 12.0, 20.0)
    for number, ended in enumerate((Status.PASSED, Status.PASSED, Status.UNSUPPORTED, Status.DISABLED), 1):
        run.results.append(Result(Check(f"INF-0{number}", MUST, "title", steps("remedy"), meaning="what"), ended, 2.0))
    run.timeline = [
        Step("build: fleet/ray:1", 0.0, 12.0),
        Step("create the kind cluster fc-8d7e", 12.0, 8.0),
        Step("boot: ray-head", 20.0, 6.0),
        Step("boot: ray-head", 40.0, 5.0),
    ]
    run.facts.measurements = {
        "round trip p50 s": trip,
        "leg: submit, p95 s": 0.02,
        "orchestrator → vLLM, median ms": 2.5,
        "load: agent jobs": 200,
        "load: agent jobs per second": 1.5,
        "Kubernetes API requests": 57,
    }
    return run


def document(run: Run, source: str = "old.json") -> Document:
    return document_of(json.loads(json.dumps(run.to_json())), source)


def beside(run: Run, *earlier: Run) -> Run:
    run.baseline = judge(document(run), [document(each, f"{number}.json") for number, each in enumerate(earlier)])
    return run


# -- documents --------------------------------------------------------------------------------------------


def test_the_series_of_a_run() -> None:
    series = document(made()).series
    assert {name: (one.samples[0], one.unit, one.better) for name, one in series.items()} == {
        "duration": (60.0, "s", "lower"),
        "boot": (20.0, "s", "lower"),
        "create the kind cluster": (8.0, "s", "lower"),  # whatever its name was
        "boot: ray-head": (11.0, "s", "lower"),  # twice; nothing of what was built
        "round trip p50": (6.0, "s", "lower"),
        "leg: submit, p95": (0.02, "s", "lower"),
        "orchestrator → vLLM, median": (2.5, "ms", "lower"),
        "load: agent jobs": (1.5, "1/s", "higher"),  # and not how many were asked for
        "Kubernetes API requests": (57.0, "requests", "lower"),
        "INF-01": (2.0, "s", "lower"),  # of the checks that passed
        "INF-02": (2.0, "s", "lower"),
    }


def test_the_series_of_a_benchmark() -> None:
    found = document_of(BENCH)
    assert {name: (one.samples, one.better) for name, one in found.series.items()} == {
        "boot": ((9.1, 9.2), "lower"),
        "jobs": ((2.5,), "higher"),
    }
    assert found.setting == {"document": "bench.json", "machine": "2 cores x86_64", "vllm": "stub"}


@pytest.mark.parametrize(
    ("change", "reason", "before"),
    [
        (lambda run: setattr(run.cluster, "kind", "attach"), "cluster", "attach"),
        (lambda run: setattr(run.cluster, "vllm", "cpu"), "vllm", "cpu"),
        (lambda run: setattr(run.cluster, "profile", "mine"), "profile", "mine"),
        (lambda run: setattr(run.results[2], "status", Status.PASSED), "checks", "INF-03"),
        (lambda run: setattr(run.results[0], "status", Status.FAILED), "failed", "INF-01"),
        (lambda run: run.facts.measurements.update({"load: agent jobs": 10}), "load", "10"),
        (lambda run: setattr(run, "aborted", "Ctrl-C"), "aborted", ""),
    ],
)
def test_what_is_not_comparable_is_said_to_be_so(change: Any, reason: str, before: str) -> None:
    other = made()
    change(other)
    found = beside(made(), other).baseline
    assert found is not None and (found.rows, found.earlier) == ([], [])
    assert [(each.source, each.reason, each.before) for each in found.skipped] == [("0.json", reason, before)]


def test_other_figures_other_machines_and_runs_that_ended_early() -> None:
    assert judge(document(made()), [document_of(BENCH)]).skipped[0].reason == "document"
    larger = {**BENCH, "machine": {"cores": 64}}
    assert judge(document_of(BENCH), [document_of(larger)]).skipped[0].reason == "machine"
    ended = made()
    ended.aborted = "Ctrl-C"
    assert judge(document(ended), [document(made())]).skipped[0].reason == "aborted_now"


def test_a_run_that_fails_more_than_the_earlier_one_is_compared() -> None:
    worse = made(trip=12.0)
    worse.results[0].status = Status.FAILED
    found = beside(worse, made()).baseline
    assert found is not None and [row.name for row in found.of("slower")] == ["round trip p50"]


# -- files ------------------------------------------------------------------------------------------------


def written(path: Path, run: Run) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    conformance.write(run, path, Redactor())
    return path


def test_files_and_folders_are_read_once_oldest_first(tmp_path: Path) -> None:
    for day in (3, 1, 2):
        written(tmp_path / f"2026-01-0{day}" / "conformance.json", made(day))
    (tmp_path / "latest").symlink_to("2026-01-03")
    (tmp_path / "2026-01-02" / "bench.json").write_text(json.dumps({**BENCH, "started": "2026-01-02T00:00:00"}))
    (tmp_path / "2026-01-03" / "bench.json").write_text("{")
    found = read([".", "2026-01-01/conformance.json"], tmp_path)
    assert [each.source for each in found] == [
        "2026-01-03/bench.json",
        "2026-01-01/conformance.json",
        "2026-01-02/bench.json",
        "2026-01-02/conformance.json",
        "2026-01-03/conformance.json",
    ]
    judged = judge(document(made(4)), found)
    assert [each.started[:10] for each in judged.earlier] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert [each.reason for each in judged.skipped] == ["unread", "document"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "is neither"),
        ('{"schema": "fleet-conformance/v3"}', "is neither"),
        ('{"schema": ["fleet-bench/v1"]}', "is neither"),
        ('{"schema": "fleet-conformance/v1", "started": "2026-01-01T00:00:00Z"}', "cluster is missing"),
        (json.dumps({**BENCH, "started": "yesterday"}), "should be a time"),
        (json.dumps({**BENCH, "figures": [{"name": "boot", "samples": ["1"]}]}), "figures.0.samples.0"),
        (json.dumps({**BENCH, "figures": [{"name": "boot", "better": "bigger", "samples": [1]}]}), "figures.0.better"),
    ],
)
def test_a_file_that_is_neither_is_one_line(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "old.json").write_text(content)
    with pytest.raises(UsageError) as raised:
        read(["old.json"], tmp_path)
    said = str(raised.value)
    assert said.startswith("--baseline old.json: ") and words in said and "\n" not in said


def test_a_folder_without_any_is_a_mistake_too(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps(BENCH))
    with pytest.raises(UsageError, match=r"--baseline \.: there is no conformance\.json or bench\.json"):
        read(["."], tmp_path)


# -- reports ----------------------------------------------------------------------------------------------


def nights(count: int) -> list[Run]:
    return [made(day, 6.0 + day % 3 / 10) for day in range(1, count + 1)]


@pytest.mark.parametrize(
    ("language", "title", "row"),
    [
        ("en", "## Compared with earlier runs", "| round trip p50 | 9 s | 6.1 s | 1.48 | 0.726 s | **slower** |"),
        ("es", "## Comparación con ejecuciones", "| ida y vuelta p50 | 9 s | 6.1 s | 1.48 | 0.726 s | **más lento** |"),
    ],
)
def test_on_the_status_page(language: str, title: str, row: str) -> None:
    run = beside(made(20, 9.0), *nights(6), made(7, kind="attach"))
    page = status.markdown_page(run, [], language, "trends.png")
    assert title in page and row in page and "](trends.png)" in page
    assert "attach" in page and "6.json" in page, "what was not compared"
    assert "trends.png" not in status.markdown_page(run, [], language)
    assert title not in status.markdown_page(made(), [], language)


def test_in_the_other_reports(tmp_path: Path) -> None:
    run = beside(made(20, 9.0), *nights(6))
    lines = [line for line, _ in terminal.summary(run, [], [], [], "en")]
    assert "  slower: round trip p50 9 s, before 6.1 s (× 1.48)" in lines
    assert "slower: round trip p50" in HtmlReport(run, Redactor(), tmp_path, "en")._head()
    rows = {row["name"]: row for row in run.to_json()["baseline"]["rows"]}
    assert (rows["round trip p50"]["verdict"], rows["round trip p50"]["now"]) == ("slower", 9.0)
    assert rows["duration"]["verdict"] == "same"
    assert document(run).series == document(replace(run, baseline=None)).series, "such a document is read as any other"


@pytest.mark.parametrize(("language", "nothing"), [("en", "Nothing is slower"), ("es", "Nada es más lento")])
def test_a_line_where_nothing_changed(language: str, nothing: str) -> None:
    run = beside(made(20), made(1))
    found, texts = run.baseline, Texts(language)
    assert found is not None
    assert (
        nothing in metric_text.comparison_text(found, texts).nothing and nothing in metric_text.lines(found, texts)[1]
    )
    assert nothing not in "".join(metric_text.lines(judge(document(run), [document_of(BENCH)]), texts)), (
        "nothing was compared"
    )


def test_what_is_no_time_is_better_or_worse() -> None:
    run, before = made(2), made(1)
    run.facts.measurements["Kubernetes API requests"] = 100
    assert "  worse: Kubernetes API requests 100 requests, before 57 requests (× 1.75)" in metric_text.lines(
        judge(document(run), [document(before)]), Texts("en")
    )


def test_every_reason_has_words_in_every_language() -> None:
    settings = {*document(made()).setting, *document_of(BENCH).setting}
    for language in ("en", "es"):
        for reason in (*settings, "failed", "aborted", "aborted_now", "unread"):
            assert Texts(language)(f"compared_reason.{reason}")
        assert all(Texts(language).first("series", name) for name in baseline.HEADLINES)


def test_the_picture_of_the_last_runs(tmp_path: Path) -> None:
    few, run = beside(made(3), *nights(1)).baseline, beside(made(20), *nights(6))
    assert few is not None and trends.figures(few) == []
    assert run.baseline is not None and trends.figures(run.baseline) == ["duration", "boot", "round trip p50"]
    trends.draw(run.baseline, run.started, tmp_path / "trends.png", "en")
    assert (tmp_path / "trends.png").read_bytes().startswith(b"\x89PNG")
