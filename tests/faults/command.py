"""The command: which faults, and what each must come to."""

from __future__ import annotations

from fixtures.checks.declaration import CATALOGUE
from tests.faults.catalogue import FAULTS, SUBSET
from tests.faults.experiment import tried
from tests.faults.model import COLUMNS
from tests.targets.matrix import Page, Row, columns
from tests.targets.program import Program


def kind_of(check: str, row: Row) -> str:
    """What became of one check under one fault."""
    red = check in row["failed"] or check in row["broken"]
    if check in row["expected"]:
        return "hit" if check in row["failed"] else "missed"
    if check in row["undecided"]:
        return "hit" if check in row["broken"] else "missed"
    if red:
        return "followed" if check in row["allowed"] else "false"
    return "passed" if check in row["ran"] else ""


PAGE = Page(
    name="faults",
    judged=("detected", "exact", "diagnosed", "healed"),
    count="flipped by",
    legend={
        "hit": "must fail or be undecided, and did",
        "missed": "must fail or be undecided, and did not",
        "followed": "may fail because of it, and did",
        "false": "failed or could not be told, and has nothing to do with it",
        "passed": "ran, and passed",
    },
    kind_of=kind_of,
    failing=True,
)

PROGRAM = Program(
    name="faults",
    description="Put faults into a fleet, one after another, and see that the checks name each and nothing else: "
    "in a fleet on this machine, then, for those that need it, in one on Kubernetes (kind).",
    catalogue=FAULTS,
    subset=SUBSET,
    columns=COLUMNS,
    judged="detected, exact, diagnosed and healed",
    tried=tried,
    page=lambda rows: PAGE.of(rows, columns(rows, CATALOGUE)),
)
