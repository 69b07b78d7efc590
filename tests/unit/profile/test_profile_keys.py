"""A key that no profile and no page shows is one that nobody finds."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator

from fixtures.core.paths import ROOT
from fixtures.profile.model import PROFILES, Profile
from fixtures.profile.readers import Readers
from fixtures.profile.sections import Section


def sections(annotation: object) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from sections(argument)


def readers(
    section: type[Section], prefix: str = "", above: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every leaf with the checks that are named for it, or for what it is part of."""
    for attribute, field in section.model_fields.items():
        name = f"{prefix}{field.alias or attribute}"
        named = next((data.checks for data in field.metadata if isinstance(data, Readers)), above)
        inner = [row for part in sections(field.annotation) for row in readers(part, f"{name}.", named)]
        yield from inner or [(name, named)]


def keys(section: type[Section], prefix: str = "") -> Iterator[str]:
    for attribute, field in section.model_fields.items():
        name = field.alias or attribute
        yield f"{prefix}{name}"
        for inner in sections(field.annotation):
            yield from keys(inner, f"{prefix}{name}.")


def test_every_key_is_shown_in_a_shipped_profile_or_in_the_documentation() -> None:
    shown = "\n".join(path.read_text() for path in [*PROFILES.glob("*.toml"), *(ROOT / "docs").rglob("*.md")])
    words = set(re.findall(r"\w+", shown))
    missing = [key for key in keys(Profile) if key.rpartition(".")[2] not in words]
    assert not missing, f"show in fixtures/profile/shipped/ or docs/ what these are for: {', '.join(missing)}"
