"""A Ctrl-C is noticed beside whoever handles it."""

from __future__ import annotations

import os
import signal

from fixtures.interrupts import Interrupts


def test_sigint_is_seen_once_and_other_signals_are_not():
    handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGUSR1)}
    outer = signal.set_wakeup_fd(-1)
    interrupts = Interrupts()
    try:
        assert not interrupts.seen()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not interrupts.seen()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.seen()
        assert not interrupts.seen()
    finally:
        interrupts.close()
        signal.set_wakeup_fd(outer)
        for number, handler in handlers.items():
            signal.signal(number, handler)
