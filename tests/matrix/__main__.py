"""`ci/matrix`: the reference stack on the versions that fleets run."""

from __future__ import annotations

import sys

from tests.matrix.command import main

if __name__ == "__main__":
    sys.exit(main())
