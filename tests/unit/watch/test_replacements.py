"""Who took whose place, from lists of what runs."""

from __future__ import annotations

from typing import Any

from fixtures.watch.replacements import Running, Sightings


def pod(name: str, image: str = "ray:1", component: str = "ray-worker", group: str = "gpu", life: int = 1) -> Running:
    return Running(component, group, name, f"{name}, {life}", image, "ray")


def test_the_first_list_replaces_nobody() -> None:
    sightings = Sightings()
    assert sightings.note(0, [pod("a"), pod("b")]) == []
    assert sightings.note(5, [pod("a"), pod("b")]) == []
    assert [row.name for row in sightings.instances] == ["a", "b"]
    assert (sightings.instances[0].first_s, sightings.instances[0].last_s) == (0, 5)


def test_one_that_comes_before_the_other_goes_takes_its_place_when_it_has_gone() -> None:
    sightings = Sightings()
    sightings.note(0, [pod("a")])
    assert sightings.note(5, [pod("a"), pod("b", "ray:2")]) == []
    (row,) = sightings.note(10, [pod("b", "ray:2")])
    assert (row.at_s, row.before, row.after, row.image_before, row.image_after) == (10, "a", "b", "ray:1", "ray:2")
    assert sightings.last_s == 10


def test_one_that_goes_first_is_replaced_by_the_next_that_comes() -> None:
    sightings = Sightings()
    sightings.note(0, [pod("a"), pod("b")])
    assert sightings.note(5, [pod("b")]) == []
    assert sightings.gone == ["a"]
    (row,) = sightings.note(10, [pod("b"), pod("c")])
    assert (row.before, row.after) == ("a", "c")
    assert sightings.gone == []


def test_a_restart_under_the_same_name_takes_nobody_elses_place() -> None:
    sightings = Sightings()
    sightings.note(0, [pod("a"), pod("b")])
    rows = sightings.note(5, [pod("b", life=2), pod("a", life=2)])
    assert {(row.before, row.after) for row in rows} == {("a", "a"), ("b", "b")}


def test_nobody_replaces_one_of_another_group() -> None:
    sightings = Sightings()
    sightings.note(0, [pod("a"), pod("x", group="cpu")])
    assert sightings.note(5, [pod("x", group="cpu"), pod("y", group="cpu")]) == []
    assert sightings.replacements == []


def test_two_images_side_by_side_are_a_stretch_of_time() -> None:
    head: dict[str, Any] = {"component": "ray-head", "group": "head"}
    sightings = Sightings()
    sightings.note(0, [pod("h", **head), pod("a")])
    sightings.note(5, [pod("h2", "ray:2", **head), pod("a")])
    sightings.note(10, [pod("h2", "ray:2", **head), pod("b", "ray:2"), pod("a")])
    sightings.note(15, [pod("h2", "ray:2", **head), pod("b", "ray:2")])
    (row,) = sightings.mixed
    assert (row.component, row.from_s, row.to_s) == ("ray", 5, 10)
    assert row.images == ("head ray:2", "gpu ray:1", "gpu ray:2")


def test_what_is_not_compared_is_not_mixed() -> None:
    sightings = Sightings()
    sightings.note(0, [Running("ray-worker", "gpu", "a", "a", ""), Running("ray-worker", "gpu", "b", "b", "ray:2")])
    assert sightings.mixed == []
