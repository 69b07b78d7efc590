"""`python -m tests.bench`, as ./ci/bench does."""

from tests.bench.command import main
from tests.support import program

if __name__ == "__main__":
    program.run(main)
