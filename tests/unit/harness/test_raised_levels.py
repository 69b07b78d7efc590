"""A profile raises a SHOULD to a MUST for its fleet, and lowers nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import MUST, SHOULD
from fixtures.checks.levels import raised, refuse_unknown
from fixtures.core.errors import UsageError
from fixtures.harness.raised_levels import pytest_collection_modifyitems
from fixtures.harness.recorder import check_of
from fixtures.harness.suite import SUITE
from fixtures.profile.model import load
from tests.support.profiles import profile_text

LEVELS = {"NET-02": "MUST"}


class Item:
    def __init__(self, id: str) -> None:
        self.marks = [pytest.mark.conformance(load_catalogue()[id])]

    def get_closest_marker(self, name: str) -> Any:
        return next(mark.mark for mark in self.marks if mark.mark.name == name)

    def add_marker(self, mark: Any, append: bool) -> None:
        self.marks.insert(0 if not append else len(self.marks), mark)


def collected(levels: dict[str, str], *items: Any) -> None:
    profile = load("embedded").model_copy(update={"levels": levels})
    config: Any = SimpleNamespace(stash={SUITE: SimpleNamespace(cluster=SimpleNamespace(profile=profile))})
    pytest_collection_modifyitems(config, list(items))


def test_what_is_raised_is_a_must_in_every_report() -> None:
    latency: Any = Item("NET-02")
    other: Any = Item("E2E-05")
    collected(LEVELS, latency, other)
    assert [check and check.level for check in (check_of(latency), check_of(other))] == [MUST, SHOULD]
    check = load_catalogue()["NET-02"]
    assert raised(check, LEVELS).level is MUST and check.level is SHOULD and raised(check, {}) is check


@pytest.mark.parametrize(
    ("id", "words"), [("NET-99", r"levels\.NET-99 .*no check has this id"), ("NET-01", "it is a MUST already")]
)
def test_what_cannot_be_raised_is_one_line(id: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        refuse_unknown({id: "MUST"}, load_catalogue())


def test_nothing_is_lowered(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(profile_text("embedded", levels={"NET-02": "SHOULD"}), encoding="utf-8")
    with pytest.raises(UsageError, match=r'levels\.NET-02: must be "MUST": a level is raised, never lowered'):
        load(str(file))
    file.write_text(profile_text("embedded", levels=LEVELS), encoding="utf-8")
    assert load(str(file)).levels == LEVELS
