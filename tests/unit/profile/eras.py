"""The eras of a deployment, and what each check says of them: the data of eras.toml, what profiles say, and the page
(`ci/gen-docs`)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fixtures.checks.applicability import applicability
from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import AREAS, CATALOGUE, Check
from fixtures.clusters.base import Feature
from fixtures.core.paths import ROOT
from fixtures.profile.model import Profile, load
from fixtures.profile.parts import Part

FILE = Path(__file__).with_name("eras.toml")
PAGE = ROOT / "docs" / "reference" / "eras.md"
STATES = "PFfNUD?"
LEFT_OUT = ("LOAD-", "DEP-11")  # on request, and of packages that none of the profiles names


@dataclass(frozen=True)
class Cell:
    """What a check says of an era: one of STATES, and the key of a note, or ""."""

    state: str
    note: str = ""


@dataclass(frozen=True)
class Eras:
    """The data. `checks` and `later`: by id, a cell for each era; `later`: of checks that there are not yet."""

    names: tuple[str, ...]  # of profiles
    notes: Mapping[str, str]
    checks: Mapping[str, tuple[Cell, ...]]
    later: Mapping[str, tuple[Cell, ...]]

    def letter(self, number: int) -> str:
        """What an era is called: A, B, …"""
        return self.names[number].removeprefix("swe-ai-fleet-")[0].upper()


@cache
def eras() -> Eras:
    document = tomllib.loads(FILE.read_text(encoding="utf-8"))
    names = tuple(document["eras"])
    rows = {part: {id: _cells(row, len(names)) for id, row in document[part].items()} for part in ("checks", "later")}
    return Eras(names, document["notes"], rows["checks"], rows["later"])


def _cells(row: str | list[str], eras: int) -> tuple[Cell, ...]:
    texts = [row] * eras if isinstance(row, str) else row
    return tuple(Cell(state, note) for state, _, note in (text.partition(" ") for text in texts))


def catalogue() -> dict[str, Check]:
    """The checks that have a row, in the order of reports."""
    load_catalogue()
    kept = [check for id, check in CATALOGUE.items() if not id.startswith(LEFT_OUT)]
    areas = list(AREAS)
    return {check.id: check for check in sorted(kept, key=lambda check: (areas.index(check.id[:3]), check.id))}


def why_not(profile: Profile, check: Check) -> str:
    """Why a check does not apply to the profile's fleet in Kubernetes; "" where it does."""
    absence = applicability(profile, "attach")(check)
    return absence.because if absence else ""


def ruled_out(profile: Profile, check: Check) -> str:
    """The state of a check that is not run there, without a fault proxy and without leave; "" for one that is."""
    if why_not(profile, check):
        return "N"
    if Feature.FAULT_PROXY in check.features:
        return "U"
    begins = {Part.DELIBERATIONS, Part.CALLS} & set(check.parts)
    return "D" if check.disrupts or (profile.disturbs and begins) else ""


# -- the page ----------------------------------------------------------------------------------------------------------

HEAD = """# A deployment over time
<!-- Made of tests/unit/profile/eras.toml: ./ci/gen-docs -->
What each check says of four versions of one deployment, SWE AI Fleet, which changed how it starts agents three times
within half a year. Each has a shipped profile; they are examples of what [`[deliberations]`](../how-to/events.md) and a
[contract](contract.md) can say. The cells are what is expected of a run that is attached, may run commands in pods, and
disturbs nothing; *does not apply* is derived from the profiles, by a test.

| | profile | deliberations | agents |
|---|---|---|---|
"""
LEGEND = """
P passed · **F** failed, as a cause · f failed, as a consequence · N does not apply · U unsupported: there is no fault
proxy of the suite · D disabled: needs `--allow-disruptive` · ? not known

| check | {letters} | why |
|---|{columns}---|
"""
MODES = {
    "rpc-sync": "`grpc.start` lasts until the end",
    "rpc-async": "`grpc.start` returns at once",
    "event": "an event starts them",
}
READ = {"inline": "the end is in its answer", "nats": "the end is read from NATS", "rpc": "the end is asked for"}


def page() -> str:
    """docs/reference/eras.md."""
    data = eras()
    profiles = [load(name) for name in data.names]
    letters = [data.letter(number) for number in range(len(profiles))]
    lines = [
        f"| {letter} | `{profile.name}` | {MODES[profile.mode]}; {READ[profile.results]} | {_agents(profile)} |"
        for letter, profile in zip(letters, profiles, strict=True)
    ]
    legend = LEGEND.format(letters=" | ".join(letters), columns="---|" * len(letters))
    checks = catalogue()
    plain = [id for id in checks if set(data.checks[id]) == {Cell("P")}]
    rows = [_row(checks[id], data, profiles) for id in checks if id not in plain]
    rest = f"\nPassed in all: {', '.join(plain)}. Left out: LOAD, and DEP-11, which none of the profiles has.\n"
    return HEAD + "\n".join(lines) + "\n" + legend + "\n".join(rows) + "\n" + rest


def _agents(profile: Profile) -> str:
    by_executor = profile.executor.is_there and (profile.mode == "event" or profile.front_name == "executor")
    service = "an executor" if by_executor else "the orchestrator"
    made = "a factory's" if profile.contract.agent.factory else "a class's"
    return f"{made}, started by {service}; failures are {profile.contract.agent.failure}"


def _row(check: Check, data: Eras, profiles: Iterable[Profile]) -> str:
    cells = data.checks[check.id]
    reasons: dict[str, list[str]] = {}
    for number, (profile, cell) in enumerate(zip(profiles, cells, strict=True)):
        for text in (why_not(profile, check), data.notes.get(cell.note, "")):
            if text:
                reasons.setdefault(text, []).append(data.letter(number))
    why = "; ".join(f"{', '.join(letters)}: {text}" for text, letters in reasons.items())
    states = " | ".join(f"**{cell.state}**" if cell.state == "F" else cell.state for cell in cells)
    return f"| {check.id} {check.title} | {states} | {why} |"
