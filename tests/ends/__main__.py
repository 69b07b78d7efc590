"""`ci/ends`."""

from __future__ import annotations

import sys

from tests.ends.command import main

if __name__ == "__main__":
    sys.exit(main())
