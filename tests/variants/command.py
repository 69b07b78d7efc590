"""The command: which variants, and what each must come to."""

from __future__ import annotations

from collections.abc import Iterable

from fixtures.checks.declaration import CATALOGUE
from fixtures.checks.families import family_id
from tests.faults.catalogue import FAULTS
from tests.targets.matrix import Page, Row, columns
from tests.targets.program import Program, Rows
from tests.variants.catalogue import SUBSET, VARIANTS
from tests.variants.documents import DOCUMENTS
from tests.variants.experiment import tried
from tests.variants.model import COLUMNS


def kind_of(check: str, row: Row) -> str:
    """What became of one check in one variant."""
    if check in row["exempt"]:
        return "followed"
    if check in row["failed"] or check in row["broken"]:
        return "followed" if row["known_red"] else "false"
    if check in row["stretches"]:
        return "hit" if check in row["passed"] else "missed"
    return "passed" if check in row["passed"] else "missed" if check in row["ran"] else ""


PAGE = Page(
    name="variants",
    judged=("present", "green", "covered", "sharp", "restored"),
    count="stretched by",
    legend={
        "hit": "would be red if it looked less closely, and passed",
        "missed": "did not run, or ended without having looked, undeclared",
        "followed": "did not pass, as declared, or as is known",
        "false": "failed or could not be told, though the fleet is healthy",
        "passed": "ran, and passed",
    },
    kind_of=kind_of,
    failing=False,
)


def declared(checks: Iterable[str]) -> set[str]:
    """The ids under which these are in the catalogue."""
    return {family_id(check) for check in checks}


def bounds() -> dict[str, list[str]]:
    """What bounds each check: the faults under which it must fail, and the variants in which it must not."""
    return {
        check: [
            *(f"fails: {fault.description}" for fault in FAULTS if check in declared(fault.expected_failures)),
            *(f"passes: {variant.description}" for variant in VARIANTS if check in declared(variant.stretches)),
            *(f"passes: {document.description}" for document in DOCUMENTS if check in declared(document.stretches)),
        ]
        for check in sorted(CATALOGUE)
    }


def page(rows: Rows) -> str:
    return PAGE.of(rows, columns(rows, CATALOGUE), bounds())


PROGRAM = Program(
    name="variants",
    description="Make a fleet differ from the reference stack in what healthy fleets differ in, one variant after "
    "another, and see that no check fails: in a fleet on this machine, then, for those that need it, in one on "
    "Kubernetes (kind).",
    catalogue=VARIANTS,
    subset=SUBSET,
    columns=COLUMNS,
    judged="present, green, covered, sharp and restored",
    tried=tried,
    page=page,
)
