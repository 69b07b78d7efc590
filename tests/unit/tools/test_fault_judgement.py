"""What is made of what was seen under a fault: detected, exact, diagnosed, healed; and the page that shows it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fixtures
from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import CATALOGUE
from fixtures.core.timeouts import Timeouts
from fixtures.harness.interrupts import INTERRUPTS
from tests.faults.command import PAGE, PROGRAM, kind_of
from tests.faults.experiment import leaking, tried
from tests.faults.model import COLUMNS, Fault, Outcome
from tests.targets.session import Session, read
from tests.targets.target import SHORT, Interrupted

FAULT = Fault(
    name="a-fault",
    description="something is <broken>",
    inject=nullcontext,
    expected_failures=("DEP-04",),
    tolerated_failures=("JOB-01",),
    expected_terms=("nats", "ray-worker-1"),
)
CAUSE = "nats-py is missing on ray-worker-1"


def row(check: str, status: str, detail: str = "", cause: str = "", seconds: float = 0.1) -> dict[str, Any]:
    return {"id": check, "status": status, "detail": detail, "cause": cause, "duration_s": seconds}


def outcome(*rows: dict[str, Any], healed: str = "passed") -> Outcome:
    return Outcome(FAULT, read(rows, 1.0), Session({"DEP-04": healed}, {}, {"DEP-04": "still"}, 1.0), 3.0)


EXPECTED = (
    row("DEP-04", "failed", f"{CAUSE}\nmore"),
    row("JOB-01", "failed", "dies", cause="DEP-04"),
    row("INF-01", "passed"),
)


def test_what_is_as_it_should_be() -> None:
    found = outcome(*EXPECTED)
    assert (found.detected, found.exact, found.diagnosed, found.recovered, found.good) == (True,) * 5
    assert not found.complaints()
    assert found.row()["words"] == {"DEP-04": CAUSE}


@pytest.mark.parametrize(("healed", "good"), [("not_applicable", True), ("passed", False), ("failed", False)])
def test_a_check_that_a_profile_alone_brings_does_not_apply_without_it(healed: str, good: bool) -> None:
    fault = replace(FAULT, applies_here=("DEP-04",))
    judged = replace(outcome(*EXPECTED, healed=healed), fault=fault)
    assert judged.recovered is judged.good is good
    assert judged.complaints() == ([] if good else [f"after it, DEP-04 is {healed}"])


def test_a_secret_in_a_report_is_a_complaint(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "a.txt").write_text("the password is hunter2")
    (tmp_path / "b.bin").write_bytes(b"\xff\x00")
    assert leaking(tmp_path, ("hunter2", "other")) == ["evidence/a.txt"]
    assert leaking(tmp_path, ("other",)) == leaking(tmp_path, ()) == []
    found = outcome(*EXPECTED)
    found.leaks = ["evidence/a.txt"]
    assert not found.good
    assert found.complaints() == ["evidence/a.txt has what no report may show"]


def test_what_was_not_selected_did_not_run() -> None:
    assert read([row("INF-02", "disabled", "not selected", seconds=0.0)], 1.0).statuses == {}
    absent = [row("NET-07", "not_applicable", "no cluster DNS", seconds=0.0)]
    assert read(absent, 1.0, {"INF-02"}).statuses == {}, "a report names it whether or not it was selected"
    assert read(absent, 1.0, {"NET-07"}).statuses == {"NET-07": "not_applicable"}


@pytest.mark.parametrize(
    ("rows", "healed", "wrong", "complaint"),
    [
        ((row("DEP-04", "passed"),), "passed", {"detected", "exact", "diagnosed"}, "DEP-04 did not fail: passed"),
        (
            (row("DEP-04", "broken", CAUSE),),
            "passed",
            {"detected", "exact", "diagnosed"},
            "DEP-04 did not fail: broken",
        ),
        ((*EXPECTED, row("NET-01", "failed", "no", cause="DEP-04")), "passed", {"exact"}, "NET-01 failed, too: no"),
        ((*EXPECTED, row("NET-01", "broken", "who knows")), "passed", {"exact"}, "NET-01 is broken: who knows"),
        ((*EXPECTED, row("NET-01", "failed", "no")), "passed", {"exact", "diagnosed"}, "named as the cause: NET-01"),
        (
            (row("DEP-04", "failed", "a package is missing"),),
            "passed",
            {"diagnosed"},
            "no cause names nats, ray-worker-1",
        ),
        (EXPECTED, "failed", {"recovered"}, "after it, DEP-04 is failed: still"),
    ],
)
def test_what_is_not(rows: tuple[dict[str, Any], ...], healed: str, wrong: set[str], complaint: str) -> None:
    found = outcome(*rows, healed=healed)
    assert {name for name in ("detected", "exact", "diagnosed", "recovered") if not getattr(found, name)} == wrong
    assert not found.good
    assert any(complaint in line for line in found.complaints()), found.complaints()


BLIND = Fault(
    name="a-blind-spot",
    description="what must be seen cannot be",
    inject=nullcontext,
    expected_failures=(),
    expected_terms=(),
    inconclusive={"JOB-10": "0 Connections"},
)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ((row("JOB-10", "broken", "0 connections reached it"),), ""),
        ((row("JOB-10", "broken", "something else"),), "not broken with the words '0 Connections', but broken: someth"),
        ((row("JOB-10", "failed", "0 connections"),), "not broken with the words '0 Connections', but failed: 0 conn"),
        ((row("JOB-10", "passed"),), "but passed"),
        ((), "but not run"),
        ((row("JOB-10", "broken", "0 connections"), row("INF-01", "failed", "no")), "INF-01 failed, too: no"),
    ],
)
def test_a_check_that_must_be_undecided_is_neither_failed_nor_passed(
    rows: tuple[dict[str, Any], ...], complaint: str
) -> None:
    found = Outcome(BLIND, read(rows, 1.0), Session({"JOB-10": "passed"}, {}, {}, 1.0), 3.0)
    assert found.good is not bool(complaint)
    assert any(complaint in line for line in found.complaints()) or not complaint
    assert found.row().keys() >= COLUMNS
    assert kind_of("JOB-10", found.row()) == ("hit" if "broken" in [line["status"] for line in rows] else "missed")


def test_a_fault_that_hides_something_heals_when_it_can_be_decided() -> None:
    seen = read([row("JOB-10", "broken", "0 connections")], 1.0)
    assert not Outcome(BLIND, seen, Session({"JOB-10": "broken"}, {}, {}, 1.0), 3.0).good


def test_where_more_was_run_what_follows_from_what_was_declared_is_allowed() -> None:
    rows = (*EXPECTED, row("JOB-09", "failed", "no", cause="DEP-04"))
    assert not outcome(*rows).exact
    whole = outcome(*rows)
    whole.whole = True
    assert whole.exact
    stranger = outcome(*rows, row("NET-01", "failed", "no"), row("NET-05", "failed", "no", cause="NET-01"))
    stranger.whole = True
    assert not stranger.exact


def test_a_fault_that_could_not_be_put_in_is_not_good() -> None:
    found = Outcome(FAULT, Session({}, {}, {}, 0.0), Session({}, {}, {}, 0.0), 1.0, ["AssertionError: no such file"])
    assert not found.good
    assert "AssertionError: no such file" in found.complaints()


def test_rows_of_an_earlier_time_are_read_where_they_have_the_same_columns(tmp_path: Path) -> None:
    row_now = outcome(*EXPECTED).row()
    assert row_now.keys() >= COLUMNS
    rows = [row_now, {"fault": "a-fault", "complaints": []}, "damaged"]
    (tmp_path / "faults.json").write_text(json.dumps(rows), encoding="utf-8")
    assert [row["name"] for row in PROGRAM.read(tmp_path)] == ["a-fault"]
    (tmp_path / "faults.json").write_text("[")
    assert PROGRAM.read(tmp_path) == PROGRAM.read(tmp_path / "none") == []


def test_the_page_shows_each_cell_and_escapes() -> None:
    load_catalogue()
    rows = [outcome(*EXPECTED, row("NET-01", "failed", "no")).row()]
    kinds = {check: kind_of(check, rows[0]) for check in ("DEP-04", "JOB-01", "NET-01", "INF-01", "INF-02")}
    assert kinds == {"DEP-04": "hit", "JOB-01": "followed", "NET-01": "false", "INF-01": "passed", "INF-02": ""}
    text = PAGE.of(rows, [CATALOGUE[check] for check in sorted(CATALOGUE)])
    assert "0 of 1" in text
    assert "something is &lt;broken&gt;" in text
    assert all(check in text for check in CATALOGUE)


@pytest.mark.parametrize("seconds", [Timeouts(), SHORT], ids=["a run", "under faults"])
def test_a_ray_job_of_agents_outlasts_the_waits_that_it_is_made_of(seconds: Timeouts) -> None:
    """An agent that starts nowhere is waited for, asked for its connections, and its CPUs are waited for: with
    less time for the whole job, nothing can be told of agents that failed. Half a minute is left for the start
    of its driver."""
    waits = seconds.agent + seconds.agent_fault_grace + of_agents("CONNECTION_COUNT") + of_agents("SETTLE")
    assert seconds.job >= waits + 30


def of_agents(name: str) -> int:
    """A constant of the module that runs in Ray, which cannot be imported here."""
    source = (Path(fixtures.__file__).parent / "probes" / "payload" / "agents.py").read_text(encoding="utf-8")
    (value,) = re.findall(rf"^{name} = (\d+)", source, re.MULTILINE)
    return int(value)


def test_ctrl_c_that_came_when_no_check_was_left_is_heard() -> None:
    for stash, expected in (({}, False), ({INTERRUPTS: SimpleNamespace(seen=lambda: True)}, True)):
        interrupted, config = Interrupted(), SimpleNamespace(stash=stash)
        interrupted.pytest_unconfigure(config)  # type: ignore[arg-type]
        assert interrupted.seen is expected


class Profiled:
    """A target that notes what is done with it."""

    reports, current = Path("nowhere"), dict[str, object]()

    def __init__(self) -> None:
        self.done: list[str] = []
        self.profiles: list[Mapping[str, object]] = []

    @contextmanager
    def profiled(self, values: Mapping[str, object]) -> Iterator[None]:
        self.current = dict(values)
        yield
        self.current = {}

    @contextmanager
    def changed_by(self, _change: object) -> Iterator[None]:
        self.done.append("changed")
        yield
        self.done.append("undone")

    def do(self, job: Coroutine[Any, Any, None]) -> None:
        asyncio.run(job)

    async def at_rest(self) -> None:
        self.done.append("at rest")

    def session(self, _name: str, _ids: object) -> Session:
        self.done.append("session")
        self.profiles.append(self.current)
        return Session({}, {}, {}, 0.0)


def test_a_healed_fleet_is_asked_with_the_profile_that_the_fault_had() -> None:
    """Else the rows that the profile makes could not be seen to pass again."""
    target: Any = Profiled()
    tried(target, replace(FAULT, profile={"deliberations.agents": 5}), False)
    assert target.profiles == [{"deliberations.agents": 5}] * 2


def test_a_fault_is_put_into_a_fleet_at_rest_and_so_is_its_end() -> None:
    """Agents of the session before would hold places, and the replicas that the fault changes may not end them."""
    target: Any = Profiled()
    tried(target, FAULT, False)
    assert target.done == ["at rest", "changed", "session", "undone", "at rest", "session"]
