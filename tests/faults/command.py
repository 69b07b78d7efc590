"""The command: which faults, and what each must come to."""

from __future__ import annotations

from fixtures.checks.declaration import CATALOGUE
from tests.faults import matrix
from tests.faults.catalogue import FAULTS, SUBSET
from tests.faults.experiment import tried
from tests.targets.program import Program

PROGRAM = Program(
    name="faults",
    description="Put faults into a fleet, one after another, and see that the checks name each and nothing else: "
    "in a fleet on this machine, then, for those that need it, in one on Kubernetes (kind).",
    catalogue=FAULTS,
    subset=SUBSET,
    judged="detected, exact, diagnosed and healed",
    tried=tried,
    page=lambda rows: matrix.page(rows, [CATALOGUE[check] for check in sorted(CATALOGUE)]),
)
