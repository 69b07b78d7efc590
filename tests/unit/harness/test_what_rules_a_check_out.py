"""Before a check: does the fleet have it, can it be looked at from here, is it allowed? Asked in this order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.checks.declaration import MUST, Check, Disruption, Gate
from fixtures.clusters.base import Feature
from fixtures.harness.outcome import judge
from fixtures.harness.suite import SUITE
from fixtures.plugin import pytest_runtest_setup
from fixtures.profile.parts import Absence, Part
from fixtures.report.model import Status

CHECK = Check("ORC-15", MUST, "title", (), needs=frozenset({Part.TOOLS, Feature.REPLICAS}), disrupts=Disruption.REPLICA)


STARTS = Check("E2E-01", MUST, "title", (), needs=frozenset({Part.DELIBERATIONS}))


def item(
    *,
    absent: bool = False,
    unsupported: bool = False,
    allowed: bool = False,
    check: Check = CHECK,
    disturbs: bool = False,
    gate: bool = False,
    failed: Collection[str] = (),
) -> Any:
    absence = Absence("tools", "agents run without tools") if absent else None
    suite = SimpleNamespace(
        cluster=SimpleNamespace(
            unsupported={Feature.REPLICAS: "plain endpoints"} if unsupported else {},
            profile=SimpleNamespace(disturbs=disturbs),
        ),
        recorder=SimpleNamespace(applicability=lambda asked: absence if asked is check else None, failed=set(failed)),
        gate=gate,
    )
    options = SimpleNamespace(cluster="attach", allow_disruptive=allowed)
    config = SimpleNamespace(stash={SUITE: suite}, option=options)
    return SimpleNamespace(config=config, get_closest_marker=lambda _: SimpleNamespace(args=[check]))


@pytest.mark.parametrize(
    ("reasons", "outcome"),
    [
        ({"absent": True, "unsupported": True}, (Status.NOT_APPLICABLE, "agents run without tools")),
        ({"absent": True, "allowed": True}, (Status.NOT_APPLICABLE, "agents run without tools")),
        ({"unsupported": True}, (Status.UNSUPPORTED, "plain endpoints")),
        ({}, (Status.DISABLED, "it disturbs the cluster; --allow-disruptive lets it")),
    ],
)
def test_the_first_reason_counts(reasons: dict[str, Any], outcome: tuple[Status, str]) -> None:
    with pytest.raises(pytest.skip.Exception) as skipped:
        next(pytest_runtest_setup(item(**reasons)))
    assert judge(skipped.value) == outcome


def test_deliberations_that_start_more_than_their_own_messages_need_leave() -> None:
    with pytest.raises(pytest.skip.Exception) as skipped:
        next(pytest_runtest_setup(item(check=STARTS, disturbs=True)))
    reason = "a deliberation starts more than its own messages (deliberations.disturbs); --allow-disruptive lets it"
    assert judge(skipped.value) == (Status.DISABLED, reason)
    next(pytest_runtest_setup(item(check=STARTS, disturbs=True, allowed=True)))
    next(pytest_runtest_setup(item(check=STARTS)))


def test_so_do_calls_that_ought_to_be_refused() -> None:
    calls = replace(STARTS, needs=frozenset({Part.CALLS}))
    with pytest.raises(pytest.skip.Exception, match=r"deliberations\.disturbs"):
        next(pytest_runtest_setup(item(check=calls, disturbs=True)))


def test_the_gate_seeks_a_cause_once_something_has_failed() -> None:
    """What is declared for a cause is asked as any other check in a run that is not the gate."""
    cause = Check("DEP-04", MUST, "title", (), gate=Gate.FOR_CAUSE)
    with pytest.raises(pytest.skip.Exception, match="in search of a cause"):
        next(pytest_runtest_setup(item(check=cause, gate=True)))
    next(pytest_runtest_setup(item(check=cause, gate=True, failed=["ORC-04"])))
    next(pytest_runtest_setup(item(check=cause)))


def test_a_check_that_nothing_rules_out_is_set_up() -> None:
    setup = pytest_runtest_setup(item(allowed=True))
    next(setup)
    with pytest.raises(StopIteration):
        setup.send(None)
