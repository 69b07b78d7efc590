"""What the probe finds out on the machine that it runs on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from fixtures.probes.payload import probe
from fixtures.probes.payload.probe import process_start

TICK = 0.02  # seconds: what field 22 of /proc/PID/stat leaves out, twice


def test_a_process_started_when_it_did() -> None:
    before = time.time()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        started = process_start(child.pid)
    assert before - TICK <= started <= time.time() + TICK


def test_all_names_are_looked_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the packets to a resolver are dropped: each name would take as long as all of them may."""
    mute = threading.Event()

    def look_up(host: str) -> dict[str, Any]:
        if host.startswith("mute"):
            mute.wait()
        return {"ok": True, "addresses": ["10.0.0.1"], "ms": 1.0}

    monkeypatch.setattr(probe, "resolve", look_up)
    answers = probe.probe({"resolve": ["mute-1", "mute-2", "up"], "resolve_timeout": 1})["resolve"]
    mute.set()
    assert answers["up"]["ok"]
    assert [answers[host] for host in ("mute-1", "mute-2")] == 2 * [{"ok": False, "error": "no answer within 1 s"}]
