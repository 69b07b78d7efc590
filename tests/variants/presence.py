"""Whether a difference is really there: questions that several variants ask of their fleet."""

from __future__ import annotations

from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, packages_in
from tests.variants.model import Presence


def orchestrators_run(*edits: Edit) -> Presence:
    """Whether every replica's own copy of its image has these edits."""

    async def present(target: EmbeddedTarget) -> bool:
        packages = [packages_in(target.member(name).folder) for name in target.orchestrators]
        return all(edit.new in (folder / edit.path).read_text("utf-8") for folder in packages for edit in edits)

    return present


def orchestrators_have(**environment: str) -> Presence:
    """Whether every replica was started with these variables."""

    async def present(target: EmbeddedTarget) -> bool:
        members = [target.member(name) for name in target.orchestrators]
        return all(environment.items() <= member.part.environment().items() for member in members)

    return present
