"""The benchmarks' figures, tables, plots and command line; what they measure is measured by ./ci/bench."""

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import psutil
import pytest

from tests.bench import command, plots, report
from tests.bench.command import GROUPS, TITLES, parsed
from tests.bench.figures import Document, Figure, Measured, ratio, shown, table
from tests.bench.measures.round_trip import PHASES
from tests.bench.measures.throughput import doubled, lost
from tests.bench.runs import KINDS, SHARED, Watch
from tests.support import published

PNG = b"\x89PNG\r\n"
RUN = {
    "seconds": 44.0,
    "timeline": [
        {"step": "boot: ray-head", "start_s": 0.3, "duration_s": 10.4},
        {"step": "census of the workers", "start_s": 11.0, "duration_s": 5.0},
    ],
}
CPU = {"raylets": 2.0, "Ray workers (agents, tasks)": 30.5, "NATS": 0.1}
DETAILS: dict[str, dict[str, Any]] = {
    "suite": {"quiet": RUN, "whole": RUN, "cpu_s": CPU, "cores": 2},
    "round-trip": {
        "legs": {leg: [0.1, 0.2] for leg in PHASES},
        "floor": {"start": [0.4], "completion": [0.1], "publish": [0.01]},
    },
    "throughput": {"1": {"agents": [1.6], "bare": [1.6]}, "10": {"agents": [2.5], "bare": [2.6]}},
    "census": {"2": {}},
}
CENSUS = [
    Figure(f"{kind} {workers}", f"{kind} of {workers}", "s", [float(workers)])
    for kind in ("census", "bare tasks", "by hand")
    for workers in (2, 8)
]


@pytest.mark.parametrize(
    ("samples", "bound", "better", "met"),
    [
        ([1.0, 2.0, 9.0], 2.0, "lower", True),
        ([1.0, 2.1, 0.0, 9.0, 9.0], 2.0, "lower", False),
        ([0.7, 0.9, 0.8], 0.8, "higher", True),
        ([0.7], 0.8, "higher", False),
        ([0.7], None, "lower", None),
    ],
)
def test_the_median_is_held_against_the_bound(
    samples: list[float], bound: float | None, better: Literal["lower", "higher"], met: bool | None
) -> None:
    assert Figure("x", "x", "s", samples, bound, better).met is met


def test_ratios_are_of_pairs_where_there_are_pairs_else_of_medians() -> None:
    over, under = Figure("a", "a", "s", [4.0, 9.0]), Figure("b", "b", "s", [2.0, 3.0])
    assert ratio("r", "r", over, under).samples == [2.0, 3.0]
    assert ratio("r", "r", over, Figure("b", "b", "s", [1.0, 2.0, 3.0])).samples == [3.25]


def test_the_table_shows_what_is_met_and_what_is_not() -> None:
    lines = table(Figure("x", "X", "s", samples, 2.0).to_json() for samples in ([1.0, 1.5, 3.0], [123.4]))
    assert lines[2:] == ["| X | 1.5 s | 1 to 3 | 3 | ≤ 2 ✅ |", "| X | 123 s |  | 1 | ≤ 2 ❌ |"]
    assert [shown(value) for value in (123.456, 12.345, 1.2345, 0.0012)] == ["123", "12.3", "1.23", "0.0012"]


def test_a_group_that_is_measured_again_stands_beside_the_others_only_where_that_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    first = Document(file, "stub", 5, keep=False)
    first.add("census", Measured([Figure("a", "A", "s", [1.0])], {"2": {}}))
    first.add("cold", Measured([Figure("b", "B", "s", [1.0])]))
    second = Document(file, "stub", 5, keep=True)
    second.add("cold", Measured([Figure("b", "B", "s", [2.0])]))
    found = json.loads(file.read_text(encoding="utf-8"))
    assert [(row["group"], row["median"]) for row in found["figures"]] == [("census", 1.0), ("cold", 2.0)]
    assert found["schema"] == "fleet-bench/v1"
    published.validate(found)
    third = Document(file, "stub", 5, keep=False)
    third.add("cold", Measured([Figure("b", "B", "s", [3.0])]))
    assert [row["group"] for row in third.figures] == ["cold"]


def test_every_plot_is_drawn_from_what_was_measured_and_stands_in_the_page(tmp_path: Path) -> None:
    document = Document(tmp_path / "bench.json", "stub", 5, keep=False)
    for group, details in DETAILS.items():
        document.add(group, Measured(CENSUS if group == "census" else [Figure(group, "<x>", "s", [1.0])], details))
    report.write(document, tmp_path / "bench", TITLES, "slower: <boot>")
    drawn = plots.drawn(document.figures, document.details, PHASES)
    assert set(drawn) == {name for names in report.PLOTS_OF.values() for name in names}
    page = (tmp_path / "bench" / "report.html").read_text(encoding="utf-8")
    for name, image in drawn.items():
        assert image.startswith(PNG)
        assert (tmp_path / "bench" / name).read_bytes().startswith(PNG)
    assert page.count('src="data:image/png;base64,') == len(drawn)
    assert "a stand-in" in page
    assert "slower: &lt;boot&gt;" in page
    assert "<x>" not in page


def test_what_is_lost_and_what_is_doubled_is_counted() -> None:
    jobs = [SimpleNamespace(completed=messages) for messages in ((1,), (), (1, 2, 3))]
    load: Any = SimpleNamespace(asked=4, jobs=jobs, strangers={"of somebody else": 2})
    assert (lost(load), doubled(load)) == (2, 4)


def test_what_is_there_once_is_a_kind_of_process() -> None:
    assert set(SHARED) <= set(KINDS)


@dataclass
class Spending:
    """Stands for a process of the suite that has spent `seconds` of CPU so far."""

    seconds: float
    pid: int = 1

    def children(self, **_: bool) -> list[psutil.Process]:
        return []

    def oneshot(self) -> AbstractContextManager[None]:
        return nullcontext()

    def cpu_times(self) -> SimpleNamespace:
        return SimpleNamespace(user=self.seconds, system=0.0)

    def cmdline(self) -> list[str]:
        return ["pytest"]

    def create_time(self) -> float:
        return 0.0


def test_a_watch_counts_what_was_spent_while_it_looked() -> None:
    process = Spending(7.0)
    watch = Watch(cast("psutil.Process", process))
    process.seconds += 0.5
    assert watch.ended() == {"the suite": 0.5}, "what this process spent before is none of it"


def test_the_command_line_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed(["census", "--workers", "8,2"]).workers == (2, 8)
    for words in (["boots"], ["--workers", "8"], ["--runs", "0"], ["--workers", "2,x"]):
        with pytest.raises(SystemExit) as ended:
            parsed(words)
        assert ended.value.code == 2
    said = capsys.readouterr().err
    assert all(name in said for name in GROUPS)


def test_a_baseline_that_is_not_there_ends_it_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MEASURE", {})
    assert command.main(["--baseline", str(tmp_path / "none.json"), "--reports", str(tmp_path)]) == 4
    assert "none.json" in capsys.readouterr().err
