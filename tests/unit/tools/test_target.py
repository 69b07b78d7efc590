"""A change is undone whatever happens: also where Ctrl-C comes while it is made, or while it is undone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.targets.target import Target


class Nothing(Target):
    """A target without a fleet."""

    def boot(self) -> None: ...

    async def end(self) -> None: ...


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """Signals that come meanwhile are not for this session (fixtures/harness/interrupts.py notices by descriptor)."""
    before, descriptor = signal.signal(signal.SIGINT, signal.default_int_handler), signal.set_wakeup_fd(-1)
    with Nothing(tmp_path) as made:
        yield made
    signal.set_wakeup_fd(descriptor)
    signal.signal(signal.SIGINT, before)


def interrupt_in(seconds: float) -> None:
    asyncio.get_running_loop().call_later(seconds, os.kill, os.getpid(), signal.SIGINT)


def test_a_change_that_is_interrupted_while_it_is_made_is_undone_before_anything_else(target: Target) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def change(_target: object) -> AsyncIterator[None]:
        try:
            interrupt_in(0.05)
            await asyncio.Event().wait()
            yield
        finally:
            await asyncio.sleep(0.05)
            steps.append("undone")

    with pytest.raises(KeyboardInterrupt), target.changed_by(change):
        raise AssertionError("it began")
    assert steps == ["undone"]


def test_what_undoes_a_change_is_not_interrupted(target: Target) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def change(_target: object) -> AsyncIterator[None]:
        yield
        interrupt_in(0.05)
        await asyncio.sleep(0.2)
        steps.append("undone")

    with pytest.raises(KeyboardInterrupt), target.changed_by(change):
        pass
    assert steps == ["undone"]


def test_what_a_change_raises_is_raised(target: Target) -> None:
    @asynccontextmanager
    async def change(_target: object) -> AsyncIterator[None]:
        raise ValueError("no such file")
        yield

    with pytest.raises(ValueError, match="no such file"), target.changed_by(change):
        pass
