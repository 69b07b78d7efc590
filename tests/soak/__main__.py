"""`python -m tests.soak`, as ./ci/soak does."""

from tests.soak.command import main
from tests.support import program

if __name__ == "__main__":
    program.run(main)
