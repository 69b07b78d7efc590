"""The rule by which a figure is slower or faster than earlier ones, on made-up series."""

from __future__ import annotations

import random

import pytest

from fixtures.report.history.metric_diff import Row, Series, compare

STEADY = (10.0, 10.1, 9.9, 10.0, 10.2, 9.8, 10.1)
WILD = (10.0, 14.0, 7.0, 11.0, 8.0, 13.0, 9.0)


def one(now: Series, *earlier: Series) -> Row:
    (row,) = compare({"x": now}, [{"x": each} for each in earlier])
    return row


def singles(*values: float, **more: object) -> list[Series]:
    return [Series((value,), **more) for value in values]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "before", "verdict"),
    [
        (15.0, 10.0, "slower"),  # 1.5 times, and a second more
        (14.9, 10.0, "same"),
        (0.9, 0.1, "same"),  # nine times, but what a busy core adds
        (10.0, 15.0, "faster"),
        (3.0, 0.0, "slower"),
        (0.0, 0.0, "same"),
    ],
)
def test_with_one_earlier_value_a_fixed_rule_decides(now: float, before: float, verdict: str) -> None:
    row = one(Series((now,)), Series((before,)))
    assert (row.verdict, row.noise) == (verdict, None)
    assert row.ratio == (pytest.approx(now / before, abs=1e-3) if before else None)


@pytest.mark.parametrize(
    ("now", "before", "verdict"),
    [
        (11.5, STEADY, "slower"),
        (10.6, STEADY, "same"),
        (8.5, STEADY, "faster"),
        (13.0, WILD, "same"),
        (40.0, WILD, "slower"),
        (10.9, (10.0,) * 5, "same"),  # 10 % is the least, however steady
        (11.1, (10.0,) * 5, "slower"),
    ],
)
def test_with_five_earlier_runs_their_scatter_decides(now: float, before: tuple[float, ...], verdict: str) -> None:
    row = one(Series((now,)), *singles(*before))
    assert row.verdict == verdict
    assert row.noise is not None and row.noise >= 1.0


def test_four_runs_tell_no_scatter() -> None:
    assert one(Series((11.5,)), *singles(*STEADY[:4])).noise is None


def test_samples_of_one_run_tell_it_too() -> None:
    assert one(Series((11.5, 11.6, 11.4, 11.5, 11.7)), Series(STEADY)).verdict == "slower"
    assert one(Series((11.5, 18.0, 9.0, 11.5, 4.0)), Series(STEADY)).verdict == "same", (
        "the scatter of both sides counts"
    )
    assert one(Series((11.5,)), Series(STEADY[:3]), Series(STEADY[3:])).verdict == "slower", (
        "samples of few runs are joined"
    )


def test_one_bad_night_hides_no_regression_and_makes_none() -> None:
    nights = singles(*STEADY, 60.0)
    assert one(Series((10.3,)), *nights).verdict == "same"
    assert one(Series((12.5,)), *nights).verdict == "slower"


def test_where_more_is_better_it_is_the_other_way_round() -> None:
    more = {"unit": "1/s", "better": "higher"}
    rate = singles(*STEADY, **more)
    assert one(Series((8.5,), **more), *rate).verdict == "slower"  # type: ignore[arg-type]
    assert one(Series((11.5,), **more), *rate).verdict == "faster"  # type: ignore[arg-type]
    assert one(Series((6.0,), **more), rate[0]).verdict == "slower"  # type: ignore[arg-type]


def test_a_difference_below_the_floor_is_none() -> None:
    nights = singles(0.1, 0.1, 0.1, 0.1, 0.1)
    assert one(Series((0.25,), floor=0.2), *nights).verdict == "same"
    assert one(Series((0.35,), floor=0.2), *nights).verdict == "slower"


def test_what_is_new_and_what_is_gone() -> None:
    rows = compare(
        {"x": Series((1.0,)), "y": Series((2.0,), "ms")},
        [{"w": Series((5.0,))}, {"y": Series((2.0,)), "z": Series((3.0,))}],
    )
    assert [(row.name, row.verdict, row.now, row.before) for row in rows] == [
        ("x", "new", 1.0, None),
        ("y", "new", 2.0, None),  # in another unit
        ("z", "gone", None, 3.0),  # w went before
    ]


def test_one_of_many_small_ones_is_only_told_when_it_changed() -> None:
    def checks(seconds: float, other: str) -> dict[str, Series]:
        return {name: Series((value,), floor=3.0, if_changed=True) for name, value in ((other, 1.0), ("A", seconds))}

    assert compare(checks(2.9, "B"), [checks(1.0, "C")]) == []
    assert [row.name for row in compare(checks(4.1, "B"), [checks(1.0, "C")])] == ["A"]


def test_without_earlier_runs_all_is_new_and_without_samples_nothing_is_a_series() -> None:
    assert one(Series((1.0,))).verdict == "new"
    with pytest.raises(ValueError, match="sample"):
        Series(())


@pytest.mark.parametrize(("runs", "most"), [(5, 0.03), (13, 0.01)])
def test_pure_noise_of_5_percent_is_seldom_named(runs: int, most: float) -> None:
    chance = random.Random(1)

    def draw() -> Series:
        return Series((100 * chance.lognormvariate(0, 0.05),))

    verdicts = [one(draw(), *(draw() for _ in range(runs))).verdict for _ in range(2000)]
    assert verdicts.count("slower") <= most * len(verdicts)
