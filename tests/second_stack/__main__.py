"""`python -m tests.second_stack [options]`: faults in the second stack, one after another. See --help."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.command import PROGRAM
from tests.second_stack.faults import FAULTS, WHERE
from tests.second_stack.target import VotesTarget
from tests.support import program

if __name__ == "__main__":
    program.run(replace(PROGRAM, catalogue=FAULTS, subset=frozenset(), targets={WHERE: VotesTarget}).main)
