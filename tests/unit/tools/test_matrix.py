"""The compatibility table: its cells, what is kept of a run, and the page."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.image_recipes import recipes
from fixtures.core.errors import UsageError
from tests.matrix import cells, command, records
from tests.matrix.cells import Cell
from tests.matrix.interpreters import interpreter
from tests.matrix.page import page
from tests.matrix.records import Record

CELL = Cell(cluster="embedded", checks="quiet", ray="2.49.2", python="3.12", nats="2.10.26")
GOOD = Record("2026-11-29T10:00Z", "abcdef123456", "partial", 62, 69, 140, {"ray": "2.49.2", "vllm": "0.1.0"})
BAD = Record("2026-10-01T10:00Z", "abcdef123456", "nonconformant", 40, 69, 150, {}, "INF-10: no | stream")


def document(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "suite": {"commit": "abcdef1234567890"},
        "verdict": "nonconformant",
        "scope": {"applies": 69},
        "cluster": {"versions": {"ray": "2.49.2"}},
        "checks": [{"level": "MUST", "status": "passed", "detail": "", "cause": "", **row} for row in rows],
        **more,
    }


def test_a_list_stands_for_a_cell_of_each_value(tmp_path: Path) -> None:
    file = tmp_path / "cells.toml"
    file.write_text(
        '[[cells]]\ncluster = "embedded"\nchecks = "all"\nray = "2.49.2"\n'
        'python = ["3.11", "3.12"]\nnats = ["1", "2"]\n'
    )
    assert [cell.key for cell in cells.load(file)] == [
        f"cluster=embedded checks=all ray=2.49.2 python={python} nats={nats}"
        for python in ("3.11", "3.12")
        for nats in ("1", "2")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[cells]]\ncluster = "attach"\nchecks = "all"\nray = "1"\n', "cluster"),
        ('[[cells]]\ncluster = "kind"\nchecks = "all"\nray = "1"\nrust = "2"\n', "rust"),
        ('[[cells]]\ncluster = "kind"\nchecks = "all"\nray = ["1", "1"]\n', "ray=1 is there twice"),
        ("", "cells"),
    ],
)
def test_a_mistake_in_the_table_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "cells.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message) as error:
        cells.load(file)
    assert "\n" not in str(error.value)


def test_cells_are_chosen_by_their_values() -> None:
    other = CELL.model_copy(update={"python": "3.11"})
    assert cells.selected([CELL, other], []) == [CELL, other]
    assert cells.selected([CELL, other], ["python=3.12,ray=2.49.2"]) == [CELL]
    assert cells.selected([CELL, other], ["python=3.12", "python=3.11"]) == [CELL, other]
    with pytest.raises(UsageError, match=r"'pyhton' is no part of a cell; parts: .* ray, python, nats, auth, kuberay"):
        cells.selected([CELL], ["pyhton=3.12"])


def test_the_quiet_checks_are_selected_and_the_versions_asked_for() -> None:
    assert CELL.options[-4:] == ["--nats-version", "2.10.26", "-m", "e2e and not disruptive"]
    assert "-m" not in CELL.model_copy(update={"checks": "all"}).options
    assert CELL.model_copy(update={"auth": "token", "checks": "all"}).options[-2:] == ["--ray-auth", "token"]
    operator = CELL.model_copy(update={"kuberay": "1.5.1", "checks": "all"})
    assert operator.options[-2:] == ["--kuberay-version", "1.5.1"] and operator.key.endswith(" kuberay=1.5.1")


def test_the_shipped_cells_are_as_they_should_be() -> None:
    shipped = cells.load()
    assert {cell.cluster for cell in shipped} == {"embedded", "kind"}
    assert {cell.kuberay for cell in shipped} <= {"", *recipes().kuberay.versions}


def test_what_is_kept_is_of_a_shipped_cell() -> None:
    """A key that changes would lose its record."""
    assert set(records.read()) <= {cell.key for cell in cells.load()}


def test_what_is_kept_names_the_cause_and_not_its_consequence() -> None:
    run = document(
        {"id": "JOB-01", "status": "failed", "detail": "no result", "cause": "DEP-04"},
        {"id": "DEP-04", "status": "failed", "detail": "nats-py is missing\nmore"},
        {"id": "SEC-01", "status": "failed", "level": "SHOULD", "detail": "open"},
        {"id": "INF-01", "status": "passed"},
    )
    record = Record.of(run, 12.4, datetime(2026, 11, 29, 10, tzinfo=UTC))
    assert (record.cause, record.passed, record.applies, record.seconds) == ("DEP-04: nats-py is missing", 1, 69, 12)
    assert (record.date, record.commit, record.good) == ("2026-11-29T10:00Z", "abcdef123456", False)


def test_a_run_that_was_aborted_says_why() -> None:
    assert Record.of(document(aborted="no fleet"), 1, datetime.now(UTC)).cause == "no fleet"


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "compatibility.json"
    assert records.read(file) == {}
    records.write({CELL.key: GOOD, "other": BAD}, file)
    assert records.read(file) == {CELL.key: GOOD, "other": BAD}
    file.write_text('{"schema": "another"}')
    with pytest.raises(UsageError, match="schema"):
        records.read(file)
    file.write_text("{")
    with pytest.raises(UsageError, match="is no list of runs"):
        records.read(file)


def test_a_record_gets_old() -> None:
    now = datetime(2026, 11, 30, tzinfo=UTC)
    assert BAD.older_than(30, now) and not GOOD.older_than(30, now)


def test_the_page_has_every_cell() -> None:
    other = CELL.model_copy(update={"nats": "2.11.11"})
    never = CELL.model_copy(update={"cluster": "kind", "python": "", "nats": ""})
    text = page([CELL, other, never], {CELL.key: GOOD, other.key: BAD})
    assert "| 2.49.2 | 3.12 | 2.10.26 | all that disturb nothing | ✅ partial | 62 | 140 s | 2026-11-29," in text
    assert "❌ nonconformant: INF-10: no" in text and "| vllm 0.1.0 |" in text
    assert "| 2.49.2 | of the image | of the image | of the image | all that disturb nothing | not run |" in text


def test_kuberay_has_a_column_on_kubernetes_alone() -> None:
    wanted = Cell(cluster="kind", checks="all", ray="2.60.0", kuberay="1.5.1")
    by_default = Cell(cluster="kind", checks="all", ray="2.60.0")
    ran = replace(GOOD, versions={"ray": "2.60.0", "kuberay": "v1.6.2", "vllm": "0.1.0"})
    text = page([CELL, wanted, by_default], {by_default.key: ran})
    assert "| Ray | Python |" in text and "| Ray | KubeRay | Python |" in text
    assert "| 2.60.0 | 1.5.1 | of the image |" in text
    assert "| 2.60.0 | 1.6.2 | of the image |" in text and text.count("1.6.2") == 1


def test_an_interpreter_is_one_that_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a shim of a version that is not chosen."""
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert interpreter("3.99") is None
    own = interpreter(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert own and own.exists()


def test_what_cannot_be_asked_for_ends_with_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--cell", "rust=1"]) == 4
    assert command.main(["--cell", "ray=0.0.0"]) == 4
    assert "no cell fits" in capsys.readouterr().err


@pytest.mark.parametrize(("status", "kept"), [(4, False), (2, True)])
def test_a_run_that_was_refused_is_none(
    status: int, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (sys.executable, "-c", f"print('no engine answers'); raise SystemExit({status})")
    monkeypatch.setattr(command, "CI_E2E", program)
    came = command.run(CELL, None, tmp_path / "run")
    if kept:
        assert isinstance(came, Record) and came.cause == "exit status 2: no engine answers" and not came.good
    else:
        assert came == "no engine answers"
