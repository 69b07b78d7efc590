"""The catalogue of checks, as the code declares it."""

from __future__ import annotations

from functools import partial

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import AREAS, CATALOGUE, MUST, Check, Disruption, Link, case, check
from fixtures.checks.remedy import as_text
from fixtures.clusters.base import Feature
from fixtures.report.export.cncf.claims import CLAIMS

#: The number of the last check of each area.
COUNTS = {"INF": 18, "CFG": 8, "NET": 8, "DEP": 12, "IMG": 7, "JOB": 14, "ORC": 19, "E2E": 5, "LOAD": 6}


#: Ids below it that are kept for checks to come: an id that was given away once would mean two things in reports.
RESERVED = {"INF-14": "the server syncs what it stores", "INF-17": "the store outlives its pod"}


@pytest.fixture(scope="module")
def catalogue() -> dict[str, Check]:
    load_catalogue()
    return {id: one for id, one in CATALOGUE.items() if id.partition("-")[0] in AREAS}


def test_every_id_is_there_once_without_gaps(catalogue: dict[str, Check]) -> None:
    expected = {f"{area}-{number:02}" for area, count in COUNTS.items() for number in range(1, count + 1)}
    assert expected >= RESERVED.keys() and not RESERVED.keys() & catalogue.keys(), "they are there now"
    missing, extra = sorted(expected - set(catalogue) - RESERVED.keys()), sorted(set(catalogue) - expected)
    assert not missing, f"no check has these ids; leave no gap, or lower the count: {', '.join(missing)}"
    assert not extra, f"raise the count of the area in COUNTS of this file: {', '.join(extra)}"


def test_every_check_speaks_to_a_reader_without_the_code(catalogue: dict[str, Check]) -> None:
    for one in catalogue.values():
        assert len(one.title) <= 80, one.id
        assert len(one.meaning) >= 60, f"{one.id}: the docstring does not explain it"
        assert len(as_text(one.remedy)) >= 20, f"{one.id}: no remedy"
        assert len(one.impact) >= 30, f"{one.id}: no impact"


def test_every_check_says_which_components_it_concerns(catalogue: dict[str, Check]) -> None:
    assert not [one.id for one in catalogue.values() if not one.concerns]


def test_links_are_cut_in_the_order_of_the_chain_and_each_by_some_check(catalogue: dict[str, Check]) -> None:
    order = list(Link)
    for one in catalogue.values():
        assert list(one.cuts) == sorted(set(one.cuts), key=order.index), one.id
    assert {link for one in catalogue.values() for link in one.cuts} == set(order)


def test_a_check_supports_claims_that_exist(catalogue: dict[str, Check]) -> None:
    claims = {claim.id for claim in CLAIMS}
    assert {claim for one in catalogue.values() for claim in one.supports} <= claims


def test_follows_names_checks_and_never_goes_in_circles(catalogue: dict[str, Check]) -> None:
    def ancestors(id: str, path: tuple[str, ...]) -> None:
        assert id not in path, f"circle: {path}"
        for other in catalogue[id].follows:
            assert other in catalogue, f"{id} follows {other}, which is no check"
            ancestors(other, (*path, id))

    for id in catalogue:
        ancestors(id, ())


def test_only_names_that_need_a_cluster_dns_need_kubernetes(catalogue: dict[str, Check]) -> None:
    assert [id for id, one in catalogue.items() if Feature.KUBERNETES in one.needs] == ["NET-07"]


def test_the_roll_out_runs_last(catalogue: dict[str, Check]) -> None:
    order = sorted(catalogue.values(), key=lambda one: one.display_key)
    assert {one.id for one in order[-2:]} == {"IMG-06", "IMG-07"}
    assert order[0].id == "INF-01"
    quiet = [one.disrupts is Disruption.NOTHING for one in order]
    assert quiet == sorted(quiet, reverse=True), "a quiet check runs after a disruptive one"


def test_an_id_cannot_be_declared_twice() -> None:
    declare = partial(case, 1, id="XXX-01", level=MUST, meaning="m", remedy="r", concerns=(), cuts=(), impact="i")
    declare(title="one")
    with pytest.raises(ValueError, match="XXX-01 is declared twice"):
        declare(title="another")
    CATALOGUE.pop("XXX-01")


def test_a_declaration_keeps_the_docstring_and_marks_the_test() -> None:
    @check("XXX-02", MUST, "title", remedy="do", concerns=(), cuts=(), impact="i", disrupts=Disruption.MESSAGES)
    def decided() -> None:
        """What it means."""

    declared = CATALOGUE.pop("XXX-02")
    assert declared.meaning == "What it means."
    assert {mark.name for mark in decided.pytestmark} == {"e2e", "conformance", "disruptive"}  # type: ignore[attr-defined]
