"""Whatever stands in a file that `--baseline` names: an earlier run that can be compared and shown, or one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from fixtures.clusters.base import Step
from fixtures.core.errors import UsageError
from fixtures.report.history import metric_text, outcome_text, trends
from fixtures.report.history.baseline import changed as changed_since
from fixtures.report.history.baseline import document_of, judge, read
from fixtures.report.pages import status
from fixtures.report.texts import Texts
from tests.unit.hostile.answers import a_reason_at_most, bodies, texts
from tests.unit.report.history.test_baseline import BENCH, made
from tests.unit.report.history.test_outcome_diff import night, nights

VALID: dict[str, Any] = json.loads(json.dumps(made(20).to_json()))
RED: dict[str, Any] = json.loads(json.dumps(nights(night(1, "ppppp"), night(2, "fbfff")).to_json()))


@pytest.mark.parametrize("valid", [VALID, RED, BENCH], ids=["conformance", "red", "bench"])
def test_any_file(tmp_path_factory: pytest.TempPathFactory, valid: dict[str, Any]) -> None:
    file = tmp_path_factory.mktemp("old") / "old.json"

    tonight = document_of({**valid, "run_id": "fc-now", "started": "2027-01-01T00:00:00Z"})

    @given(bodies(valid))
    def is_read_or_refused(body: bytes) -> None:
        file.write_bytes(body)
        with a_reason_at_most(UsageError):
            for document in read([str(file)], Path.cwd()):
                shown(judge(document_of(VALID), [document]), changed_since(tonight, [document]))

    is_read_or_refused()


def shown(found: Any, changes: Any = None) -> None:
    run = made(20)
    run.baseline, run.changes = found, changes
    for language in ("en", "es"):
        page = status.markdown_page(run, [], language)
        page.encode("utf-8")
        status.html_page(run, [], language).encode("utf-8")
        assert all(line.endswith("|") for line in page.split("\n") if line.startswith("|"))
        assert all(line.isprintable() for line in metric_text.lines(found, Texts(language)))
        assert changes is None or all(line.isprintable() for line in outcome_text.lines(changes, Texts(language)))
    json.dumps(run.to_json(), allow_nan=False)
    trends.figures(found)


@given(texts, texts)
def test_any_words_of_this_run_are_its_figures(name: str, other: str) -> None:
    """What this run measured is never refused, whatever its parts are called."""
    run = made(20, profile=name)
    run.facts.measurements = {name: 1.0, f"{other} s": 2.0}
    run.timeline = [Step(name, 0.0, 1.0)]
    shown(judge(document_of(run.to_json()), [document_of(VALID)]))
