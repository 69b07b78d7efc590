"""`ci/interrupt`."""

from __future__ import annotations

from tests.interruption.command import main
from tests.support import program

if __name__ == "__main__":
    program.run(main)
