"""`ci/variants`: every check is seen to pass on healthy fleets that differ."""

from __future__ import annotations

from tests.support import program
from tests.variants.command import PROGRAM

if __name__ == "__main__":
    program.run(PROGRAM.main)
