"""Ray's answers, and its objects in Kubernetes."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.core.errors import Inconclusive
from fixtures.services.ray import Actor, Listing
from tests.variants.model import Document

ACTORS, LISTED = 12_000, 10_000  # that there are, the dead among them; that Ray lists at most


def dashboard_answer(rows: list[dict[str, Any]], **numbers: int) -> dict[str, Any]:
    """What `/api/v0/actors` of Ray 2.49 answers."""
    result = {"total": ACTORS, "num_filtered": len(rows), "partial_failure_warning": "", "result": rows, **numbers}
    return {"result": True, "msg": "", "data": {"result": result}}


def strangers(count: int) -> list[dict[str, Any]]:
    return [{"actor_id": f"{number:032x}", "name": f"other-{number}", "state": "DEAD"} for number in range(count)]


def ray_lists_are_cut() -> None:
    ours = {"actor_id": "a" * 32, "name": "fc-0a1b2c-jobs-x", "state": "DEAD", "job_id": "05000000", "pid": 7}
    asked_by_job = Listing.read("actors", Actor, dashboard_answer([ours], num_after_truncation=ACTORS))
    assert [actor.name for actor in asked_by_job.whole] == [ours["name"]], "the source filters before it cuts"
    assert Listing.read("actors", Actor, dashboard_answer([], num_after_truncation=ACTORS)).whole == []
    for numbers in ({"num_after_truncation": LISTED}, {"num_after_truncation": ACTORS, "num_filtered": ACTORS}):
        listing = Listing.read("actors", Actor, dashboard_answer(strangers(LISTED), **numbers))
        with pytest.raises(Inconclusive, match="Ray lists 10000 of 12000 actors"):
            _ = listing.whole


DOCUMENTS: tuple[Document, ...] = (
    Document(
        name="ray-says-how-many-rows-it-cut",
        description="after months of use Ray has more dead actors than it lists",
        holds=ray_lists_are_cut,
        stretches=("JOB-02", "JOB-11", "LOAD-06"),
    ),
)
