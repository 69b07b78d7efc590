"""A Ctrl-C is held back, let through, and noticed beside whoever handles it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from fixtures.harness.interrupts import Interrupts

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    """Of a session within this one, whose own handlers are back in the end."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    signal.signal(signal.SIGUSR1, lambda *_: None)
    made = Interrupts()
    yield made
    made.close()
    assert [signal.getsignal(number) for number in SIGNALS[:2]] == [signal.SIG_IGN, signal.SIG_IGN]
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_held_back_and_the_second_is_not(interrupts: Interrupts, number: signal.Signals) -> None:
    interrupts.hold_back()
    send(number)
    assert interrupts.seen()
    assert interrupts.seen(), "it stays seen"
    with pytest.raises(KeyboardInterrupt):
        send(number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_let_through_where_the_run_can_be_interrupted(interrupts: Interrupts, number: signal.Signals) -> None:
    interrupts.hold_back()
    with pytest.raises(KeyboardInterrupt), interrupts.let_through():
        send(number)
    with pytest.raises(KeyboardInterrupt):
        send(number)


def test_one_that_was_held_back_is_raised_before_anything_else_begins(interrupts: Interrupts) -> None:
    interrupts.hold_back()
    with interrupts.let_through():
        pass
    send(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupts.raise_if_seen()
    with pytest.raises(KeyboardInterrupt), interrupts.let_through():
        raise AssertionError("it began")


def test_other_signals_are_nothing_to_it(interrupts: Interrupts) -> None:
    interrupts.hold_back()
    send(signal.SIGUSR1)
    assert not interrupts.seen()
    interrupts.raise_if_seen()
