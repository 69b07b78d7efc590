"""What the probe finds out on the machine that it runs on."""

from __future__ import annotations

import subprocess
import sys
import time

from fixtures.probes.payload.probe import process_start

TICK = 0.02  # seconds: what field 22 of /proc/PID/stat leaves out, twice


def test_a_process_started_when_it_did() -> None:
    before = time.time()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        started = process_start(child.pid)
    assert before - TICK <= started <= time.time() + TICK
