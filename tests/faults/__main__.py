"""`ci/faults`: every check is seen to fail for its fault, and nothing else with it."""

from __future__ import annotations

from tests.faults.command import PROGRAM
from tests.support import program

if __name__ == "__main__":
    program.run(PROGRAM.main)
