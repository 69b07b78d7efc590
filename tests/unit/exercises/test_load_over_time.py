"""A load over time: what the document says of each interval, and that its picture shows all of it."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
import pytest

from fixtures.core.errors import NonConformance
from fixtures.exercises.load.jobs import Load, LoadedJob
from fixtures.exercises.load.memory import Memory, Sample
from fixtures.exercises.load.over_time import MIB, growth, over_time
from fixtures.exercises.load.plot import drawn, figure
from fixtures.redaction.redact import Redactor

BEGAN = 1000.0


def job(ended: float, seconds: float = 1.0, error: str = "") -> LoadedJob:
    return LoadedJob(task_id="t", started=BEGAN + ended - seconds, ended=BEGAN + ended, error=error)


def a_load(*jobs: LoadedJob, seconds: float, memory: Memory | None = None) -> Load:
    return Load(
        asked=len(jobs),
        concurrency=4,
        minutes=0.0,
        limit=60.0,
        began=BEGAN,
        seconds=seconds,
        job_id="05000000",
        jobs=jobs,
        workers=(),
        strangers={},
        collector=NonConformance("none"),
        memory=memory or Memory(),
    )


def samples(count: int, **used: tuple[float, float]) -> Memory:
    """One every ten seconds, of these components: MiB at first, and by how many they grow a minute."""

    def at(number: int) -> Mapping[str, int]:
        return {name: int((first + more * number / 6) * MIB) for name, (first, more) in used.items()}

    return Memory([Sample(BEGAN + 10 * number, at(number)) for number in range(count)])


WHOLE = a_load(
    *(job(number / 2, seconds=1 + number % 5) for number in range(1, 240)),
    job(119.0, error="RuntimeError: no"),
    seconds=120.0,
    memory=samples(12, nats=(12.0, 1.5), vllm=(1500.0, 0.0)),
)


def test_each_interval_has_its_jobs_and_its_memory() -> None:
    memory = Memory([Sample(BEGAN - 3, {"nats": MIB}), Sample(BEGAN + 7, {"nats": 3 * MIB})], {"vllm": "why"})
    found = over_time(a_load(job(2, 1.0), job(9, 3.0), job(15, error="no"), job(20.1), seconds=20.0, memory=memory))
    assert found["interval s"] == 10.0
    assert found["intervals"] == [
        {"from s": 0.0, "ended": 2, "failed": 0, "per second": 0.2, "p50 s": 2.0, "p95 s": 2.9, "MiB": {"nats": 3.0}},
        {"from s": 10.0, "ended": 2, "failed": 1, "per second": 0.2, "p50 s": 1.0, "p95 s": 1.0, "MiB": {}},
    ]
    assert found["memory unknown"] == {"vllm": "why"}


@pytest.mark.parametrize(
    ("seconds", "count", "width"), [(0.0, 1, 0.0), (4.0, 1, 4.0), (126.0, 13, 9.69), (36e3, 120, 300)]
)
def test_intervals_are_alike_about_ten_seconds_long_and_not_too_many(seconds: float, count: int, width: float) -> None:
    found = over_time(a_load(job(seconds), seconds=seconds))
    assert (len(found["intervals"]), found["interval s"]) == (count, width)
    assert sum(one["ended"] for one in found["intervals"]) == 1


def test_growth_is_that_of_the_second_half() -> None:
    memory = samples(13, nats=(12.0, 1.5), orchestrator=(100.0, 0.0))
    warm = [
        Sample(one.at, {**one.used, "ray-head": 900 * MIB if one.at < BEGAN + 60 else 500 * MIB})
        for one in memory.samples
    ]
    found = growth(a_load(job(121), seconds=130.0, memory=Memory(warm)))
    assert {name: round(one.slope, 2) for name, one in found.items()} == {
        "nats": 1.5,
        "orchestrator": 0.0,
        "ray-head": 0.0,
    }
    assert all(one.error < 0.01 for one in found.values())


def test_what_goes_up_and_down_grows_give_or_take_much() -> None:
    up_and_down = [Sample(BEGAN + 10 * number, {"ray-worker": (400 + number % 2 * 100) * MIB}) for number in range(13)]
    found = growth(a_load(job(120), seconds=120.0, memory=Memory(up_and_down)))["ray-worker"]
    assert abs(found.slope) < found.error


def test_a_load_too_short_for_it_has_no_growth() -> None:
    assert growth(a_load(job(40), seconds=40.0, memory=samples(5, nats=(12.0, 1.5)))) == {}


def test_the_picture_is_a_png_of_its_size_that_no_redactor_touches() -> None:
    png = drawn(over_time(WHOLE))
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (1000, 900)
    text = png.decode("utf-8", "surrogateescape")
    assert Redactor().shapes(text) == text


def test_three_panels_share_their_time_and_name_their_units() -> None:
    rate, latency, memory = figure(over_time(WHOLE)).axes
    assert [len(panel.lines) for panel in (rate, latency, memory)] == [2, 2, 2]
    assert [np.size(line.get_xdata()) for line in (*rate.lines, *latency.lines, *memory.lines)] == [12] * 6
    assert rate.get_xlim() == latency.get_xlim() == memory.get_xlim() == (0, 120)
    assert "(s)" in memory.get_xlabel()
    assert [panel.get_ylabel() for panel in (rate, latency, memory)] == [
        "agent jobs per second",
        "seconds per agent job",
        "memory, MiB (logarithmic)",
    ]
    legend = memory.get_legend()
    assert legend and [one.get_text() for one in legend.get_texts()] == ["vllm +0.0 ± 0.0", "nats +1.5 ± 0.0"]


def test_a_long_load_is_drawn_in_minutes() -> None:
    memory = figure(over_time(a_load(job(1), seconds=1800.0))).axes[-1]
    assert memory.get_xlim() == (0, 30)
    assert "(min)" in memory.get_xlabel()


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_what_little_there_is_can_be_drawn(seconds: float) -> None:
    assert drawn(over_time(a_load(seconds=seconds, memory=Memory(unknown={"nats": "why"}))))
