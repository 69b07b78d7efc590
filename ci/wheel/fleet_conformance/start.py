"""Where the suite is, and its start: as this process, or in its place."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

SUITE = Path(__file__).resolve().with_name("_suite")


def main() -> NoReturn:
    """The program fleet-conformance."""
    if not (SUITE / "fixtures" / "command").is_dir():
        print(f"fleet-conformance: the installation is damaged: {SUITE} is not the suite", file=sys.stderr)
        sys.exit(3)
    sys.path.insert(0, str(SUITE))
    from fixtures.command.main import run

    run()


def replace_process(arguments: Sequence[str]) -> NoReturn:
    """Become the program fleet-conformance, with these arguments."""
    os.execv(sys.executable, [sys.executable, "-P", "-m", "fleet_conformance", *arguments])
