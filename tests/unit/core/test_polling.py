"""Waiting for a state: how often it is asked for, and what is said when it does not come."""

from __future__ import annotations

import asyncio
import time

import pytest

from fixtures.core import polling
from fixtures.core.polling import StateNotReached, Wait, wait_until


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were slept: the clock is that of the sleeps."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(polling, "time", type("Clock", (), {"monotonic": staticmethod(lambda: sum(slept))}))
    return slept


async def never() -> bool:
    return False


async def test_it_is_asked_at_equal_distances(pauses: list[float]) -> None:
    with pytest.raises(StateNotReached, match=r"the end did not happen within 1 s; last seen: nothing"):
        await wait_until(never, "the end", 1.0, every=0.25, detail=lambda: "nothing")
    assert pauses == [0.25] * 4


async def test_what_takes_long_is_asked_for_less_often(pauses: list[float]) -> None:
    with pytest.raises(StateNotReached):
        await wait_until(never, "the end", 100.0, every=1.0, share=0.1)
    assert pauses[:11] == [1.0] * 11
    assert pauses[-1] > 5 and len(pauses) < 50


async def test_what_holds_already_is_returned_at_once() -> None:
    async def seven() -> int:
        return 7

    began = time.monotonic()
    assert await wait_until(seven, "seven", 60.0, every=30.0) == 7
    assert time.monotonic() - began < 30


async def test_what_is_missing_is_waited_for_and_said_once(pauses: list[float]) -> None:
    missing = iter(["vllm: 0 of 1 ready\nmore", "vllm: 0 of 1 ready", "ray-head: starts", ""])
    spoken: list[str] = []

    async def look() -> str:
        return next(missing)

    wait = Wait(60.0)
    await wait.until_nothing_is_missing(look, spoken.append)
    assert spoken == ["waiting: vllm: 0 of 1 ready", "waiting: ray-head: starts"]
    assert (pauses, wait.unmet) == ([2.0] * 3, "")


async def test_all_waits_of_a_run_share_one_allowance(pauses: list[float]) -> None:
    """The second one looks once: a state that has come about meanwhile counts."""

    async def look() -> str:
        return "nats: refuses connections"

    wait = Wait(10.0)
    await wait.until_nothing_is_missing(look, lambda _: None)
    assert (sum(pauses), wait.unmet) == (10.0, "nats: refuses connections")
    await wait.until_nothing_is_missing(look, lambda _: None)
    assert sum(pauses) == 10.0
