"""docs/reference/checks/: a page for each check, of its declaration and of the faults and variants that prove it.

The anchors `fails-when`, `stays-green-when` and `remedy` are what reports and alerts link to: they stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from fixtures.checks.catalogue import GATE, in_order, shown_disruption, shown_needs
from fixtures.checks.declaration import Check
from fixtures.checks.families import family_id
from fixtures.checks.remedy import Remedy, blocks, filled
from fixtures.core.paths import ROOT
from fixtures.profile.model import load
from fixtures.profile.remedy_values import KubernetesTarget, RemedyValues, remedy_values
from tests.faults.catalogue import FAULTS
from tests.variants.catalogue import VARIANTS
from tests.variants.documents import DOCUMENTS

FOLDER = ROOT / "docs" / "reference" / "checks"
REFERENCE = "swe-ai-fleet"
HEAD = """# Checks

A page for each: what must hold, the faults under which it is seen to fail, the healthy fleets on which it is seen to
pass, and what to do. Made by `./ci/gen-docs`; [catalogue.json](../catalogue.json) has the same for programs.
"""
HOW = {
    "embedded": "on this machine",
    "kubernetes": "on Kubernetes",
    "embedded-token": "with tokens",
    "embedded-executor": "with an executor",
}


def pages(catalogue: Mapping[str, Check]) -> dict[Path, str]:
    """Every page by its path, the index among them."""
    profile = load(REFERENCE)
    values = remedy_values(profile, "attach", KubernetesTarget())
    checks = in_order(catalogue.values())
    index = "\n".join([HEAD, *_index(checks)])
    return {FOLDER / "README.md": index, **{FOLDER / f"{one.id}.md": _page(one, catalogue, values) for one in checks}}


def _index(checks: Iterable[Check]) -> Iterator[str]:
    for area, group in groupby(checks, key=attrgetter("area")):
        yield from (f"## {area}", "", "| check | level | title |", "|---|---|---|")
        yield from (f"| [{one.id}]({one.id}.md) | {one.level} | {_cell(one.title)} |" for one in group)
        yield ""


def _page(check: Check, catalogue: Mapping[str, Check], values: RemedyValues) -> str:
    follows = [f"[{id}]({id}.md) {catalogue[id].title}" for id in check.follows]
    facts = [
        ("level", check.level.value),
        ("area", check.area),
        ("needs", ", ".join(shown_needs(check)) or "nothing beyond the endpoints"),
        ("disturbs", shown_disruption(check)),
        *([("runs", "on request: `-m load`")] if check.opt_in else []),
        *([("gate", GATE[check.gate])] if check.gate in GATE else []),
        *([("follows", "; ".join(follows))] if follows else []),
    ]
    return (
        "\n".join(
            [
                f"# {check.id} {check.title}",
                "",
                check.meaning,
                "",
                "| | |",
                "|---|---|",
                *(f"| {name} | {_cell(text)} |" for name, text in facts),
                "",
                "## Impact",
                check.impact,
                "",
                "## Fails when",
                *_listed(_faults(check), "No fault is injected for it."),
                "",
                "## Stays green when",
                *_listed(_variants(check), "No variant stretches it."),
                "",
                "## Remedy",
                f"With the names of the reference deployment ({REFERENCE}); a report has those of your fleet.",
                "",
                *_remedy(filled(check.remedy, values)),
            ]
        ).rstrip()
        + "\n"
    )


def _faults(check: Check) -> list[str]:
    named = [fault for fault in FAULTS if check.id in map(family_id, fault.checks)]
    return [f"`{fault.name}` ({HOW.get(fault.where, fault.where)}): {fault.description}" for fault in named]


def _variants(check: Check) -> list[str]:
    named = [one for one in VARIANTS if check.id in map(family_id, one.stretches)]
    documents = [one for one in DOCUMENTS if check.id in map(family_id, one.stretches)]
    return [
        *(f"`{one.name}` ({HOW.get(one.where, one.where)}): {one.description}" for one in named),
        *(f"`{one.name}` (a recorded answer): {one.description}" for one in documents),
    ]


def _listed(lines: list[str], none: str) -> list[str]:
    return [f"- {' '.join(line.split())}" for line in lines] or [none]


def _remedy(remedy: Remedy) -> Iterator[str]:
    for is_command, texts in blocks(remedy):
        yield from ("```sh", *texts, "```") if is_command else texts
        yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
